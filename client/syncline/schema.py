"""Declared models: their properties, and what a record must be to be kept."""

import copy
import difflib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from itertools import repeat
from typing import Any
from uuid import UUID

import msgspec
import orjson

from syncline.digest import normalise
from syncline.doubles import EXACT_INTEGER_MAX, check_decimal, kept_integer, loads
from syncline.errors import ConfigError, KeyInvalid, RecordError, RecordInvalid, RecordTooLarge
from syncline.models import Record


RECORD_ID_CHARS_MAX = 255
INTEGER_MAX = 2**63 - 1
"""What a database's widest integer column holds."""
_EXACT_INTEGER_MIN = -EXACT_INTEGER_MAX
_encode = msgspec.json.Encoder().encode
# Narrower than Python's own reading, which takes underscores, blanks and any alphabet's digits.
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class PropertyKind(StrEnum):
    """The types that a property can be declared as."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    OBJECT = "object"
    ARRAY = "array"


class Property(msgspec.Struct, frozen=True, kw_only=True):
    """
    A declared property.

    Attributes:
        nullable: whether null and absence are allowed.
        default: the value of an absent property, when `has_default`.
        decimal: a decimal number kept as text, so that no digit is lost.
        double_places: for a decimal whose column keeps a double, as SQLite's `NUMERIC` does: with
            how many places it is read again. One that would come back as another is refused.
    """

    name: str
    kind: PropertyKind
    nullable: bool = True
    default: Any = None
    has_default: bool = False
    decimal: bool = False
    double_places: int | None = None


class ModelSchema(msgspec.Struct, frozen=True, kw_only=True):
    """
    A declared model.

    Attributes:
        strict: refuse undeclared properties.
        nulls: keep every declared property present, as null when unset.
        id_name: the property that holds the id. id_kind: `"string"` or `"integer"`.
        table: the application's own table that holds the records; empty for one of the model's
            name that syncline makes.
    """

    name: str
    properties: tuple[Property, ...] = ()
    strict: bool = False
    nulls: bool = False
    id_name: str = "id"
    id_kind: str = "string"
    table: str = ""


def record_id_of(value: object) -> str:
    """Return a record id as text, or raise `KeyInvalid`."""
    if type(value) is str and value.isascii() and 0 < len(value) <= RECORD_ID_CHARS_MAX:
        return value  # Nearly always.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        # The same text for one number, in whichever language's digits it came.
        kept = kept_integer(value)
        number = value if kept is None else int(kept)
        # Python refuses to write an integer of thousands of digits.
        text = str(number) if number.bit_length() < 1024 else ""
        if 0 < len(text) <= RECORD_ID_CHARS_MAX:
            return text
        raise KeyInvalid(f"an integer record id has at most {RECORD_ID_CHARS_MAX} digits")
    if isinstance(value, str) and 0 < len(value) <= RECORD_ID_CHARS_MAX:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise KeyInvalid("a record id can't hold half a surrogate pair") from None
        return value
    shown = repr(value)[:60] if isinstance(value, str | int | float) else _shown(value)
    raise KeyInvalid(
        f"{shown} is no record id", hint="a text of 1 to 255 characters, or an integer"
    )


def id_value_of(value: object) -> Any:
    """Return an id as a schemaless record holds it: a number that was given as one stays one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        kept = kept_integer(value)
        if kept is not None:
            return kept
    return record_id_of(value)


def is_number(record_id: str) -> bool:
    """Tell whether an id may be a number's text, so that its record may hold either."""
    return record_id.removeprefix("-").isdecimal()


def under_its_id(
    schema: ModelSchema | None, data: Mapping[str, Any], before: Record | None
) -> Mapping[str, Any]:
    """
    Return data with the id that the record has, in its own type, where the data name none.

    Args:
        before: the record as it is; None when there is none.
    """
    id_name = "id" if schema is None else schema.id_name
    if not isinstance(data, Mapping):
        return data  # Whoever checks it says so.
    if data.get(id_name) is not None or before is None or before.get(id_name) is None:
        return data
    return {id_name: before[id_name], **{k: v for k, v in data.items() if k != id_name}}


