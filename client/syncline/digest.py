"""
Canonical JSON and its digest, byte for byte as LoopBack 3 writes them; and the walk that every
record passes.

LoopBack's canonical JSON is Crockford's old ``json2`` writer with sorted keys: no white space, keys
by UTF-16 code unit, numbers as ECMAScript writes them, and its own list of escaped characters.
"""

import hashlib
import math
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from syncline.doubles import EXACT_INTEGER_MAX, kept_float, kept_integer, number_text
from syncline.errors import NumberNotAllowed, RecordInvalid


DEPTH_MAX = 64

_ESCAPED = re.compile(
    '[\\\\"\x00-\x1f\x7f-\x9f\u00ad\u0600-\u0604\u070f\u17b4\u17b5\u200c-\u200f'
    "\u2028-\u202f\u2060-\u206f\ufeff\ufff0-\uffff]"
)
_SHORT = {
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\f": "\\f",
    "\r": "\\r",
    '"': '\\"',
    "\\": "\\\\",
}
_SURROGATE = re.compile("[\ud800-\udfff]")
# What orjson writes otherwise than LoopBack: the escaped characters beyond ASCII's controls, and
# astral ones, which as the start of a key have another place in the order.
_NOT_AS_ORJSON = re.compile(
    "[\x7f-\x9f\u00ad\u0600-\u0604\u070f\u17b4\u17b5\u200c-\u200f"
    "\u2028-\u202f\u2060-\u206f\ufeff\ufff0-\U0010ffff]"
)


def canonical_json(value: Any) -> str:
    """
    Return the canonical JSON text of a JSON value.

    Source: LoopBack 3's `canonical-json` 0.0.4.
    NaN and infinities are null, as there; `normalise` refuses them before anything is stored.
    """
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts)


def digest_of(value: Any) -> str:
    """Return the SHA-1, in lower-case hex, of the canonical JSON: LoopBack's revision."""
    text = _fast_json(value)
    if text is None:
        text = canonical_json(value).encode()
    return hashlib.sha1(text).hexdigest()  # noqa: S324 - LoopBack's


def _fast_json(value: Any) -> bytes | None:
    """Return the canonical JSON as orjson writes it, or None where that is not LoopBack's."""
    if not _is_plain(value, 0):
        return None
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a key that is no text, or half a surrogate pair
        return None
    is_same = b"\x7f" not in text if text.isascii() else not _NOT_AS_ORJSON.search(text.decode())
    return text if is_same else None


def _is_plain(value: Any, depth: int) -> bool:
    # Whether it is made of nothing but what orjson and LoopBack write alike, text apart: no float,
    # no integer whose digits a double does not keep, no type of which orjson has its own idea.
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return True
    if kind is int:
        return bool(-EXACT_INTEGER_MAX <= value <= EXACT_INTEGER_MAX)
    if depth >= DEPTH_MAX or (kind is not dict and kind is not list):
        return False
    for item in value.values() if kind is dict else value:
        # The commonest value needs no call.
        if type(item) is not str and not _is_plain(item, depth + 1):
            return False
    return True


def _write(value: Any, parts: list[str]) -> None:
    match value:
        case None:
            parts.append("null")
        case bool():
            parts.append("true" if value else "false")
        case str():
            parts.append(_quoted(value))
        case int() | float():
            parts.append(number_text(value))
        case dict():
            parts.append("{")
            for index, key in enumerate(sorted(value, key=_utf16)):
                parts.append(f"{',' if index else ''}{_quoted(key)}:")
                _write(value[key], parts)
            parts.append("}")
        case list() | tuple():
            parts.append("[")
            for index, item in enumerate(value):
                if index:
                    parts.append(",")
                _write(item, parts)
            parts.append("]")
        case datetime() | date():
            parts.append(_quoted(_moment(value)))
        case _:
            raise RecordInvalid(f"{type(value).__name__} has no JSON form")


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def _quoted(text: str) -> str:
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(match: "re.Match[str]") -> str:
    char = match.group()
    return _SHORT.get(char) or f"\\u{ord(char):04x}"


