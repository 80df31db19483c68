"""`syncline sync`, once: between databases, and between a database and a daemon."""

import asyncio
import json
from pathlib import Path

import pytest

import syncline as library


@pytest.fixture(params=["store", "daemon"])
def other(request, serve):
    return "b.db" if request.param == "store" else serve().url


@pytest.fixture
def sync(cli):
    """Run `syncline sync --json` and return its answer."""

    def run(*args, code=0):
        return json.loads(cli("sync", *args, "--json", code=code).stdout)

    return run


@pytest.fixture
def records(cli):
    def read(target, model="todo"):
        found = json.loads(cli("find", target, model, "--json").stdout)
        return {record.pop("id"): record for record in found}

    return read


def test_sync_goes_both_ways_and_moves_nothing_when_repeated(cli, sync, records, other):
    cli("put", "a.db", "todo", "1", "from=a")
    cli("put", "a.db", "list", "1", "from=a")
    cli("put", other, "todo", "2", "from=b")

    first = sync("a.db", other)
    again = sync("a.db", other)

    assert (2, 1) == (first["sent"], first["received"])
    assert (0, 0) == (again["sent"], again["received"])
    assert {"1": {"from": "a"}, "2": {"from": "b"}} == records("a.db") == records(other)
    assert {"1": {"from": "a"}} == records(other, "list")


def test_answer_has_a_stable_shape(cli, sync, other):
    cli("put", "a.db", "todo", "1", "n=1")

    answer = sync("a.db", other)

    assert {"dry_run", "sent", "received", "models", "conflicts", "refused"} == set(answer)
    assert [{"model": "todo", "sent": 1, "received": 0}] == answer["models"]


def test_edit_and_delete_travel_on(cli, sync, records, other):
    cli("put", "a.db", "todo", "1", "n=1")
    cli("put", "a.db", "todo", "2", "n=1")
    sync("a.db", other)
    cli("patch", other, "todo", "1", "n=2")
    cli("delete", "a.db", "todo", "2")

    answer = sync("a.db", other)

    assert (1, 1) == (answer["sent"], answer["received"])
    assert {"1": {"n": 2}} == records("a.db") == records(other)


def test_one_way_leaves_a_as_it_is(cli, sync, records, other):
    cli("put", "a.db", "todo", "1", "from=a")
    cli("put", other, "todo", "2", "from=b")

    sync("a.db", other, "--one-way")

    assert {"1"} == set(records("a.db"))
    assert {"1", "2"} == set(records(other))


def test_only_named_models_and_matching_records_travel(cli, sync, records, other):
    cli("put", "a.db", "todo", "1", "n=1")
    cli("put", "a.db", "todo", "2", "n=2")
    cli("put", "a.db", "list", "1", "n=2")
    cli("put", other, "todo", "x", "n=9")

    sync("a.db", other, "--model", "todo", "--where", '{"n": 2}')

    assert {"2", "x"} == set(records(other))
    assert {} == records(other, "list")


def test_dry_run_tells_what_sync_does_and_changes_nothing(cli, sync, records, other):
    cli("put", "a.db", "todo", "1", "from=a")
    cli("put", other, "todo", "2", "from=b")
    cli("put", "a.db", "todo", "same", "n=1")
    cli("put", other, "todo", "same", "n=1")
    before = records("a.db"), records(other), json.loads(cli("status", "a.db", "--json").stdout)

    would = sync("a.db", other, "--dry-run")

    after = records("a.db"), records(other), json.loads(cli("status", "a.db", "--json").stdout)
    assert before == after
    assert (1, 1, []) == (would["sent"], would["received"], would["conflicts"])
    assert ["1"] == would["models"][0]["send"]
    assert ["2"] == would["models"][0]["receive"]
    done = sync("a.db", other)
    assert [] == done["conflicts"]
    assert {"1", "2", "same"} == set(records("a.db")) == set(records(other))


def test_dry_run_makes_no_database(cli, sync, tmp_path):
    cli("put", "a.db", "todo", "1", "n=1")

    assert 1 == sync("a.db", "b.db", "--dry-run")["sent"]
    assert not (tmp_path / "b.db").exists()


def test_sync_makes_the_second_database_but_not_the_first(cli, sync, tmp_path):
    assert "there is no database a.db" in cli("sync", "a.db", "b.db", code=2).stderr
    assert not (tmp_path / "a.db").exists()


