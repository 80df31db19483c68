"""Read JSON as JavaScript means it: every number a double, in however many digits written."""

import re
from typing import Any

import orjson

from syncline.doubles import EXACT_INTEGER_MAX, kept_float


_LONG_NUMBER = re.compile(rb"[0-9]{16}")


def loads(raw: bytes | str) -> Any:
    """Return decoded JSON; raise `orjson.JSONDecodeError`."""
    value = orjson.loads(raw)
    encoded = raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass")
    # JavaScript writes a double beyond 2^53 in the shortest way, which as an integer is another.
    return _as_doubles(value) if _LONG_NUMBER.search(encoded) else value


def _as_doubles(value: Any) -> Any:
    if type(value) is int and not -EXACT_INTEGER_MAX <= value <= EXACT_INTEGER_MAX:
        return kept_float(float(value))
    if isinstance(value, dict):
        return {key: _as_doubles(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_doubles(item) for item in value]
    return value
