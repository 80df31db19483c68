"""`syncline explain`: why a record did or did not travel."""

import json

import pytest


@pytest.fixture
def linked(cli, serve, start):
    """A daemon, and a database `a.db` that follows it and holds its record 1."""
    url = serve().url
    cli("put", url, "todo", "1", "n=1")
    link = start("sync", "a.db", url, "--live")
    link.wait_for('state=live|"live"', link.err)
    assert 0 == link.end()
    return url


@pytest.fixture
def explain(cli):
    def run(record_id, *targets, code=3):
        args = [part for target in targets for part in ("--replica", target)]
        return json.loads(cli("explain", "todo", record_id, *args, "--json", code=code).stdout)

    return run


def test_level_record(explain, linked):
    found = explain("1", "a.db", linked, code=0)

    assert ("level", 1) == (found["state"], found["here"]["base"]["seq"])
    assert found["here"]["record"]["rev"] == found["there"]["record"]["rev"]


def test_edit_that_waits_and_one_that_was_not_read(cli, explain, linked):
    cli("put", linked, "todo", "2", "n=1")
    cli("patch", "a.db", "todo", "1", "n=2")

    waits, unread = explain("1", "a.db", linked), explain("2", "a.db", linked)

    assert ("to_push", "forward") == (waits["state"], waits["push"])
    assert ("to_pull", "forward", None) == (unread["state"], unread["pull"], unread["here"]["base"])


def test_conflict_names_its_entry_in_the_log(cli, explain, linked):
    cli("patch", linked, "todo", "1", "n=2")
    cli("patch", "a.db", "todo", "1", "n=3")

    ahead = explain("1", "a.db", linked)
    cli("sync", "a.db", linked, code=3)
    met = explain("1", "a.db", linked)

    assert ("conflict", "conflict") == (ahead["push"], ahead["pull"])
    [logged] = json.loads(cli("conflicts", "list", "a.db", "--json").stdout)
    assert logged["conflict_id"] == met["here"]["conflict"]["id"]
    assert "conflict" == met["here"]["pending"]["hold"]


def test_conflict_of_two_that_do_not_follow_each_other_names_what_logs_it(cli):
    cli("put", "a.db", "todo", "1", "n=1")
    cli("put", "b.db", "todo", "1", "n=2")

    ends = ("--replica", "a.db", "--replica", "b.db")
    said = cli("explain", "todo", "1", *ends, code=3).stdout

    assert "`syncline sync` between the two logs it" in said


def test_follower_is_told_from_its_side_in_either_order(explain, linked):
    forth, back = explain("1", "a.db", linked, code=0), explain("1", linked, "a.db", code=0)

    assert forth["here"]["replica"] == back["here"]["replica"] == "a.db"


def test_cursor_behind_the_horizon_of_a_database_is_judged(cli, explain, serve, start):
    daemon = serve("d.db")
    for record_id in "123":
        cli("put", daemon.url, "todo", record_id, "n=1")
    link = start("sync", "a.db", daemon.url, "--live")
    link.wait_for('state=live|"live"', link.err)
    link.end()
    cli("delete", daemon.url, "todo", "1")
    daemon.end()
    cli("compact", "d.db", "--older-than", "0s")

    found = explain("2", "a.db", "d.db", code=0)

    assert {"good": False, "reason": "horizon"} == found["standing"]
    assert any("takes the whole list anew" in sentence for sentence in found["sentences"])


def test_people_are_told_in_sentences(cli, linked):
    told = cli("explain", "todo", "1", "--replica", "a.db", "--replica", linked).stdout

    assert told.startswith("todo/1: level\n  a.db holds it at 1-")
    assert told.endswith("Both ends are level.\n")


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        pytest.param(["--replica", "a.db"], 1, "a.db holds no todo '9', nor a tombstone", id="one"),
        pytest.param([], 2, "Missing option '--replica'", id="no replica"),
        pytest.param(["--replica", "none.db"], 2, "there is no database", id="no database"),
        pytest.param(["--replica", "a.db"] * 3, 2, "once or twice", id="three"),
    ],
)
def test_wrong_use_is_told_in_a_line(cli, args, code, said):
    cli("put", "a.db", "todo", "1", "n=1")

    assert said in cli("explain", "todo", "9", *args, code=code).stderr
