"""Ids and texts of any code point, U+0000 among them, are what they are in every store."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import syncline
from syncline.digest import normalise
from syncline.errors import ConfigError, ModelUnknown
from syncline.filters import matches, parse_where
from syncline.models import Entry, Pending, Update, encode_body
from syncline.ordering import parse_order, sort_records
from syncline.revision import new_revision
from syncline.schema import schema_from_config
from syncline.store.memory import MemoryStore
from syncline.store.query import Query
from syncline.store.sql import SqlStore


STORES = {"memory": MemoryStore, "sqlite": lambda: SqlStore("sqlite://")}
TYPED = schema_from_config("m", {"properties": {"v": "string"}})

# Few letters, so that one text often is another's beginning, with what databases trip over.
texts = st.text(st.sampled_from("ab\0\x01\\u0é\ud7ff\ue000￿🚗\"'%_"), max_size=5)
wide = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ids = st.one_of(texts, wide).filter(bool)


def entry(model, record_id, seq, data, **fields):
    rev = new_revision(1, f"{seq:016x}")
    body = encode_body({"id": record_id, **normalise(data)})
    return Entry(Update(model=model, record_id=record_id, seq=seq, rev=rev, body=body, **fields))


def filled(kind, entries, schema=None):
    store = STORES[kind]()
    store.open()
    if schema is not None:
        store.declare([schema])
    with store.write() as tx:
        tx.next_seqs(len(entries))
        tx.write(entries)
    return store


@pytest.mark.parametrize("kind", STORES)
@settings(max_examples=100, deadline=None, derandomize=True)
@given(held=st.lists(ids, min_size=1, max_size=6, unique=True), asked=st.lists(ids, max_size=6))
def test_a_record_of_any_id_is_looked_up_and_no_other(kind, held, asked):
    entries = [entry("m", record_id, seq, {}) for seq, record_id in enumerate(held, 1)]
    store = filled(kind, entries)
    keys = [("m", record_id) for record_id in {*held, *asked}]

    with store.write() as tx:
        found = tx.entries(keys)
        tx.write_digests("m", [(record_id, b"d" + record_id.encode()) for record_id in held])
        known = tx.digests("m", [record_id for _, record_id in keys])
    store.close()

    assert {each.update.key: each for each in entries} == found
    assert {record_id: b"d" + record_id.encode() for record_id in held} == known


@pytest.mark.parametrize("kind", STORES)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(names=st.lists(ids, min_size=2, max_size=5, unique=True))
def test_models_and_groups_of_any_name_are_apart(kind, names):
    entries = [entry(name, "1", seq, {}, group=f"g{name}") for seq, name in enumerate(names, 1)]
    store = filled(kind, entries)
    with store.write() as tx:
        tx.write_pending([Pending(model=name, record_id="1") for name in names])
        some = names[1:]

        assert [(name, "1") for name in sorted(some)] == sorted(tx.keys_of(some))
        read = tx.changes(0, models=some, limit=100)
        grouped = tx.grouped_outbox([f"g{name}" for name in some])
    store.close()

    assert some == [update.model for update in read]
    assert some == [update.model for update in grouped]


async def test_a_models_name_with_a_null_character_is_refused():
    """A replica in a page keeps records under the model, U+0000 and the id."""
    async with await syncline.Replica.open() as replica:
        with pytest.raises(ModelUnknown):
            replica.model("a\0b")
    with pytest.raises(ConfigError, match="no model's name"):
        await syncline.Replica.open(models=["a\0b"])


comparisons = st.one_of(
    texts,
    st.dictionaries(st.sampled_from(["eq", "neq", "gt", "gte", "lt", "lte"]), texts, min_size=1),
    st.dictionaries(st.sampled_from(["like", "nlike"]), texts, min_size=1),
    st.dictionaries(st.sampled_from(["inq", "nin"]), st.lists(texts, max_size=3), min_size=1),
    st.builds(lambda low, high: {"between": [low, high]}, texts, texts),
)


def agree(rows, asked, order, schema):
    records = [(str(n), {"id": str(n), "v": value}) for n, value in enumerate(rows)]
    condition, by = parse_where({"v": asked}), parse_order(order)
    kept = [(i, record) for i, record in records if matches(condition, record)]
    expected = [record for _, record in sort_records(kept, by)]
    entries = [entry("m", i, seq, record) for seq, (i, record) in enumerate(records, 1)]
    for kind in STORES:
        store = filled(kind, entries, schema)
        with store.read() as reader:
            query = Query(condition=condition, order=by)
            assert expected == reader.find("m", query), kind
            assert len(expected) == reader.count("m", query), kind
        store.close()


@pytest.mark.parametrize("schema", [None, TYPED], ids=["schemaless", "typed"])
@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    rows=st.lists(texts, min_size=1, max_size=6),
    asked=comparisons,
    order=st.sampled_from([[], ["v ASC"], ["v DESC"]]),
)
def test_every_store_finds_texts_as_the_pure_filter_does(schema, rows, asked, order):
    agree(rows, asked, order, schema)


def test_a_text_is_not_taken_for_its_beginning():
    with_null = entry("m", "1", 1, {"v": "a\0b"})
    store = filled("sqlite", [with_null])

    with store.read() as reader:
        short = reader.count("m", Query(condition=parse_where({"v": "a"})))
        whole = reader.count("m", Query(condition=parse_where({"v": "a\0b"})))
        starts = reader.count("m", Query(condition=parse_where({"v": {"like": "a_b"}})))
    store.close()

    assert (0, 1, 1) == (short, whole, starts)


NUMBERS = [0.1 + 0.2, 1 / 3, 2.0**-1074, 1.7976931348623157e308, 123456789.123456789]


@pytest.mark.parametrize("kind", STORES)
def test_no_digit_of_a_number_is_lost_on_the_way_through_a_store(kind):
    """SQLite's own JSON writes doubles with 15 digits: no body may pass through it."""
    written = entry("m", "1", 1, {"v": NUMBERS})
    store = filled(kind, [written])

    with store.read() as reader:
        read = reader.entry("m", "1")
        found = reader.find("m", Query(condition=parse_where(None)))
    store.close()

    assert written.update.body == read.update.body
    assert msgspec.json.decode(encode_body({"v": NUMBERS})) == {"v": found[0]["v"]}
