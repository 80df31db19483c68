"""What the LoopBack endpoints share: records in and out of the replica, and their digests."""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from syncline.clock import next_stamp
from syncline.digest import digest_of
from syncline.digests import (
    GONE,
    NAMES_MAX,
    Collided,
    Digests,
    Known,
    Taken,
    decode_digests,
    encode_digests,
    note,
    rebase,
    told_of,
)
from syncline.errors import RecordError
from syncline.models import (
    NO_BODY,
    Answer,
    ItemResult,
    Record,
    Update,
    join_ancestors,
)
from syncline.replica import Replica
from syncline.revision import Revision, new_revision, next_generation, short_of
from syncline.schema import record_id_of
from syncline.store.contract import Reader, Transaction
from synclined.access import Principal
from synclined.loopback.wire import SentChange
from synclined.refusals import note_refused


ORIGIN = "loopback"
HINTS_MAX = 50_000
DOUBTS_MAX = 10_000
SETTLED_MAX = 1000
"""Records a model whose settled conflict is listed to whoever has listed beyond it."""
CHECKS_A_TURN = 200
"""After so many records the loop gets a turn."""
LARGE = 64


class Peer(msgspec.Struct, frozen=True):
    """
    Who asks, as far as LoopBack's client tells.

    Attributes:
        line: its connection. party: its token and its host.
    """

    line: str
    party: str

    def client(self, change: SentChange) -> str:
        """Return the name under which is remembered what a client showed: its source's too."""
        source = str(change.fields.get("modelName", ""))[:128]
        return blake2b(f"{self.party}\0{source}".encode(), digest_size=6).hexdigest()


class Held(msgspec.Struct, frozen=True):
    """
    What is held of a record, as the door sees it.

    Attributes:
        current: its update, a tombstone too; None for nothing.
        data: the record; None when it is gone.
        digest: of the record; `GONE` when it is gone.
        digests: what crossed the door.
    """

    current: Update | None
    data: Record | None
    digest: str
    digests: Digests

    @property
    def rev(self) -> Revision | None:
        """The revision held."""
        return None if self.current is None else self.current.rev


def held_of(current: Update | None, stored: bytes | None) -> Held:
    """Return the door's view of a record."""
    data = None if current is None else current.data
    digest = GONE if data is None else digest_of(data)
    return Held(current, data, digest, decode_digests(stored))


