"""Reads of the SQL store, inside one transaction of its caller."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from syncline.models import Conflict, Entry, Key, Record, Update
from syncline.ranges import Range, Row, Summary, summarise_all
from syncline.store import find_sql
from syncline.store import statements as text
from syncline.store.contract import Stray
from syncline.store.looks import Looks
from syncline.store.query import Query
from syncline.store.rows import entry_of, update_of
from syncline.store.stray_sql import find_strays
from syncline.store.tables import ModelTable


_conflict_decoder = msgspec.json.Decoder(type=Conflict)
_encode = msgspec.json.Encoder().encode
LOOKUP_MAX = 20_000
NULL_ESCAPE = "\\u0000"
"""How U+0000 is written in JSON."""
SEQ_MAX = 2**62


class SqlReader:
    """See `store.contract`; every method is one or two statements."""

    def __init__(
        self, raw: sqlite3.Connection, tables: Mapping[str, ModelTable], looks: Looks
    ) -> None:
        self._raw = raw
        self._tables = tables
        self._looks = looks
        self._head: int | None = None

    @property
    def may_stray(self) -> bool:
        """Whether the models' own tables may hold what was written beside the replica."""
        # A row that could not be read is still to be kept when its record takes its place.
        return bool(self._tables) and not (self._looks.is_level and self._looks.was_whole)

    def head(self) -> int:
        """Return the seq of the last change."""
        if self._head is None:
            self._head = int(self._one(text.READ_HEAD))
        return self._head

    def last_drop(self) -> int:
        """Return the seq of the last drop: what keeps the head where its row is gone."""
        return int(self._one("SELECT seq FROM syncline_head"))

    def entry(self, model: str, record_id: str) -> Entry | None:
        """Return what is held of a record."""
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
                for row in self._look_up(text.READ_ENTRIES, text.READ_ENTRY, model, ids, start):
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
            sql = text.read_changes_of(len(models))
            rows = self._raw.execute(sql, (since, end, *models, limit))
        return [update_of(row) for row in rows]

    def keys_of(self, models: Sequence[str]) -> Iterator[Key]:
        """Return the keys of all entries of those models."""
        return iter(self._raw.execute(text.read_keys_of(len(models)), models).fetchall())

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
        return find_sql.find(self._raw, self._columns_of(model), model, query)

    def count(self, model: str, query: Query) -> int:
        """Return how many records match."""
        return find_sql.count(self._raw, self._columns_of(model), model, query)

    def _columns_of(self, model: str) -> ModelTable | None:
        # A column may be looked at in a record's place only while each row holds its record.
        return self._tables.get(model) if self._looks.is_whole else None

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
        return [update_of(row) for row in self._raw.execute(sql, (after, limit))]

    def grouped_outbox(self, groups: Sequence[str]) -> list[Update]:
        """Return every pending update of those groups."""
        names = _encode(groups).decode()
        if NULL_ESCAPE not in names:
            return [update_of(row) for row in self._raw.execute(text.READ_GROUPED, (names,))]
        found = [
            update_of(row)
            for group in set(groups)
            for row in self._raw.execute(text.READ_GROUPED_OF_ONE, (group,))
        ]
        return sorted(found, key=lambda update: update.seq)

    def pending_counts(self) -> dict[str, int]:
        """Return how many records are pending, by what holds them."""
        counts = dict(self._raw.execute(text.COUNT_PENDING).fetchall())
        if "parked" in counts and "" in counts:
            barred = self._raw.execute(text.COUNT_BARRED).fetchone()[0]
            counts[""] -= barred
            counts["parked"] += barred
        return {hold: count for hold, count in counts.items() if count}

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
        row = self._raw.execute(text.READ_META, (name,)).fetchone()
        return None if row is None else row[0].encode()

    def digests(self, model: str, record_ids: Sequence[str]) -> dict[str, bytes]:
        """Return what the LoopBack doors keep of those records."""
        found: dict[str, bytes] = {}
        for start in range(0, len(record_ids), LOOKUP_MAX):
            rows = self._look_up(
                text.READ_DIGESTS, text.READ_DIGESTS_OF_ONE, model, record_ids, start
            )
            found.update((record_id, known.encode()) for record_id, known in rows)
        return found

    def _look_up(
        self, sql: str, sql_of_one: str, model: str, ids: Sequence[str], start: int
    ) -> Iterable[Any]:
        """Return the rows of the ids from `start` on, as many as go at once."""
        some = ids[start : start + LOOKUP_MAX]
        names = _encode(some).decode()
        # Before 3.45 SQLite's JSON ends a text at U+0000, and would find another record, or none.
        # An id that spells the escape itself goes the slow way too, and loses nothing by it.
        if NULL_ESCAPE not in names:
            return self._raw.execute(sql, (names, model))
        found = (self._raw.execute(sql_of_one, (model, one)).fetchone() for one in some)
        return (row for row in found if row is not None)

    def stage(self) -> Iterator[bytes]:
        """Return the staged pages."""
        positions = self._raw.execute("SELECT position FROM syncline_stage ORDER BY position")
        for (position,) in positions.fetchall():
            yield self._one("SELECT page FROM syncline_stage WHERE position = ?", position)

    def strays(self, keys: Sequence[Key] | None = None) -> list[Stray]:
        """Return what was written into the models' own tables beside the replica."""
        found: list[Stray] = []
        for model, table in self._tables.items():
            ids = None if keys is None else [record_id for name, record_id in keys if name == model]
            if ids is None or ids:
                found += find_strays(self._raw, table, ids, self._looks.unfit)
        return found

    def _one(self, sql: str, *values: Any) -> Any:
        return self._raw.execute(sql, values).fetchone()[0]
