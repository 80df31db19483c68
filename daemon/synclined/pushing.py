"""What a client pushes: every record checked and given its own word."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from syncline.errors import CursorStale, MessageTooLarge
from syncline.logs import Logger
from syncline.models import Answer, ItemResult
from syncline.payloads import decode_pushed, encode_page, inline
from syncline.protocol import Push, PushAnswer, decode, encode
from syncline.replica import Replica
from synclined.checking import Checking
from synclined.peers import Limits, Peer
from synclined.refusals import note_refused


log = Logger("synclined")

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
        checking = Checking(peer, self._replica.core)
        for start in range(0, len(updates), CHECKS_A_TURN):
            batch = updates[start : start + CHECKS_A_TURN]
            checking.take(batch)
            if len(batch) == CHECKS_A_TURN:
                await asyncio.sleep(0)
        checking.hold_groups()
        answer = await self._replica.bulk_update(
            checking.good,
            principal=peer.principal,
            pusher=peer.replica_id,
            amended=checking.amended,
        )
        results = checking.in_order(answer.results)
        self._note_push(peer, results, answer.checkpoint, started)
        header = encode(PushAnswer(epoch=answer.epoch, checkpoint=answer.checkpoint))
        page = encode_page(results)
        return {**header, "results": inline(page)} if attached is None else (header, page)

    def _note_push(
        self, peer: Peer, results: Sequence[ItemResult], checkpoint: int, started: float
    ) -> None:
        counts = Counter(map(_WORD_OF, results))
        self.pushed.update(counts)
        clean = counts.keys() <= _CLEAN
        if not clean:
            self.on_clash()
            note_refused(peer.principal, results, sid=peer.sid, replica_id=peer.replica_id)
        (log.debug if clean else log.info)(
            "bulk_update.committed",
            sid=peer.sid,
            replica_id=peer.replica_id,
            principal=peer.principal.name,
            checkpoint=checkpoint,
            duration_ms=round((time.perf_counter() - started) * 1000, 3),
            **counts,
        )


def _nothing() -> None:
    """Tell nobody."""
