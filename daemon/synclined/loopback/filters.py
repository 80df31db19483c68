"""Read LoopBack's filters into syncline's own. Pure."""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from syncline.errors import FilterInvalid
from syncline.filters import (
    DEPTH_MAX,
    Condition,
    parse_where,
)
from syncline.models import Record
from syncline.ordering import Order, parse_order
from syncline.schema import ModelSchema, PropertyKind


SKIP_MAX = 2**31
_KNOWN = {"where", "order", "limit", "skip", "offset", "fields", "include"}
_PATH = re.compile(r"\[([^\[\]]*)\]")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
NOTHING: dict[str, Any] = {"id": {"inq": []}}
"""A filter that no record matches."""
Kinds = Mapping[str, PropertyKind]
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)")


class Fields(msgspec.Struct, frozen=True):
    """
    Which properties to show.

    Attributes:
        shown: these only; None for all but the hidden.
    """

    shown: frozenset[str] | None = None
    hidden: frozenset[str] = frozenset()

    def of(self, record: Record) -> Record:
        """Return the record with the properties that are asked for."""
        if self.shown is not None:
            return {name: value for name, value in record.items() if name in self.shown}
        if self.hidden:
            return {name: value for name, value in record.items() if name not in self.hidden}
        return record


class LoopBackFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A `filter` as LoopBack has it, read."""

    where: dict[str, Any] | None = None
    condition: Condition
    order: tuple[Order, ...] = ()
    orders: tuple[str, ...] = ()
    limit: int | None = None
    skip: int = 0
    fields: Fields = Fields()


def read_filter(value: Any, kinds: Kinds | None = None) -> LoopBackFilter:
    """
    Return a decoded `filter`.

    Args:
        kinds: of the model's declared properties.

    Raises:
        FilterInvalid: naming what can't be read.
    """
    given = {} if value is None else value
    if not isinstance(given, dict):
        raise FilterInvalid(f"filter is an object, not {type(given).__name__}")
    for name in given:
        if name not in _KNOWN:
            raise FilterInvalid(
                f"filter has no {name!r}", hint=f"known: {', '.join(sorted(_KNOWN))}"
            )
    if given.get("include"):
        raise FilterInvalid("models have no relations here, so nothing can be included")
    where = read_where(given.get("where"), kinds)
    order = given.get("order")
    if order is not None and not isinstance(order, str | list):
        raise FilterInvalid("filter.order is a text, or a list of texts")
    orders = () if not order else tuple(_orders([order] if isinstance(order, str) else order))
    skip = given.get("skip", given.get("offset"))
    return LoopBackFilter(
        where=where,
        condition=parse_where(where),
        order=parse_order(orders),
        orders=orders,
        limit=_count("limit", given.get("limit")),
        skip=_count("skip", skip) or 0,
        fields=read_fields(given.get("fields")),
    )


def _orders(parts: list[Any]) -> Iterable[Any]:
    for part in parts:
        # LoopBack takes several in one text.
        pieces = part.split(",") if isinstance(part, str) else [part]
        yield from (one.strip() if isinstance(one, str) else one for one in pieces)


def _count(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) and value.isdigit() and len(value) < 12:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= SKIP_MAX:
        raise FilterInvalid(f"filter.{name} is {str(value)[:40]!r}, a whole number is expected")
    # LoopBack takes a limit of 0 for none at all.
    return value or None


def read_fields(value: Any) -> Fields:
    """Return which properties are asked for: a list, or an object of names to true or false."""
    if value is None or value in ([], {}):
        return Fields()
    if isinstance(value, str):
        return Fields(shown=frozenset((value,)))
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return Fields(shown=frozenset(value))
    if isinstance(value, dict):
        shown = frozenset(name for name, wanted in value.items() if _is_true(wanted))
        hidden = frozenset(value) - shown
        return Fields(shown=shown) if shown else Fields(hidden=hidden)
    raise FilterInvalid("filter.fields is a list of names, or an object of names to true or false")


def _is_true(value: Any) -> bool:
    return value is True or value == "true" or (value == 1 and not isinstance(value, float))


def kinds_of(schema: ModelSchema | None) -> Kinds:
    """Return the kinds of a model's declared properties."""
    return {} if schema is None else {one.name: one.kind for one in schema.properties}


def read_where(value: Any, kinds: Kinds | None = None) -> dict[str, Any] | None:
    """
    Return a `where` in syncline's terms.

    Args:
        kinds: of the declared properties; a value is read as its property's kind.

    Raises:
        FilterInvalid: naming what can't be read.
    """
    if value is None or value == {}:
        return None
    return _where(value, 0, kinds or {})


def _where(value: Any, depth: int, kinds: Kinds) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FilterInvalid(f"where is an object, not {type(value).__name__}")
    if depth > DEPTH_MAX:
        raise FilterInvalid(f"where is nested deeper than {DEPTH_MAX}")
    kept: dict[str, Any] = {}
    for name, operand in value.items():
        if name in ("and", "or", "nor"):
            if not isinstance(operand, list):
                raise FilterInvalid(f"{name!r} takes a list of filters")
            if operand:
                kept[name] = [_where(part, depth + 1, kinds) for part in operand]
            elif name != "nor":
                # What matches one of none, or all of none, is nothing: never every record.
                kept[name] = [NOTHING]
        elif isinstance(operand, dict):
            kept[name] = _operators(name, operand, kinds.get(name))
        else:
            kept[name] = _value(operand, kinds.get(name))
    return kept