def test_conflict_is_left_with_exit_code_3(cli, sync, records, other):
    cli("put", "a.db", "todo", "1", "from=a")
    cli("put", other, "todo", "1", "from=b")

    answer = sync("a.db", other, code=3)
    for_people = cli("sync", "a.db", other, code=3)

    expected = {"ours": {"id": "1", "from": "a"}, "theirs": {"id": "1", "from": "b"}}
    assert [{"model": "todo", "id": "1", **expected}] == answer["conflicts"]
    assert answer["conflicts"] == sync("a.db", other, "--dry-run", code=3)["conflicts"]
    assert "1 conflicts" in for_people.stdout
    assert "--strategy" in for_people.stderr
    assert {"from": "a"} == records("a.db")["1"]
    assert {"from": "b"} == records(other)["1"]


@pytest.mark.parametrize(("strategy", "winner"), [("ours", "a"), ("theirs", "b")])
def test_strategy_settles_conflicts(cli, sync, records, other, strategy, winner):
    cli("put", "a.db", "todo", "1", "from=a")
    cli("put", other, "todo", "1", "from=b")

    sync("a.db", other, "--strategy", strategy)

    assert {"1": {"from": winner}} == records("a.db") == records(other)
    again = sync("a.db", other)
    assert (0, 0) == (again["sent"], again["received"])


@pytest.mark.parametrize("later", ["a", "b"])
def test_latest_takes_the_later_write_of_two_databases(cli, sync, records, later):
    for name in sorted("ab", key=lambda name: name == later):
        cli("put", f"{name}.db", "todo", "1", f"from={name}")

    sync("a.db", "b.db", "--strategy", "latest")

    assert {"1": {"from": later}} == records("a.db") == records("b.db")


def test_strategy_that_needs_the_base_is_for_linked_databases(cli, other):
    cli("put", "a.db", "todo", "1", "n=1")

    assert "linked" in cli("sync", "a.db", other, "--strategy", "merge", code=2).stderr


def test_two_daemons_are_replicated_too(cli, sync, serve, records):
    one, other = serve().url, serve().url
    cli("put", one, "todo", "1", "from=one")
    cli("put", other, "todo", "2", "from=other")

    answer = sync(one, other)

    assert (1, 1) == (answer["sent"], answer["received"])
    assert records(one) == records(other)
    assert 2 == len(records(one))


def test_model_that_the_daemon_lacks_is_named(cli, serve, tmp_path):
    (tmp_path / "synclined.toml").write_text('schemaless = ["todo"]\n')
    url = serve("memory:", "--config", str(tmp_path / "synclined.toml")).url
    cli("put", "a.db", "list", "1", "n=1")

    error = cli("sync", "a.db", url, code=1).stderr

    assert "no model 'list'" in error
    assert "--model" in error


def test_summary_for_people(cli, other):
    cli("put", "a.db", "todo", "1", "n=1")

    assert "1 sent, 0 received, 0 conflicts\n" == cli("sync", "a.db", other).stdout
    assert "" == cli("sync", "a.db", other, "--quiet").output


def test_unreachable_daemon_is_exit_code_6(cli, free_port):
    cli("put", "a.db", "todo", "1", "n=1")

    cli("sync", "a.db", f"http://127.0.0.1:{free_port}", code=6)


# ---- a database that follows the daemon -------------------------------------------------


@pytest.fixture
async def linked(serve, tmp_path):
    """A database, `a.db`, that followed the daemon with one record and was closed."""
    url = serve().url
    async with library.connect(url, store=str(tmp_path / "a.db"), models=["todo"]) as replica:
        await replica.model("todo").put("1", {"n": 1, "by": "start"})
        await replica.link.wait_live(30)
    return url


async def test_write_to_a_follower_waits_for_its_daemon(cli, in_thread, linked):
    put = await in_thread(cli, "put", "a.db", "todo", "2", "n=2")

    assert "1 record waits in a.db for its daemon; `syncline sync a.db URL`" in put.stderr
    told = json.loads((await in_thread(cli, "status", "a.db", "--json")).stdout)
    assert (True, 1) == (told["follows"], told["pending"])
    await in_thread(cli, "status", "a.db", "--fail-if-behind", code=3)


