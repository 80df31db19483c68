"""Declared models: what a record must be to be kept."""

from datetime import date
from decimal import Decimal

import pytest

from syncline.errors import ConfigError, KeyInvalid, RecordInvalid, RecordTooLarge
from syncline.schema import ModelSchema, check_record, record_id_of, schema_from_config


CAR = schema_from_config(
    "car",
    {
        "strict": True,
        "nulls": True,
        "properties": {
            "maker": "string",
            "year": {"type": "integer", "nullable": False, "default": 1900},
            "price": {"type": "string", "decimal": True},
            "speed": "number",
            "sold": "boolean",
            "built": "date",
            "tags": "array",
            "details": "object",
        },
    },
)
LIMIT = 10_000


def kept(schema, record_id, data):
    return check_record(schema, record_id, data, bytes_max=LIMIT)[0]


def test_defaults_and_nulls_are_filled_in():
    assert {
        "id": "1", "maker": "Ford", "year": 1900, "price": None, "speed": None,
        "sold": None, "built": None, "tags": None, "details": None,
    } == kept(CAR, "1", {"maker": "Ford"})  # fmt: skip


def test_a_date_is_kept_in_utc():
    record = kept(CAR, "1", {"built": "2026-11-23T12:00:00+02:00"})

    assert "2026-11-23T10:00:00.000Z" == record["built"]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        pytest.param({"wheels": 4}, "wheels", id="undeclared"),
        pytest.param({"maker": 1}, "maker", id="no text"),
        pytest.param({"year": 1.5}, "year", id="no integer"),
        pytest.param({"year": True}, "year", id="a boolean is no integer"),
        pytest.param({"speed": "fast"}, "speed", id="no number"),
        pytest.param({"sold": 0}, "sold", id="no boolean"),
        pytest.param({"built": "yesterday"}, "built", id="no date"),
        pytest.param({"tags": {}}, "tags", id="no array"),
        pytest.param({"details": 1}, "details", id="no object"),
        pytest.param({"price": "cheap"}, "price", id="no decimal"),
        pytest.param({"price": "1_000"}, "price", id="Python's own digits"),
        pytest.param({"price": " 1"}, "price", id="a blank"),
        pytest.param({"price": "\u0661"}, "price", id="another alphabet's digit"),
    ],
)
def test_the_wrong_kind_is_refused_by_name(data, word):
    with pytest.raises(RecordInvalid) as raised:
        kept(CAR, "1", data)

    assert word in str(raised.value)


def test_a_schemaless_record_gets_its_id_first():
    assert ["id", "title"] == list(kept(None, "1", {"title": "milk"}))


def test_an_id_that_disagrees_is_refused():
    with pytest.raises(KeyInvalid):
        kept(None, "1", {"id": "2"})


def test_an_integer_id_stays_an_integer():
    schema = ModelSchema(name="n", id_kind="integer")

    assert {"id": 7} == kept(schema, "7", {})
    for wrong in ("x", "07", "-0", "-", "²"):
        with pytest.raises(KeyInvalid):
            kept(schema, wrong, {})


def test_a_record_too_large_names_size_and_limit():
    with pytest.raises(RecordTooLarge, match="10000"):
        kept(None, "1", {"s": "x" * LIMIT})


@pytest.mark.parametrize(
    "value",
    ["", None, True, 1.5, "x" * 256, b"x", "\ud800", 10**255, pytest.param(10**5000, id="huge")],
)
def test_what_is_no_id_is_refused(value):
    with pytest.raises(KeyInvalid):
        record_id_of(value)


def test_an_integer_names_a_record_too():
    assert "7" == record_id_of(7)


@pytest.mark.parametrize(
    ("table", "word"),
    [
        pytest.param({"strickt": True}, "did you mean 'strict'", id="unknown key"),
        pytest.param({"strict": 1}, "true or false", id="no boolean"),
        pytest.param({"properties": {"a": "text"}}, "expected one of", id="unknown type"),
        pytest.param({"properties": {"a": {"type": "string", "nul": 1}}}, "nul", id="property key"),
        pytest.param({"properties": "a"}, "table", id="properties is no table"),
        pytest.param({"id_kind": "uuid"}, "id_kind", id="unknown kind of id"),
        pytest.param(
            {"properties": {"a": {"type": "number", "decimal": True}}}, "decimal", id="no text"
        ),
    ],
)
def test_a_wrong_declaration_says_all_that_is_wrong(table, word):
    with pytest.raises(ConfigError, match=word):
        schema_from_config("car", table)


@pytest.mark.parametrize(
    ("table", "word"),
    [
        pytest.param(["a"], "models.car must be a table", id="no table"),
        pytest.param({"properties": None}, "properties must be a table", id="null"),
        pytest.param({"properties": {"a": 1}}, "a type's name or a table", id="a number"),
        pytest.param({"properties": {"a": {"type": []}}}, "expected one of", id="a type's type"),
        pytest.param(
            {"properties": {"a": {"type": "string", "nullable": "no"}}}, "nullable", id="no flag"
        ),
        pytest.param(
            {"properties": {"a": {"type": "integer", "default": "x"}}}, "default", id="default"
        ),
        pytest.param({"id_name": 5}, "id_name", id="an id's name"),
    ],
)
def test_a_declaration_of_the_wrong_shape_is_refused(table, word):
    with pytest.raises(ConfigError, match=word):
        schema_from_config("car", table)


