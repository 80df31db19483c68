"""Writes of the SQL store, inside one transaction of its caller."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec

from syncline.errors import RecordInvalid
from syncline.models import Conflict, Entry, Key, Pending, Update
from syncline.store import statements as text
from syncline.store.contract import ParkedRow
from syncline.store.looks import Looks, unfit_name
from syncline.store.rows import columns_of, entry_of, row_of
from syncline.store.sql_reader import SqlReader
from syncline.store.tables import ModelTable


_encode = msgspec.json.Encoder().encode

FILL_ROWS = 2000

# What one row's values can meet; the rest, as a full disk, concerns them all.
UNFIT = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeEncodeError,
)


class SqlTransaction(SqlReader):
    """See `store.contract`; every method is one or two statements."""

    def __init__(
        self,
        raw: sqlite3.Connection,
        tables: Mapping[str, ModelTable],
        looks: Looks,
        parked: dict[Key, ParkedRow | None],
    ) -> None:
        super().__init__(raw, tables, looks)
        self._parked = parked

    def entry(self, model: str, record_id: str) -> Entry | None:
        """Return what is held of a record."""
        if self._head is not None:
            return super().entry(model, record_id)
        # Whoever looks a record up in order to write it asks for the head next.
        sql = text.READ_HEAD_AND_ENTRY
        self._head, *row = self._raw.execute(sql, (model, record_id)).fetchone()
        return None if row[0] is None else entry_of(row)

    def next_seqs(self, count: int) -> int:
        """Take `count` new seqs and return the first."""
        first = self.head() + 1
        self._head = first + count - 1
        return first

    def skip_seq(self) -> None:
        """Take a seq for no entry."""
        self.next_seqs(1)
        self._keep_head()

    def write(self, entries: Sequence[Entry]) -> None:
        """Store entries, typed tables included."""
        if len(entries) == 1:
            shape, row = row_of(entries[0])
            self._raw.execute(text.write_change(shape), row)
        else:
            by_shape: dict[int, list[list[Any]]] = {}
            for entry in entries:
                shape, row = row_of(entry)
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
            self._write_rows_of(self._tables[model], updates)

    def fill_table(self, model: str) -> None:
        """Write the rows of all records of a typed model."""
        ids = [row[0] for row in self._raw.execute(text.READ_RECORDS, (model,)).fetchall()]
        for start in range(0, len(ids), FILL_ROWS):
            keys = [(model, record_id) for record_id in ids[start : start + FILL_ROWS]]
            updates = [entry.update for entry in self.entries(keys).values()]
            self._write_rows_of(self._tables[model], updates)

    def _write_rows_of(self, table: ModelTable, updates: Sequence[Update]) -> None:
        rows: list[tuple[Any, ...]] = []
        gone: list[tuple[Any]] = []
        unfit: dict[Key, str] = {}
        for update in updates:
            data = update.data
            if data is None:
                gone.append((table.id_of(update.record_id),))
                continue
            try:
                rows.append(table.row_of(data))
            except RecordInvalid as error:
                unfit[update.key] = str(error)
        try:
            self._raw.executemany(table.write_sql, rows)
        except UNFIT:
            unfit = self._write_each(table, updates)
        if gone:
            self._raw.executemany(table.delete_sql, gone)
        if self._looks.unfit or self._parked:
            self._unpark([update.key for update in updates if update.key not in unfit])
        for key, problem in unfit.items():
            self._park(key, problem)

    def _write_each(self, table: ModelTable, updates: Sequence[Update]) -> dict[Key, str]:
        """Write rows one by one; return why some stayed as they were, as a rule of the table."""
        unfit: dict[Key, str] = {}
        for update in updates:
            data = update.data
            if data is None:
                continue
            try:
                self._raw.execute(table.write_sql, table.row_of(data))
            except RecordInvalid as error:
                unfit[update.key] = str(error)
            except UNFIT as error:
                unfit[update.key] = f"{table.table.name} can't hold the record: {error}"
        return unfit

    def _park(self, key: Key, problem: str) -> None:
        row = ParkedRow(model=key[0], record_id=key[1], problem=problem, is_readable=True)
        self._parked[key] = row
        self.set_meta(unfit_name(key), _encode(row))

    def _unpark(self, keys: Sequence[Key]) -> None:
        for key in keys:
            if self._parked.get(key, self._looks.unfit.get(key)) is not None:
                self._parked[key] = None
                sql = "DELETE FROM syncline_meta WHERE name = ?"
                self._raw.execute(sql, (unfit_name(key),))

    @property
    def parked(self) -> dict[Key, ParkedRow | None]:
        """What rows could not hold in this transaction; None for a record that fits again."""
        return {key: row for key, row in self._parked.items() if not self._tables[key[0]].is_former}

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
        if self._looks.unfit or self._parked:
            self._unpark(keys)

    def write_pending(self, pendings: Sequence[Pending]) -> None:
        """Store pending rows."""
        rows = [(*columns_of(p), p.model, p.record_id) for p in pendings]
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
        self._raw.execute(text.WRITE_META, (name, value.decode()))

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
