"""Typed models: the application's own tables, and records in and out of their rows."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.dialects.sqlite import insert

from syncline.errors import ConfigError, RecordError
from syncline.models import Record
from syncline.schema import ModelSchema, Property, PropertyKind, with_default


_DIALECT = sqlite_dialect(paramstyle="qmark")

_COLUMN_TYPES: dict[PropertyKind, type[sa.types.TypeEngine[Any]]] = {
    PropertyKind.STRING: sa.Text,
    PropertyKind.INTEGER: sa.BigInteger,
    PropertyKind.NUMBER: sa.Float,
    PropertyKind.BOOLEAN: sa.Boolean,
    PropertyKind.DATE: sa.Text,
    PropertyKind.OBJECT: sa.JSON,
    PropertyKind.ARRAY: sa.JSON,
}


# Columns that hold what the record holds, and so can be compared in its place.
_PLAIN: dict[PropertyKind | None, str] = {
    PropertyKind.INTEGER: "integer",
    PropertyKind.NUMBER: "real",
}


def table_of(schema: ModelSchema, metadata: sa.MetaData) -> sa.Table:
    """Return the table of a model that was declared by its properties; dates are ISO text."""
    id_type = sa.BigInteger() if schema.id_kind == "integer" else sa.Text()
    columns = [sa.Column(schema.id_name, id_type, primary_key=True, autoincrement=False)]
    columns += [
        sa.Column(p.name, _COLUMN_TYPES[p.kind](), nullable=True)
        for p in schema.properties
        if p.name != schema.id_name
    ]
    return sa.Table(schema.name, metadata, *columns)


def schema_of(name: str, table: sa.Table) -> ModelSchema:
    """
    Return the declaration of a table that the application handed in.

    Raises:
        ConfigError: it has no primary key of one column, or a type that has no JSON form.
    """
    keys = list(table.primary_key.columns)
    if len(keys) != 1:
        raise ConfigError(
            f"table {table.name!r} needs a primary key of one column, it has {len(keys)}",
            hint="add a single id column",
        )
    properties = tuple(
        _property_of(table, column) for column in table.columns if column is not keys[0]
    )
    return ModelSchema(
        name=name,
        properties=properties,
        strict=True,
        nulls=True,
        id_name=str(keys[0].name),
        id_kind="integer" if isinstance(keys[0].type, sa.Integer) else "string",
    )


def _property_of(table: sa.Table, column: sa.Column[Any]) -> Property:
    kind = _kind_of(column.type)
    if kind is None:
        raise ConfigError(
            f"column {table.name}.{column.name}: the type {column.type!r} has no JSON form",
            hint="use text, integer, float, numeric, boolean, date, datetime or JSON",
        )
    declared = Property(
        # A plain text: SQLAlchemy's names are a subclass of it, which no record's key may be.
        name=str(column.name),
        kind=kind,
        nullable=bool(column.nullable),
        decimal=isinstance(column.type, sa.Numeric) and not isinstance(column.type, sa.Float),
    )
    default = column.default
    if default is None or not getattr(default, "is_scalar", False):
        return declared
    try:
        return with_default(declared, default.arg)  # type: ignore[attr-defined] # is_scalar has arg
    except RecordError as error:
        raise ConfigError(f"column {table.name}.{column.name}: its default: {error}") from None


def _kind_of(kind: sa.types.TypeEngine[Any]) -> PropertyKind | None:
    match kind:
        case sa.Boolean():
            return PropertyKind.BOOLEAN
        case sa.Integer():
            return PropertyKind.INTEGER
        case sa.Float():
            return PropertyKind.NUMBER
        case sa.Numeric():
            return PropertyKind.STRING
        case sa.DateTime() | sa.Date():
            return PropertyKind.DATE
        case sa.JSON():
            return PropertyKind.OBJECT
        case sa.Enum():
            return None
        case sa.String():
            return PropertyKind.STRING
        case _:
            return None


class ModelTable:
    """A typed model's table: its statements, and the two ways between record and row."""

    def __init__(self, schema: ModelSchema, table: sa.Table) -> None:
        self.schema = schema
        self.table = table
        self.id_column = next(iter(table.primary_key.columns))
        self._columns = list(table.columns)
        self._binders = [_binder(column) for column in self._columns]
        self._readers = [_reader(column) for column in self._columns]
        write = insert(table)
        others = {c.name: write.excluded[c.name] for c in self._columns if c is not self.id_column}
        write = (
            write.on_conflict_do_update(index_elements=[self.id_column], set_=others)
            if others
            else write.on_conflict_do_nothing(index_elements=[self.id_column])
        )
        compiled = write.compile(dialect=_DIALECT, column_keys=[c.name for c in self._columns])
        self.write_sql = str(compiled)
        order = list(compiled.positiontup or [])
        self._order = [[c.name for c in self._columns].index(name) for name in order]
        self.delete_sql = str(
            sa.delete(table).where(self.id_column == sa.bindparam("id")).compile(dialect=_DIALECT)
        )
        self.plain_columns = {
            c.name: kind for c in self._columns if (kind := _PLAIN.get(_kind_of(c.type)))
        }
        self.select_sql = str(sa.select(*self._columns).compile(dialect=_DIALECT))

    def row_of(self, record: Record) -> tuple[Any, ...]:
        """Return the values of the write statement."""
        values = self.values_of(record)
        return tuple(values[index] for index in self._order)

    def values_of(self, record: Record) -> tuple[Any, ...]:
        """Return what the columns hold of a record, in the order of `select_sql`."""
        return tuple(
            binder(record.get(column.name))
            for column, binder in zip(self._columns, self._binders, strict=True)
        )

    def id_of(self, record_id: str) -> Any:
        """Return the primary key's value of a record id."""
        return int(record_id) if self.schema.id_kind == "integer" else record_id

    def record_of(self, row: Sequence[Any]) -> Record:
        """Return the record of a row of `select_sql`."""
        return {
            str(column.name): reader(value)
            for column, reader, value in zip(self._columns, self._readers, row, strict=True)
        }


