"""
Find in SQL: a parsed filter, translated for SQLite.

Must agree with the pure evaluation in `syncline.filters` to the letter: types never compare with
each other, text compares by code point, LIKE minds the case.
The records themselves are looked at as the JSON in the change list, or, for a typed model, in the
columns of its own table.

Before 3.45 SQLite's JSON ends a text at U+0000, and its GLOB does so to this day, so the texts of a
record that spells it are read by functions of ours; only comparisons with text ask for them.
"""

import sqlite3
from collections.abc import Callable
from typing import Any, NamedTuple, assert_never

import msgspec

from syncline.doubles import EXACT_INTEGER_MAX
from syncline.errors import FilterInvalid
from syncline.filters import (
    All,
    Any_,
    Condition,
    Not,
    Operator,
    Term,
    kind_of,
    like_tokens,
    matches,
    value_at,
)
from syncline.models import Record
from syncline.ordering import Order
from syncline.store.query import Query
from syncline.store.tables import ModelTable


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(type=dict[str, Any]).decode
_decode_path = msgspec.json.Decoder(type=tuple[str, ...]).decode

_JSON_TYPES = {
    "number": "('integer', 'real')",
    "text": "('text')",
    "boolean": "('true', 'false')",
}


class _Field(NamedTuple):
    """
    How a property is reached: its value, and its JSON type, as SQL; and their parameters.

    `text` is its value where that is a text, `path` its names for the functions of ours.
    """

    value: str
    kind: str
    params: tuple[Any, ...]
    text: str
    text_params: tuple[Any, ...]
    path: str


_Resolve = Callable[[tuple[str, ...]], _Field]

# Also true of a body that spells a backslash before `u0000`: then the functions say the same.
_HOLDS_NULL = "instr(c.body, '\\u0000')"


def add_functions(raw: sqlite3.Connection) -> None:
    """Give a connection the functions that `find` and `count` use."""
    raw.create_function("syncline_text", 2, _text_at, deterministic=True)
    raw.create_function("syncline_like", 3, _is_like, deterministic=True)


def _text_at(body: str, path: str) -> str | None:
    value = value_at(_decode(body), _decode_path(path))
    return value if isinstance(value, str) else None


def _is_like(body: str, path: str, like: str) -> bool:
    return matches(Term(_decode_path(path), Operator.LIKE, like), _decode(body))


def find(
    raw: sqlite3.Connection, table: ModelTable | None, model: str, query: Query
) -> list[Record]:
    """
    Return the records that match, in order.

    Args:
        table: the model's own, while each of its rows holds its record.
    """
    resolve = _resolver(table)
    where, params = _condition(query.condition, resolve)
    order, order_params = _order(query.order, resolve)
    source, source_params = _source(table, model)
    if query.after is not None and not query.order:
        where, params = f"({where}) AND c.record_id > ?", (*params, query.after)
    sql = f"SELECT c.record_id, c.body FROM {source} AND ({where}) ORDER BY {order}"
    values: tuple[Any, ...] = (*source_params, *params, *order_params)
    if query.after is not None and query.order:
        return _after(raw.execute(sql, values), query)
    if query.limit is not None:
        sql += " LIMIT ?"
        values = (*values, max(query.limit, 0))
    return [_decode(row[1]) for row in raw.execute(sql, values)]


def _after(rows: sqlite3.Cursor, query: Query) -> list[Record]:
    # By any order, the place of the last record seen is found by reading on to it.
    for record_id, _ in rows:
        if record_id == query.after:
            break
    else:
        raise FilterInvalid(
            f"after: no record {query.after!r} is among those that match",
            hint="begin again from the first page",
        )
    limited = rows.fetchall() if query.limit is None else rows.fetchmany(max(query.limit, 0))
    return [_decode(row[1]) for row in limited] if query.limit != 0 else []


def count(raw: sqlite3.Connection, table: ModelTable | None, model: str, query: Query) -> int:
    """Return how many records match."""
    where, params = _condition(query.condition, _resolver(table))
    source, source_params = _source(table, model)
    sql = f"SELECT count(*) FROM {source} AND ({where})"
    return int(raw.execute(sql, (*source_params, *params)).fetchone()[0])


