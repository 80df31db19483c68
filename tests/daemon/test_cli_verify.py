"""`syncline verify`: between databases, and between a database and a daemon."""

import asyncio
import json
import sqlite3

import pytest

import syncline


IDS = [f"{n:05}" for n in range(9000)]


@pytest.fixture(params=["store", "daemon"])
def other(request, serve):
    return "b.db" if request.param == "store" else serve().url


@pytest.fixture
def verify(cli):
    """Run `syncline verify --json` and return its answer."""

    def run(*args, code=0):
        return json.loads(cli("verify", *args, "--json", code=code).stdout)

    return run


@pytest.fixture
def fill(cli):
    """Store many records at once, or delete many."""

    def run(path, ids, **fields):
        async def put():
            async with await syncline.Replica.open(path) as replica:
                await replica.model("todo").put_many([{"id": each, **fields} for each in ids])

        asyncio.run(put())

    return run


@pytest.fixture
def empty(cli):
    def run(path, ids):
        async def delete():
            async with await syncline.Replica.open(path) as replica, replica.transaction() as tx:
                for each in ids:
                    tx.model("todo").delete(each)

        asyncio.run(delete())

    return run


def rot(path, record_id, body):
    """Change a record's stored data behind syncline's back."""
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE syncline_changes SET body = ? WHERE record_id = ?", (body, record_id))
    raw.close()


def kinds(answer):
    return [(d["id"], d["kind"]) for d in answer["differences"]]


def test_ends_that_hold_the_same_are_equal(cli, verify, other):
    for n in range(5):
        cli("put", "a.db", "todo", str(n), f"n={n}")
    cli("sync", "a.db", other)

    answer = verify("a.db", other)

    assert {
        "equal": True,
        "models": [{"model": "todo", "a": 5, "b": 5, "moved": False}],
        "differences": [],
    } == answer


def test_equal_records_under_other_revisions_are_no_difference(cli, verify, other):
    cli("put", "a.db", "todo", "1", "n=1", "m=2")
    cli("put", other, "todo", "1", "m=2", "n=1")

    assert verify("a.db", other)["equal"]


def test_each_kind_of_difference_is_named(cli, verify, other):
    cli("put", "a.db", "todo", "same", "n=1")
    for record_id in ("edited", "gone here", "gone there"):
        cli("put", "a.db", "todo", record_id, "n=1")
    cli("sync", "a.db", other)
    cli("put", "a.db", "todo", "only here", "n=1")
    cli("put", other, "todo", "only there", "n=1")
    cli("put", other, "todo", "edited", "n=2")
    cli("delete", "a.db", "todo", "gone here")
    cli("delete", other, "todo", "gone there")
    cli("put", "a.db", "list", "1", "n=1")

    answer = verify("a.db", other, code=3)

    assert [
        ("1", "missing_there"),
        ("edited", "differing"),
        ("gone here", "missing_here"),
        ("gone there", "missing_there"),
        ("only here", "missing_there"),
        ("only there", "missing_here"),
    ] == kinds(answer)
    [_, edited, gone_here, _, only_here, _] = answer["differences"]
    assert ("1", "2") == (edited["a"][0], edited["b"][0])
    assert gone_here["a"].endswith("-deleted")
    assert None is only_here["b"]


def test_model_may_be_named(cli, verify, other):
    cli("put", "a.db", "todo", "1", "n=1")
    cli("put", "a.db", "list", "1", "n=1")
    cli("put", other, "todo", "1", "n=1")

    assert verify("a.db", other, "--model", "todo")["equal"]


def test_differences_among_many_are_found(cli, verify, fill, other):
    fill("a.db", IDS, n=1)
    cli("sync", "a.db", other)
    for record_id in ("00000", "04096", "08999"):
        cli("put", other, "todo", record_id, "n=-1")
    cli("delete", "a.db", "todo", "05000")

    answer = verify("a.db", other, code=3)

    assert [
        ("00000", "differing"),
        ("04096", "differing"),
        ("05000", "missing_here"),
        ("08999", "differing"),
    ] == kinds(answer)


def test_end_that_holds_nothing_lacks_all(cli, verify, fill, other):
    fill("a.db", IDS)
    cli("put", other, "todo", "x", "n=1")
    cli("delete", other, "todo", "x")

    answer = verify("a.db", other, code=3)

    assert [{"model": "todo", "a": 9000, "b": 0, "moved": False}] == answer["models"]
    assert {"missing_there"} == {d["kind"] for d in answer["differences"]}
    assert 9000 == len(answer["differences"])


def test_repair_brings_both_ends_level(cli, verify, other):
    cli("put", "a.db", "todo", "edited", "n=1")
    cli("put", "a.db", "todo", "deleted", "n=1")
    cli("sync", "a.db", other)
    cli("put", other, "todo", "edited", "n=2")
    cli("delete", other, "todo", "deleted")
    cli("put", "a.db", "todo", "new", "n=1")

    answer = verify("a.db", other, "--repair")

    assert answer["equal"]
    [done] = answer["repaired"]
    assert (["deleted", "edited"], ["new"]) == (sorted(done["received"]), done["sent"])
    found = json.loads(cli("find", "a.db", "todo", "--json").stdout)
    assert [{"id": "edited", "n": 2}, {"id": "new", "n": 1}] == found


