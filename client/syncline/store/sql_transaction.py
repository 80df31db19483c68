"""Reads and writes of the SQL store, inside one transaction of its caller."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec

from syncline.models import (
    NO_BODY,
    Conflict,
    Entry,
    Key,
    Pending,
    Record,
    Update,
)
from syncline.ranges import Range, Row, Summary, summarise_all
from syncline.revision import Revision
from syncline.store import find_sql
from syncline.store import statements as text
from syncline.store.query import Query
from syncline.store.tables import ModelTable


_Row = tuple[Any, ...]

_conflict_decoder = msgspec.json.Decoder(type=Conflict)
_encode = msgspec.json.Encoder().encode
LOOKUP_MAX = 20_000
SEQ_MAX = 2**62


class SqlTransaction:
    """See `store.contract`; every method is one or two statements."""

    def __init__(
        self, raw: sqlite3.Connection, tables: Mapping[str, ModelTable], *, writes: bool = False
    ) -> None:
        self._raw = raw
        self._tables = tables
        self._writes = writes
        self._head: int | None = None

    # ---- reading ------------------------------------------------------------------------

    def head(self) -> int:
        """Return the seq of the last change."""
        if self._head is None:
            self._head = int(self._one(text.READ_HEAD))
        return self._head

    def entry(self, model: str, record_id: str) -> Entry | None:
        """Return what is held of a record."""
        if self._writes and self._head is None:
            # Whoever looks a record up in order to write it asks for the head next.
            sql = text.READ_HEAD_AND_ENTRY
            self._head, *row = self._raw.execute(sql, (model, record_id)).fetchone()
            return None if row[0] is None else entry_of(row)
        found = self._raw.execute(text.READ_ENTRY, (model, record_id)).fetchone()
        return None if found is None else entry_of(found)

    def entries(self, keys: Sequence[Key]) -> dict[Key, Entry]:
        """Return what is held of those records."""
        if len(keys) == 1:
            entry = self.entry(*keys[0])
            return {} if entry is None else {keys[0]: entry}
        by_model: dict[str, list[str]] = {}
        for model, record_id in keys:
            by_model.setdefault(model, []).append(record_id)
        found: dict[Key, Entry] = {}
        for model, ids in by_model.items():
            for start in range(0, len(ids), LOOKUP_MAX):
                names = _json(ids[start : start + LOOKUP_MAX])
                for row in self._raw.execute(text.READ_ENTRIES, (names, model)):
                    found[(row[0], row[1])] = entry_of(row)
        return found

    def changes(
        self, since: int, *, models: Sequence[str] | None, limit: int, upto: int | None = None
    ) -> list[Update]:
        """Return the entries after `since`, in order."""
        end = SEQ_MAX if upto is None else upto
        if models is None:
            rows = self._raw.execute(text.READ_CHANGES, (since, end, limit))
        else:
            rows = self._raw.execute(text.READ_CHANGES_OF, (since, end, _json(models), limit))
        return [_update_of(row) for row in rows]

    def keys_of(self, models: Sequence[str]) -> Iterator[Key]:
        """Return the keys of all entries of those models."""
        sql = (
            "SELECT model, record_id FROM syncline_changes "
            "WHERE model IN (SELECT value FROM json_each(?))"
        )
        return iter(self._raw.execute(sql, (_json(models),)).fetchall())

    def summaries(
        self, model: str, ranges: Sequence[Range], *, every: int | None = None
    ) -> list[Summary]:
        """Return the summaries of ranges."""

        def read(span: Range) -> Iterator[Row]:
            values = (model, span.after) if span.upto is None else (model, span.after, span.upto)
            sql = text.READ_RANGE_ON if span.upto is None else text.READ_RANGE
            rows = self._raw.execute(sql, values)
            for record_id, rev, body in rows:
                yield record_id, rev, b"" if body is None else body.encode()

        return summarise_all(read, ranges, every=every)

    def deletions_pending(self) -> dict[str, int]:
        """Return how many deletions of what the upstream holds wait to be pushed."""
        return dict(self._raw.execute(text.COUNT_DELETIONS).fetchall())

    def first_since(self, stamp: int) -> int | None:
        """Return the least seq of an entry with that stamp or a later one."""
        row = self._raw.execute(text.READ_FIRST_SINCE, (stamp,)).fetchone()
        return None if row is None else int(row[0])

    def last_purgeable(self, upto: int) -> int | None:
        """Return the greatest seq that `purge` would drop."""
        row = self._raw.execute(text.READ_LAST_PURGEABLE, (upto,)).fetchone()
        return None if row is None else int(row[0])

    def find(self, model: str, query: Query) -> list[Record]:
        """Return the records that match."""
        return find_sql.find(self._raw, self._tables.get(model), model, query)

    def count(self, model: str, query: Query) -> int:
        """Return how many records match."""
        return find_sql.count(self._raw, self._tables.get(model), model, query)

    def models(self) -> list[str]:
        """Return the names of all models with entries."""
        # A loose index scan: one seek a model, however many records there are.
        sql = (
            "WITH RECURSIVE names(model) AS (SELECT min(model) FROM syncline_changes UNION ALL "
            "SELECT (SELECT min(c.model) FROM syncline_changes c WHERE c.model > names.model) "
            "FROM names WHERE names.model IS NOT NULL) "
            "SELECT model FROM names WHERE model IS NOT NULL"
        )
        return [row[0] for row in self._raw.execute(sql)]

    def outbox(self, *, limit: int, after: int = 0) -> list[Update]:
        """Return the pending updates that nothing holds, in order."""
        is_any_held = self._raw.execute(text.READ_HELD_GROUPS).fetchone() is not None
        sql = text.READ_OUTBOX_FREE if is_any_held else text.READ_OUTBOX
        return [_update_of(row) for row in self._raw.execute(sql, (after, limit))]

    def grouped_outbox(self, groups: Sequence[str]) -> list[Update]:
        """Return every pending update of those groups."""
        return [_update_of(row) for row in self._raw.execute(text.READ_GROUPED, (_json(groups),))]

    def pending_counts(self) -> dict[str, int]:
        """Return how many records are pending, by what holds them."""
        return dict(self._raw.execute(text.COUNT_PENDING).fetchall())

    def held(self, hold: str) -> list[Entry]:
        """Return the pending entries that are held for that cause."""
        return [entry_of(row) for row in self._raw.execute(text.READ_HELD, (hold,))]

    def conflicts(
        self, *, open_only: bool, model: str | None = None, limit: int = 1000
    ) -> list[Conflict]:
        """Return the conflict log, oldest first."""
        sql = (
            "SELECT entry FROM syncline_conflicts WHERE (is_open OR NOT ?) "
            "AND (? IS NULL OR model = ?) ORDER BY position LIMIT ?"
        )
        rows = self._raw.execute(sql, (open_only, model, model, limit))
        return [_conflict_decoder.decode(row[0]) for row in rows]

    def conflict(self, conflict_id: str) -> Conflict | None:
        """Return one conflict."""
        sql = "SELECT entry FROM syncline_conflicts WHERE conflict_id = ?"
        row = self._raw.execute(sql, (conflict_id,)).fetchone()
        return None if row is None else _conflict_decoder.decode(row[0])

    def open_conflict(self, model: str, record_id: str) -> Conflict | None:
        """Return the open conflict of a record that this replica met."""
        sql = (
            "SELECT entry FROM syncline_conflicts WHERE model = ? AND record_id = ? "
            "AND is_open AND side = 'ours'"
        )
        row = self._raw.execute(sql, (model, record_id)).fetchone()
        return None if row is None else _conflict_decoder.decode(row[0])

    def meta(self, name: str) -> bytes | None:
        """Return a small named value."""
        sql = "SELECT value FROM syncline_meta WHERE name = ?"
        row = self._raw.execute(sql, (name,)).fetchone()
        return None if row is None else row[0].encode()

    def digests(self, model: str, record_ids: Sequence[str]) -> dict[str, bytes]:
        """Return what the LoopBack doors keep of those records."""
        found: dict[str, bytes] = {}
        for start in range(0, len(record_ids), LOOKUP_MAX):
            names = _json(record_ids[start : start + LOOKUP_MAX])
            rows = self._raw.execute(text.READ_DIGESTS, (names, model))
            found.update((record_id, known.encode()) for record_id, known in rows)
        return found

    def stage(self) -> Iterator[bytes]:
        """Return the staged pages."""
        positions = self._raw.execute("SELECT position FROM syncline_stage ORDER BY position")
        for (position,) in positions.fetchall():
            yield self._one("SELECT page FROM syncline_stage WHERE position = ?", position)

    def typed_rows(self, model: str) -> Iterator[tuple[str, Record]]:
        """Return the id and record of every row of a typed model's own table."""
        table = self._tables[model]
        for row in self._raw.execute(table.select_sql).fetchall():
            record = table.record_of(row)
            record_id = str(record[table.schema.id_name])
            entry = self.entry(model, record_id)
            held = None if entry is None else entry.update.data
            # A column may hold less than its record: a decimal without its last zeros, a date
            # without its time. What was written by this record is this record.
            is_held = held is not None and table.values_of(held) == tuple(row)
            yield record_id, held if held is not None and is_held else record

    # ---- writing ------------------------------------------------------------------------

    def next_seqs(self, count: int) -> int:
        """Take `count` new seqs and return the first."""
        first = self.head() + 1
        self._head = first + count - 1
        return first

    def write(self, entries: Sequence[Entry]) -> None:
        """Store entries, typed tables included."""
        if len(entries) == 1:
            shape, row = _row_of(entries[0])
            self._raw.execute(text.write_change(shape), row)
        else:
            by_shape: dict[int, list[list[Any]]] = {}
            for entry in entries:
                shape, row = _row_of(entry)
                by_shape.setdefault(shape, []).append(row)
            for shape, rows in by_shape.items():
                self._write_rows(shape, rows)
        if self._tables:
            self._write_typed(entries)

    def _write_rows(self, shape: int, rows: Sequence[list[Any]]) -> None:
        size = text.ROWS_AT_ONCE
        end = len(rows) - len(rows) % size
        together = [list(chain.from_iterable(rows[at : at + size])) for at in range(0, end, size)]
        self._raw.executemany(text.write_change(shape, size), together)
        self._raw.executemany(text.write_change(shape), rows[end:])

    def _write_typed(self, entries: Sequence[Entry]) -> None:
        by_model: dict[str, list[Update]] = {}
        for entry in entries:
            if entry.update.model in self._tables:
                by_model.setdefault(entry.update.model, []).append(entry.update)
        for model, updates in by_model.items():
            table = self._tables[model]
            gone = [(table.id_of(u.record_id),) for u in updates if u.is_deletion]
            rows = (table.row_of(data) for u in updates if (data := u.data) is not None)
            self._raw.executemany(table.write_sql, rows)
            if gone:
                self._raw.executemany(table.delete_sql, gone)

    def set_base_seqs(self, bases: Sequence[tuple[Key, int]]) -> None:
        """Move the base seqs of entries that are held."""
        rows = [(seq, key[0], key[1]) for key, seq in bases]
        self._raw.executemany(text.SET_BASE_SEQ, rows)

    def remove(self, keys: Sequence[Key]) -> None:
        """Drop entries without a tombstone."""
        self._keep_head()
        self._raw.executemany(text.REMOVE_CHANGE, keys)
        self._raw.executemany(text.REMOVE_DIGESTS, keys)
        for model, record_id in keys:
            table = self._tables.get(model)
            if table is not None:
                self._raw.execute(table.delete_sql, (table.id_of(record_id),))

    def write_pending(self, pendings: Sequence[Pending]) -> None:
        """Store pending rows."""
        rows = [(*_columns_of(p), p.model, p.record_id) for p in pendings]
        self._raw.executemany(text.WRITE_PENDING, rows)

    def clear_pending(self, keys: Sequence[Key]) -> None:
        """Drop pending rows."""
        self._raw.executemany(text.CLEAR_PENDING, keys)

    def settle_applied(self, applied: Sequence[tuple[Update, int]]) -> set[Key]:
        """Move the bases of those that still stand as they were pushed; they wait no more."""
        # A record that is written again moves on in the list, so a seq of ours names a revision.
        runs = _runs_of((update.seq, seq) for update, seq in applied)
        rows = [(seq - own, own, own + count - 1, seq - own) for own, seq, count in runs]
        if self._raw.executemany(text.SETTLE_APPLIED, rows).rowcount == len(applied):
            return set()
        held = self.entries([update.key for update, _ in applied])
        return {
            update.key
            for update, seq in applied
            if (entry := held.get(update.key)) is None
            or (entry.pending, entry.update.rev, entry.base_seq) != (None, update.rev, seq)
        }

    def offer_all(self) -> None:
        """Make every record without a base pending."""
        self._raw.execute(text.OFFER_ALL)

    def set_group(self, old: str, new: str) -> None:
        """Rename the group of pending entries."""
        self._raw.execute(text.SET_GROUP, (new, old))

    def yield_bases(self, shared: int) -> None:
        """Give up what is not pending beyond `shared`."""
        self._raw.execute(text.YIELD_BASES, (shared,))

    def void_bases(self, shared: int) -> None:
        """Mark every base beyond `shared` as lost by the upstream."""
        self._raw.execute(text.VOID_PENDING, (shared,))
        self._raw.execute(text.VOID_BASES, (shared,))

    def write_conflict(self, conflict: Conflict) -> None:
        """Store a conflict."""
        row = (
            conflict.conflict_id,
            conflict.model,
            conflict.record_id,
            conflict.is_open,
            conflict.side,
            _encode(conflict).decode(),
        )
        self._raw.execute(text.WRITE_CONFLICT, row)

    def drop_open_conflicts(self) -> None:
        """Forget the open conflicts of this replica."""
        self._raw.execute("DELETE FROM syncline_conflicts WHERE is_open AND side = 'ours'")
        self._raw.execute(text.RELEASE_CONFLICTS)

    def trim_conflicts(self, keep: int) -> None:
        """Forget all but the newest `keep` that wait for nobody here."""
        self._raw.execute(text.TRIM_CONFLICTS, (keep,))

    def set_meta(self, name: str, value: bytes) -> None:
        """Store a small named value."""
        sql = (
            "INSERT INTO syncline_meta (name, value) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        )
        self._raw.execute(sql, (name, value.decode()))

    def write_digests(self, model: str, rows: Sequence[tuple[str, bytes]]) -> None:
        """Keep encoded digests."""
        values = [(model, record_id, known.decode()) for record_id, known in rows]
        self._raw.executemany(text.WRITE_DIGESTS, values)

    def purge(self, upto: int) -> int:
        """Drop old tombstones that are not pending."""
        self._keep_head()
        self._raw.execute(text.PURGE_DIGESTS, (upto,))
        return self._raw.execute(text.PURGE, (upto,)).rowcount

    def _keep_head(self) -> None:
        """Store the head before the last row may go: a seq is never given twice."""
        self._raw.execute(text.KEEP_HEAD, (self.head(),))

    def append_stage(self, page: bytes) -> None:
        """Add an encoded page to the stage."""
        self._raw.execute("INSERT INTO syncline_stage (page) VALUES (?)", (page,))

    def clear_stage(self) -> None:
        """Empty the stage."""
        self._raw.execute("DELETE FROM syncline_stage")

    def _one(self, sql: str, *values: Any) -> Any:
        return self._raw.execute(sql, values).fetchone()[0]


def _runs_of(pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Return where two counters go up together, each run as its first pair and its length."""
    runs: list[tuple[int, int, int]] = []
    first = other = count = 0
    for one, two in pairs:
        if one == first + count and two == other + count and count:
            count += 1
            continue
        if count:
            runs.append((first, other, count))
        first, other, count = one, two, 1
    if count:
        runs.append((first, other, count))
    return runs


def _json(names: Sequence[str]) -> str:
    return _encode(list(names)).decode()


def _row_of(entry: Entry) -> tuple[int, list[Any]]:
    """Return the shape of an entry and its values, for `statements.write_change`."""
    update = entry.update
    row: list[Any] = [
        update.model,
        update.record_id,
        update.seq,
        update.rev,
        " ".join(update.ancestors) if update.ancestors else "",
        update.origin,
        update.stamp,
    ]
    # Spelled out, since it is a hot line: in the order of `NULLABLE_COLUMNS`.
    shape = 0
    if body := str(update.body, "utf-8"):
        shape = 1
        row.append(body)
    if update.prev is not None:
        shape |= 2
        row.append(update.prev)
    if update.group is not None:
        shape |= 4
        row.append(update.group)
    if update.amended_for is not None:
        shape |= 8
        row.append(update.amended_for)
    if entry.base_seq is not None:
        shape |= 16
        row.append(entry.base_seq)
    pending = entry.pending
    if pending is not None:
        row += (pending.base_body.decode(), pending.hold, pending.reason)
        shape |= text.WITH_PENDING
        if pending.base_rev is not None:
            row.append(pending.base_rev)
            shape |= text.WITH_BASE_REV
    return shape, row


def _columns_of(pending: Pending) -> _Row:
    return pending.base_rev, pending.base_body.decode(), pending.hold, pending.reason


def _update_of(row: Sequence[Any]) -> Update:
    ancestors = row[5]
    body = row[9]
    return Update(
        model=row[0],
        record_id=row[1],
        seq=row[2],
        rev=row[3],
        prev=row[4],
        ancestors=tuple(ancestors.split()) if ancestors else (),
        origin=row[6],
        group=row[7],
        stamp=row[8],
        body=NO_BODY if body is None else msgspec.Raw(body.encode()),
        amended_for=row[10],
    )


def entry_of(row: Sequence[Any]) -> Entry:
    """Return the entry of a row that was read with all columns."""
    update = _update_of(row)
    hold = row[14]
    if hold is None:
        return Entry(update, row[11])
    base_rev = None if row[12] is None else Revision(row[12])
    pending = Pending(
        model=update.model,
        record_id=update.record_id,
        base_rev=base_rev,
        base_body=row[13].encode(),
        hold=hold,
        reason=row[15],
    )
    return Entry(update, row[11], pending)
