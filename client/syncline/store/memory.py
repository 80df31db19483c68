"""The store in dictionaries: for games held in memory, for tests, and for the simulation."""

import heapq
import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from syncline.filters import matches
from syncline.models import (
    VOID,
    Conflict,
    Entry,
    Key,
    Pending,
    Record,
    Update,
)
from syncline.ordering import page_of, sort_records
from syncline.ranges import Range, Row, Summary, summarise_all
from syncline.revision import is_deletion
from syncline.schema import ModelSchema
from syncline.store.query import Query


_COMPACT_MIN = 1024
_ABSENT: Any = object()


class MemoryStore:
    """
    A store whose whole content is lost with the process.

    A transaction keeps an undo list, so that one that fails leaves nothing behind.
    """

    inline_max = 2000
    steps_max = 0  # Who reads here sees what is being written.
    commit_s = 0.0

    def __init__(self) -> None:
        self._head = 0
        self._entries: dict[Key, Entry] = {}
        self._key_of: dict[int, Key] = {}
        self._seqs: list[int] = []
        self._pending: dict[Key, Pending] = {}
        self._conflicts: dict[str, Conflict] = {}
        self._meta: dict[str, bytes] = {}
        self._stage: list[bytes] = []
        self._digests: dict[Key, bytes] = {}
        self._lock = threading.RLock()

    def open(self) -> None:
        """Do nothing: it is open."""

    def close(self) -> None:
        """Do nothing: the content lives as long as the object."""

    def declare(self, schemas: Iterable[ModelSchema]) -> None:
        """Do nothing: records of all models are alike here."""

    def tend(self) -> None:
        """Do nothing: there is nothing to tend."""

    @property
    def is_shared(self) -> bool:
        """False: no other process can see it."""
        return False

    def foreign_writes(self) -> int:
        """Return 0: no other process can write."""
        return 0

    def copy_aside(self, label: str) -> str | None:  # noqa: ARG002 - contract
        """Return None: nothing outlives the process."""
        return None

    def take_lease(self) -> bool:
        """Hold the link: nobody else can."""
        return True

    def release_lease(self) -> None:
        """Do nothing."""

    @contextmanager
    def read(self) -> Iterator["MemoryTransaction"]:
        """Return a view; it is consistent since it holds the lock."""
        with self._lock:
            yield MemoryTransaction(self)

    @contextmanager
    def write(self, *, wait: bool = True) -> Iterator["MemoryTransaction"]:  # noqa: ARG002 - contract
        """Return the writing transaction."""
        with self._lock:
            transaction = MemoryTransaction(self)
            try:
                yield transaction
            except BaseException:
                transaction.undo()
                raise
            self._compact()

    def _compact(self) -> None:
        if len(self._seqs) > max(_COMPACT_MIN, 2 * len(self._key_of)):
            self._seqs = sorted(self._key_of)


