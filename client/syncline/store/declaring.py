"""
Brings the tables of models in line with how the models are declared now.

What is to be done is planned first, and can be shown without doing it; a change that the records
don't allow is a problem of the plan, and nothing is done then.
"""

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from syncline.errors import ConfigError
from syncline.models import Key, Record
from syncline.schema import ModelSchema, Property, property_problem
from syncline.store import statements as text
from syncline.store.sql_errors import named_errors
from syncline.store.stray_sql import find_strays, quoted
from syncline.store.tables import DIALECT, ModelTable, table_of


DECLARED = "declared"
"""Under this name the store keeps how its models with tables of their own were declared last."""
SHOWN_MAX = 5

_decoder = msgspec.json.Decoder(type=dict[str, ModelSchema])
_decode = msgspec.json.Decoder(type=dict[str, Any]).decode


class TablePlan(NamedTuple):
    """
    What a model's own table needs.

    Attributes:
        sentences: what is done, for people. statements: the SQL that does it.
        filled: the columns that get their values from the records; all of a new table.
        problems: what the records don't allow, each naming the setting.
    """

    model: str
    sentences: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()
    is_new: bool = False
    problems: tuple[str, ...] = ()


def read_declared(raw: sqlite3.Connection) -> dict[str, ModelSchema]:
    """Return how models with tables of their own were declared last, by name."""
    row = raw.execute(text.READ_META, (DECLARED,)).fetchone()
    return {} if row is None else _decoder.decode(row[0])


def write_declared(raw: sqlite3.Connection, declared: Mapping[str, ModelSchema]) -> None:
    """Keep how models with tables of their own are declared."""
    raw.execute(text.WRITE_META, (DECLARED, msgspec.json.encode(declared).decode()))


def plan_declared(
    raw: sqlite3.Connection, schema: ModelSchema, before: ModelSchema | None, unfit: Collection[Key]
) -> TablePlan:
    """
    Plan what the table of a declared model needs.

    Args:
        before: how it was declared last; None when that was never kept.
        unfit: records that their rows can't hold.
    """
    model = schema.name
    table = ModelTable(schema, table_of(schema, sa.MetaData()))
    types = {name: column_type(column) for name, column in _columns(table)}
    found = columns_of(raw, model)
    create = str(CreateTable(table.table).compile(dialect=DIALECT)).strip()
    if not found:
        return TablePlan(model, (f"{model}: a table is made",), (create,), is_new=True)
    if found.get(schema.id_name) != types[schema.id_name]:
        if _count(raw, model):
            what = "id_name" if schema.id_name not in found else "id_kind"
            problem = f"models.{model}.{what} can't change while there are records"
            return TablePlan(model, problems=(problem,))
        drop = f"DROP TABLE {quoted(model)}"
        said = f"{model}: its table, which is empty, is made anew"
        return TablePlan(model, (said,), (drop, create), is_new=True)
    known = None if before is None else {p.name: p for p in before.properties}
    changes = [
        change
        for declared in schema.properties
        if (change := _change_of(declared, types, found, known)) is not None
    ]
    statements = [each for change in changes for each in _ddl(model, change, types)]
    problems = list(_problems(raw, schema, before, [change.declared for change in changes]))
    if before is not None and any(change.kind == "retyped" for change in changes):
        former = ModelTable(before, table_of(before, sa.MetaData()))
        if next(find_strays(raw, former, None, unfit), None) is not None:
            problems.append(
                f"models.{model}: rows of its table were edited beside the replica; "
                "start once with the settings of before, so that they are not lost"
            )
    return TablePlan(
        model,
        tuple(f"{model}.{change.declared.name}: {_SENTENCES[change.kind]}" for change in changes),
        tuple(statements),
        tuple(change.declared.name for change in changes if change.kind != "checked"),
        problems=tuple(problems),
    )


class _Change(NamedTuple):
    declared: Property
    kind: str


_SENTENCES = {
    "added": "a column is added, and filled from the records",
    "retyped": "the column is made anew with its new type, and filled from the records",
    "returned": "the column of before is filled from the records",
    "checked": "the declaration is changed, the column stays",
}


def _change_of(
    declared: Property,
    types: Mapping[str, str],
    found: Mapping[str, str],
    known: Mapping[str, Property] | None,
) -> _Change | None:
    name = declared.name
    if name not in types:
        return None
    if name not in found:
        return _Change(declared, "added")
    if found[name] != types[name]:
        return _Change(declared, "retyped")
    if known is None:
        return None
    if name not in known:
        return _Change(declared, "returned")
    former = known[name]
    if former == declared:
        return None
    # The default stands in the row of a record that does not say it.
    is_refilled = (former.default, former.has_default) != (declared.default, declared.has_default)
    return _Change(declared, "returned" if is_refilled else "checked")


def _ddl(model: str, change: _Change, types: Mapping[str, str]) -> Iterator[str]:
    table, column = quoted(model), quoted(change.declared.name)
    if change.kind == "retyped":
        yield f"ALTER TABLE {table} DROP COLUMN {column}"
    if change.kind in ("added", "retyped"):
        yield f"ALTER TABLE {table} ADD COLUMN {column} {types[change.declared.name]}"


