"""`syncline compact`: what it says, and what it refuses."""

import json

import pytest


@pytest.fixture
def tombstone(cli):
    cli("put", "a.db", "todo", "1", "n=1")
    cli("delete", "a.db", "todo", "1")


def test_purged_tombstones_and_the_horizon_are_told(cli, tombstone):
    answer = json.loads(cli("compact", "a.db", "--older-than", "0s", "--json").stdout)

    assert {"database": "a.db", "purged": 1, "horizon": 2} == answer


def test_people_are_told_what_it_means(cli, tombstone):
    first = cli("compact", "a.db", "--older-than", "0s").stdout
    again = cli("compact", "a.db", "--older-than", "0s").stdout

    assert (
        "1 tombstone purged\na replica that has read less than 2 changes takes all anew\n" == first
    )
    assert "0 tombstones purged\n" == again


@pytest.mark.parametrize("age", ["10m", "1h", "1d", "0.5w"])
def test_tombstones_that_are_younger_stay(cli, age):
    cli("put", "a.db", "todo", "1", "n=1")
    cli("delete", "a.db", "todo", "1")
    cli("compact", "a.db", "--older-than", age)

    found = json.loads(cli("explain", "todo", "1", "--replica", "a.db", "--json").stdout)

    assert found["here"]["record"]["rev"].endswith("-deleted")


def test_deletion_that_waits_for_an_upstream_stays(cli, serve, start):
    url = serve().url
    cli("put", url, "todo", "1", "n=1")
    link = start("sync", "a.db", url, "--live")
    link.wait_for('state=live|"live"', link.err)
    link.end()
    cli("delete", "a.db", "todo", "1")

    told = cli("compact", "a.db", "--older-than", "0s").stdout
    cli("sync", "a.db", url)

    assert "0 tombstones purged\n" == told
    assert "0" == cli("count", url, "todo").stdout.strip()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        pytest.param(["a.db", "--older-than", "30"], "write 30d, 12h, 90m or 45s", id="age"),
        pytest.param(["a.db"], "Missing option '--older-than'", id="no age"),
        pytest.param(["none.db", "--older-than", "1d"], "there is no database", id="no database"),
        pytest.param(
            ["http://127.0.0.1:1", "--older-than", "1d"], "list.tombstones_kept_days", id="daemon"
        ),
    ],
)
def test_wrong_use_is_told_in_a_line(cli, args, said):
    cli("put", "a.db", "todo", "1", "n=1")

    assert said in cli("compact", *args, code=2).stderr
