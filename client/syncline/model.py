"""A model of a replica: the verbs on its records, and LoopBack's sync methods."""

import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from syncline.change_log import Write
from syncline.core import Core, fields_of
from syncline.errors import FilterInvalid
from syncline.filters import matches, parse_where
from syncline.models import (
    BulkResult,
    Change,
    Checkpoint,
    Diff,
    Interval,
    Record,
    Update,
)
from syncline.observers import Watch
from syncline.ordering import parse_order
from syncline.ranges import Range, Summary
from syncline.replicate import End, Replication, Since, bare, replicate
from syncline.revision import Revision
from syncline.schema import record_id_of
from syncline.store.contract import Reader, Transaction
from syncline.store.query import Query
from syncline.subscription import Subscription


BulkUpdate = Callable[[Sequence[Update]], Awaitable[BulkResult]]
LIMIT_MAX = 2**63 - 1
"""The largest number that a database counts to."""
LARGE_LIMIT = 200

_T = TypeVar("_T")


def new_id() -> str:
    """
    Return a time-ordered id, a UUID of version 7 (RFC 9562, section 5.7).

    Ids in order of time keep the store's one index on them cheap to extend.
    """
    millis = time.time_ns() // 1_000_000
    tail = int.from_bytes(os.urandom(10), "big")
    number = (millis << 80) | tail
    number = (number & ~(0xF << 76)) | (0x7 << 76)
    number = (number & ~(0x3 << 62)) | (0x2 << 62)
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Model:
    """
    A handle on one model of a replica.

    Records are JSON objects; their id is text, and also their id property.
    """

    def __init__(self, core: Core, name: str, bulk_update: BulkUpdate) -> None:
        self._core = core
        self._bulk_update = bulk_update
        self.name = name

    def __repr__(self) -> str:
        """Its name."""
        return f"Model({self.name!r})"

    # ---- records ------------------------------------------------------------------------

    async def put(
        self,
        record_id: str | int | Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        *,
        if_rev: Revision | None = None,
    ) -> Update:
        """
        Store a whole record and return it with its change.

        ``put(id, data)``, or ``put(data)`` for a new id.
        Storing what is already there makes no change.

        Args:
            if_rev: the revision that must stand, for compare-and-set.

        Raises:
            RecordError: the record can't be kept; nothing was written.
            ConflictError: `if_rev` does not stand.
            StoreError: the store refused, by name.
        """
        if isinstance(record_id, Mapping):
            data, record_id = record_id, None
        fields = fields_of(data)
        if record_id is None:
            record_id = self._id_in(fields)
        write = self._core.put_of(self.name, record_id, fields, if_rev)
        return await self._write(write)

    def check_record(
        self, record_id: str, data: Mapping[str, Any], before: Record | None = None
    ) -> msgspec.Raw:
        """
        Return a record as `put` would keep it, encoded; nothing is written.

        Args:
            before: the record that it takes the place of, whose id stays of its type.

        Raises:
            RecordError: it can't be kept.
        """
        return msgspec.Raw(self._core.check(self.name, record_id, data, before)[1])

    async def put_many(self, records: Sequence[Mapping[str, Any]]) -> list[Update]:
        """Store many records in one commit; each takes its id property, or a new id."""
        writes = [self._core.put_of(self.name, self._id_in(record), record) for record in records]
        return await self._core.write(writes)

    async def patch(
        self, record_id: str | int, data: Mapping[str, Any], *, if_rev: Revision | None = None
    ) -> Update:
        """
        Set some properties of a record and return it with its change.

        Raises:
            RecordNotFound: there is none.
        """
        write = self._core.patch_of(self.name, record_id_of(record_id), data, if_rev)
        return await self._write(write)

    async def delete(self, record_id: str | int, *, if_rev: Revision | None = None) -> Update:
        """
        Delete a record and return its tombstone.

        Raises:
            RecordNotFound: there is none.
        """
        write = self._core.delete_of(self.name, record_id_of(record_id), if_rev)
        return await self._write(write)

    async def _write(self, write: Write) -> Update:
        return (await self._core.write([write]))[0]

    async def get(self, record_id: str | int) -> Record | None:
        """Return a record, or None."""
        change = await self.get_change(record_id)
        return None if change is None else change.data

    async def get_change(self, record_id: str | int) -> Update | None:
        """Return a record with its change, its tombstone too; None when it was never here."""
        text = record_id_of(record_id)

        def job(reader: Reader) -> Update | None:
            entry = reader.entry(self.name, text)
            return None if entry is None else entry.update

        return await self._core.read_model(self.name, job, record_id=text)

    async def find(
        self,
        where: Mapping[str, Any] | None = None,
        order: str | Sequence[str] | None = None,
        limit: int | None = None,
        after: str | int | None = None,
    ) -> list[Record]:
        """
        Return the records that match.

        Args:
            where: a LoopBack-style filter, see `syncline.filters`.
            order: `"name ASC"`, or several; by id without one.
            limit: the most records to return.
            after: the id of the last record of the page before.

        Raises:
            FilterInvalid: naming what can't be read.
        """
        query = self._query(where, order, limit, after)
        large = limit is None or limit > LARGE_LIMIT
        return await self._read(lambda reader: reader.find(self.name, query), large=large)

    async def count(self, where: Mapping[str, Any] | None = None) -> int:
        """Return how many records match."""
        query = self._query(where, None, None, None)
        return await self._read(lambda reader: reader.count(self.name, query), large=True)

    async def _read(self, job: Callable[[Reader], _T], *, large: bool) -> _T:
        return await self._core.read_model(self.name, job, large=large)

    async def summaries(
        self, ranges: Sequence[Range], *, every: int | None = None
    ) -> tuple[Summary, ...]:
        """
        Return the summaries of ranges of record ids, as many as one answer may hold.

        Args:
            every: make one for each so many entries; None for one a range.
        """

        def job(reader: Reader) -> tuple[Summary, ...]:
            return tuple(reader.summaries(self.name, ranges, every=every))

        return await self._read(job, large=True)

    async def restore(self, update: Update) -> bool:
        """
        Put back the data of a revision that is held here with other data, as after bit rot.

        Returns:
            whether that revision is still the one held; it makes no change of its own.
        """

        def job(tx: Transaction) -> bool:
            return self._core.engine.restore(tx, update)

        is_restored = await self._core.writer.run(job)
        if is_restored:
            # It has no new place in the list.
            self._core.published([msgspec.structs.replace(update, seq=0)])
        return is_restored

    def _query(
        self,
        where: Mapping[str, Any] | None,
        order: str | Sequence[str] | None,
        limit: int | None,
        after: str | int | None,
    ) -> Query:
        self._core.schema_of(self.name)
        if limit is not None and (type(limit) is not int or limit < 0):
            raise FilterInvalid(f"limit is {limit!r}", hint="0 or more, or none for all")
        if where is not None and not isinstance(where, Mapping):
            raise FilterInvalid(f"a {type(where).__name__} is no filter", hint="{'title': 'milk'}")
        return Query(
            condition=parse_where(None if where is None else dict(where)),
            order=parse_order(order if order is None or isinstance(order, str) else list(order)),
            limit=None if limit is None else min(limit, LIMIT_MAX),
            after=None if after is None else record_id_of(after),
        )

    def _id_in(self, data: Mapping[str, Any]) -> Any:
        """Return the id that a record names, or a new one."""
        schema = self._core.schema_of(self.name)
        found = fields_of(data).get("id" if schema is None else schema.id_name)
        return new_id() if found is None else found

    # ---- observing ----------------------------------------------------------------------

    def watch(self) -> Watch:
        """Return an async iterator of changes, each an `Update`, from now on."""
        self._core.schema_of(self.name)
        return self._core.observers.watch(self.name)

    async def subscribe(
        self,
        callback: Callable[[list[Record]], Any],
        where: Mapping[str, Any] | None = None,
        order: str | Sequence[str] | None = None,
        limit: int | None = None,
    ) -> Callable[[], None]:
        """
        Call `callback` with the rows that match now, and again whenever the model changed.

        The callback may be `async def`; it is not called again while it runs. It may use the
        replica, and end the subscription. What it raises at the first call is raised here; later
        it is logged, told to `handle_change_error`, and the subscription goes on.

        Returns:
            a function that ends the subscription.
        """
        self._core.schema_of(self.name)
        watch = self._core.observers.watch(self.name, is_live=True)

        async def rows() -> list[Record]:
            return await self.find(where, order, limit)

        subscription = Subscription(self._core, watch, rows, callback)
        await subscription.begin()
        return subscription.end

    # ---- LoopBack's sync methods --------------------------------------------------------

    async def changes(
        self,
        since: int = 0,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - LoopBack's name
        *,
        limit: int | None = None,
    ) -> list[Change]:
        """
        Return the changes after `since`, as LoopBack's `changes`.

        Every delete is listed, and of the rest those whose record matches `filter["where"]`.
        """
        interval = await self.interval(since, filter, limit=limit)
        return [bare(update) for update in interval.updates]

    async def interval(
        self,
        since: int = 0,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - LoopBack's name
        *,
        limit: int | None = None,
        bytes_max: int = 2**40,
    ) -> Interval:
        """Return a page of changes with their data, and how far it reaches."""
        condition = parse_where((dict(filter) if filter else {}).get("where"))

        def job(reader: Reader) -> Interval:
            return self._core.engine.interval(
                reader, since, models=[self.name], bytes_max=bytes_max, rows_max=limit
            )

        interval = await self._read(job, large=limit is None or limit > LARGE_LIMIT)
        if filter is None:
            return interval
        kept = tuple(
            update
            for update in interval.updates
            if (data := update.data) is None or matches(condition, data)
        )
        return msgspec.structs.replace(interval, updates=kept)

    async def current_checkpoint(self) -> Checkpoint:
        """Return the position of the change list: its head."""
        return Checkpoint(await self._read(lambda reader: reader.head(), large=False))

    async def checkpoint(self) -> Checkpoint:
        """
        Return a checkpoint that all later writes lie beyond.

        LoopBack bumps a counter; here every write moves the list, so this is its head.
        """
        return await self.current_checkpoint()

    async def diff(self, since: int, changes: Sequence[Change]) -> Diff:  # noqa: ARG002 - LoopBack's
        """Compare a source's changes with this model; `since` is not needed, ancestry decides."""
        return await self._read(
            lambda reader: self._core.engine.diff(reader, changes), large=len(changes) > LARGE_LIMIT
        )

    async def create_updates(self, deltas: Sequence[Change]) -> list[Update]:
        """
        Return the updates of a diff's deltas, with the records as they are now.

        A record that vanished meanwhile travels as its deletion.
        """

        def job(reader: Reader) -> list[Update]:
            held = reader.entries([delta.key for delta in deltas])
            return [
                msgspec.structs.replace(held[delta.key].update, prev=delta.prev)
                for delta in deltas
                if delta.key in held
            ]

        return await self._read(job, large=len(deltas) > LARGE_LIMIT)

    async def bulk_update(self, updates: Sequence[Update]) -> BulkResult:
        """Apply updates, each by its own verdict; see `BulkResult`."""
        return await self._bulk_update(updates)

    async def load_mark(self, name: str) -> bytes | None:
        """Return how far a replication came, kept under that name."""
        return await self._core.read(lambda reader: reader.meta(name))

    async def save_mark(self, name: str, value: bytes) -> None:
        """Keep how far a replication came."""
        await self._core.writer.run(lambda tx: tx.set_meta(name, value))

    def get_change_model(self) -> str:
        """Return the name of the change list, as LoopBack's `getChangeModel` would."""
        return f"{self.name}-change"

    async def get_source_id(self) -> str:
        """Return the id of the data source: unlike LoopBack's, unique in the world."""
        return self._core.engine.lineage.source

    async def enable_change_tracking(self) -> int:
        """
        Give rows that the application wrote before it was tracked their first changes.

        Every write through a replica is tracked anyway; returns how many rows were found.
        """
        return await self.rectify_all_changes()

    async def rectify_change(self, record_id: str | int) -> Update | None:
        """Bring one record's change up to date with the row in the application's own table."""
        updates = await self._rectify(record_id_of(record_id))
        return updates[0] if updates else None

    async def rectify_all_changes(self) -> int:
        """Bring all changes up to date with the application's own table; return how many moved."""
        return len(await self._rectify(None))

    async def _rectify(self, record_id: str | None) -> list[Update]:
        if self._core.schema_of(self.name) is None:
            return []

        def job(tx: Transaction) -> list[Update]:
            if record_id is not None:
                return self._core.engine.rectify(tx, [(self.name, record_id)])
            strays = [(s.model, s.record_id) for s in tx.strays() if not s.problem]
            return self._core.engine.rectify(tx, [key for key in strays if key[0] == self.name])

        updates = await self._core.writer.run(job, weight=10_000)
        self._core.published(updates)
        self._core.wake(None)
        return updates

    async def handle_change_error(self, error: Exception, operation: str = "") -> None:
        """Tell the user's handler of an error in tracking."""
        handler = self._core.hooks.handle_change_error
        if handler is not None:
            await self._core.runner.call(handler, error, operation)

    async def replicate(
        self,
        target: End,
        since: Since = None,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - LoopBack's name
    ) -> Replication:
        """Replicate this model to another end; see `syncline.replicate`."""
        return await replicate(self, target, since=since, filter=filter)