class MemoryTransaction:
    """Reads and writes of a memory store."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._undo: list[Callable[[], object]] = []

    def undo(self) -> None:
        """Take everything back, last first."""
        while self._undo:
            self._undo.pop()()

    def head(self) -> int:
        """Return the seq of the last change."""
        return self._store._head

    def entry(self, model: str, record_id: str) -> Entry | None:
        """Return what is held of a record."""
        return self._with_pending(self._store._entries.get((model, record_id)))

    def entries(self, keys: Sequence[Key]) -> dict[Key, Entry]:
        """Return what is held of those records."""
        held = self._store._entries
        if not held:
            return {}
        found = {key: held[key] for key in keys if key in held}
        if self._store._pending:
            for key, entry in found.items():
                found[key] = self._with_pending(entry) or entry
        return found

    def _with_pending(self, entry: Entry | None) -> Entry | None:
        if entry is None or not self._store._pending:
            return entry
        pending = self._store._pending.get(entry.update.key)
        return entry if pending is None else Entry(entry.update, entry.base_seq, pending)

    def changes(
        self, since: int, *, models: Sequence[str] | None, limit: int, upto: int | None = None
    ) -> list[Update]:
        """Return the entries after `since`, in order."""
        found: list[Update] = []
        for seq, entry in self._from(since):
            if upto is not None and seq > upto:
                break
            if models is None or entry.update.model in models:
                found.append(entry.update)
                if len(found) >= limit:
                    break
        return found

    def _from(self, since: int) -> Iterator[tuple[int, Entry]]:
        seqs, key_of, entries = self._store._seqs, self._store._key_of, self._store._entries
        for index in range(bisect_right(seqs, since), len(seqs)):
            key = key_of.get(seqs[index])
            if key is not None:
                yield seqs[index], entries[key]

    def keys_of(self, models: Sequence[str]) -> Iterator[Key]:
        """Return the keys of all entries of those models."""
        wanted = set(models)
        return iter([key for key in self._store._entries if key[0] in wanted])

    def summaries(
        self, model: str, ranges: Sequence[Range], *, every: int | None = None
    ) -> list[Summary]:
        """Return the summaries of ranges."""
        held = self._store._entries
        ids = sorted(record_id for name, record_id in held if name == model)

        def read(span: Range) -> Iterator[Row]:
            end = len(ids) if span.upto is None else bisect_right(ids, span.upto)
            for index in range(bisect_right(ids, span.after), end):
                update = held[(model, ids[index])].update
                yield ids[index], update.rev, bytes(update.body)

        return summarise_all(read, ranges, every=every)

    def deletions_pending(self) -> dict[str, int]:
        """Return how many deletions of what the upstream holds wait to be pushed."""
        entries = self._store._entries
        return dict(
            Counter(
                model
                for (model, record_id), row in self._store._pending.items()
                if row.base_rev is not None
                and not row.hold
                and not is_deletion(row.base_rev)
                and entries[(model, record_id)].update.is_deletion
            )
        )

    def first_since(self, stamp: int) -> int | None:
        """Return the least seq of an entry with that stamp or a later one."""
        seqs = (e.update.seq for e in self._store._entries.values() if e.update.stamp >= stamp)
        return min(seqs, default=None)

    def last_purgeable(self, upto: int) -> int | None:
        """Return the greatest seq that `purge` would drop."""
        return max((e.update.seq for _, e in self._purgeable(upto)), default=None)

    def _purgeable(self, upto: int) -> list[tuple[Key, Entry]]:
        store = self._store
        return [
            (key, entry)
            for key, entry in store._entries.items()
            if entry.update.is_deletion and entry.update.seq <= upto and key not in store._pending
        ]

    def find(self, model: str, query: Query) -> list[Record]:
        """Return the records that match."""
        records = sort_records(self._matching(model, query), query.order)
        if query.after is not None and not query.order:
            records = [pair for pair in records if pair[0] > query.after]
            return page_of(records, after=None, limit=query.limit)
        return page_of(records, after=query.after, limit=query.limit)

    def count(self, model: str, query: Query) -> int:
        """Return how many records match."""
        return sum(1 for _ in self._matching(model, query))

    def _matching(self, model: str, query: Query) -> Iterator[tuple[str, Record]]:
        for (name, record_id), entry in self._store._entries.items():
            if name == model and not entry.update.is_deletion:
                data = entry.update.data
                if data is not None and matches(query.condition, data):
                    yield record_id, data

    def models(self) -> list[str]:
        """Return the names of all models with entries."""
        return sorted({model for model, _ in self._store._entries})

    def outbox(self, *, limit: int, after: int = 0) -> list[Update]:
        """Return the pending updates that nothing holds, in order."""
        entries, pending = self._store._entries, self._store._pending
        barred = {entries[k].update.group for k, p in pending.items() if p.hold}
        barred.discard(None)
        ready = (
            (update, row)
            for key, row in pending.items()
            if not row.hold
            and (update := entries[key].update).group not in barred
            and update.seq > after
        )
        return [_pushed(*pair) for pair in heapq.nsmallest(limit, ready, key=_seq_of)]

    def grouped_outbox(self, groups: Sequence[str]) -> list[Update]:
        """Return every pending update of those groups."""
        found = [
            (update, row)
            for key, row in self._store._pending.items()
            if (update := self._store._entries[key].update).group in groups
        ]
        return [_pushed(*pair) for pair in sorted(found, key=_seq_of)]

    def pending_counts(self) -> dict[str, int]:
        """Return how many records are pending, by what holds them."""
        return dict(Counter(row.hold for row in self._store._pending.values()))

    def held(self, hold: str) -> list[Entry]:
        """Return the pending entries that are held for that cause."""
        found = [
            Entry(self._store._entries[key].update, self._store._entries[key].base_seq, row)
            for key, row in self._store._pending.items()
            if row.hold == hold
        ]
        return sorted(found, key=lambda entry: entry.update.seq)

    def conflicts(
        self, *, open_only: bool, model: str | None = None, limit: int = 1000
    ) -> list[Conflict]:
        """Return the conflict log, oldest first."""
        found = [
            c
            for c in self._store._conflicts.values()
            if (c.is_open or not open_only) and model in (None, c.model)
        ]
        return found[:limit]

    def conflict(self, conflict_id: str) -> Conflict | None:
        """Return one conflict."""
        return self._store._conflicts.get(conflict_id)

    def open_conflict(self, model: str, record_id: str) -> Conflict | None:
        """Return the open conflict of a record that this replica met."""
        for conflict in self._store._conflicts.values():
            if conflict.is_open and conflict.side == "ours" and conflict.key == (model, record_id):
                return conflict
        return None

    def typed_rows(self, model: str) -> Iterator[tuple[str, Record]]:
        """Return the records themselves: there is no other table."""
        return iter(
            [
                (record_id, data)
                for (name, record_id), entry in self._store._entries.items()
                if name == model and (data := entry.update.data) is not None
            ]
        )

    def meta(self, name: str) -> bytes | None:
        """Return a small named value."""
        return self._store._meta.get(name)

    def digests(self, model: str, record_ids: Sequence[str]) -> dict[str, bytes]:
        """Return what the LoopBack doors keep of those records."""
        held = self._store._digests
        return {i: held[model, i] for i in record_ids if (model, i) in held}

    def stage(self) -> Iterator[bytes]:
        """Return the staged pages."""
        return iter(list(self._store._stage))

    def next_seqs(self, count: int) -> int:
        """Take `count` new seqs and return the first."""
        store, head = self._store, self._store._head

        def back() -> None:
            store._head = head

        self._undo.append(back)
        store._head = head + count
        return head + 1

    def write(self, entries: Sequence[Entry]) -> None:
        """Store entries."""
        store = self._store
        held, key_of = store._entries, store._key_of
        keys = [entry.update.key for entry in entries]
        before = [held.get(key) for key in keys]
        seqs_length = len(store._seqs)

        def back() -> None:
            del store._seqs[seqs_length:]
            for key, entry, old in zip(
                reversed(keys), reversed(entries), reversed(before), strict=True
            ):
                key_of.pop(entry.update.seq, None)
                if old is None:
                    held.pop(key, None)
                else:
                    held[key] = old
                    key_of[old.update.seq] = key
            # In place, since what this transaction did before holds the same dictionary.
            in_order = sorted(key_of.items())
            key_of.clear()
            key_of.update(in_order)

        self._undo.append(back)
        for key, entry, old in zip(keys, entries, before, strict=True):
            seq = entry.update.seq
            if old is None or old.update.seq != seq:
                if old is not None:
                    del key_of[old.update.seq]
                key_of[seq] = key
                store._seqs.append(seq)
            held[key] = entry if entry.pending is None else Entry(entry.update, entry.base_seq)
        for entry in entries:
            if entry.pending is not None:
                self._set(store._pending, entry.pending.key, entry.pending)

    def set_base_seqs(self, bases: Sequence[tuple[Key, int]]) -> None:
        """Move the base seqs of entries that are held."""
        held = self._store._entries
        for key, seq in bases:
            old = held.get(key)
            if old is not None:
                self._set(held, key, Entry(old.update, seq))

    def remove(self, keys: Sequence[Key]) -> None:
        """Drop entries without a tombstone."""
        for key in keys:
            entry = self._store._entries.get(key)
            if entry is not None:
                self._unset(self._store._key_of, entry.update.seq)
                self._unset(self._store._entries, key)
            self._unset(self._store._digests, key)
        self.clear_pending(keys)

    def write_pending(self, pendings: Sequence[Pending]) -> None:
        """Store pending rows."""
        for row in pendings:
            self._set(self._store._pending, row.key, row)

    def clear_pending(self, keys: Sequence[Key]) -> None:
        """Drop pending rows."""
        for key in keys:
            self._unset(self._store._pending, key)

    def settle_applied(self, applied: Sequence[tuple[Update, int]]) -> set[Key]:
        """Move the bases of those that still stand as they were pushed; they wait no more."""
        settled: dict[Key, int] = {}
        left: set[Key] = set()
        for update, seq in applied:
            key = update.key
            entry, row = self._store._entries.get(key), self._store._pending.get(key)
            if (
                entry is None
                or row is None
                or row.hold
                or entry.update.rev != update.rev
                or (entry.base_seq is not None and entry.base_seq > seq)
            ):
                left.add(key)
            else:
                settled[key] = seq
        self.set_base_seqs(list(settled.items()))
        self.clear_pending(list(settled))
        return left

    def offer_all(self) -> None:
        """Make every record without a base pending."""
        for key, entry in self._store._entries.items():
            is_bare = entry.base_seq is None and key not in self._store._pending
            if is_bare and not entry.update.is_deletion:
                self._set(self._store._pending, key, Pending(model=key[0], record_id=key[1]))

    def set_group(self, old: str, new: str) -> None:
        """Rename the group of pending entries."""
        for key in list(self._store._pending):
            entry = self._store._entries[key]
            if entry.update.group == old:
                update = msgspec.structs.replace(entry.update, group=new)
                self._set(self._store._entries, key, Entry(update, entry.base_seq))

    def yield_bases(self, shared: int) -> None:
        """Give up what is not pending beyond `shared`."""
        for key, entry in list(self._store._entries.items()):
            is_beyond = entry.base_seq is not None and entry.base_seq > shared
            if is_beyond and key not in self._store._pending:
                self._set(self._store._entries, key, Entry(entry.update, 0))

    def void_bases(self, shared: int) -> None:
        """Mark every base beyond `shared` as lost by the upstream."""
        for key, entry in list(self._store._entries.items()):
            if entry.base_seq is not None and entry.base_seq > shared:
                self._set(self._store._entries, key, Entry(entry.update, VOID))
                row = self._store._pending.get(key)
                if row is not None:
                    lost = msgspec.structs.replace(row, base_rev=None, base_body=b"")
                    self._set(self._store._pending, key, lost)

    def write_conflict(self, conflict: Conflict) -> None:
        """Store a conflict."""
        self._set(self._store._conflicts, conflict.conflict_id, conflict)

    def drop_open_conflicts(self) -> None:
        """Forget the open conflicts of this replica."""
        self._keep_conflicts()
        for conflict in list(self._store._conflicts.values()):
            if conflict.is_open and conflict.side == "ours":
                del self._store._conflicts[conflict.conflict_id]
        for key, row in list(self._store._pending.items()):
            if row.hold == "conflict":
                self._set(self._store._pending, key, msgspec.structs.replace(row, hold=""))

    def trim_conflicts(self, keep: int) -> None:
        """Forget all but the newest `keep` that wait for nobody here."""
        idle = [
            c.conflict_id
            for c in self._store._conflicts.values()
            if not c.is_open or c.side != "ours"
        ]
        old = idle[: max(0, len(idle) - keep)]
        if old:
            self._keep_conflicts()
        for conflict_id in old:
            del self._store._conflicts[conflict_id]

    def _keep_conflicts(self) -> None:
        # Put back one by one, they would come last: the log's order is the dictionary's.
        table = self._store._conflicts
        before = dict(table)

        def back() -> None:
            table.clear()
            table.update(before)

        self._undo.append(back)

    def set_meta(self, name: str, value: bytes) -> None:
        """Store a small named value."""
        self._set(self._store._meta, name, value)

    def write_digests(self, model: str, rows: Sequence[tuple[str, bytes]]) -> None:
        """Keep encoded digests."""
        for record_id, value in rows:
            self._set(self._store._digests, (model, record_id), value)

    def purge(self, upto: int) -> int:
        """Drop old tombstones that are not pending."""
        old = [key for key, _ in self._purgeable(upto)]
        self.remove(old)
        return len(old)

    def append_stage(self, page: bytes) -> None:
        """Add an encoded page to the stage."""
        self._undo.append(self._store._stage.pop)
        self._store._stage.append(page)

    def clear_stage(self) -> None:
        """Empty the stage."""
        store, before = self._store, self._store._stage

        def back() -> None:
            store._stage = before

        self._undo.append(back)
        store._stage = []

    def _set(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        before = table.get(key, _ABSENT)
        self._undo.append(lambda: _put_back(table, key, before))
        table[key] = value

    def _unset(self, table: dict[Any, Any], key: Any) -> None:
        before = table.pop(key, _ABSENT)
        if before is not _ABSENT:
            self._undo.append(lambda: _put_back(table, key, before))


def _seq_of(pair: tuple[Update, Pending]) -> int:
    return pair[0].seq


def _pushed(update: Update, row: Pending) -> Update:
    if update.prev == row.base_rev:
        return update
    return msgspec.structs.replace(update, prev=row.base_rev)


def _put_back(table: dict[Any, Any], key: Any, before: Any) -> None:
    if before is _ABSENT:
        table.pop(key, None)
    else:
        table[key] = before
