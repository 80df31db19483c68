"""Canonical JSON byte for byte as LoopBack's, and the walk that every record passes."""

import collections
import json
import math
import random
import shutil
import struct
import subprocess
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from pathlib import Path
from uuid import UUID

import pytest

from syncline.digest import _fast_json, canonical_json, digest_of, normalise, number_text
from syncline.errors import NumberNotAllowed, RecordError, RecordInvalid


VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "digest.json").read_text())
KNOWN = [vector for vector in VECTORS if "canonical" in vector]
REFUSED = [vector for vector in VECTORS if "refused" in vector]


@pytest.mark.parametrize("vector", KNOWN, ids=lambda vector: vector["name"])
def test_canonical_json_and_digest_are_loopbacks(vector):
    assert vector["canonical"] == canonical_json(vector["json"])
    assert vector["digest"] == digest_of(vector["json"])


@pytest.mark.parametrize("vector", REFUSED, ids=lambda vector: vector["name"])
def test_what_no_replica_may_keep_is_refused_by_its_code(vector):
    with pytest.raises(RecordError) as raised:
        normalise(json.loads(vector["text"]))

    assert vector["refused"] == raised.value.code


def test_the_fast_writer_is_taken_only_where_it_writes_the_same():
    chance = random.Random(3)
    pieces = [
        "a",
        "Z",
        '"',
        "\\",
        "\n",
        "\x00",
        "\x7f",
        "\x9f",
        "é",
        "\u00ad",
        "\u2028",
        "\uffff",
        "🚗",
    ]

    def text():
        return "".join(chance.choice(pieces) for _ in range(chance.randrange(3)))

    def value(depth=0):
        leaves = [text, lambda: chance.choice([None, True, 7, -(2**53), 2**60, 0.5, 1.0])]
        nested = [lambda: {text(): value(depth + 1) for _ in range(3)}, lambda: [value(depth + 1)]]
        return chance.choice(leaves + nested if depth < 3 else leaves)()

    values = [value() for _ in range(2000)]
    fast = [(kept, v) for v in values if (kept := _fast_json(v)) is not None]

    assert 500 < len(fast) < len(values)
    assert [canonical_json(v).encode() for _, v in fast] == [kept for kept, _ in fast]


def test_an_integer_beyond_all_doubles_is_an_infinity_and_so_null():
    assert '{"n":null}' == canonical_json({"n": 10**400})


def doubles(count):
    chance = random.Random(7)
    found = [0.0, 1e21, 1e-6, 1e-7, 123e-20, 5e-324, 2.0**53, 0.1, 100.0, 1e16]
    while len(found) < count:
        (number,) = struct.unpack("<d", chance.randbytes(8))
        if math.isfinite(number):
            found.append(number)
            found.append(round(chance.uniform(-1e6, 1e6), chance.randrange(8)))
    return found


def test_numbers_are_written_as_ecmascript_writes_them():
    if shutil.which("node") is None:
        pytest.skip("install node: apt install nodejs")
    numbers = doubles(2000)
    code = "console.log(JSON.stringify(JSON.parse(require('fs').readFileSync(0)).map(String)))"
    done = subprocess.run(
        ["node", "-e", code], input=json.dumps(numbers), capture_output=True, text=True, check=True
    )

    assert json.loads(done.stdout) == [number_text(number) for number in numbers]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        pytest.param({"n": 1.0}, {"n": 1}, id="a whole float is an integer"),
        pytest.param({"n": -0.0}, {"n": 0}, id="negative zero is zero"),
        pytest.param({"n": 2**60}, {"n": 2**60}, id="exactly a double"),
        pytest.param(
            {"n": 1152921504606847000}, {"n": 2**60}, id="JavaScript's digits of a double"
        ),
        pytest.param({"n": 10**22}, {"n": 1e22}, id="more than 64 bits"),
        pytest.param(
            {"u": UUID("12345678-1234-5678-1234-567812345678")},
            {"u": "12345678-1234-5678-1234-567812345678"},
            id="a UUID",
        ),
        pytest.param({"l": (1, 2)}, {"l": [1, 2]}, id="a tuple is a list"),
        pytest.param({"d": date(2026, 11, 23)}, {"d": "2026-11-23T00:00:00.000Z"}, id="a date"),
        pytest.param(
            {"d": datetime(2026, 11, 23, 1, 2, 3, 4000, tzinfo=UTC)},
            {"d": "2026-11-23T01:02:03.004Z"},
            id="a moment",
        ),
        pytest.param({"n": Decimal("1.5")}, {"n": 1.5}, id="a decimal that a double holds"),
    ],
)
def test_a_record_is_kept_as_json_carries_it(value, kept):
    assert kept == normalise(value)


