"""Reads of the memory store."""

import heapq
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from syncline.filters import matches
from syncline.models import Conflict, Entry, Key, Pending, Record, Update
from syncline.ordering import page_of, sort_records
from syncline.ranges import Range, Row, Summary, summarise_all
from syncline.revision import is_deletion
from syncline.store.contract import Stray
from syncline.store.memory_content import Content
from syncline.store.query import Query


class MemoryReader:
    """See `store.contract`."""

    def __init__(self, content: Content) -> None:
        self._content = content

    def head(self) -> int:
        """Return the seq of the last change."""
        return self._content.head

    def last_drop(self) -> int:
        """Return 0: nobody else looks here."""
        return 0

    def entry(self, model: str, record_id: str) -> Entry | None:
        """Return what is held of a record."""
        return self._with_pending(self._content.entries.get((model, record_id)))

    def entries(self, keys: Sequence[Key]) -> dict[Key, Entry]:
        """Return what is held of those records."""
        held = self._content.entries
        if not held:
            return {}
        found = {key: held[key] for key in keys if key in held}
        if self._content.pending:
            for key, entry in found.items():
                found[key] = self._with_pending(entry) or entry
        return found

    def _with_pending(self, entry: Entry | None) -> Entry | None:
        if entry is None or not self._content.pending:
            return entry
        pending = self._content.pending.get(entry.update.key)
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
        seqs, key_of, entries = self._content.seqs, self._content.key_of, self._content.entries
        for index in range(bisect_right(seqs, since), len(seqs)):
            key = key_of.get(seqs[index])
            if key is not None:
                yield seqs[index], entries[key]

    def keys_of(self, models: Sequence[str]) -> Iterator[Key]:
        """Return the keys of all entries of those models."""
        wanted = set(models)
        return iter([key for key in self._content.entries if key[0] in wanted])

    def summaries(
        self, model: str, ranges: Sequence[Range], *, every: int | None = None
    ) -> list[Summary]:
        """Return the summaries of ranges."""
        held = self._content.entries
        ids = sorted(record_id for name, record_id in held if name == model)

        def read(span: Range) -> Iterator[Row]:
            end = len(ids) if span.upto is None else bisect_right(ids, span.upto)
            for index in range(bisect_right(ids, span.after), end):
                update = held[(model, ids[index])].update
                yield ids[index], update.rev, bytes(update.body)

        return summarise_all(read, ranges, every=every)

    def deletions_pending(self) -> dict[str, int]:
        """Return how many deletions of what the upstream holds wait to be pushed."""
        entries = self._content.entries
        return dict(
            Counter(
                model
                for (model, record_id), row in self._content.pending.items()
                if row.base_rev is not None
                and not row.hold
                and not is_deletion(row.base_rev)
                and entries[(model, record_id)].update.is_deletion
            )
        )

    def first_since(self, stamp: int) -> int | None:
        """Return the least seq of an entry with that stamp or a later one."""
        seqs = (e.update.seq for e in self._content.entries.values() if e.update.stamp >= stamp)
        return min(seqs, default=None)

    def last_purgeable(self, upto: int) -> int | None:
        """Return the greatest seq that `purge` would drop."""
        return max((e.update.seq for _, e in self._purgeable(upto)), default=None)

    def _purgeable(self, upto: int) -> list[tuple[Key, Entry]]:
        content = self._content
        return [
            (key, entry)
            for key, entry in content.entries.items()
            if entry.update.is_deletion and entry.update.seq <= upto and key not in content.pending
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
        for (name, record_id), entry in self._content.entries.items():
            if name == model and not entry.update.is_deletion:
                data = entry.update.data
                if data is not None and matches(query.condition, data):
                    yield record_id, data

    def models(self) -> list[str]:
        """Return the names of all models with entries."""
        return sorted({model for model, _ in self._content.entries})

    def outbox(self, *, limit: int, after: int = 0) -> list[Update]:
        """Return the pending updates that nothing holds, in order."""
        entries, pending = self._content.entries, self._content.pending
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
            for key, row in self._content.pending.items()
            if (update := self._content.entries[key].update).group in groups
        ]
        return [_pushed(*pair) for pair in sorted(found, key=_seq_of)]

    def pending_counts(self) -> dict[str, int]:
        """Return how many records are pending, by what holds them."""
        entries, pending = self._content.entries, self._content.pending
        counts = Counter(row.hold for row in pending.values())
        if not counts["parked"]:
            return {hold: count for hold, count in counts.items() if count}
        barred = {entries[k].update.group for k, p in pending.items() if p.hold == "parked"}
        barred.discard(None)
        return dict(
            Counter(
                "parked" if not row.hold and entries[key].update.group in barred else row.hold
                for key, row in pending.items()
            )
        )

    def held(self, hold: str) -> list[Entry]:
        """Return the pending entries that are held for that cause."""
        found = [
            Entry(self._content.entries[key].update, self._content.entries[key].base_seq, row)
            for key, row in self._content.pending.items()
            if row.hold == hold
        ]
        return sorted(found, key=lambda entry: entry.update.seq)

    def conflicts(
        self, *, open_only: bool, model: str | None = None, limit: int = 1000
    ) -> list[Conflict]:
        """Return the conflict log, oldest first."""
        found = [
            c
            for c in self._content.conflicts.values()
            if (c.is_open or not open_only) and model in (None, c.model)
        ]
        return found[:limit]

    def conflict(self, conflict_id: str) -> Conflict | None:
        """Return one conflict."""
        return self._content.conflicts.get(conflict_id)

    def open_conflict(self, model: str, record_id: str) -> Conflict | None:
        """Return the open conflict of a record that this replica met."""
        for conflict in self._content.conflicts.values():
            if conflict.is_open and conflict.side == "ours" and conflict.key == (model, record_id):
                return conflict
        return None

    @property
    def may_stray(self) -> bool:
        """False: there is no other table."""
        return False

    def strays(self, keys: Sequence[Key] | None = None) -> list[Stray]:  # noqa: ARG002 - contract
        """Return none: there is no other table."""
        return []

    def meta(self, name: str) -> bytes | None:
        """Return a small named value."""
        return self._content.meta.get(name)

    def digests(self, model: str, record_ids: Sequence[str]) -> dict[str, bytes]:
        """Return what the LoopBack doors keep of those records."""
        held = self._content.digests
        return {i: held[model, i] for i in record_ids if (model, i) in held}

    def stage(self) -> Iterator[bytes]:
        """Return the staged pages."""
        return iter(list(self._content.stage))


def _seq_of(pair: tuple[Update, Pending]) -> int:
    return pair[0].seq


def _pushed(update: Update, row: Pending) -> Update:
    if update.prev == row.base_rev:
        return update
    return msgspec.structs.replace(update, prev=row.base_rev)
