r"""
LoopBack-style `where` filters, evaluated purely.

``{"maker": "Ford", "or": [{"year": {"gt": 1970}}, {"tags.first": {"inq": ["a", "b"]}}]}``

========== =====================================================================
eq neq     equal, or not; null and a missing property are alike; `neq` is the
           exact negation of `eq`
gt gte     within one type only: numbers with numbers, text with text (by code
lt lte     point), booleans with booleans; anything else does not match
between    ``[low, high]``, both included
inq nin    one of a list, or none of it
like nlike SQL's pattern: ``%`` any text, ``_`` one character, ``\\`` escapes; by
           case; only text is like anything
exists     the property is there and is not null
and or     lists of filters; ``nor`` and ``not`` negate
========== =====================================================================

A dot in a name leads into an object: ``tags.first``.
A backslash makes part of a name what would not be: a dot (``a\.b``), a blank, which ends a name in
an order, another backslash, and a whole name that is a word of filters (``\and``, ``\or``,
``\nor``, ``\not``); before anything else it stands for itself.
What a record can hold can be compared with, and is converted as a record converts it: dates and
UUIDs to text, decimals to numbers.
The store's translation to SQL must agree with this file; one test holds them together.
"""

import difflib
import functools
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from syncline.digest import normalise
from syncline.errors import FilterInvalid, RecordError
from syncline.models import Record


DEPTH_MAX = 16
TERMS_MAX = 1000
VALUES_MAX = 10_000
"""Values in all lists of a filter; a database takes so many parameters at once, and no more."""
PATH_STEPS_MAX = 32
LIKE_CHARS_MAX = 4096
_WORD = re.compile(r"[.\s\\]|(?:and|or|nor|not)(?=\.|$)")


class Operator(StrEnum):
    """The comparisons."""

    EQ = "eq"
    NEQ = "neq"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    BETWEEN = "between"
    INQ = "inq"
    NIN = "nin"
    LIKE = "like"
    NLIKE = "nlike"
    EXISTS = "exists"


class Term(msgspec.Struct, frozen=True):
    """One comparison of the property at a path with a value."""

    path: tuple[str, ...]
    operator: Operator
    value: Any


class All(msgspec.Struct, frozen=True):
    """Every part matches; no parts match everything."""

    parts: tuple["Condition", ...] = ()


class Any_(msgspec.Struct, frozen=True):  # noqa: N801 - `Any` is taken
    """At least one part matches."""

    parts: tuple["Condition", ...]


class Not(msgspec.Struct, frozen=True):
    """The part does not match."""

    part: "Condition"


Condition = Term | All | Any_ | Not
EVERYTHING = All()


def parse_where(where: Mapping[str, Any] | None) -> Condition:
    """
    Return the condition of a `where` filter; None matches everything.

    Raises:
        FilterInvalid: naming what can't be read.
    """
    return EVERYTHING if where is None else _parse(where, 0, [0, 0])


