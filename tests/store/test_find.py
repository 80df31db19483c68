"""Find in SQL agrees with the pure filter, to the letter."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncline.filters import matches, parse_order, parse_where, sort_records
from syncline.models import Entry, Update, encode_body
from syncline.revision import new_revision
from syncline.schema import schema_from_config
from syncline.store.query import Query
from syncline.store.sql import SqlStore


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


def found(records, condition, by, *, schema=None):
    """Return ids by SQL, of records kept in a store of their own."""
    store = SqlStore("sqlite://")
    store.open()
    if schema is not None:
        store.declare([schema])
    updates = [
        Update(
            model="m",
            record_id=record_id,
            seq=seq,
            rev=new_revision(1, f"{seq:016x}"),
            body=encode_body(record),
        )
        for seq, (record_id, record) in enumerate(records, 1)
    ]
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


@pytest.mark.parametrize("text", ["a%b", "axb"])
def test_an_escaped_wildcard_is_itself(text):
    expected = ["0"] if text == "a%b" else []

    records = [("0", {"id": "0", "t": text})]

    assert expected == found(records, parse_where({"t": {"like": "a\\%b"}}), ())
