"""The HTTP side of the socket door: newcomers are counted, told by name, and POSTs read whole."""

import asyncio
import json
import logging

import aiohttp
import msgspec
import pytest
import structlog
from aiohttp import web

from syncline.connection import Connection
from syncline.diagnosis import REFUSAL_HEADER
from syncline.errors import Busy
from synclined import loop, waiting
from synclined.app import DAEMON, build_app
from synclined.doorway import read_packets
from synclined.http_log import http_logger
from synclined.peers import Limits
from synclined.strangers import EIO3, MSGPACK
from synclined.waiting import CONNECT_WITHIN_S, Waiting


WAIT_S = 20
POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
SOCKETS_MAX = 3
POST_MAX = 20_000


@pytest.fixture
async def site():
    limits = Limits(connections_max=SOCKETS_MAX, message_bytes_max=POST_MAX, heartbeat_s=0.04)
    app = build_app(access="anyone", store="memory:", models=["todo"], limits=limits)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    app.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield app
    await runner.cleanup()


@pytest.fixture
async def http(site):
    timeout = aiohttp.ClientTimeout(WAIT_S)
    async with aiohttp.ClientSession(site.url, timeout=timeout) as session:
        yield session


async def opened(http):
    """Return the path of a new polling client's own."""
    async with http.get(POLLING) as answer:
        return f"{POLLING}&sid={json.loads((await answer.text())[1:])['sid']}"


# ---- how many --------------------------------------------------------------------------------


async def test_sockets_are_counted_from_the_handshake_on(http):
    held = [await http.ws_connect(WEBSOCKET) for _ in range(SOCKETS_MAX - 1)]
    await opened(http)

    with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
        await http.ws_connect(WEBSOCKET)
    async with http.get(POLLING) as polled:
        assert (503, 503) == (raised.value.status, polled.status)
        assert "as many connections" in await polled.text()
        assert polled.headers["Retry-After"]
        assert "as many connections" in polled.headers[REFUSAL_HEADER]
    await held.pop().close()
    async with asyncio.timeout(WAIT_S):
        while True:
            async with http.get(POLLING) as polled:
                if polled.status == 200:
                    break
    for socket in held:
        await socket.close()


async def test_a_replica_is_told_that_there_is_no_room_and_comes_back_by_itself(site, http):
    held = [await http.ws_connect(WEBSOCKET) for _ in range(SOCKETS_MAX)]

    with pytest.raises(Busy, match="as many connections") as raised:
        await Connection(site.url).open()

    assert raised.value.retryable
    for socket in held:
        await socket.close()


async def test_a_handshake_of_half_leaves_no_socket(site, http):
    """With the headers of an upgrade, but for its key."""
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    for _ in range(2 * SOCKETS_MAX):
        async with http.get(WEBSOCKET, headers=headers) as answer:
            assert 400 == answer.status

    sio = site[DAEMON].sockets.sio
    assert ({}, {}) == (sio.environ, sio.eio.sockets)


async def test_a_socket_that_is_connected_to_nothing_is_ended(site, http, monkeypatch):
    async with http.ws_connect(WEBSOCKET) as silent, http.ws_connect(WEBSOCKET) as refused:
        await silent.receive_str()
        await refused.receive_str()
        await refused.send_str('40{"protocol":7}')
        assert "version_not_supported" in await refused.receive_str()
        path = await opened(http)
        monkeypatch.setattr(waiting, "CONNECT_WITHIN_S", 0.0)
        for socket in (silent, refused):
            assert aiohttp.WSMsgType.CLOSE == (await socket.receive(WAIT_S)).type
    async with http.get(path) as polled:
        # Whether the poll found the end, or waited for it.
        assert polled.status in (400, 503)
    assert {} == site[DAEMON].sockets.sio.environ


async def test_one_that_is_late_in_the_middle_of_its_upgrade_is_ended_too(site, http, monkeypatch):
    path = await opened(http)
    async with http.ws_connect(path.replace("polling", "websocket")) as half:
        await half.send_str("2probe")
        assert "3probe" == await half.receive_str(timeout=WAIT_S)
        monkeypatch.setattr(waiting, "CONNECT_WITHIN_S", 0.0)
        assert (await half.receive(WAIT_S)).type in (
            aiohttp.WSMsgType.CLOSED,
            aiohttp.WSMsgType.ERROR,
        )
    assert {} == site[DAEMON].sockets.sio.environ


