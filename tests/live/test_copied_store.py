"""A replica's store that was copied, moved or restored: no two connections have one name."""

import shutil
import sqlite3

import pytest
from structlog.testing import capture_logs

import syncline


WAIT_S = 20


async def filled(daemon, path, **pending):
    """Make a store that is level, and holds what is pending when it is closed; tell its name."""
    async with syncline.connect(daemon.url, store=str(path), models=["todo"]) as replica:
        await replica.model("todo").put("1", {"n": 1})
        await replica.link.wait_live(WAIT_S)
        name = replica.replica_id
    async with await syncline.Replica.open(str(path), ["todo"], follows=True) as replica:
        for record_id, data in pending.items():
            await replica.model("todo").put(record_id, data)
    return name


async def test_a_copy_gets_a_name_of_its_own_and_both_stay_live(daemon, tmp_path):
    name = await filled(daemon, tmp_path / "a.db")
    shutil.copy(tmp_path / "a.db", tmp_path / "b.db")

    with capture_logs() as logs:
        async with (
            syncline.connect(daemon.url, store=str(tmp_path / "a.db"), models=["todo"]) as a,
            syncline.connect(daemon.url, store=str(tmp_path / "b.db"), models=["todo"]) as b,
        ):
            said = []
            for replica in (a, b):
                await replica.link.wait_live(WAIT_S)
                replica.link.on_status(lambda status: said.append(status.state.value))
            await a.model("todo").put("2", {"from": "a"})
            await b.model("todo").put("3", {"from": "b"})
            for replica in (a, b):
                await replica.link.wait_live(WAIT_S)
            await a.barrier(WAIT_S)
            await b.barrier(WAIT_S)

            assert name == a.replica_id
            assert name != b.replica_id
            assert await a.model("todo").find() == await b.model("todo").find()
            assert 3 == await a.model("todo").count()
    assert "offline" not in said
    (copied,) = [line for line in logs if line["event"] == "store.copied"]
    assert (name, b.replica_id) == (copied["was"], copied["replica_id"])


async def test_what_waits_in_a_copy_and_its_original_is_applied_once(daemon, tmp_path):
    await filled(daemon, tmp_path / "a.db", two={"n": 2}, three={"n": 3})
    shutil.copy(tmp_path / "a.db", tmp_path / "b.db")

    for path in ("b.db", "a.db"):
        async with syncline.connect(
            daemon.url, store=str(tmp_path / path), models=["todo"]
        ) as replica:
            await replica.link.wait_live(WAIT_S)
            await replica.barrier(WAIT_S)
            assert ([], 3) == (await replica.conflicts(), await replica.model("todo").count())
    async with await syncline.connect_remote(daemon.url) as remote:
        changes = await remote.model("todo").changes()
    assert [1, 1, 1] == [int(change.rev.partition("-")[0]) for change in changes]


async def test_a_restored_backup_of_a_replicas_store_comes_level(daemon, tmp_path):
    path = tmp_path / "a.db"
    await filled(daemon, path, two={"n": 2})
    shutil.copy(path, tmp_path / "backup.db")
    async with syncline.connect(daemon.url, store=str(path), models=["todo"]) as replica:
        await replica.model("todo").put("2", {"later": True})
        await replica.model("todo").put("1", {"n": 10})
        await replica.link.wait_live(WAIT_S)
    path.unlink()
    shutil.copy(tmp_path / "backup.db", path)

    async with syncline.connect(daemon.url, store=str(path), models=["todo"]) as replica:
        await replica.link.wait_live(WAIT_S)
        await replica.barrier(WAIT_S)
        found = {record.pop("id"): record for record in await replica.model("todo").find()}

    assert {"1": {"n": 10}, "2": {"later": True}, "two": {"n": 2}} == found


@pytest.mark.parametrize("listens", [False, True])
async def test_a_store_that_is_moved_or_that_nobody_links_keeps_its_name(tmp_path, listens):
    async def opened(path, **role):
        async with await syncline.Replica.open(str(path), ["todo"], **role) as replica:
            return replica.replica_id

    path = tmp_path / "a.db"
    follower = await opened(path, follows=True)
    path.rename(tmp_path / "moved.db")
    daemons = await opened(tmp_path / "d.db", listens=listens)
    shutil.copy(tmp_path / "d.db", tmp_path / "copy.db")

    assert follower == await opened(tmp_path / "moved.db", follows=True)
    assert daemons == await opened(tmp_path / "copy.db", listens=listens)


async def test_a_store_from_before_keeps_its_name(tmp_path):
    path = tmp_path / "a.db"
    async with await syncline.Replica.open(str(path), ["todo"], follows=True) as replica:
        name = replica.replica_id
    with sqlite3.connect(path) as raw:
        assert 1 == raw.execute("DELETE FROM syncline_meta WHERE name = 'place'").rowcount
    raw.close()

    async with await syncline.Replica.open(str(path), ["todo"], follows=True) as replica:
        assert name == replica.replica_id