def _source(table: ModelTable | None, model: str) -> tuple[str, tuple[Any, ...]]:
    if table is None:
        return "syncline_changes c WHERE c.model = ? AND c.body IS NOT NULL", (model,)
    name = _name(table.table.name)
    key = _name(table.id_column.name)
    join = f"c.model = ? AND c.record_id = CAST(t.{key} AS TEXT)"
    return f"{name} t CROSS JOIN syncline_changes c ON {join} WHERE c.body IS NOT NULL", (model,)


def _resolver(table: ModelTable | None) -> _Resolve:
    def in_body(path: tuple[str, ...]) -> _Field:
        # Older SQLite compares a path with the text of the body as it was written, so the names
        # are written as the body's encoder writes them.
        pointer = "$" + "".join(f".{_encode(name).decode()}" for name in path)
        names = _encode(path).decode()
        value = "json_extract(c.body, ?)"
        text = f"CASE WHEN {_HOLDS_NULL} THEN syncline_text(c.body, ?) ELSE {value} END"
        kind = "json_type(c.body, ?)"
        return _Field(value, kind, (pointer,), text, (names, pointer), names)

    if table is None:
        return in_body
    plain = table.plain_columns

    def in_columns(path: tuple[str, ...]) -> _Field:
        kind = plain.get(path[0]) if len(path) == 1 else None
        if kind is None:
            return in_body(path)
        column = f"t.{_name(path[0])}"
        has_kind = f"CASE WHEN {column} IS NULL THEN 'null' ELSE '{kind}' END"
        return _Field(column, has_kind, (), column, (), _encode(path).decode())

    return in_columns


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _condition(condition: Condition, resolve: _Resolve) -> tuple[str, tuple[Any, ...]]:
    match condition:
        case Term():
            return _term(condition, resolve(condition.path))
        case All(parts):
            return _joined(parts, " AND ", "1", resolve)
        case Any_(parts):
            return _joined(parts, " OR ", "0", resolve)
        case Not(part):
            sql, params = _condition(part, resolve)
            return f"NOT ({sql})", params
        case _:
            assert_never(condition)


def _joined(
    parts: tuple[Condition, ...], word: str, empty: str, resolve: _Resolve
) -> tuple[str, tuple[Any, ...]]:
    built = [_condition(part, resolve) for part in parts]
    sql = _balanced([f"({text})" for text, _ in built], word) if built else empty
    return sql, tuple(value for _, values in built for value in values)


def _balanced(texts: list[str], word: str) -> str:
    # SQLite limits the depth of an expression, and a plain chain is as deep as it is long.
    if len(texts) == 1:
        return texts[0]
    middle = len(texts) // 2
    return f"({_balanced(texts[:middle], word)}{word}{_balanced(texts[middle:], word)})"


def _term(term: Term, field: _Field) -> tuple[str, tuple[Any, ...]]:
    match term.operator:
        case Operator.EQ:
            return _equal(field, term.value)
        case Operator.NEQ:
            return _negated(_equal(field, term.value))
        case Operator.INQ:
            return _any_equal(field, term.value)
        case Operator.NIN:
            return _negated(_any_equal(field, term.value))
        case Operator.GT | Operator.GTE | Operator.LT | Operator.LTE:
            return _compared(field, _SIGNS[term.operator], term.value)
        case Operator.BETWEEN:
            low, high = term.value
            above, above_params = _compared(field, ">=", low)
            below, below_params = _compared(field, "<=", high)
            return f"({above}) AND ({below})", (*above_params, *below_params)
        case Operator.LIKE:
            return _like(field, term.value, "")
        case Operator.NLIKE:
            return _like(field, term.value, "NOT ")
        case Operator.EXISTS:
            sql = f"coalesce({field.kind}, 'null') <> 'null'"
            return (sql if term.value else f"NOT ({sql})"), field.params
        case _:
            assert_never(term.operator)


_SIGNS = {
    Operator.GT: ">",
    Operator.GTE: ">=",
    Operator.LT: "<",
    Operator.LTE: "<=",
}