def check_record(
    schema: ModelSchema | None, record_id: object, data: Mapping[str, Any], *, bytes_max: int
) -> tuple[Record, bytes]:
    """
    Return a record as it is kept, its id included, and its encoded JSON.

    Args:
        schema: its model's declaration; None for a schemaless model.
        record_id: as it was given: one that the data do not name is kept in that type.

    Raises:
        RecordError: naming the property, what was found and what is expected.
    """
    text = record_id_of(record_id)
    if not isinstance(data, Mapping):
        raise RecordInvalid(f"a record is an object, not {type(data).__name__}")
    record: Record = normalise(data if isinstance(data, dict) else dict(data))
    record = _with_id(schema, text, record, record_id)
    if schema is not None and (schema.properties or schema.strict):
        record = _declared(schema, record)
    body = _encode(record)
    if len(body) > bytes_max:
        name = schema.name if schema else "the model"
        raise RecordTooLarge(
            f"record {text!r} of {name} has {len(body)} bytes, the limit is {bytes_max}",
            hint="split it, or raise limits.record_bytes_max on the daemon",
        )
    return record, body


def check_encoded(
    schema: ModelSchema | None, record_id: str, data: Any, body: bytes, *, bytes_max: int
) -> bytes:
    """
    Return the encoding that a record is kept in: `body` itself when it already is that.

    Args:
        data: the record, decoded from `body` by a strict decoder.

    Raises:
        RecordError: as `check_record`.
    """
    if _is_kept_form(schema, record_id, data, body) and len(body) <= bytes_max:
        return body
    try:
        data = loads(body)
    except (ValueError, RecursionError) as error:
        raise RecordInvalid(f"the record can't be read: {error}") from None
    return check_record(schema, record_id, data, bytes_max=bytes_max)[1]


def are_kept_forms(
    schema: ModelSchema | None,
    record_ids: Sequence[str],
    bodies: Sequence[bytes],
    *,
    bytes_max: int,
) -> bool:
    """
    Tell by one look at them all whether `check_encoded` would return each body as it is.

    Args:
        bodies: each the JSON of one value.
    """
    joined = b"[%b]" % b",".join(bodies)
    try:
        records = orjson.loads(joined)
    except orjson.JSONDecodeError:
        return False
    if orjson.dumps(records) != joined or max(map(len, bodies)) > bytes_max:
        return False
    try:
        return all(map(_is_plain, repeat(schema), record_ids, records))
    except RecordError:
        return False


def _is_kept_form(schema: ModelSchema | None, record_id: str, data: Any, body: bytes) -> bool:
    # Equal bytes: no repeated key, no blank, no other spelling of a number or a character.
    return _is_plain(schema, record_id, data) and orjson.dumps(data) == body


def _is_plain(schema: ModelSchema | None, record_id: str, data: Any) -> bool:
    """Tell whether a flat record need not be walked; False when that takes a closer look."""
    if type(data) is not dict or not 0 < len(record_id) <= RECORD_ID_CHARS_MAX:
        return False
    found = data.get("id" if schema is None else schema.id_name)
    if found != record_id and (type(found) is not int or str(found) != record_id):
        return False
    for value in data.values():
        kind = type(value)
        if kind is str:
            continue
        if kind is int:
            if not _EXACT_INTEGER_MIN <= value <= EXACT_INTEGER_MAX:
                return False
        elif kind is float:
            if value.is_integer():
                return False
        elif value is not None and kind is not bool:
            return False
    if schema is None or not (schema.properties or schema.strict):
        return True
    return _declared(schema, data) is data