async def test_sync_of_a_follower_leaves_nothing_pending(cli, sync, records, in_thread, linked):
    await in_thread(cli, "put", "a.db", "todo", "2", "n=2")
    await in_thread(cli, "put", linked, "todo", "3", "n=3")

    answer = await in_thread(sync, "a.db", linked)
    again = await in_thread(sync, "a.db", linked)

    assert (1, 1) == (answer["sent"], answer["received"])
    assert (0, 0) == (again["sent"], again["received"])
    assert {"1", "2", "3"} == set(await in_thread(records, linked))
    await in_thread(cli, "status", "a.db", "--fail-if-behind")


async def test_conflict_of_a_follower_is_logged_shown_and_resolved(
    cli, sync, records, in_thread, linked
):
    await in_thread(cli, "patch", "a.db", "todo", "1", "by=us")
    await in_thread(cli, "patch", linked, "todo", "1", "by=them")

    answer = await in_thread(sync, "a.db", linked, code=3)
    hint = (await in_thread(cli, "sync", "a.db", linked, code=3)).stderr

    assert ["us"] == [each["ours"]["by"] for each in answer["conflicts"]]
    assert "syncline conflicts list a.db" in hint
    (listed,) = json.loads((await in_thread(cli, "conflicts", "list", "a.db", "--json")).stdout)
    assert {"n": 1, "id": "1", "by": "start"} == listed["base"]
    assert ("us", "them") == (listed["ours"]["data"]["by"], listed["theirs"]["data"]["by"])
    shown = (await in_thread(cli, "conflicts", "show", "a.db", listed["conflict_id"][:6])).stdout
    assert any(
        line.split() == ["by", '"start"', '"us"', '"them"', "*"] for line in shown.splitlines()
    )
    await in_thread(cli, "status", "a.db", "--fail-if-behind", code=3)
    await in_thread(cli, "conflicts", "resolve", "a.db", "todo/1", "--ours")
    await in_thread(sync, "a.db", linked)
    assert {"1": {"n": 1, "by": "us"}} == await in_thread(records, linked)
    assert "no conflicts" in (await in_thread(cli, "conflicts", "list", "a.db")).stdout
    settled = (await in_thread(cli, "conflicts", "list", "a.db", "--all", "--json")).stdout
    assert ["ours"] == [each["resolution"] for each in json.loads(settled)]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        pytest.param(["todo/1", "--theirs"], {"1": {"n": 1, "by": "them"}}, id="theirs"),
        pytest.param(["todo/1", "--latest"], None, id="latest"),
        pytest.param(["--all", "--theirs"], {"1": {"n": 1, "by": "them"}}, id="all"),
        pytest.param(["todo/1", "--data", '{"by": "both"}'], {"1": {"by": "both"}}, id="data"),
        pytest.param(["todo/1", "--data", "null"], {}, id="delete"),
    ],
)
async def test_resolution_travels(cli, sync, records, in_thread, linked, how, expected):
    await in_thread(cli, "patch", "a.db", "todo", "1", "by=us")
    await in_thread(cli, "patch", linked, "todo", "1", "by=them")
    await in_thread(sync, "a.db", linked, code=3)

    await in_thread(cli, "conflicts", "resolve", "a.db", *how)
    await in_thread(sync, "a.db", linked)

    here, there = await in_thread(records, "a.db"), await in_thread(records, linked)
    assert here == there
    assert expected in (None, here)


async def test_daemon_named_first_is_the_other_side(cli, sync, records, in_thread, linked):
    await in_thread(cli, "patch", "a.db", "todo", "1", "by=store")
    await in_thread(cli, "patch", linked, "todo", "1", "by=daemon")
    await in_thread(cli, "put", "a.db", "todo", "2", "n=2")

    answer = await in_thread(sync, linked, "a.db", "--strategy", "ours")

    assert 1 == answer["received"]
    assert "daemon" == (await in_thread(records, "a.db"))["1"]["by"]
    assert await in_thread(records, linked) == await in_thread(records, "a.db")


# ---- conflicts: of a sync of once -------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        pytest.param(["--ours"], {"1": {"n": 1}}, id="ours"),
        pytest.param(["--theirs"], {"1": {"n": 2}}, id="theirs"),
        pytest.param(["--data", '{"n": 3}'], {"1": {"n": 3}}, id="data"),
        pytest.param(["--data", "null"], {}, id="delete"),
    ],
)
def test_conflict_of_a_sync_of_once_is_logged_and_resolved(
    cli, sync, records, other, how, expected
):
    cli("put", "a.db", "todo", "1", "n=1")
    cli("put", other, "todo", "1", "n=2")

    hint = cli("sync", "a.db", other, code=3).stderr
    cli("sync", "a.db", other, code=3)
    (listed,) = json.loads(cli("conflicts", "list", "a.db", "--json").stdout)
    assert (1, 2) == (listed["ours"]["data"]["n"], listed["theirs"]["data"]["n"])
    assert "syncline conflicts list a.db" in hint

    cli("conflicts", "resolve", "a.db", "todo/1", *how)
    sync("a.db", other)

    assert expected == records("a.db") == records(other)
    assert "no conflicts" in cli("conflicts", "list", "a.db").stdout


