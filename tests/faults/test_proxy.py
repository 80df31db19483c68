"""The fault proxy does what it says, so that a story told through it means something."""

import asyncio
import contextlib
import time

import pytest
from proxy import IN, OUT, FaultProxy


WAIT_S = 20


class Echo:
    """A server that answers each line with itself, and says the end when told the end."""

    def __init__(self):
        self.heard = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info):
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader, writer):
        try:
            while line := await reader.readline():
                self.heard.append(line)
                writer.write(line)
            self.heard.append(b"")
            writer.write(b"heard the end\n")
            await writer.drain()
        except OSError:
            self.heard.append(None)
        finally:
            writer.close()


@pytest.fixture
async def echo():
    async with Echo() as server:
        yield server


@pytest.fixture
async def proxy(echo):
    async with FaultProxy(echo.port) as made:
        yield made


@pytest.fixture
async def talk(proxy):
    """A connection through the proxy: (reader, writer)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    yield reader, writer
    writer.transport.abort()


async def say(talk, line):
    talk[1].write(line)
    return await asyncio.wait_for(talk[0].readline(), WAIT_S)


async def until(condition):
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)


async def test_without_a_fault_it_carries_both_ways(proxy, talk):
    assert b"a\n" == await say(talk, b"a\n")
    assert (1, 1) == (proxy.connections, proxy.accepted)
    assert (2, 2) == (proxy.ways[IN].passed, proxy.ways[OUT].passed)


async def test_a_delay_holds_what_passes(proxy, talk):
    proxy.delay(0.1)
    started = time.monotonic()
    await say(talk, b"a\n")

    assert 0.2 <= time.monotonic() - started


async def test_a_throttle_lets_so_many_bytes_a_second_pass(proxy, talk):
    proxy.throttle(10_000, OUT)
    started = time.monotonic()
    await say(talk, b"a" * 4999 + b"\n")

    assert 0.4 <= time.monotonic() - started


async def test_a_throttle_is_felt_by_the_sender(echo):
    """Else what it sends waits in buffers between, and nobody is slow."""
    async with FaultProxy(echo.port) as proxy:
        proxy.throttle(1000, OUT)
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        for _ in range(200):
            writer.write(b"a" * 49_999 + b"\n")
        await until(lambda: proxy.ways[IN].passed > 1_000_000)
        passed = proxy.ways[OUT].passed
        writer.transport.abort()

    assert passed < 100_000


async def test_a_cut_resets_both_sides(proxy, talk, echo):
    await say(talk, b"a\n")
    proxy.cut()

    with pytest.raises(OSError):
        await say(talk, b"b\n")
        await say(talk, b"b\n")
    await until(lambda: echo.heard[-1] is None or echo.heard[-1] == b"")
    await until(lambda: proxy.connections == 0)


async def test_while_it_refuses_nobody_gets_through_and_healed_it_does(proxy):
    proxy.refuse()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    with contextlib.suppress(OSError):
        assert b"" == await say((reader, writer), b"a\n")
    writer.transport.abort()
    proxy.heal()
    again = await asyncio.open_connection("127.0.0.1", proxy.port)

    assert b"a\n" == await say(again, b"a\n")
    again[1].transport.abort()


async def test_a_half_close_ends_one_way_only(proxy, talk):
    await say(talk, b"a\n")
    proxy.half_close(IN)

    assert b"heard the end\n" == await asyncio.wait_for(talk[0].readline(), WAIT_S)


@pytest.mark.parametrize("directions", [(IN,), (OUT,), (IN, OUT)])
async def test_a_black_hole_holds_its_ways_alone_and_gives_back_what_it_held(
    proxy, talk, echo, directions
):
    await say(talk, b"a\n")
    proxy.black_hole(*directions)
    talk[1].write(b"b\n")
    if IN not in directions:
        await until(lambda: b"b\n" in echo.heard)
    reading = asyncio.ensure_future(talk[0].readline())
    await asyncio.wait([reading], timeout=0.1)

    assert not reading.done()
    assert (b"b\n" in echo.heard) is (IN not in directions)
    proxy.heal()
    assert b"b\n" == await asyncio.wait_for(reading, WAIT_S)


async def test_flapping_cuts_as_often_as_told_and_ends_healed(proxy, talk):
    await say(talk, b"a\n")
    await proxy.flap(5, up_s=0.01, down_s=0.01)
    again = await asyncio.open_connection("127.0.0.1", proxy.port)

    assert b"a\n" == await say(again, b"a\n")
    again[1].transport.abort()
    # It was reset, or has ended: which of the two is heard first is the kernel's business.
    with contextlib.suppress(OSError):
        assert b"" == await say(talk, b"b\n")


async def test_a_closed_proxy_leaves_no_task(echo):
    async with FaultProxy(echo.port) as proxy:
        talk = await asyncio.open_connection("127.0.0.1", proxy.port)
        await say(talk, b"a\n")
        proxy.black_hole()
    talk[1].transport.abort()
    await until(lambda: len(asyncio.all_tasks()) == 1 or echo.heard[-1] in (None, b""))

    assert 0 == proxy.connections