def _problems(
    raw: sqlite3.Connection,
    schema: ModelSchema,
    before: ModelSchema | None,
    changed: Sequence[Property],
) -> Iterator[str]:
    """Yield what the records don't allow."""
    names = {declared.name for declared in schema.properties}
    is_stricter = (
        schema.strict
        and before is not None
        and (not before.strict or any(p.name not in names for p in before.properties))
    )
    if not changed and not is_stricter:
        return
    known = {schema.id_name, *names}
    wrong: dict[str, list[str]] = {}
    firsts: dict[str, str] = {}
    for record_id, record in _records(raw, schema.name):
        for declared in changed:
            problem = property_problem(schema, declared, record)
            if problem:
                key = f"models.{schema.name}.properties.{declared.name}"
                wrong.setdefault(key, []).append(record_id)
                firsts.setdefault(key, problem)
        if is_stricter and (extra := sorted(record.keys() - known)):
            key = f"models.{schema.name}.strict"
            wrong.setdefault(key, []).append(record_id)
            firsts.setdefault(key, f"{schema.name} has no property {extra[0]!r}")
    for key, ids in wrong.items():
        shown = ", ".join(repr(each)[:60] for each in ids[:SHOWN_MAX])
        more = ", …" if len(ids) > SHOWN_MAX else ""
        noun = "record does" if len(ids) == 1 else "records do"
        yield f"{key}: {len(ids)} {noun} not allow it ({shown}{more}): {firsts[key]}"


def check_given(raw: sqlite3.Connection, table: sa.Table) -> None:
    """
    Refuse a table of the application's own that lacks columns of its model.

    Raises:
        ConfigError: naming them; such a table is not ours to change.
    """
    found = columns_of(raw, table.name)
    missing = [column.name for column in table.columns if column.name not in found]
    if missing:
        raise ConfigError(
            f"the table {table.name} has no column {', '.join(missing)}, which its model has",
            hint="migrate it as you migrate your own tables, then start again",
        )


def carry_out(raw: sqlite3.Connection, plan: TablePlan) -> None:
    """
    Do what was planned, up to the filling, in the caller's transaction.

    Raises:
        ConfigError: the database does not allow a change, as of a column with an index.
    """
    for statement in plan.statements:
        try:
            raw.execute(statement)
        except sqlite3.OperationalError as error:
            raise ConfigError(
                f"models.{plan.model}: the table can't be changed: {error}",
                hint="drop what holds the column, as an index, and start again",
            ) from error


def fill_columns(raw: sqlite3.Connection, table: ModelTable, names: Sequence[str]) -> None:
    """Set columns from the records, and leave alone what else their rows hold."""
    if not names:
        return
    places = [table.names.index(name) for name in names]
    settings = ", ".join(f"{quoted(name)} = ?" for name in names)
    key = quoted(table.id_column.name)
    sql = f"UPDATE {quoted(table.table.name)} SET {settings} WHERE {key} = ?"
    rows = (
        (*(values[place] for place in places), table.id_of(record_id))
        for record_id, record in _records(raw, table.schema.name)
        for values in [table.values_of(record)]
    )
    raw.executemany(sql, rows)


def needs_filling(raw: sqlite3.Connection, table: ModelTable) -> bool:
    """Tell whether a table is empty beside records that were made before it was their model's."""
    name = quoted(table.table.name)
    is_empty = raw.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone() is None
    return is_empty and _count(raw, table.schema.name) > 0


def refuse(plans: Sequence[TablePlan]) -> None:
    """
    Raise what stands against plans, all at once.

    Raises:
        ConfigError: naming each setting.
    """
    problems = [problem for plan in plans for problem in plan.problems]
    if problems:
        raise ConfigError(
            "\n  ".join(["the models don't fit what is stored:", *problems]),
            hint="give the property a default or let it be null, or mend the records first",
        )


def plan_at(path: Path, schemas: Sequence[ModelSchema]) -> list[TablePlan]:
    """Plan what a database that may not be there needs, without changing it."""
    if not path.exists():
        return []
    with named_errors(path), closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA query_only = 1")
        if not columns_of(raw, "syncline_meta"):
            return []
        before = read_declared(raw)
        return [
            plan_declared(raw, schema, before.get(schema.name), ())
            for schema in schemas
            if schema.properties
        ]


def columns_of(raw: sqlite3.Connection, table: str) -> dict[str, str]:
    """Return the columns of a table and their types as SQLite keeps them; none for no table."""
    rows = raw.execute("SELECT name, type FROM pragma_table_info(?)", (table,))
    return {name: kind.upper() for name, kind in rows}


def column_type(column: sa.Column[Any]) -> str:
    """Return a column's type as SQLite keeps it."""
    return column.type.compile(dialect=DIALECT).upper()


def _columns(table: ModelTable) -> Iterator[tuple[str, sa.Column[Any]]]:
    return zip(table.names, table.columns, strict=True)


def _count(raw: sqlite3.Connection, model: str) -> int:
    return int(raw.execute(text.COUNT_RECORDS, (model,)).fetchone()[0])


def _records(raw: sqlite3.Connection, model: str) -> Iterator[tuple[str, Record]]:
    for record_id, body in raw.execute(text.READ_RECORDS, (model,)).fetchall():
        yield record_id, _decode(body)
