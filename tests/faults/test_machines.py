"""Machines that stop, fill up, lock, run out and lie about the time: links get over it."""

import asyncio
import contextlib
import json
import resource
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.request

import pytest
import stores
import stories
from harness import FAILPOINT, Child, Daemon
from stories import SETTINGS, WAIT_S, until

import syncline
from syncline.errors import StoreError
from syncline.status import SessionState


DAY_MS = 24 * 3600 * 1000
FILES_MAX = 64


@pytest.fixture
def new_daemon(tmp_path):
    made = []

    def start(toml=stories.TOML, store=None, **env):
        daemon = Daemon(tmp_path, toml=toml)
        if store is not None:
            daemon.store = store
        made.append(daemon)
        daemon.start(env=env)
        return daemon

    yield start
    for daemon in made:
        daemon.close()


@pytest.fixture
def daemon(new_daemon):
    return new_daemon()


def follow(daemon, store="memory:", **options):
    return syncline.connect(daemon.url, store=store, models=["log"], settings=SETTINGS, **options)


async def level(*replicas):
    for replica in replicas:
        await replica.link.wait_live(WAIT_S)
        await replica.barrier(WAIT_S)


def ids(records):
    return sorted(record["id"] for record in records)


# ---- stopped ----------------------------------------------------------------------------


async def test_a_daemon_that_is_stopped_is_found_and_gone_on_it_is_caught_up_with(daemon):
    async with follow(daemon) as a, follow(daemon) as b:
        await a.model("log").put("1", {})
        await level(a, b)
        daemon.child.send(signal.SIGSTOP)
        await a.model("log").put("2", {})
        await until(lambda: a.status.state not in stories.UP, "the stopped daemon was found, it")
        await until(lambda: b.status.state not in stories.UP, "the stopped daemon was found, it")
        daemon.child.send(signal.SIGCONT)
        await level(a, b)

        assert ["1", "2"] == ids(await b.model("log").find())
        assert [] == await a.conflicts(open_only=False)


async def test_a_client_that_is_stopped_is_cut_and_gone_on_it_catches_up(new_daemon, tmp_path):
    daemon = new_daemon()
    sockets = daemon.sockets()
    store = tmp_path / "client.db"
    child = Child(tmp_path / "client.log", stories.follow, daemon.url, str(store))
    try:
        assert child.wait_line("level")
        child.send(signal.SIGSTOP)
        await until(lambda: daemon.sockets() == sockets, "the daemon's cut")
        async with follow(daemon) as b:
            await b.model("log").put("1", {})
            await level(b)
        child.send(signal.SIGCONT)
        await until(lambda: ("log", "1") in stores.entries(store), "what it missed")
    finally:
        child.close()


# ---- full and locked --------------------------------------------------------------------


class Quota:
    """A limit on the size of any file that a process writes; another one is set at any time."""

    def __init__(self, pid):
        self._pid = pid
        self._before = resource.prlimit(pid, resource.RLIMIT_FSIZE)

    def fill(self, path):
        log = path.with_name(path.name + "-wal")
        size = log.stat().st_size if log.exists() else 0
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (size + 1, self._before[1]))

    def free(self):
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, self._before)