def _parse(where: Any, depth: int, count: list[int]) -> Condition:
    if not isinstance(where, Mapping):
        raise FilterInvalid(f"a filter is an object, not {type(where).__name__}")
    if depth > DEPTH_MAX:
        raise FilterInvalid(f"the filter is nested deeper than {DEPTH_MAX}")
    parts: list[Condition] = []
    for name, value in where.items():
        count[0] += 1
        if count[0] > TERMS_MAX:
            raise FilterInvalid(f"the filter has more than {TERMS_MAX} terms")
        match name:
            case "and":
                parts.append(All(_parse_list(name, value, depth, count)))
            case "or":
                parts.append(Any_(_parse_list(name, value, depth, count)))
            case "nor":
                parts.append(Not(Any_(_parse_list(name, value, depth, count))))
            case "not":
                parts.append(Not(_parse(value, depth + 1, count)))
            case _:
                terms = _terms(name, value)
                count[1] += sum(len(t.value) for t in terms if isinstance(t.value, tuple))
                if count[1] > VALUES_MAX:
                    raise FilterInvalid(f"the filter lists more than {VALUES_MAX} values")
                parts.extend(terms)
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _parse_list(name: str, value: Any, depth: int, count: list[int]) -> tuple[Condition, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise FilterInvalid(
            f"{name!r} takes a list of filters",
            hint=rf"the property of that name is written '\{name}'",
        )
    return tuple(_parse(part, depth + 1, count) for part in value)


def _terms(name: str, value: Any) -> list[Term]:
    path = path_of(name)
    if not isinstance(value, Mapping):
        return [Term(path, Operator.EQ, _plain(name, value))]
    if not value:
        raise FilterInvalid(f"{name!r}: an empty object compares nothing")
    terms: list[Term] = []
    for operator, operand in value.items():
        if operator not in Operator.__members__.values():
            known = [o.value for o in Operator]
            close = difflib.get_close_matches(str(operator), known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"one of {', '.join(known)}"
            raise FilterInvalid(f"{name!r}: no operator {operator!r}", hint=hint)
        terms.append(Term(path, Operator(operator), _operand(name, Operator(operator), operand)))
    return terms


def _operand(name: str, operator: Operator, operand: Any) -> Any:
    match operator:
        case Operator.INQ | Operator.NIN:
            if not isinstance(operand, list | tuple) or len(operand) > TERMS_MAX:
                raise FilterInvalid(f"{name!r}: {operator} takes a list of at most {TERMS_MAX}")
            return tuple(_plain(name, item) for item in operand)
        case Operator.BETWEEN:
            if not isinstance(operand, list | tuple) or len(operand) != 2:
                raise FilterInvalid(f"{name!r}: between takes [low, high]")
            return tuple(_plain(name, item) for item in operand)
        case Operator.LIKE | Operator.NLIKE:
            if not isinstance(operand, str):
                raise FilterInvalid(f"{name!r}: {operator} takes a text")
            if len(operand) > LIKE_CHARS_MAX:
                raise FilterInvalid(
                    f"{name!r}: {operator} takes at most {LIKE_CHARS_MAX} characters"
                )
            return _plain(name, operand)
        case Operator.EXISTS:
            if not isinstance(operand, bool):
                raise FilterInvalid(f"{name!r}: exists takes true or false")
            return operand
        case _:
            return _plain(name, operand)


def _plain(name: str, value: Any) -> Any:
    if not isinstance(value, Mapping | list | tuple | set | bytes):
        # What no record can hold is a mistake, and databases disagree on what it equals.
        value = _normal(value, name)
        if kind_of(value) != "other":
            return value
    raise FilterInvalid(f"{name!r} is compared with {type(value).__name__}; use a plain value")


def _normal(value: Any, name: str) -> Any:
    try:
        return normalise(value, name)
    except RecordError as error:
        raise FilterInvalid(str(error), hint=error.hint) from None


def plain_where(where: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """
    Return a `where` filter as JSON carries it, its dates and decimals converted.

    Raises:
        FilterInvalid: it holds what JSON can't carry.
    """
    if where is None:
        return None
    plain: dict[str, Any] = _normal(dict(where), "")
    return plain


def path_of(name: Any) -> tuple[str, ...]:
    """Return the path of a property's name; raise `FilterInvalid`."""
    if not isinstance(name, str):
        raise FilterInvalid(f"{name!r} is no property's name")
    steps = tuple(name.split(".")) if "\\" not in name else _unescaped(name)
    if not all(steps):
        raise FilterInvalid(f"{name!r} is no property's name")
    if len(steps) > PATH_STEPS_MAX:
        raise FilterInvalid(f"a property's name has at most {PATH_STEPS_MAX} steps")
    if '"' in name or not _is_encodable(name):
        raise FilterInvalid(f"{name!r}: no filter reaches a name with a quote or half a character")
    return steps


def _unescaped(name: str) -> tuple[str, ...]:
    steps = [""]
    position = 0
    while position < len(name):
        char = name[position]
        if char == ".":
            steps.append("")
        elif char == "\\":
            word = _WORD.match(name, position + 1)
            if word is None or (word[0].isalpha() and steps[-1]):
                steps[-1] += char  # It stands for itself before anything else.
            else:
                steps[-1] += word[0]
                position += len(word[0])
        else:
            steps[-1] += char
        position += 1
    return tuple(steps)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def matches(condition: Condition, record: Record) -> bool:
    """Tell whether a record matches."""
    match condition:
        case Term():
            return _matches(condition, value_at(record, condition.path))
        case All(parts):
            return all(matches(part, record) for part in parts)
        case Any_(parts):
            return any(matches(part, record) for part in parts)
        case Not(part):
            return not matches(part, record)


def value_at(record: Record, path: tuple[str, ...]) -> Any:
    """Return the value at a path; None where there is none."""
    value: Any = record
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _matches(term: Term, found: Any) -> bool:
    value = term.value
    match term.operator:
        case Operator.EQ:
            return _equal(found, value)
        case Operator.NEQ:
            return not _equal(found, value)
        case Operator.INQ:
            return any(_equal(found, item) for item in value)
        case Operator.NIN:
            return not any(_equal(found, item) for item in value)
        case Operator.BETWEEN:
            low, high = value
            return _compares(found, low) and _compares(found, high) and low <= found <= high
        case Operator.LIKE:
            return isinstance(found, str) and _pattern(value).fullmatch(found) is not None
        case Operator.NLIKE:
            return isinstance(found, str) and _pattern(value).fullmatch(found) is None
        case Operator.EXISTS:
            return (found is not None) is value
        case _:
            return _compares(found, value) and _COMPARE[term.operator](found, value)


_COMPARE: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.GT: lambda one, other: one > other,
    Operator.GTE: lambda one, other: one >= other,
    Operator.LT: lambda one, other: one < other,
    Operator.LTE: lambda one, other: one <= other,
}


def kind_of(value: Any) -> str:
    """Return which values a value compares with: `null number text boolean other`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "other"


def _compares(one: Any, other: Any) -> bool:
    kind = kind_of(one)
    return kind in ("number", "text", "boolean") and kind == kind_of(other)


def _equal(one: Any, other: Any) -> bool:
    kind = kind_of(one)
    return kind != "other" and kind == kind_of(other) and bool(one == other)


@functools.lru_cache(maxsize=256)
def _pattern(like: str) -> "re.Pattern[str]":
    pieces = [""]
    for text, wild in like_tokens(like):
        if wild == "%":
            pieces.append("")
        else:
            pieces[-1] += "." if wild else re.escape(text)
    first, *rest = pieces
    if not rest:
        return re.compile(first, re.DOTALL)
    # Between two `%` the first place where a piece fits is as good as any later one, so the search
    # never goes back behind it: with `.*` for each, five of them took a minute on 200 characters.
    middle = "".join(f"(?>.*?{piece})" for piece in rest[:-1] if piece)
    return re.compile(f"{first}{middle}.*{rest[-1]}", re.DOTALL)


def like_tokens(like: str) -> list[tuple[str, str | None]]:
    """Return a pattern's pieces: (text, None), or ("", "%") and ("", "_")."""
    tokens: list[tuple[str, str | None]] = []
    position = 0
    while position < len(like):
        char = like[position]
        if char == "\\" and position + 1 < len(like):
            position += 1
            tokens.append((like[position], None))
        elif char in "%_":
            tokens.append(("", char))
        else:
            tokens.append((char, None))
        position += 1
    return tokens