def test_conflict_of_a_sync_of_once_that_was_settled_otherwise_is_closed(cli, sync, other):
    cli("put", "a.db", "todo", "1", "n=1")
    cli("put", other, "todo", "1", "n=2")
    cli("sync", "a.db", other, code=3)

    sync("a.db", other, "--strategy", "theirs")

    assert "no conflicts" in cli("conflicts", "list", "a.db").stdout


# ---- conflicts: at a daemon -------------------------------------------------------------


async def test_conflicts_are_listed_and_shown_at_the_daemon_from_its_side(cli, in_thread, linked):
    await in_thread(cli, "patch", "a.db", "todo", "1", "by=us")
    await in_thread(cli, "patch", linked, "todo", "1", "by=them")
    await in_thread(cli, "sync", "a.db", linked, code=3)

    async def listed(*more):
        return (await in_thread(cli, "conflicts", "list", linked, *more)).stdout

    (one,) = json.loads(await listed("--json"))
    assert ("todo", "1") == (one["model"], one["id"])
    assert ("them", "us") == (one["ours"]["data"]["by"], one["theirs"]["data"]["by"])
    assert "todo/1" in await listed()
    assert [] == json.loads(await listed("--json", "--model", "other"))
    shown = (await in_thread(cli, "conflicts", "show", linked, "todo/1")).stdout
    assert any(line.split()[-3:] == ['"them"', '"us"', "*"] for line in shown.splitlines())
    await in_thread(cli, "conflicts", "show", linked, "todo/2", code=1)


# ---- conflicts: wrong usage -------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "code"),
    [
        pytest.param(["resolve", "a.db", "x"], 2, id="no side"),
        pytest.param(["resolve", "a.db", "--ours"], 2, id="no conflict"),
        pytest.param(["resolve", "a.db", "x", "--ours", "--data", "null"], 2, id="two sides"),
        pytest.param(["resolve", "a.db", "x", "--ours"], 1, id="unknown"),
        pytest.param(["show", "a.db", "x"], 1, id="unknown shown"),
        pytest.param(["resolve", "http://127.0.0.1:1", "x", "--ours"], 2, id="daemon"),
        pytest.param(["list", "http://127.0.0.1:1"], 6, id="no daemon"),
    ],
)
def test_wrong_use_of_conflicts_is_named(cli, args, code):
    cli("put", "a.db", "todo", "1", "n=1")

    assert cli("conflicts", *args, code=code).stderr.startswith("syncline: ")


@pytest.mark.parametrize("end", ["store", "daemon", "linked"])
def test_sync_does_not_delete_most_of_a_model_unasked(cli, sync, serve, start, end):
    other = "b.db" if end == "store" else serve().url

    async def fill():
        async with await library.Replica.open("a.db", ["todo"]) as replica:
            await replica.model("todo").put_many([{"id": f"{n:03}"} for n in range(300)])

    async def empty():
        async with (
            await library.Replica.open("a.db", ["todo"]) as replica,
            replica.transaction() as tx,
        ):
            for n in range(200):
                tx.model("todo").delete(f"{n:03}")

    asyncio.run(fill())
    if end == "linked":
        link = start("sync", "a.db", other, "--live", cwd=Path.cwd())
        link.wait_for("live", link.err)
        link.end()
    else:
        sync("a.db", other)
    asyncio.run(empty())

    refused = cli("sync", "a.db", other, code=4)
    kept = cli("count", other, "todo").stdout.strip()
    allowed = sync("a.db", other, "--allow-deletions")

    assert "200 of 300 records of 'todo' would be deleted" in refused.stderr
    assert "hint: if that is meant: `syncline sync … --allow-deletions`" in refused.stderr
    assert ("300", 200) == (kept, allowed["sent"])
    assert "100" == cli("count", other, "todo").stdout.strip()