async def test_who_is_connected_to_any_namespace_is_let_be(site, http):
    sio = site[DAEMON].sockets.sio
    async with http.ws_connect(WEBSOCKET) as peer:
        await peer.receive_str()
        for packet in ("40/state,", "40", "41"):
            await peer.send_str(packet)
        await peer.send_str('42/state,1["models",{}]')
        async with asyncio.timeout(WAIT_S):
            while not (await peer.receive_str()).startswith("43/state,1"):
                pass
        assert [] == sio.waiting.overdue(float("inf"))
        await peer.send_str("41/state,")
        async with asyncio.timeout(WAIT_S):
            while not sio.waiting.overdue(float("inf")):  # noqa: ASYNC110 - a turn of the loop
                await asyncio.sleep(0)


def test_those_that_wait_are_overdue_in_their_order():
    held = Waiting()
    held.begin("a", 0.0)
    held.begin("b", 1.0)
    held.begin("a", 5.0)
    held.begin("c", 2.0)
    held.end("b")
    held.end("nobody")

    assert [] == held.overdue(CONNECT_WITHIN_S - 0.1)
    assert ["a"] == held.overdue(CONNECT_WITHIN_S)
    assert ["a", "c"] == held.overdue(CONNECT_WITHIN_S + 2.0)


# ---- clients of other protocols --------------------------------------------------------------


async def test_a_client_of_engine_io_3_is_told_in_its_own_words(http):
    with structlog.testing.capture_logs() as logs:
        async with http.get("/socket.io/?EIO=3&transport=polling&t=x") as answer:
            said = await answer.text()
        async with http.ws_connect("/socket.io/?EIO=3&transport=websocket") as socket:
            frames = [await socket.receive_str() for _ in range(2)]

    packets = []
    while said:
        size, _, said = said.partition(":")
        packets.append(said[: int(size)])
        said = said[int(size) :]
    assert [*frames, "1"] == packets
    assert EIO3 == json.loads(frames[1].removeprefix("44"))
    told = [(line["log_level"], line["reason"]) for line in logs if "reason" in line]
    assert [("warning", EIO3), ("debug", EIO3)] == told


async def test_a_client_of_the_msgpack_parser_is_told_in_msgpack(http):
    connect = msgspec.msgpack.encode({"type": 0, "nsp": "/", "data": {"protocol": 1}})
    with structlog.testing.capture_logs() as logs:
        async with http.ws_connect(WEBSOCKET) as socket:
            await socket.receive_str()
            await socket.send_bytes(connect)
            packet = msgspec.msgpack.decode(await socket.receive_bytes(timeout=WAIT_S))

    assert (4, "/", MSGPACK) == (packet["type"], packet["nsp"], packet["data"]["message"])
    assert [MSGPACK] == [line["reason"] for line in logs if line["event"] == "connection.refused"]


@pytest.mark.parametrize(
    "message", [b"", b"\xc1", b"\x01", msgspec.msgpack.encode({"type": 2}), b"\x91" * 2000]
)
async def test_other_binary_messages_of_nobody_are_nothing(http, message):
    async with http.ws_connect(WEBSOCKET) as socket:
        await socket.receive_str()
        await socket.send_bytes(message)
        await socket.send_str("40")
        assert (await socket.receive_str(timeout=WAIT_S)).startswith("40{")


@pytest.mark.parametrize(
    ("packets", "words"),
    [
        pytest.param(["40/app,{}"], ["'/app'", "a path behind the address"], id="unknown"),
        pytest.param(["40/" + "x" * 500 + ",{}"], ["leave the path away"], id="long"),
        pytest.param(["40{}", "40{}"], ["has '/' already"], id="twice"),
    ],
)
async def test_a_namespace_that_is_not_to_be_had_is_named(http, packets, words):
    with structlog.testing.capture_logs() as logs:
        async with http.ws_connect(WEBSOCKET) as socket:
            await socket.receive_str()
            for packet in packets:
                await socket.send_str(packet)
            while not (said := await socket.receive_str(timeout=WAIT_S)).startswith("44"):
                pass

    refusal = json.loads(said[said.index("{") :])
    assert "protocol_error" == refusal["data"]["code"]
    assert all(word in refusal["message"] for word in words)
    assert refusal["message"] == refusal["data"]["message"]
    assert 1 == len([line for line in logs if line["event"] == "connection.refused"])