class Disk:
    """A disk of four megabytes, where mounting one is permitted."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder = folder
        self._filler = folder / "filler"
        command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, check=False)
        self.is_mounted = done.returncode == 0

    def fill(self, _path):
        with contextlib.suppress(OSError), self._filler.open("wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 4096)

    def free(self):
        self._filler.unlink()

    def close(self):
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path / "disk")
    yield made
    made.close()


async def test_a_daemon_whose_disk_is_full_refuses_by_name_reads_on_and_recovers(new_daemon, disk):
    daemon = new_daemon(store=disk.folder / "daemon.db")
    space = disk if disk.is_mounted else Quota(daemon.child.pid)
    async with follow(daemon) as a, follow(daemon) as b:
        await a.model("log").put("1", {})
        await level(a, b)
        remote = await syncline.connect_remote(daemon.url)
        space.fill(daemon.store)
        with pytest.raises(StoreError) as caught:
            for index in range(2000):
                await remote.model("log").put(f"there-{index}", {"text": "x" * 20_000})
        refused = await remote.model("log").count()
        await a.model("log").put("2", {})
        await until(lambda: a.status.state is not SessionState.LIVE, "an honest status")
        assert a.status.pending
        space.free()
        await level(a, b)
        await remote.close()

        assert caught.value.retryable
        assert caught.value.code == ("store_full" if disk.is_mounted else "store_unavailable")
        assert refused + 1 == await b.model("log").count()
        assert {"1", "2"} <= set(ids(await b.model("log").find()))
    daemon.stop()
    assert [] == stores.problems(daemon.store)


async def test_a_client_whose_disk_is_full_says_so_keeps_its_outbox_and_recovers(daemon, disk):
    if not disk.is_mounted:
        disk = Quota(0)
        store = str(daemon.folder / "client.db")
    else:
        store = str(disk.folder / "client.db")
    async with follow(daemon, store) as a, follow(daemon) as b:
        await a.model("log").put("1", {})
        await level(a, b)
        disk.fill(daemon.folder / "client.db")
        for index in range(30):
            await b.model("log").put(f"b-{index}", {"text": "x" * 20_000})
        await until(lambda: a.status.state is SessionState.BLOCKED, "the word blocked")
        reason = a.status.reason
        disk.free()
        await level(a, b)

        assert reason.startswith("storage: store_")
        assert 31 == await a.model("log").count()


@pytest.mark.parametrize("who", ["daemon", "client"])
async def test_a_database_locked_by_another_program_holds_up_its_writes_and_nothing_else(
    daemon, tmp_path, who
):
    store = tmp_path / "client.db"
    async with follow(daemon, str(store)) as a, follow(daemon) as b:
        await a.model("log").put("1", {})
        await level(a, b)
        other = sqlite3.connect(daemon.store if who == "daemon" else store, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(a.model("log").put("2", {}))
        turns = 0
        async with asyncio.timeout(WAIT_S):
            for _ in range(20):
                assert "ready" == (await asyncio.to_thread(_readyz, daemon))["status"]
                await asyncio.sleep(0.01)
                turns += 1
        other.execute("ROLLBACK")
        other.close()
        await writing
        await level(a, b)

        assert 20 == turns
        assert ["1", "2"] == ids(await b.model("log").find())


def _readyz(daemon):
    with urllib.request.urlopen(f"{daemon.url}/readyz", timeout=WAIT_S) as answer:
        return json.load(answer)


# ---- out of files, out of time ----------------------------------------------------------


async def test_a_daemon_out_of_files_serves_those_it_has_and_takes_newcomers_later(daemon):
    async with follow(daemon) as a:
        await a.model("log").put("1", {})
        await level(a)
        _, most = resource.prlimit(daemon.child.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.child.pid, resource.RLIMIT_NOFILE, (FILES_MAX, most))
        held = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(FILES_MAX)]
        await until(
            lambda: "accept" in daemon.child.log or any(map(_is_ended, held)),
            "the end of its files",
        )
        await a.model("log").put("2", {})
        await level(a)
        for each in held:
            each.close()
        async with follow(daemon) as b:
            await level(b)

            assert ["1", "2"] == ids(await b.model("log").find())


def _is_ended(held):
    """Tell whether the other side has closed it, as libuv does with one too many."""
    held.setblocking(False)
    try:
        return held.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize("days", [1, -1])
async def test_a_clock_that_jumps_a_day_loses_nothing_and_wins_nothing_for_good(daemon, days):
    shift = 0

    def now_ms():
        return time.time_ns() // 1_000_000 + shift

    async with (
        follow(daemon, now_ms=now_ms, strategies="latest") as a,
        follow(daemon, strategies="latest") as b,
    ):
        await a.model("log").put("1", {"by": "a"})
        await level(a, b)
        shift = days * DAY_MS
        await a.model("log").put("1", {"by": "a, another day"})
        await a.model("log").put("2", {"by": "a"})
        await level(a, b)
        assert "a, another day" == (await b.model("log").get("1"))["by"]
        await b.model("log").put("1", {"by": "b"})
        await level(b, a)
        shift = 0
        await a.model("log").put("2", {"by": "a, back"})
        await level(a, b)

        assert "b" == (await a.model("log").get("1"))["by"]
        assert "a, back" == (await b.model("log").get("2"))["by"]
        assert [] == await a.conflicts(open_only=False) + await b.conflicts(open_only=False)


HOOKS = """
import time

from syncline.hooks import Hooks


async def hold(principal, before, after):
    if after and after.get("hold"):
        time.sleep(after["hold"])


def hooks():
    return Hooks(validate={"log": hold})
"""


async def test_a_hook_that_holds_the_loop_is_said_and_breaks_no_link(new_daemon, tmp_path):
    (tmp_path / "holding.py").write_text(HOOKS)
    toml = 'hooks = ["holding:hooks"]\n' + stories.TOML
    daemon = new_daemon(toml, PYTHONPATH=str(tmp_path))
    async with follow(daemon) as a, follow(daemon) as b:
        await a.model("log").put("1", {})
        await level(a, b)
        await a.model("log").put("2", {"hold": 2.0})
        await level(a, b)
        said = await asyncio.to_thread(_readyz, daemon)
        await a.model("log").put("3", {})
        await level(a, b)

        assert ["1", "2", "3"] == ids(await b.model("log").find())
    assert said["loop_lag"]["blocked"] >= 1
    assert said["loop_lag"]["worst_ms"] >= 1000
    assert "loop.blocked" in daemon.child.log
    assert "connection.silent" not in daemon.child.log


async def test_a_store_that_hangs_holds_the_loop_and_the_lag_says_so(new_daemon):
    daemon = new_daemon(**{FAILPOINT: "commit:sleep:3"})
    async with follow(daemon) as a:
        for index in range(4):
            await a.model("log").put(str(index), {})
            await level(a)
    said = await asyncio.to_thread(_readyz, daemon)

    assert said["loop_lag"]["worst_ms"] >= 500
