"""The pure parts of the LoopBack door, alone."""

import pytest
from aiohttp.test_utils import make_mocked_request

from syncline.errors import FilterInvalid, MessageInvalid
from synclined.loopback.filters import (
    NOTHING,
    like_of,
    nested_query,
    read_fields,
    read_filter,
    read_where,
)
from synclined.loopback.names import change_id, model_of, plural_of
from synclined.loopback.tokens import tokens_of
from synclined.loopback.wire import parse_json, read_change, read_since


@pytest.mark.parametrize(
    ("name", "plural"),
    [
        ("Car", "Cars"),
        ("Person", "People"),
        ("child", "children"),
        ("Category", "Categories"),
        ("Day", "Days"),
        ("Box", "Boxes"),
        ("Bus", "Buses"),
        ("Hero", "Heroes"),
        ("Wolf", "Wolves"),
        ("Sheep", "Sheep"),
        ("Cars", "Cars"),
        ("Analysis", "Analyses"),
        ("Index", "Indices"),
        ("Wife", "Wives"),
        ("Quiz", "Quizzes"),
    ],
)
def test_a_plural_is_loopbacks(name, plural):
    assert plural == plural_of(name)


def test_a_path_names_a_model_by_its_name_or_its_plural():
    assert ["Car", "Car", "Cars", None] == [
        model_of("Car", ["Car"]),
        model_of("Cars", ["Car"]),
        model_of("Cars", ["Car", "Cars"]),
        model_of("Truck", ["Car"]),
    ]


def test_a_change_id_is_the_hash_of_model_dash_id():
    assert "46ab956ed8f579aaa466ce66933970be3fa2958f" == change_id("Car", "Ford-Mustang")


@pytest.mark.parametrize(
    ("regexp", "like"),
    [
        ("ab", "%ab%"),
        ("^ab", "ab%"),
        ("ab$", "%ab"),
        ("^a.*b.c$", "a%b_c"),
        (r"/^100\.5%_$/", r"100.5\%\_"),
        (r"a\$", "%a$%"),
        ("", "%%"),
    ],
)
def test_a_plain_regular_expression_is_a_pattern(regexp, like):
    assert like == like_of("n", regexp)


@pytest.mark.parametrize("regexp", ["a+", "(a)", "a|b", r"\d", "[a]", "a{2}", "/a/i", 7, "a\\"])
def test_any_other_is_refused(regexp):
    with pytest.raises(FilterInvalid, match="'n'"):
        like_of("n", regexp)


@pytest.mark.parametrize(
    ("where", "read"),
    [
        (None, None),
        ({}, None),
        ({"a": 1, "and": []}, {"a": 1, "and": [NOTHING]}),
        ({"or": []}, {"or": [NOTHING]}),
        ({"nor": []}, {}),
        ({"a": {"like": "x"}}, {"a": {"like": "%x%"}}),
        ({"a": {"like": "x", "options": "g"}}, {"a": {"like": "%x%"}}),
        ({"a": "2026-01-01T01:00:00+01:00"}, {"a": "2026-01-01T00:00:00.000Z"}),
        ({"a": {"inq": ["2026-01-01T00:00:00Z"]}}, {"a": {"inq": ["2026-01-01T00:00:00.000Z"]}}),
        ({"or": [{"a": 1}, {"b": {"gt": 2}}]}, {"or": [{"a": 1}, {"b": {"gt": 2}}]}),
    ],
)
def test_a_where_is_read(where, read):
    assert read == read_where(where)


@pytest.mark.parametrize(
    "value",
    [
        {"where": 1},
        {"where": {"a": {"ilike": "x"}}},
        {"where": {"and": {}}},
        {"include": "owner"},
        {"limit": "x"},
        {"limit": True},
        {"skip": -1},
        {"fields": 3},
        {"fields": [1]},
        {"order": {"a": 1}},
        [],
    ],
    ids=str,
)
def test_a_filter_that_cannot_be_read_is_named(value):
    with pytest.raises(FilterInvalid):
        read_filter(value)


def test_a_where_nested_too_deep_is_named():
    where = {"a": 1}
    for _ in range(30):
        where = {"and": [where]}
    with pytest.raises(FilterInvalid, match="deeper"):
        read_where(where)


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        (None, {"a": 1, "b": 2}),
        ([], {"a": 1, "b": 2}),
        ("a", {"a": 1}),
        (["a", "c"], {"a": 1}),
        ({"a": True}, {"a": 1}),
        ({"a": "true"}, {"a": 1}),
        ({"a": False}, {"b": 2}),
    ],
)
def test_fields_shape_a_record(fields, shown):
    assert shown == read_fields(fields).of({"a": 1, "b": 2})


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ([], None),
        ([("other", "1")], None),
        ([("filter[limit]", "2")], {"limit": 2}),
        ([("filter[where][a][inq][0]", "x"), ("filter[where][a][inq][1]", "y")],
         {"where": {"a": {"inq": ["x", "y"]}}}),
        ([("filter[where][a]", "true"), ("filter[where][b]", "null")],
         {"where": {"a": True, "b": None}}),
        ([("filter[where][id]", "007")], {"where": {"id": "007"}}),
    ],
)  # fmt: skip
def test_brackets_make_an_object(query, read):
    assert read == nested_query(query, "filter")


def test_brackets_that_contradict_themselves_are_named():
    with pytest.raises(FilterInvalid, match="both"):
        nested_query([("where[a]", "1"), ("where[a][b]", "2")], "where")
    with pytest.raises(FilterInvalid, match="deeper"):
        nested_query([("where" + "[a]" * 50, "1")], "where")


def test_numbers_keep_their_digits_until_a_record_is_judged():
    """Rounded here, what `put` refuses would be stored as another number."""
    assert 9223372036854776000 == parse_json("9223372036854776000", "x")
    assert [2**53 + 1, {"a": 1}] == parse_json(b'[9007199254740993, {"a": 1}]', "x")
    with pytest.raises(MessageInvalid, match="the body is no JSON"):
        parse_json(b"{", "the body")


@pytest.mark.parametrize(
    ("fields", "rev", "prev"),
    [
        ({"rev": "a"}, "a", None),
        ({"rev": "a", "prev": None}, "a", ""),
        ({"rev": None, "prev": "b"}, "", "b"),
        ({"rev": None, "prev": "unknown"}, "", None),
    ],
)
def test_a_change_is_read_with_absence_told_from_null(fields, rev, prev):
    change = read_change({"modelId": 7, **fields}, "x")

    assert ("7", rev, prev) == (change.record_id, change.rev, change.prev)


@pytest.mark.parametrize(
    ("query", "since"),
    [("", None), ("?since=", None), ("?since=-1", -1), ("?since=3", 3), ("?since=2.5", 3)],
)
def test_since_is_read(query, since):
    assert since == read_since(make_mocked_request("GET", f"/{query}"))


@pytest.mark.parametrize("text", ["x", "nan", "inf", "1e99", "0x1"])
def test_a_since_that_is_no_checkpoint_is_named(text):
    with pytest.raises(MessageInvalid, match="since"):
        read_since(make_mocked_request("GET", f"/?since={text}"))


def test_a_query_token_goes_before_headers():
    request = make_mocked_request(
        "GET", "/?access_token=q", headers={"X-Access-Token": "x", "Authorization": "a"}
    )

    assert ["q", "x", "a"] == list(tokens_of(request))
