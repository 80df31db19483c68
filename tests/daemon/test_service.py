"""The daemon under a service manager, whose socket the test plays."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

import syncline
from syncline.connection import Connection
from syncline.errors import StoreUnavailable
from synclined.access import ANYONE
from synclined.app import Daemon
from synclined.notify import Notifier
from synclined.running import _feed


WAIT_S = 20


class Manager:
    """A service manager's end of the notification socket."""

    def __init__(self, path):
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(WAIT_S)

    def hears(self):
        return self._socket.recv(4096).decode()

    def hears_until(self, word):
        heard = [self.hears()]
        while word not in heard[-1]:
            heard.append(self.hears())
        return heard

    def close(self):
        self._socket.close()


@pytest.fixture
def manager(tmp_path):
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


@pytest.fixture
def service(manager, tmp_path):
    command = [sys.executable, "-m", "synclined", "serve", "--port", "0", "--store", "s.db"]
    env = {**os.environ, "NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "200000"}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    yield process
    if process.poll() is None:
        process.kill()
    process.wait(WAIT_S)
    process.stdout.close()


def url_of(process):
    for line in process.stdout:
        if "serving at" in line:
            return next(word for word in line.split() if word.startswith("http"))
    raise AssertionError("it did not start")


def status_of(url):
    try:
        with urllib.request.urlopen(url, timeout=WAIT_S) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_ready_comes_when_the_store_is_open_and_the_watchdog_is_fed(service, manager, tmp_path):
    heard = manager.hears_until("READY=1")
    url = url_of(service)

    assert (tmp_path / "s.db").exists()
    assert "READY=1" in heard[0]
    assert [200, 200, 200] == [status_of(f"{url}/{p}") for p in ("readyz", "healthz", "version")]
    assert all("WATCHDOG=1" in manager.hears_until("WATCHDOG=1")[-1] for _ in range(3))


def test_sigterm_stops_with_a_word_to_everybody_and_exit_0(service, manager):
    manager.hears_until("READY=1")
    url_of(service)
    os.kill(service.pid, signal.SIGTERM)

    manager.hears_until("STOPPING=1")

    assert 0 == service.wait(WAIT_S)


def test_the_manager_sees_what_the_daemon_is_at(service, manager):
    heard = manager.hears_until("STATUS=")
    url = url_of(service)

    assert f"STATUS=serving at {url}, 0 connections" == heard[-1]


def test_a_reload_begins_and_ends_with_a_word_to_the_manager(service, manager):
    manager.hears_until("READY=1")
    url_of(service)
    os.kill(service.pid, signal.SIGHUP)

    begun = manager.hears_until("RELOADING=1")[-1]
    manager.hears_until("READY=1")

    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", begun)


async def test_a_client_is_told_when_to_come_back(service, manager):
    manager.hears_until("READY=1")
    url = url_of(service)
    async with syncline.connect(url, models=["todo"]) as replica:
        await replica.model("todo").put("1", {"n": 1})
        await replica.link.wait_live(WAIT_S)
        states = []
        replica.link.on_status(lambda status: states.append((status.state, status.reason)))
        os.kill(service.pid, signal.SIGTERM)
        async with asyncio.timeout(WAIT_S):
            while ("offline", "stopping") not in states:
                await asyncio.sleep(0)

    assert ("offline", "stopping") in states


async def test_clients_return_by_themselves_when_it_is_back(manager, tmp_path, free_port):
    """What was written meanwhile arrives too."""
    command = [sys.executable, "-m", "synclined", "serve", "--store", "s.db"]
    env = {**os.environ, "NOTIFY_SOCKET": manager.path}

    def start():
        return subprocess.Popen(
            [*command, "--port", str(free_port)],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    first = start()
    await asyncio.to_thread(manager.hears_until, "READY=1")
    async with syncline.connect(f"http://127.0.0.1:{free_port}", models=["todo"]) as replica:
        await replica.link.wait_live(WAIT_S)
        first.terminate()
        assert 0 == await asyncio.to_thread(first.wait, WAIT_S)
        await replica.model("todo").put("1", {"n": 1})
        second = start()
        try:
            await asyncio.to_thread(manager.hears_until, "READY=1")
            await replica.link.wait_live(WAIT_S)
            assert "good" == replica.link.welcome.standing
            remote = await syncline.connect_remote(f"http://127.0.0.1:{free_port}")
            assert {"id": "1", "n": 1} == await remote.model("todo").get("1")
            await remote.close()
        finally:
            second.terminate()
            await asyncio.to_thread(second.wait, WAIT_S)


async def test_a_bye_names_the_delay_and_every_client_its_own(service, manager):
    await asyncio.to_thread(manager.hears_until, "READY=1")
    url = url_of(service)
    byes = asyncio.Queue()
    connections = []
    for number in range(5):
        connection = Connection(url, on_event=lambda *heard: byes.put_nowait(heard))
        await connection.open()
        await connection.request("hello", {"replica": f"r{number}", "models": ["todo"]})
        connections.append(connection)
    service.terminate()
    heard = [await asyncio.wait_for(byes.get(), WAIT_S) for _ in connections]
    for connection in connections:
        await connection.close()
    delays = {payload["delay_ms"] for _, payload in heard}

    assert {"bye"} == {event for event, _ in heard}
    assert {"stopping"} == {payload["reason"] for _, payload in heard}
    assert len(delays) > 1
    assert all(1000 <= delay <= 3000 for delay in delays)


class Told:
    """Counts what the watchdog is told, and ends the feeding after a few turns."""

    watchdog_interval_s = 0.002

    def __init__(self):
        self.fed = 0

    def watchdog(self):
        self.fed += 1


async def test_the_watchdog_starves_when_the_store_does_not_answer(monkeypatch):
    daemon = Daemon(store="memory:", models=None, authenticate=lambda _token: ANYONE)
    await daemon.start()
    turns = []

    async def head():
        turns.append(1)
        if len(turns) > 3:
            raise StoreUnavailable
        return 0

    monkeypatch.setattr(daemon.replica, "head", head)
    told = Told()
    feeding = asyncio.create_task(_feed(daemon, told))
    async with asyncio.timeout(WAIT_S):
        while len(turns) < 10:
            await asyncio.sleep(0)
    feeding.cancel()
    await asyncio.gather(feeding, return_exceptions=True)
    await daemon.drain(1.0)

    assert 3 == told.fed


def test_without_a_manager_nothing_is_said():
    assert not Notifier({}).ready()
