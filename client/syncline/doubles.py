"""
Numbers as every replica keeps them: doubles, in whichever language's digits they came.

JSON has no widths, but JavaScript reads each number as a double, and so a record can hold nothing
else. Python writes a double beyond 2^53 in all its digits, JavaScript in the fewest that name it:
1152921504606846976 and 1152921504606847000 are one number, and kept as the first. Whole numbers of
64 bits are kept as integers; larger ones as floats, since the JSON readers of many languages take
no longer integer.
"""

import json
import math
from decimal import Decimal
from typing import Any

import orjson

from syncline.errors import RecordInvalid


EXACT_INTEGER_MAX = 2**53
"""Up to here, and down to its negative, every integer is a double."""
_INTEGER_MIN, _INTEGER_MAX = -(2**63), 2**64 - 1
_PLAIN_DIGITS_BELOW = 10**21
"""JavaScript writes what is smaller in digits, and what is not with an exponent."""
# What orjson reads as a float, and so perhaps as another number, has nineteen digits at least. To
# make all digits alike and look for so many takes a sixth of the time of a regular expression.
_ALIKE = bytes.maketrans(b"0123456789", b"0" * 10)
_LONG = b"0" * 19


def kept_float(value: float) -> int | float:
    """Return a finite float as it is kept: a whole one of 64 bits as an integer."""
    if value.is_integer() and _INTEGER_MIN <= value <= _INTEGER_MAX:
        return int(value)
    return value


def kept_integer(value: int) -> int | float | None:
    """Return an integer as it is kept; None when its digits are no double's, in any language."""
    if -EXACT_INTEGER_MAX <= value <= EXACT_INTEGER_MAX:
        return value
    try:
        number = float(value)
    except OverflowError:
        return None
    if int(number) == value:
        return kept_float(number)
    is_plain = abs(value) < _PLAIN_DIGITS_BELOW
    return kept_float(number) if is_plain and number_text(number) == str(value) else None


def number_text(value: float) -> str:
    """
    Return a number as ECMAScript writes it.

    Source: ECMA-262, Number::toString.
    """
    try:
        number = float(value)
    except OverflowError:  # an integer beyond all doubles: an infinity there
        return "null"
    if math.isnan(number) or math.isinf(number):
        return "null"
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    mantissa, _, exponent_text = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    if fraction == "0":
        fraction = ""
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent_text or 0)
    if whole == "0":
        point -= 1 + len(fraction) - len(fraction.lstrip("0"))
    significant = digits.rstrip("0")
    count = len(significant)
    if count <= point <= 21:
        body = significant + "0" * (point - count)
    elif 0 < point <= 21:
        body = f"{significant[:point]}.{significant[point:]}"
    elif -6 < point <= 0:
        body = f"0.{'0' * -point}{significant}"
    else:
        power = point - 1
        tail = f".{significant[1:]}" if count > 1 else ""
        body = f"{significant[0]}{tail}e{'+' if power > 0 else '-'}{abs(power)}"
    return sign + body


def loads(text: bytes | str) -> Any:
    """
    Return decoded JSON, every integer to its last digit.

    `orjson` alone reads one beyond 64 bits as the nearest double, which nobody could then tell from
    the number that was written.

    Raises:
        ValueError: it is no JSON, or has a number beyond all doubles. RecursionError.
    """
    encoded = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    if _LONG not in encoded.translate(_ALIKE):
        return orjson.loads(text)
    plain = text.decode() if isinstance(text, bytes) else text
    return json.loads(plain, parse_float=_finite, parse_constant=_refuse)


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _refuse(digits)


def _refuse(digits: str) -> float:
    raise ValueError(f"{digits[:40]} is no number that a double holds")


def check_decimal(name: str, value: str, places: int) -> None:
    """
    Refuse a decimal that a column which keeps a double would give back as another number.

    Args:
        name: of the property. places: with how many the column is read again.

    Raises:
        RecordInvalid: naming the property.
    """
    kept = f"{float(value):.{places}f}"
    if Decimal(kept) != Decimal(value):
        raise RecordInvalid(
            f"{name}: the column can't hold the number, it would come back as another",
            hint="SQLite keeps a Numeric as a double: declare the column as text",
        )