@pytest.mark.parametrize(
    ("query", "words"),
    [
        pytest.param("transport=polling", "EIO=4", id="no version"),
        pytest.param("EIO=2&transport=polling", "EIO=4", id="version 2"),
        pytest.param("EIO=4&transport=flash", "polling and websocket", id="transport"),
        pytest.param("EIO=4&transport=websocket", "Upgrade: websocket", id="no upgrade"),
    ],
)
async def test_a_handshake_that_is_wrong_is_told_and_logged_once(http, query, words):
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            async with http.get(f"/socket.io/?{query}") as answer:
                assert 400 == answer.status
                assert words in await answer.text()

    levels = [line["log_level"] for line in logs if line["event"] == "request.refused"]
    assert ["warning", "debug"] == levels


async def test_an_address_without_its_last_slash_is_the_same(http):
    async with http.get("/socket.io?EIO=4&transport=polling") as answer:
        assert (200, "0") == (answer.status, (await answer.text())[:1])


# ---- POSTs -----------------------------------------------------------------------------------


async def chunks(*texts):
    for text in texts:
        yield text.encode()


async def test_a_chunked_post_is_read_whole(http):
    """As Go's client sends it, and as all come through some proxies."""
    path = await opened(http)
    for said in (["4", "0"], ['421["mo', 'dels",{}]', '\x1e422["count",{"model":"todo"}]']):
        async with http.post(path, data=chunks(*said)) as answer:
            assert (200, "OK") == (answer.status, await answer.text())
    heard = []
    while len(heard) < 3:
        async with http.get(path) as answer:
            heard += (await answer.text()).split("\x1e")

    assert ['431[{"models":["todo"]}]', '432[{"count":0}]'] == heard[1:]


@pytest.mark.parametrize("is_chunked", [True, False])
async def test_a_post_over_the_limit_ends_the_link(site, http, is_chunked):
    path = await opened(http)
    large = "4" + "x" * POST_MAX
    async with http.post(path, data=chunks(large) if is_chunked else large) as answer:
        assert 413 == answer.status
        assert "over the limit" in await answer.text()
    async with http.get(path) as answer:
        assert 400 == answer.status
    assert {} == site[DAEMON].sockets.sio.environ


async def test_attachments_over_the_limit_together_end_the_link(site, http):
    """Each in a POST of its own: an event is held until the last of them has come."""
    path = await opened(http)
    places = ",".join(f'{{"_placeholder":true,"num":{n}}}' for n in range(3))
    attachment = "b" + "QUJD" * 3000
    statuses = []
    for said in ("40", f'453-1["bulk_update",{places}]', attachment, attachment, attachment):
        async with http.post(path, data=said) as answer:
            statuses.append(answer.status)

    assert [200, 200, 200, 200, 413] == statuses
    assert {} == site[DAEMON].sockets.sio._binary_packet


async def test_a_poll_that_waits_while_its_link_is_ended_is_answered(site, http):
    path = await opened(http)
    polling = asyncio.create_task(http.get(path))
    (held,) = site[DAEMON].sockets.sio.eio.sockets.values()
    async with asyncio.timeout(WAIT_S):
        while not held.queue._getters:  # noqa: ASYNC110 - a turn of the loop, not a wait
            await asyncio.sleep(0)
        async with http.post(path, data="2probe") as answer:
            assert 400 == answer.status

        assert 503 == (await polling).status


async def test_a_page_of_another_origin_posts_nothing(http):
    path = await opened(http)

    async with http.post(path, data="40", headers={"Origin": "http://elsewhere"}) as answer:
        assert 400 == answer.status


def test_packets_are_read_as_they_were_sent():
    assert ["40", "3", b"ab", "1"] == read_packets(b"40\x1e3\x1ebYWI=\x1e1")
    assert ['42["é"]'] == read_packets(b"d=42%5B%22%C3%A9%22%5D")


# ---- the process's own log --------------------------------------------------------------------


def test_what_a_peer_did_wrong_is_one_line_without_a_traceback(caplog):
    logger = http_logger()
    with structlog.testing.capture_logs() as logs:
        for error in (ConnectionResetError("gone"), ValueError("a bug")):
            logger.error("Unhandled exception", exc_info=error)

    assert [("request.unreadable", "gone")] == [(one["event"], one["reason"]) for one in logs]
    assert ["a bug"] == [str(one.exc_info[1]) for one in caplog.records]
    assert logging.ERROR == caplog.records[0].levelno


def test_what_the_daemon_raises_is_not_raised_beside_a_missing_uvloop(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "uvloop", None)

    async def work():
        raise ValueError("its own")

    with pytest.raises(ValueError, match="its own") as raised:
        loop.run(work())
    assert raised.value.__context__ is None
