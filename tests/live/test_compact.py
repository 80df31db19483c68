"""Old tombstones are purged, and what was deleted stays deleted."""

import asyncio
import subprocess
import sys

import pytest

import syncline


WAIT_S = 30


def compact(daemon, age="0s"):
    """Purge from another process, while the daemon serves the database."""
    command = [sys.executable, "-m", "synclined", "compact", daemon.store, "--older-than", age]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=WAIT_S)


def client(daemon, path):
    return syncline.connect(daemon.url, store=str(path), models=["todo"])


async def ids(replica):
    return [record["id"] for record in await replica.model("todo").find()]


async def delete_upstream(daemon, *record_ids):
    async with await syncline.connect_remote(daemon.url) as remote:
        for record_id in record_ids:
            await remote.model("todo").delete(record_id)


async def test_client_behind_the_horizon_resyncs_and_resurrects_nothing(daemon, tmp_path):
    path = tmp_path / "b.db"
    async with client(daemon, path) as b:
        for record_id in ("stays", "deleted upstream", "deleted here", "edited here"):
            await b.model("todo").put(record_id, {"n": 1})
        await b.link.wait_live(WAIT_S)
    async with await syncline.Replica.open(str(path), ["todo"], follows=True) as away:
        await away.model("todo").patch("edited here", {"n": 2})
        await away.model("todo").delete("deleted here")
        await away.model("todo").put("made here", {"n": 3})
    await delete_upstream(daemon, "deleted upstream")
    said = await asyncio.to_thread(compact, daemon)

    async with client(daemon, path) as b, await syncline.connect_remote(daemon.url) as remote:
        await b.link.wait_live(WAIT_S)
        await b.barrier(WAIT_S)

        assert "1 tombstone purged" in said.stdout
        assert "horizon" == b.link.welcome.reason
        assert ["edited here", "made here", "stays"] == await ids(b) == await ids(remote)
        assert 2 == (await remote.model("todo").get("edited here"))["n"]
        assert [] == await b.conflicts()


async def test_edit_of_a_record_that_was_deleted_and_purged_is_a_conflict(daemon, tmp_path):
    path = tmp_path / "b.db"
    async with client(daemon, path) as b:
        await b.model("todo").put("1", {"n": 1})
        await b.model("todo").put("2", {"n": 1})
        await b.link.wait_live(WAIT_S)
    async with await syncline.Replica.open(str(path), ["todo"], follows=True) as away:
        await away.model("todo").patch("1", {"n": 2})
    await delete_upstream(daemon, "1")
    await asyncio.to_thread(compact, daemon)

    async with client(daemon, path) as b, await syncline.connect_remote(daemon.url) as remote:
        await b.link.wait_live(WAIT_S)
        [conflict] = await b.conflicts()

        assert ({"id": "1", "n": 2}, None) == (conflict.ours, conflict.theirs)
        assert ["2"] == await ids(remote)


async def test_clients_that_are_live_stay_in_step_with_a_purge_by_another_process(daemon):
    async with client(daemon, "memory:") as a, client(daemon, "memory:") as b:
        for n in range(20):
            await a.model("todo").put(str(n), {})
        for n in range(19):
            await a.model("todo").delete(str(n))
            if n % 6 == 0:
                await asyncio.to_thread(compact, daemon)
        await a.link.wait_live(WAIT_S)
        await b.barrier(WAIT_S)

        assert ["19"] == await ids(a) == await ids(b)


async def test_barrier_that_hears_of_a_new_epoch_has_the_link_say_hello_again(new_daemon):
    """Nothing was written since the purge, so no news told of it, and no heartbeat is due."""
    daemon = new_daemon('open_models = true\nschemaless = ["todo"]\n[timings]\nheartbeat_s = 300\n')
    async with client(daemon, "memory:") as a:
        await a.model("todo").put("1", {})
        await a.model("todo").delete("1")
        await a.link.wait_live(WAIT_S)
        await asyncio.to_thread(compact, daemon)
        asked, ask = [], a.link._ask_head

        async def counted():
            asked.append(await ask())
            return asked[-1]

        a.link._ask_head = counted
        await a.barrier(WAIT_S)

    assert 1 == len({head.epoch for head in asked})
    assert len(asked) <= 3


async def test_reader_in_the_middle_of_the_list_begins_again_after_a_purge(daemon):
    """The page after the purge comes from the epoch after it, though another process purged."""
    async with client(daemon, "memory:") as a, await syncline.connect_remote(daemon.url) as remote:
        await a.model("todo").put_many([{"id": f"{n:03}"} for n in range(50)])
        await a.link.wait_live(WAIT_S)
        before = await remote.model("todo").interval(0, limit=10)
        await a.model("todo").delete("000")
        await a.link.wait_live(WAIT_S)
        await asyncio.to_thread(compact, daemon)

        after = await remote.model("todo").interval(before.checkpoint, limit=10)

        assert before.epoch != after.epoch


async def test_younger_tombstones_are_kept(daemon, tmp_path):
    await put_and_delete(daemon)

    said = await asyncio.to_thread(compact, daemon, "1h")

    assert "0 tombstones purged" in said.stdout


async def put_and_delete(daemon):
    async with await syncline.connect_remote(daemon.url) as remote:
        await remote.model("todo").put("1", {})
        await remote.model("todo").delete("1")


async def test_daemon_compacts_by_itself_as_its_settings_say(new_daemon):
    daemon = new_daemon(
        'open_models = true\nschemaless = ["todo"]\n'
        "[list]\ntombstones_kept_days = 0.000001\ncompact_every_s = 0.1\n"
    )
    await put_and_delete(daemon)

    async with await syncline.connect_remote(daemon.url) as remote, asyncio.timeout(WAIT_S):
        while await remote.model("todo").get_change("1") is not None:
            await asyncio.sleep(0)


@pytest.mark.parametrize("age", ["30", "d", "-1d", "x"])
def test_age_that_is_none_is_refused_in_a_line(daemon, age):
    command = [sys.executable, "-m", "synclined", "compact", daemon.store]
    done = subprocess.run(
        [*command, f"--older-than={age}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )

    assert 2 == done.returncode
    assert "is no age: write 30d, 12h, 90m or 45s" in done.stderr