class Serving:
    """
    One replica behind the LoopBack door.

    Attributes:
        replica: what is served.
        on_clash: called when something of a bulk update was refused or collided.
    """

    def __init__(self, replica: Replica, *, on_clash: Callable[[], None] | None = None) -> None:
        self.replica = replica
        self.on_clash = on_clash or _nothing
        self._hints: OrderedDict[tuple[str, str, str], str] = OrderedDict()
        self._doubts: OrderedDict[tuple[str, str], _Doubt] = OrderedDict()
        self._settled: dict[str, dict[str, int]] = {}

    # ---- reading ------------------------------------------------------------------------

    async def look(self, model: str, record_ids: Sequence[str]) -> dict[str, Held]:
        """Return the door's view of those records, of unknown ones too."""
        self.replica.core.schema_of(model)
        ids = list(dict.fromkeys(record_ids))

        def job(reader: Reader) -> dict[str, Held]:
            entries = reader.entries([(model, record_id) for record_id in ids])
            stored = reader.digests(model, ids)
            return {
                i: held_of(
                    entries[model, i].update if (model, i) in entries else None, stored.get(i)
                )
                for i in ids
            }

        return await self.replica.core.read(job, large=len(ids) > LARGE)

    async def look_at(self, model: str, record_id: str) -> Held:
        """Return the door's view of one record."""
        return (await self.look(model, [record_id]))[record_id]

    # ---- what crossed the door ----------------------------------------------------------

    async def keep(
        self, model: str, seen: Mapping[str, Sequence[Known | Collided | Taken]]
    ) -> None:
        """Remember digests that crossed the door, those of a record in order."""
        if not seen:
            return
        ids = list(seen)

        def pending(reader: Reader) -> list[tuple[str, bytes]]:
            stored = reader.digests(model, ids)
            rows: list[tuple[str, bytes]] = []
            for record_id in ids:
                before = decode_digests(stored.get(record_id))
                after = before
                for known in seen[record_id]:
                    after = note(after, known)
                if after != before:
                    rows.append((record_id, encode_digests(after)))
            return rows

        if not await self.replica.core.read(pending, large=len(ids) > LARGE):
            return
        await self.replica.core.writer.run(
            lambda tx: tx.write_digests(model, pending(tx)), weight=len(ids)
        )

    async def rebase(self, model: str, record_id: str, rev: Revision, prev: str) -> None:
        """
        Remember that a revision was declared to be based on a digest.

        It is listed from then on to whoever listed up to here, too: a resolution travels whatever
        checkpoint its other side goes on from.
        """
        head = await self.replica.head()
        settled = dict(await self.settled(model))
        settled.pop(record_id, None)
        settled[record_id] = head + 1
        while len(settled) > SETTLED_MAX:
            del settled[next(iter(settled))]

        def job(tx: Transaction) -> None:
            before = decode_digests(tx.digests(model, [record_id]).get(record_id))
            after = rebase(before, rev, prev)
            tx.write_digests(model, [(record_id, encode_digests(after))])
            tx.set_meta(_settled_name(model), msgspec.json.encode(settled))

        await self.replica.core.writer.run(job)
        self._settled[model] = settled

    async def settled(self, model: str) -> Mapping[str, int]:
        """Return the checkpoints up to which a settled conflict is listed, by record id."""
        if model not in self._settled:
            stored = await self.replica.core.read(lambda reader: reader.meta(_settled_name(model)))
            self._settled[model] = {} if stored is None else _settled_decoder.decode(stored)
        return self._settled[model]

    def note_doubt(self, model: str, change: SentChange, client: str, current: Update) -> None:
        """Remember that a client was told of a conflict that may be none."""
        self._doubts[model, change.record_id] = _Doubt(client, change.rev, current.rev)
        self._doubts.move_to_end((model, change.record_id))
        if len(self._doubts) > DOUBTS_MAX:
            self._doubts.popitem(last=False)

    def look_into_doubt(self, model: str, record_id: str) -> None:
        """Remember that what is held was read: who shows its change again has settled it."""
        doubt = self._doubts.get((model, record_id))
        if doubt is not None:
            self._doubts[model, record_id] = msgspec.structs.replace(doubt, is_read=True)

    def is_settled(self, model: str, change: SentChange, client: str, current: Update) -> bool:
        """Tell whether a client was told of this very conflict, and has read what is held."""
        doubt = self._doubts.get((model, change.record_id))
        return doubt == _Doubt(client, change.rev, current.rev, is_read=True)

    def note_hint(self, peer: str, model: str, record_id: str, digest: str) -> None:
        """Remember, for as long as it lasts, what a peer holds of a record."""
        key = (peer, model, record_id)
        self._hints[key] = digest
        self._hints.move_to_end(key)
        if len(self._hints) > HINTS_MAX:
            self._hints.popitem(last=False)

    def hint(self, peer: str, model: str, record_id: str) -> str | None:
        """Return what a peer was last seen to hold of a record."""
        return self._hints.get((peer, model, record_id))

    # ---- writing ------------------------------------------------------------------------

    def next_update(
        self,
        model: str,
        record_id: str,
        held: Update | None,
        data: Mapping[str, Any] | None,
        *,
        rev: Revision | None = None,
        prev: Revision | None = None,
        is_upon: bool = True,
    ) -> Update:
        """
        Return the update that makes `data` of a record, None to delete it.

        Args:
            rev: the revision that it got when it was shown.
            prev: what it is based on, if not upon what is held. is_upon: whether it is.

        Raises:
            RecordError: the record can't be kept.
        """
        body = NO_BODY
        if data is not None:
            data = self._with_typed_id(model, data)
            before = None if held is None else held.data
            body = msgspec.Raw(self.replica.core.check(model, record_id, data, before)[1])
        ancestors: tuple[str, ...] = ()
        if held is not None and is_upon:
            ancestors = join_ancestors(held.ancestors, (short_of(held.rev),))
            prev = held.rev
        return Update(
            model=model,
            record_id=record_id,
            rev=rev or self.new_revision(held if is_upon else None, prev, deleted=data is None),
            prev=prev,
            ancestors=ancestors,
            origin=ORIGIN,
            stamp=next_stamp(0 if held is None else held.stamp, time.time_ns() // 1_000_000),
            body=body,
        )

    def _with_typed_id(self, model: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        schema = self.replica.core.schema_of(model)
        if schema is None or not (schema.properties or schema.strict):
            return data  # Nothing is declared: a number stays one, as at every other door.
        if schema.id_kind != "string":
            return data
        given = data.get(schema.id_name)
        if isinstance(given, bool) or not isinstance(given, int | float):
            return data
        return {**data, schema.id_name: record_id_of(given)}

    def new_revision(
        self, held: Update | None, prev: Revision | None = None, *, deleted: bool
    ) -> Revision:
        """Return a fresh revision above what is held."""
        generation = next_generation(
            None if held is None else held.rev,
            prev,
            ancestors=() if held is None else held.ancestors,
        )
        return new_revision(generation, secrets.token_hex(8), deleted=deleted)

    async def push(self, principal: Principal, updates: Sequence[Update]) -> tuple[ItemResult, ...]:
        """Apply updates by the daemon's own rules, and return its word on each."""
        if not updates:
            return ()
        result = await self.replica.bulk_update(updates, principal=principal)
        if any(one.answer is Answer.REFUSED for one in result.results):
            note_refused(principal, result.results)
        return result.results

    async def turn(self, index: int) -> None:
        """Give the loop a turn now and then."""
        if index % CHECKS_A_TURN == CHECKS_A_TURN - 1:
            await asyncio.sleep(0)


class _Doubt(msgspec.Struct, frozen=True):
    client: str
    digest: str
    held: Revision
    is_read: bool = False


_settled_decoder = msgspec.json.Decoder(type=dict[str, int])


def _settled_name(model: str) -> str:
    return f"loopback settled {model}"


def known_of(
    digest: str,
    update: Update,
    data: Record | None,
    *,
    seq: int | None = None,
    given: int = 0,
    sent: SentChange | None = None,
    by: str | None = None,
) -> Known:
    """
    Return what to remember of a state that crossed the door.

    Args:
        given: to how many clients it was given. sent, by: by which change of which client it came.
    """
    names = () if data is None or len(data) > NAMES_MAX else tuple(sorted(data))
    told = None if sent is None else told_of(sent.prev or GONE, sent.checkpoint)
    at = update.seq if seq is None else seq
    return Known(digest, update.rev, at, None, names, told, by, given)


def is_taken(result: ItemResult) -> bool:
    """Tell whether the daemon holds what was pushed, or made something of it."""
    return result.answer in (Answer.APPLIED, Answer.KNOWN)


def refusal_of(error: RecordError) -> str:
    """Return the reason to tell of a record that can't be kept."""
    return f"{error} ({error.hint})" if error.hint else str(error)


def _nothing() -> None:
    """Tell nobody."""
