"""
What a LoopBack server holds, in revisions: its digests, and the revisions that they stand for.

A LoopBack server's history is one line: whatever it holds now came after what it held before.
So a digest that is new is a new revision upon the last one known, however many were missed.
"""

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from syncline.clock import next_stamp
from syncline.models import NO_BODY, Update, join_ancestors
from syncline.replica import Replica
from syncline.revision import new_revision, next_generation, short_of
from syncline.store.contract import Reader, Transaction


ORIGIN = "loopback"


class Shadow(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    What a LoopBack server is known to hold of a record.

    Attributes:
        digest: LoopBack's revision; empty when the record is gone.
        update: the revision that it stands for, without data.
    """

    digest: str
    update: Update


_decoder = msgspec.json.Decoder(type=Shadow)


class Shadows:
    """
    The shadows of one model, kept by a local replica.

    Args:
        keeper: whose store keeps them. place: the server's address and model.
    """

    def __init__(self, keeper: Replica, place: str, model: str) -> None:
        self._keeper = keeper
        self._server = place
        self._held: tuple[int, int] | None = None
        self._model = model

    async def load(self, record_ids: Sequence[str]) -> dict[str, Shadow]:
        """Return what is known of those records."""
        ids = list(dict.fromkeys(record_ids))
        place = await self._place()

        def job(reader: Reader) -> dict[str, bytes]:
            return reader.digests(place, ids)

        stored = await self._keeper.core.read(job, large=len(ids) > 200)
        return {record_id: _decoder.decode(raw) for record_id, raw in stored.items()}

    async def save(self, shadows: Mapping[str, Shadow]) -> None:
        """Keep shadows."""
        if not shadows:
            return
        rows = [(record_id, msgspec.json.encode(one)) for record_id, one in shadows.items()]
        place = await self._place()

        def job(tx: Transaction) -> None:
            tx.write_digests(place, rows)

        await self._keeper.core.writer.run(job, weight=len(rows))

    async def load_mark(self) -> int:
        """Return the checkpoint from which the server is yet to be looked at."""
        return (await self._state())[1]

    async def save_mark(self, checkpoint: int) -> None:
        """Keep the checkpoint from which to look next."""
        await self._keep_state((await self._state())[0], checkpoint)

    async def forget(self) -> None:
        """Forget all shadows."""
        await self._keep_state((await self._state())[0] + 1, -1)

    async def _state(self) -> tuple[int, int]:
        """Return how often all was forgotten, and the mark."""
        if self._held is None:
            name = f"loopback {self._server}"
            stored = await self._keeper.core.read(lambda reader: reader.meta(name))
            count, mark = (0, -1) if stored is None else map(int, stored.split())
            self._held = (count, mark)
        return self._held

    async def _keep_state(self, count: int, mark: int) -> None:
        name, value = f"loopback {self._server}", f"{count} {mark}".encode()
        await self._keeper.core.writer.run(lambda tx: tx.set_meta(name, value))
        self._held = (count, mark)

    async def _place(self) -> str:
        # Another place each time, since a store has no way to drop what one place holds.
        count, _ = await self._state()
        return f"{self._server}#{count}" if count else self._server

    async def observe(self, seen: Iterable[tuple[str, str]]) -> dict[str, Shadow]:
        """
        Take note of (record id, digest) pairs that the server holds; return their shadows.

        A digest that is new becomes a new revision upon the one before.
        """
        pairs = dict(seen)
        known = await self.load(list(pairs))
        moved: dict[str, Shadow] = {}
        for record_id, digest in pairs.items():
            before = known.get(record_id)
            if before is None and not digest:
                continue
            if before is None or before.digest != digest:
                update = self._next(record_id, before, deleted=not digest)
                moved[record_id] = known[record_id] = Shadow(digest, update)
        await self.save(moved)
        return known

    def _next(self, record_id: str, before: Shadow | None, *, deleted: bool) -> Update:
        old = None if before is None else before.update
        ancestors = () if old is None else join_ancestors(old.ancestors, (short_of(old.rev),))
        generation = next_generation(None if old is None else old.rev, ancestors=ancestors)
        return Update(
            model=self._model,
            record_id=record_id,
            rev=new_revision(generation, secrets.token_hex(8), deleted=deleted),
            prev=None if old is None else old.rev,
            ancestors=ancestors,
            origin=ORIGIN,
            stamp=next_stamp(0 if old is None else old.stamp, time.time_ns() // 1_000_000),
        )


def without_data(update: Update) -> Update:
    """Return an update as a shadow keeps it."""
    return msgspec.structs.replace(update, body=NO_BODY, group=None)
