"""Typed models: the application's own tables, and records in and out of their rows."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.dialects.sqlite import insert

from syncline.doubles import check_decimal
from syncline.errors import ConfigError, RecordError, RecordInvalid
from syncline.models import Record
from syncline.schema import ModelSchema, Property, PropertyKind, with_default


DIALECT = sqlite_dialect(paramstyle="qmark")

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
        table=str(table.name),
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
        decimal=_is_decimal(column.type),
        double_places=_places_of(column.type) if _is_decimal(column.type) else None,
    )
    default = column.default
    if default is None or not getattr(default, "is_scalar", False):
        return declared
    try:
        return with_default(declared, default.arg)  # type: ignore[attr-defined] # is_scalar has arg
    except RecordError as error:
        raise ConfigError(f"column {table.name}.{column.name}: its default: {error}") from None


def _is_decimal(kind: sa.types.TypeEngine[Any]) -> bool:
    return isinstance(kind, sa.Numeric) and not isinstance(kind, sa.Float)


def _places_of(kind: sa.types.TypeEngine[Any]) -> int:
    """Return with how many places SQLAlchemy reads a decimal, which SQLite keeps as a double."""
    scale = getattr(kind, "decimal_return_scale", None)
    if scale is None:
        scale = getattr(kind, "scale", None)
    return sa.Numeric._default_decimal_return_scale if scale is None else int(scale)  # noqa: SLF001 - SQLAlchemy's default has no other name


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
    """
    A typed model's table: its statements, and the two ways between record and row.

    Args:
        is_former: the model is not declared now, but was when it got its table.
    """

    def __init__(self, schema: ModelSchema, table: sa.Table, *, is_former: bool = False) -> None:
        self.schema = schema
        self.is_former = is_former
        self.table = table
        self.id_column = next(iter(table.primary_key.columns))
        self.columns = list(table.columns)
        self.names = [str(column.name) for column in self.columns]
        declared = {p.name: p for p in schema.properties}
        # What a record does not say stands in its row as the default.
        self._defaults = [
            declared[name].default if name in declared else None for name in self.names
        ]
        self._binders = [_binder(column) for column in self.columns]
        self._readers = [_reader(column) for column in self.columns]
        self._doubles = [
            (p.name, p.double_places) for p in schema.properties if p.double_places is not None
        ]
        write = insert(table)
        others = {c.name: write.excluded[c.name] for c in self.columns if c is not self.id_column}
        write = (
            write.on_conflict_do_update(index_elements=[self.id_column], set_=others)
            if others
            else write.on_conflict_do_nothing(index_elements=[self.id_column])
        )
        compiled = write.compile(dialect=DIALECT, column_keys=self.names)
        self.write_sql = str(compiled)
        self._order = [self.names.index(name) for name in compiled.positiontup or []]
        self.delete_sql = str(
            sa.delete(table).where(self.id_column == sa.bindparam("id")).compile(dialect=DIALECT)
        )
        # A record without the property has its default in the column, and so does not compare.
        self.plain_columns = {
            name: kind
            for name, column in zip(self.names, self.columns, strict=True)
            if (kind := _PLAIN.get(_kind_of(column.type)))
            and not (name in declared and declared[name].has_default)
        }

    def row_of(self, record: Record) -> tuple[Any, ...]:
        """
        Return the values of the write statement.

        Raises:
            RecordInvalid: a column can't hold what the record has; it is named.
        """
        try:
            values = self.values_of(record)
            for name, places in self._doubles:
                if (value := record.get(name)) is not None:
                    check_decimal(f"{self.schema.name}.{name}", value, places)
        except (TypeError, ValueError, ArithmeticError, AttributeError, KeyError) as error:
            raise self._unfit(record, error) from error
        return tuple([values[index] for index in self._order])

    def _unfit(self, record: Record, error: Exception) -> RecordInvalid:
        for name, column, binder in zip(self.names, self.columns, self._binders, strict=True):
            try:
                binder(record.get(name))
            except Exception:  # noqa: BLE001 - whatever a type's own code raises
                return RecordInvalid(
                    f"{self.schema.name}.{name} is a {type(record[name]).__name__} that the "
                    f"column, a {type(column.type).__name__}, can't hold"
                )
        return RecordInvalid(f"{self.schema.name} can't hold the record: {error}")

    def values_of(self, record: Record) -> tuple[Any, ...]:
        """Return what the columns hold of a record, in the order of `names`."""
        return tuple(
            [
                binder(record.get(name, default))
                for name, binder, default in zip(
                    self.names, self._binders, self._defaults, strict=True
                )
            ]
        )

    def id_of(self, record_id: str) -> Any:
        """Return the primary key's value of a record id."""
        return int(record_id) if self.schema.id_kind == "integer" else record_id

    def read(self, index: int, value: Any) -> Any:
        """
        Return a column's value, by its place in `names`, as a record holds it.

        Raises:
            RecordInvalid: it has no form in JSON; the column is named.
        """
        try:
            read = self._readers[index](value)
            if isinstance(read, str):
                read.encode()
            elif isinstance(read, bytes):
                raise TypeError("bytes are no text")  # noqa: TRY301 - one place names the column
            return read  # noqa: TRY300 - as above
        except Exception as error:
            raise RecordInvalid(
                f"{self.table.name}.{self.names[index]} holds a {type(value).__name__} that is no "
                f"{type(self.columns[index].type).__name__}"
            ) from error


def _binder(column: sa.Column[Any]) -> Callable[[Any], Any]:
    # SQLite's own form of the type: the plain one would leave dates to the driver's adapters, which
    # write them in another way than SQLAlchemy does, and are going.
    process = column.type.dialect_impl(DIALECT).bind_processor(DIALECT)
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
    process = column.type.dialect_impl(DIALECT).result_processor(DIALECT, None)
    is_decimal = _is_decimal(column.type)

    def read(value: Any) -> Any:
        if value is None:
            return None
        if process is not None:
            value = process(value)
        if isinstance(value, datetime):
            return _text_of(value)
        if isinstance(value, date):
            return _text_of(datetime(value.year, value.month, value.day, tzinfo=UTC))
        # `asdecimal=False` reads a number, but the record's property is a text all the same.
        return str(value) if is_decimal or isinstance(value, Decimal) else value

    return read


def _datetime_of(text: str, *, has_zone: bool) -> datetime:
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return moment if has_zone else moment.replace(tzinfo=None)


def _text_of(moment: datetime) -> str:
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return aware.isoformat(timespec="milliseconds").replace("+00:00", "Z")
