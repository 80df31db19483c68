"""In JavaScript: what was accepted leaves, is refused where it is written, or waits by name."""

import json
from pathlib import Path

import pytest


SCRIPT = Path(__file__).parent / "node" / "limits.mjs"
SCHEMALESS = 'schemaless = ["t", "u"]\n'
SMALL = (
    SCHEMALESS + "[limits]\nmessage_bytes_max = 131072\nrecord_bytes_max = 65536\n"
    "page_bytes_max = 65536\npush_items_max = 100\n"
)
TOO_LARGE = [
    pytest.param(40, 10_000, id="bytes"),
    pytest.param(101, 1, id="records"),
    pytest.param(1, 70_000, id="a record"),
    pytest.param(2, 70_000, id="records that are too large, together"),
]


@pytest.fixture
def settings(tmp_path, monkeypatch):
    path = tmp_path / "synclined.toml"
    path.write_text(SMALL)
    monkeypatch.setenv("SYNCLINE_CONFIG", str(path))
    return path


@pytest.fixture
def step(node, tmp_path):
    """Let a replica take a step of its life; return how it stands then."""

    def run(count, size=1, *url):
        return json.loads(node(SCRIPT, tmp_path / "r.journal", count, size, *url))

    return run


@pytest.mark.parametrize(("count", "size"), TOO_LARGE)
def test_what_turns_out_too_large_is_parked_by_name_until_the_limit_is_raised(
    new_daemon, settings, step, records, count, size
):
    daemon = new_daemon()
    assert ("", count) == ((before := step(count, size))["refused"], before["kept"])

    met = step(0, 0, daemon.url)

    assert ("live", 0, count, count) == tuple(
        met[name] for name in ("state", "pending", "parked", "kept")
    )
    assert ([["t", count]], 1) == (met["named"], met["connected"])
    assert ({}, 2) == (records(daemon, "t"), len(records(daemon, "u")))
    daemon.end()
    settings.write_text(SCHEMALESS)
    daemon.start()
    raised = step(0, 0, daemon.url)
    assert ("live", 0, 0) == tuple(raised[name] for name in ("state", "pending", "parked"))
    assert count == len(records(daemon, "t"))


@pytest.mark.parametrize(("count", "size"), TOO_LARGE)
def test_limits_that_a_replica_has_met_are_its_own(
    new_daemon, settings, step, records, count, size
):
    daemon = new_daemon()
    told = [step(count, size, daemon.url), step(count, size)]

    assert ["record_too_large"] * 2 == [one["refused"] for one in told]
    assert [0, 0] == [one["kept"] for one in told]
    assert ("live", 1) == (told[0]["state"], len(records(daemon, "u")))


def test_transaction_over_the_push_limit_is_refused_where_it_is_made(step):
    assert ("record_too_large", 0) == ((said := step(5001))["refused"], said["kept"])
    assert ("", 5000) == ((said := step(5000))["refused"], said["kept"])


def test_more_than_a_push_takes_is_replicated_in_several(node, new_daemon, settings):
    said = json.loads(node(SCRIPT.with_name("remotePush.mjs"), new_daemon().url, 950))

    assert {"applied": 950, "held": 950} == said