def test_repair_leaves_a_conflict_to_whoever_knows(cli, verify, other):
    cli("put", "a.db", "todo", "1", "n=1")
    cli("put", other, "todo", "1", "n=2")

    answer = verify("a.db", other, "--repair", code=3)

    assert [("1", "differing")] == kinds(answer)
    assert ["1"] == answer["repaired"][0]["conflicts"]
    assert "1" == json.loads(cli("get", "a.db", "todo", "1", "--json").stdout)["id"]
    assert 1 == json.loads(cli("get", "a.db", "todo", "1", "--json").stdout)["n"]
    assert 2 == json.loads(cli("get", other, "todo", "1", "--json").stdout)["n"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{"id":"1","n":7}', id="other data"),
        pytest.param('{"id":"1","n', id="no JSON any more"),
    ],
)
def test_rotten_record_is_found_and_gets_the_data_of_the_trusted_end(cli, verify, other, body):
    cli("put", "a.db", "todo", "1", "n=1")
    cli("sync", "a.db", other)
    rot("a.db", "1", body)

    found = verify("a.db", other, code=3)
    undecided = verify("a.db", other, "--repair", code=3)
    repaired = verify("a.db", other, "--repair", "--trust", "b")

    assert [("1", "rotten")] == kinds(found)
    assert ["1"] == undecided["repaired"][0]["undecided"]
    assert ["1"] == repaired["repaired"][0]["restored"]
    assert 1 == json.loads(cli("get", "a.db", "todo", "1", "--json").stdout)["n"]
    assert found["differences"][0]["a"] == found["differences"][0]["b"]


def test_rotten_record_of_a_daemon_gets_a_new_revision_with_the_right_data(cli, verify, serve):
    cli("put", "a.db", "todo", "1", "n=1")
    daemon = serve("d.db")
    cli("sync", "a.db", daemon.url)
    daemon.end()
    rot("d.db", "1", '{"id":"1","n":7}')
    url = serve("d.db").url

    answer = verify("a.db", url, "--repair", "--trust", "a")

    assert ["1"] == answer["repaired"][0]["restored"]
    assert 1 == json.loads(cli("get", url, "todo", "1", "--json").stdout)["n"]


def test_follower_takes_its_daemon_at_its_word_about_rot(cli, verify, serve, start):
    daemon = serve("d.db")
    cli("put", daemon.url, "todo", "1", "n=1")
    link = start("sync", "a.db", daemon.url, "--live")
    link.wait_for("live", link.err)
    link.end()
    rot("a.db", "1", '{"id":"1","n":7}')

    answer = verify("a.db", daemon.url, "--repair")

    assert ["1"] == answer["repaired"][0]["restored"]
    assert 1 == json.loads(cli("get", "a.db", "todo", "1", "--json").stdout)["n"]


def test_repair_does_not_delete_most_of_a_model_unasked(cli, verify, fill, empty, other):
    fill("a.db", IDS[:300])
    cli("sync", "a.db", other)
    empty("a.db", IDS[:160])

    refused = cli("verify", "a.db", other, "--repair", code=4)
    repaired = verify("a.db", other, "--repair", "--allow-deletions")

    assert "160 of 300 records of 'todo' would be deleted" in refused.stderr
    assert "--allow-deletions" in refused.stderr
    assert repaired["equal"]
    assert [{"model": "todo", "a": 140, "b": 140, "moved": False}] == repaired["models"]


def test_people_are_told_what_differs_and_what_to_do(cli, other):
    cli("put", "a.db", "todo", "1", "n=1")
    cli("put", other, "todo", "1", "n=2")
    cli("put", "a.db", "todo", "2", "n=2")

    told = cli("verify", "a.db", other, code=3)

    lines = told.stdout.splitlines()
    assert lines[0].startswith("differing  todo/1: 1-")
    assert lines[1].startswith("missing in B  todo/2: 1-")
    assert lines[1].endswith(" in A, nothing in B")
    assert "todo: 2 in A, 1 in B, 1 differing, 1 missing in B" == lines[2]
    assert f"hint: syncline verify a.db {other} --repair" in told.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        pytest.param(["a.db", "a.db"], "both ends are the same", id="one end"),
        pytest.param(["a.db", "none.db"], "there is no database", id="no database"),
        pytest.param(["a.db", "b.db", "--trust", "a"], "--trust goes with --repair", id="trust"),
    ],
)
def test_wrong_use_is_told_in_a_line(cli, args, said):
    cli("put", "a.db", "todo", "1", "n=1")

    assert said in cli("verify", *args, code=2).stderr
