"""Find in SQL agrees with the pure filter, to the letter."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncline.errors import FilterInvalid
from syncline.filters import matches, parse_where
from syncline.models import Entry, Update, encode_body
from syncline.ordering import parse_order, sort_records
from syncline.revision import new_revision
from syncline.schema import schema_from_config
from syncline.store.memory import MemoryStore
from syncline.store.query import Query
from syncline.store.sql import SqlStore


VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "filters.json").read_text())
TYPED = schema_from_config(
    "m", {"properties": {"a": "integer", "b": "string", "c": "boolean", "d": "number"}}
)
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.5, -1.5, 2**53, 1e20]),
    st.sampled_from(["", "a", "A", "ab", "a%b", "a_b", "é", "😀", "*?[", "1", "true"]),
)
untyped = st.fixed_dictionaries(
    {},
    optional={
        "a": plain,
        "b": plain,
        "c": st.one_of(plain, st.just({"x": 1}), st.just([1])),
        "d": st.fixed_dictionaries({}, optional={"x": plain}),
    },
)
typed = st.fixed_dictionaries(
    {},
    optional={
        "a": st.one_of(st.none(), st.integers(-3, 3)),
        "b": st.one_of(st.none(), st.sampled_from(["", "a", "A", "ab", "é"])),
        "c": st.one_of(st.none(), st.booleans()),
        "d": st.one_of(st.none(), st.sampled_from([0.5, -1.5, 2, 3])),
    },
)
name = st.sampled_from(["a", "b", "c", "d", "d.x", "id"])
like = st.sampled_from(["%", "a%", "A_", "_", "%b", "a\\%b", "a\\_b", "*?[", "", "%é%"])
comparison = st.one_of(
    plain,
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("eq", "neq", "gt", "gte", "lt", "lte"), plain)
    ).filter(bool),
    st.builds(lambda v: {"inq": v}, st.lists(plain, max_size=3)),
    st.builds(lambda v: {"nin": v}, st.lists(plain, max_size=3)),
    st.builds(lambda a, b: {"between": [a, b]}, plain, plain),
    st.builds(lambda v: {"like": v}, like),
    st.builds(lambda v: {"nlike": v}, like),
    st.builds(lambda v: {"exists": v}, st.booleans()),
)
leaf = st.dictionaries(name, comparison, max_size=2)
where = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.builds(lambda v: {"and": v}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda v: {"or": v}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda v: {"nor": v}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda v: {"not": v}, inner),
    ),
    max_leaves=4,
)
order = st.lists(
    st.builds(lambda n, w: f"{n} {w}", name, st.sampled_from(["ASC", "DESC"])), max_size=2
)


def updated(record_id, seq, data):
    return Update(
        model="m",
        record_id=record_id,
        seq=seq,
        rev=new_revision(1, f"{seq:016x}"),
        body=encode_body({"id": record_id, **data}),
    )


def found(records, condition, by, *, schema=None):
    """Return ids by SQL, of records kept in a store of their own."""
    store = SqlStore("sqlite://")
    store.open()
    if schema is not None:
        store.declare([schema])
    updates = [updated(record_id, seq, data) for seq, (record_id, data) in enumerate(records, 1)]
    with store.write() as tx:
        tx.next_seqs(len(updates))
        tx.write([Entry(update) for update in updates])
    with store.read() as reader:
        asked = Query(condition=condition, order=by)
        answer = [record["id"] for record in reader.find("m", asked)]
        assert len(answer) == reader.count("m", asked)
    store.close()
    return answer


def agree(rows, asked, by, schema=None):
    records = [(str(n), {"id": str(n), **row}) for n, row in enumerate(rows)]
    condition, parsed = parse_where(asked), parse_order(by)
    kept = [(i, r) for i, r in records if matches(condition, r)]
    expected = [record["id"] for _, record in sort_records(kept, parsed)]

    assert expected == found(records, condition, parsed, schema=schema)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(untyped, min_size=1, max_size=6), where, order)
def test_schemaless_records(rows, asked, by):
    agree(rows, asked, by)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(typed, min_size=1, max_size=6), where, order)
def test_typed_records(rows, asked, by):
    agree(rows, asked, by, schema=TYPED)


def test_the_comparison_goes_red_when_the_two_disagree(monkeypatch):
    from syncline.store import find_sql

    monkeypatch.setitem(find_sql._SIGNS, "gt", ">=")
    records = [("1", {"id": "1", "a": 1})]

    assert ["1"] == found(records, parse_where({"a": {"gt": 1}}), ())
    assert not matches(parse_where({"a": {"gt": 1}}), msgspec.json.decode(b'{"a":1}'))


def sides(record, asked):
    """Return whether the pure filter matches, and whether SQL does."""
    condition = parse_where(asked)
    return matches(condition, record), bool(found([(record["id"], record)], condition, ()))


@pytest.mark.parametrize(
    "name",
    ["é", "😀", "a'b", "a b", "a[0]", "$", "#", "a\\b", "\n", "\x00", "\x7f", "/", "?", "e\u0301"],
)
def test_a_property_of_any_name_is_reached(name):
    record = {"id": "1", name: 1, "in": {name: "x"}}

    assert (True, True) == sides(record, {name: {"gt": 0}})
    assert (True, True) == sides(record, {f"in.{name}": {"inq": ["x"]}})
    assert (True, True) == sides(record, {f"{name}x": None})


@pytest.mark.parametrize(
    ("value", "asked", "is_match"),
    [
        pytest.param(10**20, {"eq": 1e20}, True, id="beyond 64 bits"),
        pytest.param(10**20, {"gt": 2**80}, False, id="compared with one greater"),
        pytest.param(2**53, {"inq": [2**53, 2**70]}, True, id="one of large ones"),
        pytest.param(-(2**62), {"between": [-(2**70), 0]}, True, id="between"),
        pytest.param(5e-324, {"gt": 0}, True, id="the least double"),
        pytest.param(1.7976931348623157e308, {"gte": 1.7976931348623157e308}, True, id="greatest"),
        pytest.param(0.1, {"eq": 0.1}, True, id="a tenth"),
    ],
)
def test_numbers_at_the_edges_compare_alike(value, asked, is_match):
    assert (is_match, is_match) == sides({"id": "1", "n": value}, {"n": asked})


def test_filters_at_their_bounds_are_answered_alike():
    record = {"id": "1", "n": 999, "t": "x999"}
    numbers, texts = list(range(1000)), [f"x{n}" for n in range(1000)]

    assert (True, True) == sides(record, {"n": {"inq": numbers}, "t": {"inq": texts}})
    assert (False, False) == sides(record, {"n": {"nin": numbers}})
    assert (True, True) == sides(record, {"or": [{"n": n} for n in numbers[1:]]})
    assert (False, False) == sides(record, {"and": [{"n": n} for n in numbers[1:]]})
    assert (True, True) == sides(record, {f"a{n}": {"inq": [None] * 10} for n in range(1000)})
    deep = {"n": 999}
    for _ in range(16):
        deep = {"not": deep}
    assert (True, True) == sides(record, deep)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: json.dumps(vector["where"])[:60])
def test_sql_follows_the_vectors_too(vector):
    record = {"id": "1", **vector["record"]}

    assert (vector["matches"],) * 2 == sides(record, vector["where"])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(untyped, min_size=1, max_size=6), where, order, st.integers(0, 5), st.integers(0, 4)
)
def test_pages_of_memory_and_sql_are_alike(rows, asked, by, after, limit):
    condition, parsed = parse_where(asked), parse_order(by)
    query = Query(condition=condition, order=parsed, after=str(after), limit=limit)
    answers = []
    for store in (MemoryStore(), SqlStore("sqlite://")):
        store.open()
        with store.write() as tx:
            first = tx.next_seqs(len(rows))
            tx.write([Entry(updated(str(n), first + n, row)) for n, row in enumerate(rows)])
        try:
            with store.read() as reader:
                answers.append([record["id"] for record in reader.find("m", query)])
        except FilterInvalid as error:
            answers.append(str(error))
        store.close()

    assert answers[0] == answers[1]


@pytest.mark.parametrize("text", ["a%b", "axb"])
def test_an_escaped_wildcard_is_itself(text):
    expected = ["0"] if text == "a%b" else []

    records = [("0", {"id": "0", "t": text})]

    assert expected == found(records, parse_where({"t": {"like": "a\\%b"}}), ())
