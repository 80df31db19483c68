"""Filters in SQL agree with the pure ones where the two engines are least alike."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncline.digest import normalise
from syncline.filters import matches, parse_where
from syncline.models import Entry, Update, encode_body
from syncline.ordering import parse_order, sort_records
from syncline.revision import new_revision
from syncline.schema import schema_from_config
from syncline.store.query import Query
from syncline.store.sql import SqlStore


VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "filters.json").read_text())
TYPED = schema_from_config(
    "m", {"properties": {"é": "string", "n": "number", "i": "integer", "j": "object"}}
)


def by_sql(records, where, order=(), schema=None):
    """Return the ids that a store finds, in its order."""
    store = SqlStore("sqlite://")
    store.open()
    if schema is not None:
        store.declare([schema])
    entries = [
        Entry(
            Update(
                model="m",
                record_id=record_id,
                seq=seq,
                rev=new_revision(1, f"{seq:016x}"),
                body=encode_body(record),
            )
        )
        for seq, (record_id, record) in enumerate(records, 1)
    ]
    with store.write() as tx:
        tx.next_seqs(len(entries))
        tx.write(entries)
    with store.read() as reader:
        query = Query(condition=parse_where(where), order=parse_order(order))
        found = [record["id"] for record in reader.find("m", query)]
        assert len(found) == reader.count("m", query)
    store.close()
    return found


def agree(rows, where, order=(), schema=None):
    records = [(str(n), {"id": str(n), **normalise(row)}) for n, row in enumerate(rows)]
    condition = parse_where(where)
    kept = [(i, record) for i, record in records if matches(condition, record)]
    expected = [i for i, _ in sort_records(kept, parse_order(order))]

    assert expected == by_sql(records, where, order, schema)
    return expected


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: json.dumps(vector["where"])[:60])
def test_a_record_is_found_or_not_as_the_vectors_say(vector):
    found = by_sql([("1", {"id": "1", **vector["record"]})], vector["where"])

    assert vector["matches"] is bool(found)


@pytest.mark.parametrize(
    "name",
    ["é", "🚗", "a\\b", "a\0b", "a[0]", "#-1", "$", "\x7f", "é[", "'"],
)
def test_a_property_is_found_by_any_name(name):
    rows = [{name: 1}, {name: 2}, {}, {"x": {name: 1}}, {"x": 5}, {"x": {name: {"y": 1}}}]

    assert ["0"] == agree(rows, {name: 1})
    assert ["3"] == agree(rows, {f"x.{name}": 1})
    assert ["5"] == agree(rows, {f"x.{name}.y": 1})
    assert ["1", "0"] == agree(rows, {name: {"exists": True}}, [f"{name} DESC"])


@pytest.mark.parametrize(
    "where",
    [
        pytest.param({"a": {"inq": list(range(1000))}}, id="a list"),
        pytest.param({"a": {"nin": list(range(2, 1002))}}, id="none of a list"),
        pytest.param({"or": [{"a": n} for n in range(499)]}, id="alternatives"),
        pytest.param({f"b{n}": None for n in range(1000)}, id="conditions"),
        pytest.param({"a": {"inq": [1, *"abc", True, None, 0.5]}}, id="kinds"),
        pytest.param({"a": {"nin": [1, "1", True, None]}}, id="none of kinds"),
    ],
)
def test_a_filter_at_its_bounds_is_answered(where):
    agree([{"a": 1}, {"a": True}, {"a": "1"}, {"a": None}, {}, {"a": [1]}, {"a": 0.5}], where)


@pytest.mark.parametrize("sign", ["eq", "neq", "gt", "gte", "lt", "lte"])
@pytest.mark.parametrize("number", [2**53, 2**63, -(2**63), 2**64, 2**70, -(2**70), 1e300, 5e-324])
def test_large_and_small_numbers_compare_exactly(sign, number):
    rows = [{"a": n} for n in (0, 2**53, 2**53 - 1, 2**63, -(2**63), 2**64, 2**70, 1e300, 5e-324)]

    agree(rows, {"a": {sign: number}}, ["a DESC"])


names = st.sampled_from(["é", "n", "i", "j", "j.a[b", "j.é.🚗", "j.0"])
numbers = st.sampled_from([0, 1, -1, 0.5, 2**53, 2**70, 1e300])
texts = st.text(st.sampled_from("aAéÉ%_\\[]*?^-🚗￠'\""), max_size=4)
values = st.one_of(st.none(), st.booleans(), numbers, texts)
terms = st.one_of(
    values,
    st.dictionaries(st.sampled_from(["eq", "neq", "gt", "gte", "lt", "lte"]), values, min_size=1),
    st.dictionaries(st.sampled_from(["like", "nlike"]), texts, min_size=1),
    st.dictionaries(st.sampled_from(["inq", "nin"]), st.lists(values, max_size=4), min_size=1),
    st.builds(lambda low, high: {"between": [low, high]}, values, values),
)
filters = st.recursive(
    st.dictionaries(names, terms, max_size=2),
    lambda inner: st.one_of(
        st.builds(
            lambda key, parts: {key: parts},
            st.sampled_from(["and", "or", "nor"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=4,
)
nested = st.one_of(
    values,
    st.fixed_dictionaries(
        {},
        optional={
            "a[b": values,
            "é": st.fixed_dictionaries({}, optional={"🚗": values}),
            "0": values,
        },
    ),
)
untyped = st.fixed_dictionaries({}, optional={"é": values, "n": values, "i": values, "j": nested})
typed = st.fixed_dictionaries(
    {},
    optional={
        "é": st.one_of(st.none(), texts),
        "n": st.one_of(st.none(), numbers),
        "i": st.one_of(st.none(), st.sampled_from([0, 1, -1, 2**53, -(2**63)])),
        "j": nested.filter(lambda value: value is None or isinstance(value, dict)),
    },
)
orders = st.lists(st.builds("{} {}".format, names, st.sampled_from(["ASC", "DESC"])), max_size=2)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(untyped, min_size=1, max_size=6), filters, orders)
def test_schemaless_records_of_awkward_values(rows, where, order):
    agree(rows, where, order)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(typed, min_size=1, max_size=6), filters, orders)
def test_typed_records_of_awkward_values(rows, where, order):
    agree(rows, where, order, TYPED)