def test_all_that_is_wrong_is_listed_at_once():
    with pytest.raises(ConfigError) as raised:
        schema_from_config("car", {"strickt": 1, "id_kind": "x", "properties": {"a": "text"}})

    assert all(word in str(raised.value) for word in ("strickt", "id_kind", "properties.a"))


def test_a_default_is_not_shared_between_records():
    schema = schema_from_config("m", {"properties": {"l": {"type": "array", "default": []}}})
    kept(schema, "1", {})["l"].append("edited")

    assert [] == kept(schema, "2", {})["l"]


def test_a_default_is_kept_as_a_record_keeps_it():
    schema = schema_from_config(
        "m",
        {
            "properties": {
                "d": {"type": "date", "default": date(2026, 11, 23)},
                "n": {"type": "number", "default": 2.0},
                "p": {"type": "string", "decimal": True, "default": Decimal("1.50")},
            }
        },
    )

    assert {"id": "1", "d": "2026-11-23T00:00:00.000Z", "n": 2, "p": "1.50"} == kept(
        schema, "1", {}
    )


def test_what_may_not_be_null_takes_its_default_or_is_refused():
    schema = schema_from_config(
        "m",
        {
            "properties": {
                "a": {"type": "string", "nullable": False},
                "b": {"type": "string", "nullable": False, "default": "x"},
            }
        },
    )

    assert "x" == kept(schema, "1", {"a": "y", "b": None})["b"]
    with pytest.raises(RecordInvalid, match=r"m\.a is missing"):
        kept(schema, "1", {})
    with pytest.raises(RecordInvalid, match=r"m\.a must not be null"):
        kept(schema, "1", {"a": None})


def test_an_undeclared_property_of_a_strict_model_gets_a_suggestion():
    with pytest.raises(RecordInvalid) as raised:
        kept(CAR, "1", {"makr": "Ford"})

    assert "did you mean 'maker'?" == raised.value.hint


@pytest.mark.parametrize("year", [2**63 - 2**53, -(2**62)])
def test_an_integer_of_64_bits_is_kept(year):
    assert year == kept(CAR, "1", {"year": year - year % 2**53})["year"] + year % 2**53


@pytest.mark.parametrize("value", [1e20, 2**63, -(2**64)])
def test_an_integer_beyond_64_bits_is_refused_and_a_number_is_not(value):
    assert value == kept(CAR, "1", {"speed": value})["speed"]
    with pytest.raises(RecordInvalid, match="64 bits"):
        kept(CAR, "1", {"year": value})


@pytest.mark.parametrize(
    ("text", "kept_text"),
    [
        pytest.param("2026-11-23", "2026-11-23T00:00:00.000Z", id="a day"),
        pytest.param("2026-11-23T01:02:03", "2026-11-23T01:02:03.000Z", id="without a zone"),
        pytest.param("2026-11-23T01:02:03.123456Z", "2026-11-23T01:02:03.123Z", id="microseconds"),
        pytest.param("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00.000Z", id="into last year"),
    ],
)
def test_dates_are_normalised(text, kept_text):
    assert kept_text == kept(CAR, "1", {"built": text})["built"]


@pytest.mark.parametrize("built", ["0001-01-01T00:00:00+02:00", 5, [], "2026-13-01"])
def test_what_is_no_date_is_refused(built):
    with pytest.raises(RecordInvalid, match=r"car\.built"):
        kept(CAR, "1", {"built": built})


@pytest.mark.parametrize("text", ["NaN", "Infinity", "", "1,5", "0x1"])
def test_a_decimal_is_a_finite_number(text):
    with pytest.raises(RecordInvalid, match="a decimal number as text"):
        kept(CAR, "1", {"price": text})


def test_a_decimal_keeps_every_digit():
    price = "123456789012345678901234567890.10"

    assert price == kept(CAR, "1", {"price": price})["price"]


def test_an_integer_id_beyond_a_double_is_refused():
    schema = ModelSchema(name="n", id_kind="integer")

    assert {"id": -(2**53)} == kept(schema, str(-(2**53)), {})
    with pytest.raises(KeyInvalid, match="2\\^53"):
        kept(schema, str(2**53 + 1), {})


@pytest.mark.parametrize("found", ["8", True, 7.5, [7]])
def test_an_integer_id_that_disagrees_is_refused(found):
    with pytest.raises(KeyInvalid):
        kept(ModelSchema(name="n", id_kind="integer"), "7", {"id": found})


def test_a_record_is_an_object():
    with pytest.raises(RecordInvalid, match="list"):
        kept(None, "1", [1])
