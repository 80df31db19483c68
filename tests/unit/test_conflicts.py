"""Conflict strategies: what each makes of two sides."""

import json
from pathlib import Path

import pytest

from syncline.conflicts import STRATEGIES, Settlement, check_strategy, settle
from syncline.errors import ConfigError
from syncline.models import NO_BODY, Resolution, Update, encode_body
from syncline.payloads import update_of
from syncline.revision import new_revision


BASE = {"id": "1", "a": 1, "b": 1}
VECTORS = json.loads(
    (Path(__file__).parent.parent / "vectors" / "settle.json").read_text(encoding="utf-8")
)
LOW, HIGH = "0" * 16, "f" * 16


def side(data, *, nonce=LOW, stamp=1, generation=2):
    return Update(
        model="m",
        record_id="1",
        rev=new_revision(generation, nonce, deleted=data is None),
        stamp=stamp,
        body=NO_BODY if data is None else encode_body(data),
    )


def whole(side):
    """A side stands as it is, and all of the other is lost."""
    return Settlement(side, loser="theirs" if side is Resolution.OURS else "ours")


def settled(strategy, ours, theirs, base=BASE):
    body = b"" if base is None else bytes(encode_body(base))
    return settle(strategy, base_body=body, ours=ours, theirs=theirs)


OURS = side({**BASE, "a": 2}, stamp=5)
THEIRS = side({**BASE, "b": 3}, stamp=4, nonce=HIGH)
CLASH = side({**BASE, "a": 9}, stamp=6, nonce=HIGH)
GONE = side(None, stamp=4)


@pytest.mark.parametrize(
    ("strategy", "resolution"),
    [
        pytest.param("ours", Resolution.OURS, id="ours"),
        pytest.param("theirs", Resolution.THEIRS, id="theirs"),
        pytest.param("latest", Resolution.OURS, id="latest: the later stamp"),
    ],
)
def test_a_side_is_chosen_whole(strategy, resolution):
    assert whole(resolution) == settled(strategy, OURS, THEIRS)


@pytest.mark.parametrize("strategy", ["manual", lambda _conflict: "ours"])
def test_manual_and_functions_leave_it_open(strategy):
    assert settled(strategy, OURS, THEIRS) is None


@pytest.mark.parametrize(
    ("ours", "theirs", "resolution"),
    [
        pytest.param(side(BASE, stamp=3), side(BASE, stamp=4), Resolution.THEIRS, id="stamp"),
        pytest.param(
            side(BASE, nonce=HIGH), side(BASE, nonce=LOW), Resolution.OURS, id="the greater nonce"
        ),
        pytest.param(
            side(BASE, generation=9, nonce=HIGH),
            side(BASE, generation=10, nonce=LOW),
            Resolution.THEIRS,
            id="the greater generation, as a number",
        ),
        pytest.param(side(None, stamp=9), side(BASE), Resolution.OURS, id="a later deletion"),
    ],
)
def test_latest_goes_by_stamp_then_by_revision(ours, theirs, resolution):
    assert whole(resolution) == settled("latest", ours, theirs)


def test_latest_is_the_same_side_on_both_replicas():
    one, other = side(BASE, nonce=LOW), side(BASE, nonce=HIGH)

    assert whole(Resolution.THEIRS) == settled("latest", one, other)
    assert whole(Resolution.OURS) == settled("latest", other, one)


def test_merge_takes_the_fields_that_each_side_changed():
    settlement = settled("merge", OURS, THEIRS)

    expected = encode_body({"id": "1", "a": 2, "b": 3})
    assert (Resolution.MERGE, bytes(expected)) == (settlement.resolution, bytes(settlement.body))


def test_merge_that_comes_out_as_theirs_is_theirs():
    assert Settlement(Resolution.THEIRS) == settled("merge", side(BASE), THEIRS)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        pytest.param("merge", None, id="merge waits"),
        pytest.param("merge:ours", {"id": "1", "a": 2, "b": 1}, id="merge:ours"),
        pytest.param("merge:theirs", Resolution.THEIRS, id="merge:theirs"),
        pytest.param("merge:latest", Resolution.THEIRS, id="merge:latest"),
    ],
)
def test_a_field_that_collides_waits_or_falls_to_a_side(strategy, expected):
    settlement = settled(strategy, OURS, CLASH)

    match expected:
        case None:
            assert settlement is None
        case dict():
            assert bytes(encode_body(expected)) == bytes(settlement.body)
        case _:
            assert whole(expected) == settlement


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        pytest.param("merge", None, id="merge waits"),
        pytest.param("merge:ours", whole(Resolution.OURS), id="merge:ours"),
        pytest.param("merge:theirs", whole(Resolution.THEIRS), id="merge:theirs"),
        pytest.param("merge:latest", whole(Resolution.OURS), id="merge:latest"),
    ],
)
def test_a_deletion_merges_with_nothing(strategy, expected):
    assert expected == settled(strategy, OURS, GONE)


def test_without_a_base_every_field_that_differs_collides():
    assert settled("merge", OURS, THEIRS, base=None) is None


def test_a_strategy_is_a_known_name_or_a_function():
    for strategy in (*STRATEGIES, len):
        assert strategy is check_strategy(strategy)
    with pytest.raises(ConfigError, match="newest") as raised:
        check_strategy("newest")
    assert "merge:latest" in raised.value.hint


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in VECTORS["cases"]])
def test_settle_follows_the_vectors(case):
    base = b"" if case["base"] is None else bytes(encode_body(case["base"]))
    ours, theirs = update_of(case["ours"]), update_of(case["theirs"])

    found = settle(case["strategy"], base_body=base, ours=ours, theirs=theirs)

    if case["settlement"] is None:
        assert found is None
    else:
        data = None if found.body is None else json.loads(bytes(found.body))
        expected = case["settlement"]
        assert (expected["resolution"], expected["loser"]) == (found.resolution.value, found.loser)
        assert expected.get("data") == data
