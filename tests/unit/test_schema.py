"""Declared models: what a record must be to be kept."""

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
    for wrong in ("x", "07", "²"):
        with pytest.raises(KeyInvalid):
            kept(schema, wrong, {})


def test_a_record_too_large_names_size_and_limit():
    with pytest.raises(RecordTooLarge, match="10000"):
        kept(None, "1", {"s": "x" * LIMIT})


@pytest.mark.parametrize("value", ["", None, True, 1.5, "x" * 256, b"x", "\ud800"])
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
    ],
)
def test_a_wrong_declaration_says_all_that_is_wrong(table, word):
    with pytest.raises(ConfigError, match=word):
        schema_from_config("car", table)
