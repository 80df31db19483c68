"""Links through a bad network: found dead in time, level again without a nudge, nothing leaked."""

import asyncio
import base64
import gc
import hashlib
import re

import pytest
import stories
from harness import Daemon, rss_kib
from stories import STORIES

from syncline.connection import CONNECT_TIMEOUT_S, Connection
from syncline.errors import Unreachable
from syncline.session import Session


LEAK_KIB_MAX = 6 * 1024
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""Of the WebSocket handshake: RFC 6455, section 4.2.2."""


@pytest.fixture
def daemon(tmp_path):
    made = Daemon(tmp_path, toml=stories.TOML)
    made.start()
    yield made
    made.close()


@pytest.mark.parametrize("directions", stories.HOLES)
async def test_a_black_hole_is_found_by_the_heartbeat_and_got_over(daemon, directions):
    figures = await stories.black_hole(daemon, directions)

    assert figures["found_s"] < stories.WAIT_S


@pytest.mark.parametrize("directions", stories.HOLES)
async def test_what_a_former_connection_held_back_is_nobodys_when_it_arrives(daemon, directions):
    await stories.stranded(daemon, directions)


@pytest.mark.parametrize("name", ["cut for 0.0 s", "half-closed in", "half-closed out", "slow"])
async def test_a_bad_link_is_got_over(daemon, name):
    story, *args = STORIES[name]
    await story(daemon, *args)


async def test_a_flapping_link_makes_progress_and_leaks_nothing(daemon):
    idle = daemon.sockets()
    await stories.flapping(daemon, 10)
    await stories.until(lambda: daemon.sockets() <= idle, "the daemon's sockets closed")
    gc.collect()
    before = (len(asyncio.all_tasks()), daemon.sockets(), _alive(Connection))
    memory = daemon.rss_kib(), rss_kib("self")
    figures = await stories.flapping(daemon, 30, seed=1)
    await stories.until(lambda: daemon.sockets() <= idle, "the daemon's sockets closed")
    gc.collect()

    assert figures["connections"] > 10
    assert before == (len(asyncio.all_tasks()), daemon.sockets(), _alive(Connection))
    assert daemon.rss_kib() - memory[0] < LEAK_KIB_MAX
    assert rss_kib("self") - memory[1] < LEAK_KIB_MAX


def _alive(kind):
    return sum(isinstance(each, kind) for each in gc.get_objects())


async def test_a_connection_that_falls_silent_is_cut_by_the_daemon(daemon):
    """One that only listens would never be found by its writes."""
    async with stories.told(daemon) as pair:
        sockets = daemon.sockets()
        pair.proxy.black_hole()
        await pair.far.link.pause()
        await stories.until(lambda: daemon.sockets() < sockets, "the daemon's cut")


async def test_a_connection_that_is_cut_while_connecting_is_given_up_at_once():
    """socketio itself waits for its whole timeout, and a flapping link with it."""

    async def greet_and_cut(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", head)[1]
        opened = b'0{"sid":"x","upgrades":[],"pingTimeout":20000,"pingInterval":25000}'
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + bytes([0x81, len(opened)]) + opened
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet_and_cut, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = Connection(f"http://127.0.0.1:{port}")
    with pytest.raises(Unreachable):
        async with asyncio.timeout(CONNECT_TIMEOUT_S / 2):
            await connection.open()
    server.close()
    await server.wait_closed()


# ---- the harness goes red ---------------------------------------------------------------


async def test_a_link_without_its_heartbeat_never_finds_a_black_hole(daemon, monkeypatch):
    plain = Session.tick

    def deaf(self, now):
        self._deadlines.pop("heartbeat_answer", None)
        self._deadlines.pop("push", None)
        self._deadlines.pop("fetch", None)
        return plain(self, now)

    monkeypatch.setattr(Session, "tick", deaf)
    monkeypatch.setattr(stories, "WAIT_S", 2)

    with pytest.raises(AssertionError, match="the dead link was found"):
        await stories.black_hole(daemon, "out")


async def test_a_link_that_forgets_to_fetch_is_not_level(daemon, monkeypatch):
    monkeypatch.setattr(Session, "_fetch", lambda self, now: None)
    monkeypatch.setattr(stories, "WAIT_S", 2)

    with pytest.raises((AssertionError, TimeoutError)):
        await stories.black_hole(daemon, "both")