def _with_id(schema: ModelSchema | None, record_id: str, record: Record, given: object) -> Record:
    id_name = "id" if schema is None else schema.id_name
    found = record.get(id_name)
    if schema is not None and schema.id_kind == "integer":
        digits = record_id.removeprefix("-")
        # One text for one number, or two records would share a row: neither "07" nor "-0".
        if not (digits.isascii() and digits.isdigit()) or str(int(record_id)) != record_id:
            raise KeyInvalid(f"{schema.name} has integer ids, {record_id!r} is none")
        if abs(int(digits)) > EXACT_INTEGER_MAX:
            raise KeyInvalid(f"{schema.name}: the id {record_id} is beyond 2^53")
        if found is None or found == record_id:
            return {**record, id_name: int(record_id)}
    if found is None:
        value = id_value_of(given) if schema is None else record_id
        return {id_name: value, **{k: v for k, v in record.items() if k != id_name}}
    if isinstance(found, float) and found.is_integer():
        found = int(found)  # Beyond 64 bits, where a number is kept as a float.
    if isinstance(found, bool) or not isinstance(found, int | str) or str(found) != record_id:
        shown = repr(found) if isinstance(found, str | int) else _shown(found)
        raise KeyInvalid(f"the record's {id_name} is {shown}, it was to be kept as {record_id!r}")
    return record


def _declared(schema: ModelSchema, record: Record) -> Record:
    known = {p.name: p for p in schema.properties}
    if schema.strict:
        for name in record:
            if name not in known and name != schema.id_name:
                raise RecordInvalid(
                    f"{schema.name} has no property {name!r}", hint=suggestion(name, known)
                )
    changed: Record = {}
    for declared in schema.properties:
        if declared.name == schema.id_name:
            continue
        if declared.name not in record or (
            record[declared.name] is None and not declared.nullable and declared.has_default
        ):
            if declared.has_default:
                # A new one each time: a list that all records share would be edited for all.
                changed[declared.name] = copy.deepcopy(declared.default)
            elif not declared.nullable:
                raise RecordInvalid(f"{schema.name}.{declared.name} is missing")
            elif schema.nulls:
                changed[declared.name] = None
            continue
        value = record[declared.name]
        kept = _checked(schema, declared, value)
        if kept is not value:
            changed[declared.name] = kept
    return {**record, **changed} if changed else record


def property_problem(schema: ModelSchema, declared: Property, record: Record) -> str:
    """Return why a record can't have a property that is declared so; empty when it can."""
    value = record.get(declared.name)
    if value is None and (declared.nullable or declared.has_default):
        return ""
    if declared.name not in record:
        return f"{schema.name}.{declared.name} is missing"
    try:
        _checked(schema, declared, value)
    except RecordInvalid as error:
        return str(error)
    return ""


def _checked(schema: ModelSchema, declared: Property, value: Any) -> Any:
    if value is None:
        if declared.nullable:
            return value
        raise RecordInvalid(f"{schema.name}.{declared.name} must not be null")
    match declared.kind:
        case PropertyKind.STRING:
            is_good = isinstance(value, str)
            if is_good and declared.decimal:
                is_good = _is_decimal(value)
        case PropertyKind.INTEGER:
            is_whole = isinstance(value, float) and value.is_integer()  # Beyond 64 bits.
            is_good = (isinstance(value, int) or is_whole) and not isinstance(value, bool)
            if is_good and not -INTEGER_MAX <= value <= INTEGER_MAX:
                raise RecordInvalid(
                    f"{schema.name}.{declared.name} is beyond 64 bits", hint="declare it a number"
                )
        case PropertyKind.NUMBER:
            is_good = isinstance(value, int | float) and not isinstance(value, bool)
        case PropertyKind.BOOLEAN:
            is_good = isinstance(value, bool)
        case PropertyKind.DATE:
            return _date(schema, declared, value)
        case PropertyKind.OBJECT:
            is_good = isinstance(value, dict | list)
        case PropertyKind.ARRAY:
            is_good = isinstance(value, list)
    if not is_good:
        expected = "a decimal number as text" if declared.decimal else declared.kind.value
        raise RecordInvalid(
            f"{schema.name}.{declared.name} is {_shown(value)}, expected {expected}"
        )
    if declared.double_places is not None:
        check_decimal(f"{schema.name}.{declared.name}", value, declared.double_places)
    return value


def _date(schema: ModelSchema, declared: Property, value: Any) -> str:
    try:
        moment = datetime.fromisoformat(value)
        aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise RecordInvalid(
            f"{schema.name}.{declared.name} is {_shown(value)}, expected a date",
            hint="ISO 8601 text, such as 2026-11-23T12:00:00.000Z",
        ) from None
    return aware.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_decimal(text: str) -> bool:
    if _DECIMAL.fullmatch(text) is None:
        return False
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:
        return False