def normalise(value: Any, path: str = "", depth: int = 0) -> Any:
    """
    Return a value as JSON carries it, or refuse it by name.

    `1.0` becomes `1` and `-0.0` becomes `0`, and larger numbers what `syncline.doubles` says; dates
    and UUIDs become text, dates in UTC; tuples become lists.
    What needs no change is returned as it is.

    Raises:
        NumberNotAllowed: NaN, an infinity, or an integer whose digits are no double's.
        RecordInvalid: a type without a JSON form, a key that is no text, half a surrogate pair,
            or too deep a nesting.
    """
    kind = type(value)
    if kind is str:
        if not value.isascii() and _SURROGATE.search(value):
            raise RecordInvalid(f"{_at(path)} holds half a surrogate pair, which UTF-8 can't carry")
        return value
    if value is None or kind is bool:
        return value
    if kind is int:
        return _integer(value, path)
    if kind is float:
        return _float(value, path)
    if kind is dict:
        return _object(value, path, depth)
    if kind is list or kind is tuple:
        if depth >= DEPTH_MAX:
            raise RecordInvalid(f"{_at(path)} is nested deeper than {DEPTH_MAX}")
        items = [normalise(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
        is_same = kind is list and all(map(_is, items, value))
        return value if is_same else items
    return _converted(value, path, depth)


def _object(value: dict[Any, Any], path: str, depth: int) -> dict[str, Any]:
    if depth >= DEPTH_MAX:
        raise RecordInvalid(f"{_at(path)} is nested deeper than {DEPTH_MAX}")
    changed: dict[str, Any] = {}
    for key, item in value.items():
        if type(key) is not str:
            raise RecordInvalid(f"{_at(path)} has the key {key!r}, which is no text")
        if not key.isascii() and _SURROGATE.search(key):
            raise RecordInvalid(f"{_at(path)} has a key with half a surrogate pair")
        # The commonest values need no walk and no path.
        kind = type(item)
        if kind is str and item.isascii():
            continue
        new = normalise(item, f"{path}.{key}" if path else key, depth + 1)
        if new is not item:
            changed[key] = new
    return {**value, **changed} if changed else value


def _is(one: Any, other: Any) -> bool:
    return one is other


def _integer(value: int, path: str) -> int | float:
    if -EXACT_INTEGER_MAX <= value <= EXACT_INTEGER_MAX:
        return value
    kept = kept_integer(value)
    if kept is None:
        raise NumberNotAllowed(
            f"{_at(path)} is an integer beyond 2^53 that no double holds exactly",
            hint="keep it as text",
        )
    return value if kept == value and type(kept) is int else kept


def _float(value: float, path: str) -> int | float:
    if not math.isfinite(value):
        raise NumberNotAllowed(
            f"{_at(path)} is {value!r}, which JSON can't carry", hint="use null or text"
        )
    return kept_float(value)


def _converted(value: Any, path: str, depth: int) -> Any:
    match value:
        case datetime() | date():
            try:
                return _moment(value)
            except OverflowError:
                raise RecordInvalid(f"{_at(path)} is a date that UTC can't carry") from None
        case UUID():
            return str(value)
        case Decimal():
            # Asked first, because a signalling NaN can't even be converted.
            number = float(value) if value.is_finite() else math.nan
            if math.isfinite(number) and Decimal(repr(number)) == value:
                return _float(number, path)
            raise NumberNotAllowed(
                f"{_at(path)} is a decimal that no double holds exactly", hint="keep it as text"
            )
        case bool() | int() | float() | str():
            # A subclass, such as an enum: its plain value.
            return normalise(_plain(value), path, depth)
        case dict():
            return normalise(dict(value), path, depth)
        case _:
            raise RecordInvalid(f"{_at(path)} is a {type(value).__name__}, which has no JSON form")


def _plain(value: Any) -> Any:
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value) if kind is not str else str.__str__(value)
    return value


def _moment(value: date) -> str:
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    else:
        moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _at(path: str) -> str:
    return f"property {path!r}" if path else "the record"