def test_what_needs_no_change_is_returned_as_it_is():
    record = {"a": 1, "b": ["x", {"c": None}]}

    assert normalise(record) is record


def test_whole_numbers_are_integers_up_to_64_bits_and_floats_beyond():
    kept = normalise({"a": 1e18, "b": -(2.0**63), "c": 2**64, "d": 1e100})

    assert [int, int, float, float] == [type(value) for value in kept.values()]


@pytest.mark.parametrize(
    ("value", "error", "word"),
    [
        pytest.param({"a": {"n": float("nan")}}, NumberNotAllowed, "a.n", id="NaN"),
        pytest.param({"n": float("inf")}, NumberNotAllowed, "n", id="infinity"),
        pytest.param({"n": 2**53 + 1}, NumberNotAllowed, "2^53", id="no double holds it"),
        pytest.param({"n": 10**400}, NumberNotAllowed, "2^53", id="beyond all doubles"),
        pytest.param({"n": Decimal("0.1234567890123456789")}, NumberNotAllowed, "n", id="decimal"),
        pytest.param({"n": Decimal("sNaN")}, NumberNotAllowed, "n", id="signalling NaN"),
        pytest.param({"s": "\ud800"}, RecordInvalid, "surrogate", id="half a pair"),
        pytest.param({1: 2}, RecordInvalid, "no text", id="a key that is no text"),
        pytest.param({"s": {1, 2}}, RecordInvalid, "set", id="a set"),
        pytest.param({"l": [b"x"]}, RecordInvalid, "l[0]", id="bytes"),
    ],
)
def test_what_json_cannot_carry_is_refused_by_name_and_place(value, error, word):
    with pytest.raises(error) as raised:
        normalise(value)

    assert word in str(raised.value)


def test_nesting_has_a_bound_in_other_dictionaries_too():
    loop = collections.OrderedDict()
    loop["again"] = loop

    with pytest.raises(RecordInvalid, match="nested"):
        normalise(loop)


def test_nesting_has_a_bound():
    deep = {}
    for _ in range(100):
        deep = {"d": deep}

    with pytest.raises(RecordInvalid, match="nested"):
        normalise(deep)


def test_a_date_that_utc_cannot_carry_is_refused():
    first = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2)))

    with pytest.raises(RecordInvalid, match=r"'a\.d'"):
        normalise({"a": {"d": first}})


def test_the_place_of_half_a_surrogate_pair_is_named():
    with pytest.raises(RecordInvalid, match=r"'a\[1\]\.s'"):
        normalise({"a": [1, {"s": "x\udc00"}]})
    with pytest.raises(RecordInvalid, match=r"'a' has a key"):
        normalise({"a": {"\udc00": 1}})


def test_subclasses_are_kept_as_their_plain_values():
    class Colour(StrEnum):
        RED = "red"

    class Name(str):
        __slots__ = ()

    kept = normalise({"c": Colour.RED, "n": Name("x"), "i": IntEnum("N", "one")(1)})

    assert {"c": "red", "n": "x", "i": 1} == kept
    assert [str, str, int] == [type(value) for value in kept.values()]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_null_in_canonical_json(number):
    assert '{"n":null}' == canonical_json({"n": number})


def test_canonical_json_refuses_what_has_no_json_form():
    with pytest.raises(RecordInvalid, match="bytes"):
        canonical_json({"b": b"x"})