def _negated(built: tuple[str, tuple[Any, ...]]) -> tuple[str, tuple[Any, ...]]:
    return f"NOT ({built[0]})", built[1]


def _any_equal(field: _Field, values: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    by_kind: dict[str, list[Any]] = {}
    for value in values:
        by_kind.setdefault(kind_of(value), []).append(value)
    built: list[tuple[str, tuple[Any, ...]]] = []
    for kind, alike in by_kind.items():
        if kind == "null":
            built.append(_equal(field, None))
            continue
        marks = ", ".join("?" * len(alike))
        is_kind = f"coalesce({field.kind}, 'null') IN {_JSON_TYPES[kind]}"
        value, params = _value_of(field, kind)
        sql = f"{is_kind} AND {value} IN ({marks})"
        built.append((sql, (*field.params, *params, *map(_bound, alike))))
    joined = " OR ".join(f"({text})" for text, _ in built) or "0"
    return joined, tuple(param for _, params in built for param in params)


def _bound(value: Any) -> Any:
    # The driver takes integers of 64 bits; a filter's larger ones are doubles to the digit.
    return float(value) if isinstance(value, int) and abs(value) > EXACT_INTEGER_MAX else value


def _equal(field: _Field, value: Any) -> tuple[str, tuple[Any, ...]]:
    if value is None:
        return f"coalesce({field.kind}, 'null') = 'null'", field.params
    return _compared(field, "=", value)


def _compared(field: _Field, sign: str, value: Any) -> tuple[str, tuple[Any, ...]]:
    kind = kind_of(value)
    kinds = _JSON_TYPES.get(kind)
    if kinds is None:
        return "0", ()
    found, params = _value_of(field, kind)
    # `coalesce`, so that NOT of a comparison with nothing is true, as in the pure evaluation.
    sql = f"coalesce({field.kind}, 'null') IN {kinds} AND {found} {sign} ?"
    return sql, (*field.params, *params, _bound(value))


def _value_of(field: _Field, kind: str) -> tuple[str, tuple[Any, ...]]:
    return (field.text, field.text_params) if kind == "text" else (field.value, field.params)


def _like(field: _Field, like: str, negation: str) -> tuple[str, tuple[Any, ...]]:
    # GLOB minds the case, LIKE in SQLite does not.
    glob = "".join(
        {"%": "*", "_": "?"}[wild] if wild else (f"[{text}]" if text in "*?[" else text)
        for text, wild in like_tokens(like)
    )
    # A pattern with U+0000 is like nothing that does not hold it.
    is_like, params = (
        ("0", ()) if "\0" in like else (f"{field.value} GLOB ?", (*field.params, glob))
    )
    sql = (
        f"coalesce({field.kind}, 'null') = 'text' AND {negation}"
        f"(CASE WHEN {_HOLDS_NULL} THEN syncline_like(c.body, ?, ?) ELSE {is_like} END)"
    )
    return sql, (*field.params, field.path, like, *params)


def _order(order: tuple[Order, ...], resolve: _Resolve) -> tuple[str, tuple[Any, ...]]:
    parts: list[str] = []
    params: list[Any] = []
    for one in order:
        field = resolve(one.path)
        way = "DESC" if one.descending else "ASC"
        rank = (
            f"CASE coalesce({field.kind}, 'null') WHEN 'null' THEN 0 WHEN 'true' THEN 1 "
            "WHEN 'false' THEN 1 WHEN 'integer' THEN 2 WHEN 'real' THEN 2 WHEN 'text' THEN 3 "
            "ELSE 4 END"
        )
        # Objects and arrays have one rank and no order among themselves.
        value = (
            f"CASE {field.kind} WHEN 'object' THEN 0 WHEN 'array' THEN 0 "
            f"WHEN 'text' THEN {field.text} ELSE {field.value} END"
        )
        parts += [f"{rank} {way}", f"{value} {way}"]
        params += [*field.params, *field.params, *field.text_params, *field.params]
    return ", ".join([*parts, "c.record_id ASC"]), tuple(params)
