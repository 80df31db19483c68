"""
Finds what was written into a typed model's own table beside the replica.

A row is compared with the last body of its record. The database leaves out, without waking Python,
most of the rows that are as they were written; what it can't tell is looked at here.
"""

import math
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from syncline.errors import RecordError
from syncline.models import Key, Record
from syncline.protocol import RECORD_BYTES_MAX
from syncline.schema import check_record, record_id_of
from syncline.store.contract import Stray
from syncline.store.tables import ModelTable


LOOKUP_MAX = 20_000

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(type=dict[str, Any]).decode


def find_strays(
    raw: sqlite3.Connection,
    table: ModelTable,
    ids: Sequence[str] | None,
    unfit: Collection[Key],
) -> Iterator[Stray]:
    """
    Yield the rows of a model that are not as their records were written.

    Args:
        ids: of which records; None for all.
        unfit: records that their rows can't hold, and which are not compared.
    """
    strict = raw.text_factory
    # One text that is none must not hide all other rows.
    raw.text_factory = _lenient
    try:
        if ids is None:
            yield from _look(raw, table, None, unfit)
            return
        for start in range(0, len(ids), LOOKUP_MAX):
            yield from _look(raw, table, ids[start : start + LOOKUP_MAX], unfit)
    finally:
        raw.text_factory = strict


def _lenient(stored: bytes) -> str:
    return stored.decode(errors="surrogateescape")


def _look(
    raw: sqlite3.Connection, table: ModelTable, ids: Sequence[str] | None, unfit: Collection[Key]
) -> Iterator[Stray]:
    model = table.schema.name
    source, missing = _statements(table, is_keyed=ids is not None)
    texts = () if ids is None else (_encode(list(ids)).decode(),)
    keys = () if ids is None else (_encode([table.id_of(each) for each in ids]).decode(),)
    for *row, record_id, body in raw.execute(source, (*keys, model)).fetchall():
        if (model, record_id) not in unfit:
            stray = _compared(table, record_id, tuple(row), body)
            if stray is not None:
                yield stray
    for record_id, body in raw.execute(missing, (*texts, model)).fetchall():
        if (model, record_id) not in unfit and _fits(table, record_id, _decode(body)):
            yield Stray(model=model, record_id=record_id)


def _statements(table: ModelTable, *, is_keyed: bool) -> tuple[str, str]:
    """Return what reads rows that may differ, and what reads records without a row."""
    name, key = quoted(table.table.name), quoted(table.id_column.name)
    columns = ", ".join(f"t.{quoted(each)}" for each in table.names)
    looked_up = (
        f"json_each(?) k CROSS JOIN {name} t ON t.{key} = k.value" if is_keyed else f"{name} t"
    )
    same = " AND ".join(
        _same(column, each) for column, each in zip(table.columns, table.names, strict=True)
    )
    source = (
        f"SELECT {columns}, CAST(t.{key} AS TEXT), c.body FROM {looked_up} "
        f"LEFT JOIN syncline_changes c ON c.model = ? AND c.record_id = CAST(t.{key} AS TEXT) "
        f"WHERE c.body IS NULL OR NOT ({same})"
    )
    listed = "json_each(?) k CROSS JOIN syncline_changes c" if is_keyed else "syncline_changes c"
    which = "AND c.record_id = k.value" if is_keyed else ""
    found = "CAST(c.record_id AS INTEGER)" if table.schema.id_kind == "integer" else "c.record_id"
    missing = (
        f"SELECT c.record_id, c.body FROM {listed} WHERE c.model = ? {which} "
        f"AND c.body IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {name} t WHERE t.{key} = {found})"
    )
    return source, missing


def _same(column: sa.Column[Any], name: str) -> str:
    """Return SQL that is true only where a column holds what its record says; not always then."""
    own = f"t.{quoted(name)}"
    # As in `find_sql`: older SQLite compares a path with the text as the encoder wrote it.
    path = "'$." + _encode(name).decode().replace("'", "''") + "'"
    said = f"json_extract(c.body, {path})"
    match column.type:
        case sa.Boolean() | sa.Integer() | sa.Float():
            expected = said
        case sa.Numeric():
            expected = f"CAST({said} AS REAL)"
        case sa.DateTime():
            expected = f"replace(substr({said}, 1, 23), 'T', ' ') || '000'"
        case sa.Date():
            expected = f"substr({said}, 1, 10)"
        case sa.JSON():
            return (
                f"CASE WHEN {own} IS NULL THEN {said} IS NULL WHEN NOT json_valid({own}) THEN 0 "
                f"ELSE json({own}) IS {said} END"
            )
        case _:
            expected = said
    return f"{own} IS {expected}"


def _compared(table: ModelTable, record_id: Any, row: tuple[Any, ...], body: Any) -> Stray | None:
    model = table.schema.name
    held: Record | None = None if body is None else _decode(body)
    if held is not None:
        if _values(table, held) == row:
            return None
        if not _fits(table, record_id, held):
            return None
    try:
        record_id = record_id_of(record_id)
        record = _read(table, row, held)
        _, encoded = check_record(table.schema, record_id, record, bytes_max=RECORD_BYTES_MAX)
    except RecordError as error:
        shown = {name: _plain(value) for name, value in zip(table.names, row, strict=True)}
        # A name for the log, also where the row has no usable id.
        name = str(_plain(record_id))
        problem = f"{table.table.name} {name[:60]!r}: {error}"
        return Stray(model=model, record_id=name, body=_encode(shown), problem=problem)
    return Stray(model=model, record_id=record_id, body=encoded)


def _read(table: ModelTable, row: tuple[Any, ...], held: Record | None) -> Record:
    """Return the record of a row: the one that is held, with what the row says otherwise."""
    if held is None:
        record = {name: table.read(at, row[at]) for at, name in enumerate(table.names)}
        return record if table.schema.nulls else _said(record)
    # A column may hold less than its record: a decimal without its last zeros, a date without its
    # time. What the row does not say otherwise stays as it is, to the digit.
    expected = table.values_of(held)
    changed = {
        name: table.read(at, row[at])
        for at, name in enumerate(table.names)
        if row[at] != expected[at] and name != table.schema.id_name
    }
    return {**held, **changed}


def _said(record: Record) -> Record:
    return {name: value for name, value in record.items() if value is not None}


def _values(table: ModelTable, held: Record) -> tuple[Any, ...] | None:
    try:
        return table.values_of(held)
    except Exception:  # noqa: BLE001 - a type's own code: the record does not fit
        return None


def _fits(table: ModelTable, record_id: str, held: Record) -> bool:
    """Tell whether a record could be in its row: one from elsewhere may be of other types."""
    try:
        check_record(table.schema, record_id, held, bytes_max=RECORD_BYTES_MAX)
    except RecordError:
        return False
    return _values(table, held) is not None


def _plain(value: Any) -> Any:
    """Return a value of SQLite's as JSON can show it."""
    match value:
        case bytes():
            return value.hex()
        case str():
            return value.encode(errors="backslashreplace").decode()
        case float() if not math.isfinite(value):
            return repr(value)
        case _:
            return value


def quoted(name: str) -> str:
    """Return a name as SQL spells one."""
    return '"' + name.replace('"', '""') + '"'