def _operators(
    name: str, operators: Mapping[str, Any], kind: PropertyKind | None
) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for operator, operand in operators.items():
        match operator:
            case "regexp":
                kept["like"] = like_of(name, operand)
            case "ilike" | "nilike" | "near" | "maxDistance" | "unit" | "geoWithin":
                raise FilterInvalid(f"{name!r}: {operator} is not known here", hint="use like")
            case "options":
                continue
            case "like" | "nlike":
                # LoopBack looks for the pattern anywhere in the text.
                kept[operator] = f"%{operand}%" if isinstance(operand, str) else operand
            case "inq" | "nin" | "between" if isinstance(operand, list):
                kept[operator] = [_value(item, kind) for item in operand]
            case _:
                kept[operator] = _value(operand, kind)
    return kept


def _value(value: Any, kind: PropertyKind | None) -> Any:
    if kind in (PropertyKind.STRING, PropertyKind.OBJECT, PropertyKind.ARRAY):
        return value
    if kind in (PropertyKind.NUMBER, PropertyKind.INTEGER) and isinstance(value, str):
        return _number(value)
    if kind is PropertyKind.DATE and isinstance(value, str) and _DAY.fullmatch(value):
        value = f"{value}T00:00:00Z"
    # Dates are kept as LoopBack writes them, so that text in another form must be brought to it.
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            moment = datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            return value
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value


def _number(text: str) -> Any:
    # LoopBack makes a number of a text that is asked of a number.
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() else number


def like_of(name: str, regexp: Any) -> str:
    """
    Return the pattern of a regular expression made of text, anchors, `.` and `.*` only.

    A filter comes from whoever may read; a full expression can be made to run for hours.
    """
    if not isinstance(regexp, str):
        raise FilterInvalid(f"{name!r}: regexp takes a text")
    source, flags = regexp, ""
    if found := re.fullmatch(r"/(.*)/([a-z]*)", regexp, re.DOTALL):
        source, flags = found[1], found[2]
    if flags.strip("gms"):
        raise FilterInvalid(f"{name!r}: the flags {flags!r} are not known here", hint="use none")
    start, end = source.startswith("^"), source.endswith("$") and not source.endswith(r"\$")
    pattern = source[1 if start else 0 : -1 if end else None]
    pieces: list[str] = []
    for piece in re.findall(r"\\.|\.\*|.", pattern, re.DOTALL):
        if piece == ".*":
            pieces.append("%")
        elif piece == ".":
            pieces.append("_")
        elif (len(piece) == 2 and piece[1].isalnum()) or piece in "*+?()[]{}|^$\\":
            raise FilterInvalid(
                f"{name!r}: of a regular expression, {piece!r} is not known here",
                hint="text, ^, $, . and .* are",
            )
        else:
            char = piece[-1]
            pieces.append(f"\\{char}" if char in "%_\\" else char)
    return f"{'' if start else '%'}{''.join(pieces)}{'' if end else '%'}"


def nested_query(query: Iterable[tuple[str, str]], name: str) -> Any:
    """
    Return an argument that was written as `filter[where][maker]=Ford`; None when it wasn't.

    Raises:
        FilterInvalid: it is nested too deep.
    """
    found: dict[str, Any] = {}
    for key, text in query:
        if not key.startswith(f"{name}["):
            continue
        path = _PATH.findall(key[len(name) :])
        is_list = len(path) > 1 and path[-1] == ""
        path = path[:-1] if is_list else path
        if len(path) > DEPTH_MAX:
            raise FilterInvalid(f"{name} is nested deeper than {DEPTH_MAX}")
        place = found
        for step in path[:-1]:
            deeper = place.setdefault(step, {})
            if not isinstance(deeper, dict):
                raise FilterInvalid(f"{key[:80]} is both a value and an object")
            place = deeper
        if path:
            _set(place, path[-1], _sniffed(text), is_list=is_list)
    return _with_lists(found) if found else None


def _set(place: dict[str, Any], name: str, value: Any, *, is_list: bool) -> None:
    # A name that is there twice, or written with empty brackets, is a list.
    before = place.get(name)
    if name not in place:
        place[name] = [value] if is_list else value
    elif isinstance(before, list):
        before.append(value)
    elif isinstance(before, dict):
        raise FilterInvalid(f"{name[:80]!r} is both a value and an object")
    else:
        place[name] = [before, value]


def _sniffed(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    if text == "null":
        return None
    if re.fullmatch(r"-?(0|[1-9]\d{0,14})", text):
        return int(text)
    return text


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    items = {key: _with_lists(item) for key, item in value.items()}
    if items and all(key.isdigit() for key in items):
        return [items[key] for key in sorted(items, key=int)]
    return items