def _binder(column: sa.Column[Any]) -> Callable[[Any], Any]:
    # SQLite's own form of the type: the plain one would leave dates to the driver's adapters, which
    # write them in another way than SQLAlchemy does, and are going.
    process = column.type.dialect_impl(_DIALECT).bind_processor(_DIALECT)
    before: Callable[[Any], Any] | None = None
    if isinstance(column.type, sa.DateTime):
        has_zone = column.type.timezone
        before = lambda text: _datetime_of(text, has_zone=has_zone)  # noqa: E731 - bound per column
    elif isinstance(column.type, sa.Date):
        before = lambda text: _datetime_of(text, has_zone=True).date()  # noqa: E731 - as above
    elif isinstance(column.type, sa.Numeric) and not isinstance(column.type, sa.Float):
        before = Decimal
    elif isinstance(column.type, sa.Float):
        # A whole number beyond 64 bits is an integer in a record, but not to the driver.
        before = float

    def bind(value: Any) -> Any:
        if value is None:
            return None
        if before is not None:
            value = before(value)
        return value if process is None else process(value)

    return bind


def _reader(column: sa.Column[Any]) -> Callable[[Any], Any]:
    process = column.type.dialect_impl(_DIALECT).result_processor(_DIALECT, None)

    def read(value: Any) -> Any:
        if value is None:
            return None
        if process is not None:
            value = process(value)
        if isinstance(value, datetime):
            return _text_of(value)
        if isinstance(value, date):
            return _text_of(datetime(value.year, value.month, value.day, tzinfo=UTC))
        return str(value) if isinstance(value, Decimal) else value

    return read


def _datetime_of(text: str, *, has_zone: bool) -> datetime:
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return moment if has_zone else moment.replace(tzinfo=None)


def _text_of(moment: datetime) -> str:
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return aware.isoformat(timespec="milliseconds").replace("+00:00", "Z")