def _shown(value: Any) -> str:
    # Its type only: what is said here is logged, where no data belong.
    return f"a {type(value).__name__}"


def suggestion(name: str, known: Any) -> str:
    """Return "did you mean …" for a name that is nearly one of the known, or what there is."""
    close = difflib.get_close_matches(name, list(known), n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(sorted(known)) or 'none'}"


_MODEL_KEYS = ("strict", "nulls", "id_name", "id_kind", "properties")
_PROPERTY_KEYS = ("type", "nullable", "default", "decimal")


def schema_from_config(name: str, table: Mapping[str, Any]) -> ModelSchema:
    """
    Return a model from its declaration in TOML.

    ``[models.car]`` with `strict`, `nulls`, `id_name`, `id_kind` and ``[models.car.properties]``,
    each a type's name or a table of `type`, `nullable`, `default`, `decimal`.

    Raises:
        ConfigError: listing all that is wrong.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"models.{name} must be a table")
    wrong = [
        f"models.{name}.{key} is unknown, {suggestion(key, _MODEL_KEYS)}"
        for key in table
        if key not in _MODEL_KEYS
    ]
    wrong += [
        f"models.{name}.{key} must be true or false"
        for key in ("strict", "nulls")
        if not isinstance(table.get(key, False), bool)
    ]
    if table.get("id_kind", "string") not in ("string", "integer"):
        wrong.append(f"models.{name}.id_kind must be 'string' or 'integer'")
    id_name = table.get("id_name", "id")
    if not isinstance(id_name, str) or not id_name:
        wrong.append(f"models.{name}.id_name must be a property's name")
    declarations = table.get("properties", {})
    if not isinstance(declarations, Mapping):
        wrong.append(f"models.{name}.properties must be a table")
        declarations = {}
    properties = [
        found
        for key, declared in declarations.items()
        if (found := _property(f"models.{name}.properties.{key}", key, declared, wrong)) is not None
    ]
    if wrong:
        raise ConfigError("; ".join(wrong))
    return ModelSchema(
        name=name,
        properties=tuple(properties),
        strict=table.get("strict", False),
        nulls=table.get("nulls", False),
        id_name=id_name,
        id_kind=table.get("id_kind", "string"),
    )


def _property(where: str, name: str, declared: Any, wrong: list[str]) -> Property | None:
    table = {"type": declared} if isinstance(declared, str) else declared
    if not isinstance(table, Mapping):
        wrong.append(f"{where} must be a type's name or a table")
        return None
    wrong.extend(
        f"{where}.{key} is unknown, {suggestion(key, _PROPERTY_KEYS)}"
        for key in table
        if key not in _PROPERTY_KEYS
    )
    kinds = [kind.value for kind in PropertyKind]
    if table.get("type") not in kinds:
        wrong.append(f"{where} has the type {table.get('type')!r}, expected one of {kinds}")
        return None
    nullable: Any = table.get("nullable", True)
    decimal: Any = table.get("decimal", False)
    flags = {"nullable": nullable, "decimal": decimal}
    unclear = [key for key, value in flags.items() if not isinstance(value, bool)]
    if unclear:
        wrong.extend(f"{where}.{key} must be true or false" for key in unclear)
        return None
    if decimal and table["type"] != PropertyKind.STRING:
        wrong.append(f"{where}.decimal is kept as text: its type must be 'string'")
        return None
    declaration = Property(
        name=name, kind=PropertyKind(table["type"]), nullable=nullable, decimal=decimal
    )
    if "default" not in table:
        return declaration
    try:
        # As a record would hold it: a date that TOML wrote as one becomes text.
        return with_default(declaration, table["default"])
    except RecordError as error:
        wrong.append(f"{where}.default: {error}")
        return None


def with_default(declared: Property, default: Any) -> Property:
    """
    Return the property with a default, which is kept as a record keeps it.

    Raises:
        RecordError: no record could hold it.
    """
    if declared.decimal and isinstance(default, Decimal):
        default = str(default)
    kept = _checked(ModelSchema(name="default"), declared, normalise(default))
    return msgspec.structs.replace(declared, default=kept, has_default=True)
