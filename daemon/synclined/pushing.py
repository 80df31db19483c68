"""What a client pushes: every record decoded, checked and given its own word."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import msgspec
import structlog

from syncline.errors import CursorStale, Forbidden, MessageTooLarge, ModelUnknown, RecordError
from syncline.models import NO_BODY, Answer, ItemResult, Update
from syncline.protocol import (
    Push,
    PushAnswer,
    decode,
    decode_pushed,
    decode_record,
    encode,
    encode_page,
    inline,
)
from syncline.replica import Replica
from syncline.revision import Revision
from syncline.schema import ModelSchema, check_encoded
from syncline.verdicts import equal_bodies
from synclined.access import Right
from synclined.peers import Limits, Peer, require


log = structlog.get_logger("synclined")

_WORD_OF = attrgetter("answer._value_")
"""The word of a result; the enum's own `value` is a call of Python for each."""

_CLEAN = frozenset({Answer.APPLIED.value, Answer.KNOWN.value})
CHECKS_A_TURN = 200
"""After checking so many pushed records the loop gets a turn."""


class Pushing:
    """
    Takes what is pushed into the replica.

    Attributes:
        on_clash: called when something of a push was refused or collided.
        pushed: how many updates were pushed, by what became of them.
    """

    def __init__(self, replica: Replica, limits: Limits) -> None:
        self._replica = replica
        self._limits = limits
        # Bound once: structlog would put a logger together for each line, and each push has one.
        self._log = log.bind()
        self.on_clash: Callable[[], None] = _nothing
        self.pushed: Counter[str] = Counter()

    async def bulk_update(self, peer: Peer, payload: Any, attached: Any = None) -> Any:
        """Apply a push and answer it, item by item, in the form that it came in."""
        started = time.perf_counter()
        push = decode(Push, payload)
        updates = decode_pushed(payload.get("updates") if attached is None else attached)
        if len(updates) > self._limits.push_items_max:
            raise MessageTooLarge(
                f"{len(updates)} updates are over the limit of {self._limits.push_items_max}"
            )
        engine = self._replica.core.engine
        if push.epoch and (push.epoch != engine.lineage.current or push.cursor < engine.horizon):
            raise CursorStale("the list has begun anew since", hint="say hello again")
        granted: dict[str, ModelSchema | None] = {}
        amended: dict[Revision, bytes] = {}
        bytes_max = self._replica.core.record_bytes_max
        good: list[Update] = []
        places: list[int] = []
        results: dict[int, ItemResult] = {}
        for index, update in enumerate(updates):
            try:
                good.append(self._checked(peer, update, granted, amended, bytes_max))
                places.append(index)
            except (RecordError, Forbidden, ModelUnknown) as error:
                results[index] = _refused(update, f"{error.code}: {error}")
            if index % CHECKS_A_TURN == CHECKS_A_TURN - 1:
                await asyncio.sleep(0)
        if results:
            _hold_groups(updates, good, places, results)
        answer = await self._replica.bulk_update(
            good, principal=peer.principal, pusher=peer.replica_id, amended=amended
        )
        ordered = answer.results
        if results:
            results.update(zip(places, answer.results, strict=True))
            ordered = tuple([results[index] for index in range(len(updates))])
        self._note_push(peer, ordered, answer.checkpoint, started)
        header = encode(PushAnswer(epoch=answer.epoch, checkpoint=answer.checkpoint))
        page = encode_page(ordered)
        return {**header, "results": inline(page)} if attached is None else (header, page)

    def _checked(
        self,
        peer: Peer,
        update: Update,
        granted: dict[str, ModelSchema | None],
        amended: dict[Revision, bytes],
        bytes_max: int,
    ) -> Update:
        """
        Return the update in our spelling; note in `amended` what is kept otherwise than it came.

        Args:
            granted: the declarations of the models whose rights were looked at before.
        """
        model, record_id = update.model, update.record_id
        if model not in granted:
            require(peer, Right.WRITE, model)
            granted[model] = self._replica.core.schema_of(model)
        if update.body is NO_BODY:  # A deletion, as the push's form was checked for.
            return update
        encoded = bytes(update.body)
        data = decode_record(encoded, model, record_id)
        body = check_encoded(granted[model], record_id, data, encoded, bytes_max=bytes_max)
        if body is encoded:
            return update
        if not equal_bodies(body, encoded):
            amended[update.rev] = body
            return update
        return msgspec.structs.replace(update, body=msgspec.Raw(body))

    def _note_push(
        self, peer: Peer, results: Sequence[ItemResult], checkpoint: int, started: float
    ) -> None:
        counts = Counter(map(_WORD_OF, results))
        self.pushed.update(counts)
        clean = counts.keys() <= _CLEAN
        if not clean:
            self.on_clash()
        (self._log.debug if clean else self._log.info)(
            "bulk_update.committed",
            sid=peer.sid,
            replica_id=peer.replica_id,
            principal=peer.principal.name,
            checkpoint=checkpoint,
            duration_ms=round((time.perf_counter() - started) * 1000, 3),
            **counts,
        )


def _refused(update: Update, reason: str) -> ItemResult:
    return ItemResult(
        model=update.model,
        record_id=update.record_id,
        rev=update.rev,
        answer=Answer.REFUSED,
        reason=reason,
    )


def _hold_groups(
    updates: tuple[Update, ...],
    good: list[Update],
    places: list[int],
    results: dict[int, ItemResult],
) -> None:
    """Hold back the good members of groups that have a bad one."""
    barred = {updates[index].group for index in results} - {None}
    for position in reversed(range(len(good))):
        if good[position].group in barred:
            held = _refused(good[position], "")
            results[places[position]] = msgspec.structs.replace(held, answer=Answer.HELD)
            del good[position], places[position]


def _nothing() -> None:
    """Tell nobody."""
