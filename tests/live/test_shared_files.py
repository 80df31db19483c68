"""Several processes on one database: what is pending is decided by the store, not by who wrote."""

import asyncio
import os
import signal
import time

import pytest

import syncline
from syncline.status import SessionState


WAIT_S = 20

RULES = """
from pathlib import Path

from syncline import Hooks, Refuse


def rule(principal, before, after):
    title = None if after is None else after.get("title")
    if title == "bad":
        raise Refuse("no bad titles")
    if title == "boom" and not Path(__file__).with_name("mended").exists():
        raise RuntimeError("boom")


hooks = Hooks(validate={"todo": rule})
"""


def client(daemon):
    return syncline.connect(daemon.url, store="memory:", models=["todo"])


def link_beside(daemon, upstream, **options):
    """Link the database that a daemon serves to an upstream, from a process beside it."""
    return syncline.connect(upstream.url, store=daemon.store, models=["todo"], **options)


async def first(watch, is_right):
    """Return the first change that is as asked."""
    async with asyncio.timeout(WAIT_S):
        async for change in watch:
            if is_right(change):
                return change
    raise AssertionError("the watch ended")


@pytest.fixture
def upstream(new_daemon, tmp_path, monkeypatch):
    (tmp_path / "shared_file_rules.py").write_text(RULES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    return new_daemon('hooks = ["shared_file_rules:hooks"]\nschemaless = ["todo"]\n')


async def test_what_another_process_wrote_is_pending_at_once(daemon, tmp_path):
    path = str(tmp_path / "shared.db")
    async with (
        syncline.connect(daemon.url, store=path, models=["todo"]) as holder,
        await syncline.Replica.open(path, ["todo"]) as other,
        await syncline.connect_remote(daemon.url) as remote,
    ):
        await holder.link.wait_live(WAIT_S)
        await other.model("todo").put("1", {"n": 1})
        status = holder.status
        await holder.link.wait_live(WAIT_S)

        assert (SessionState.CATCHING_UP, 1) == (status.state, status.pending)
        assert {"id": "1", "n": 1} == await remote.model("todo").get("1")


async def test_what_another_process_lets_go_again_is_pushed(upstream, tmp_path):
    """Unparking moves no record in the list."""
    path = str(tmp_path / "shared.db")
    async with (
        syncline.connect(upstream.url, store=path, models=["todo"]) as holder,
        await syncline.Replica.open(path, ["todo"]) as other,
        await syncline.connect_remote(upstream.url) as remote,
    ):
        await holder.model("todo").put("1", {"title": "boom"})
        async with asyncio.timeout(WAIT_S):
            while not holder.status.parked:
                await asyncio.sleep(0)
        (tmp_path / "mended").touch()

        assert 1 == await other.retry_parked()
        await holder.link.wait_live(WAIT_S)

        assert "boom" == (await remote.model("todo").get("1"))["title"]


async def test_daemons_writes_are_pending_for_a_link_begun_beside_it(daemon, upstream):
    async with client(daemon) as phone:
        await phone.model("todo").put("before", {"title": "before"})
        await phone.link.wait_live(WAIT_S)
        async with (
            link_beside(daemon, upstream) as link,
            await syncline.connect_remote(upstream.url) as remote,
        ):
            await link.link.wait_live(WAIT_S)
            await phone.model("todo").put("after", {"title": "after"})
            await phone.link.wait_live(WAIT_S)
            await link.link.wait_live(WAIT_S)
            held = {record["id"] for record in await remote.model("todo").find()}

    assert {"before", "after"} == held


async def test_edits_at_the_daemon_and_upstream_of_it_conflict_and_neither_is_lost(
    daemon, upstream
):
    async with (
        client(daemon) as phone,
        link_beside(daemon, upstream) as link,
        await syncline.connect_remote(upstream.url) as remote,
    ):
        await link.link.wait_live(WAIT_S)
        await phone.model("todo").put("1", {"title": "first"})
        await phone.link.wait_live(WAIT_S)
        await link.link.wait_live(WAIT_S)
        await link.link.pause()
        await phone.model("todo").put("1", {"title": "ours"})
        await phone.link.wait_live(WAIT_S)
        await remote.model("todo").put("1", {"title": "theirs"})
        link.link.resume()
        await link.link.wait_live(WAIT_S)
        (conflict,) = await link.conflicts()

        assert ("ours", "theirs") == (conflict.ours["title"], conflict.theirs["title"])
        assert "ours" == (await phone.model("todo").get("1"))["title"]


async def test_a_create_that_is_refused_upstream_is_deleted_at_the_daemons_clients(
    daemon, upstream
):
    async with client(daemon) as phone, link_beside(daemon, upstream) as link:
        await link.link.wait_live(WAIT_S)
        changes = phone.model("todo").watch()
        await phone.model("todo").put("1", {"title": "bad"})
        await first(changes, lambda change: change.is_deletion)

        assert await phone.model("todo").get("1") is None


async def test_a_link_that_was_there_before_the_daemon_keeps_its_tombstones(
    new_daemon, upstream, tmp_path
):
    """Who came later marks the store, and the link sees it before its next commit."""
    store = str(tmp_path / "served.db")
    async with syncline.connect(upstream.url, store=store, models=["todo"]) as link:
        await link.link.wait_live(WAIT_S)
        daemon = new_daemon(store=store)
        async with client(daemon) as phone:
            changes = phone.model("todo").watch()
            await phone.model("todo").put("1", {"title": "bad"})
            await first(changes, lambda change: change.is_deletion)


async def test_clients_that_were_level_stay_so_through_a_purge_and_a_reconnect(new_daemon):
    """Pushes go on while another process purges: none is answered under the epoch before."""
    daemon = new_daemon()
    async with client(daemon) as phone:
        todo = phone.model("todo")
        for n in range(3):
            await todo.put(f"{n}", {})
            await todo.delete(f"{n}")
            await phone.link.wait_live(WAIT_S)
            async with await syncline.Replica.open(
                daemon.store, ["todo"], now_ms=in_an_hour
            ) as other:
                assert 1 == (await other.compact(0)).purged
                await todo.put("stays", {"n": n})
                await phone.link.wait_live(WAIT_S)
            daemon.end(signal.SIGKILL)
            daemon.start()
            await phone.link.wait_live(WAIT_S)

            assert "good" == phone.link.welcome.standing


def in_an_hour():
    return time.time_ns() // 1_000_000 + 3600 * 1000


async def test_live_query_of_another_process_sees_that_its_create_was_refused(upstream, tmp_path):
    path = str(tmp_path / "shared.db")
    async with (
        syncline.connect(upstream.url, store=path, models=["todo"]) as holder,
        await syncline.Replica.open(path, ["todo"]) as other,
    ):
        await holder.link.wait_live(WAIT_S)
        shown = asyncio.Queue()
        await other.model("todo").subscribe(lambda rows: shown.put_nowait(len(rows)))
        await other.model("todo").put("1", {"title": "bad"})
        async with asyncio.timeout(WAIT_S):
            assert [0, 1, 0] == [await shown.get() for _ in range(3)]
