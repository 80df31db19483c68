"""What rough clients send at a real daemon: it answers or ends them, and logs no traceback."""

import asyncio
import contextlib
import json
import queue
import random
import socket
import struct
from urllib.parse import urlsplit

import aiohttp
import pytest


WAIT_S = 20
POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
SEEDS = range(12)
FORMS_A_SEED = 60


@pytest.fixture(scope="module")
def rough_daemon(start_once):
    """One daemon for all of them, which ends as a daemon should."""
    daemon = start_once("serve", "--port", "0", "--model", "todo", "--log-level", "debug")
    daemon.url = daemon.wait_for(r"http://\S+")[0]
    yield daemon
    assert 0 == daemon.end()
    assert [] == broken_of(iter(daemon.err.get, None))


@pytest.fixture
def daemon(rough_daemon):
    """The daemon, which must have said nothing of a bug."""
    yield rough_daemon
    lines = []
    with contextlib.suppress(queue.Empty):
        while True:
            lines.append(rough_daemon.err.get_nowait())
    assert [] == broken_of(lines)


def broken_of(lines):
    """Return the lines that tell of a bug, or of what passes for one."""
    marks = ("Traceback", '"exception"', '"level":"error"')
    return [line[:3000] for line in lines if any(mark in line for mark in marks)]


@pytest.fixture
async def http(daemon):
    async with (
        aiohttp.ClientSession(daemon.url, timeout=aiohttp.ClientTimeout(WAIT_S)) as session,
    ):
        yield session


def said_raw(url, request, *, resets=False):
    """Send bytes over a socket of their own; return the answer's beginning, or reset at once."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=WAIT_S) as peer:
        if resets:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.sendall(request if isinstance(request, bytes) else request.encode("latin-1"))
        if resets:
            return b""
        peer.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while chunk := peer.recv(65536):
                answer += chunk
        return answer


async def opened(http):
    """Return the path of a new polling client's own."""
    async with http.get(POLLING) as answer:
        return f"{POLLING}&sid={json.loads((await answer.text())[1:])['sid']}"


async def is_well(http):
    """Tell whether the daemon serves a newcomer that polls, as if nothing had been."""
    path = await opened(http)
    async with http.post(path, data="40") as answer:
        assert 200 == answer.status
    async with http.get(path) as answer:
        said = await answer.text()
    async with http.post(path, data="1") as answer:
        assert 200 == answer.status
    return said[:3] == "40{" or said


@pytest.mark.parametrize("target", [WEBSOCKET, POLLING, "/state", "/"])
async def test_whoever_resets_in_the_handshake_leaves_nothing(daemon, http, target):
    upgrade = UPGRADE if target == WEBSOCKET else ""
    for _ in range(20):
        said_raw(daemon.url, f"GET {target} HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n", resets=True)

    assert (await is_well(http)) is True


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param("2probe", {}, 400, id="a probe"),
        pytest.param("", {}, 400, id="nothing"),
        pytest.param("x", {}, 400, id="no packet"),
        pytest.param("4", {}, 200, id="a message of nothing"),
        pytest.param("0{}", {}, 400, id="an opening"),
        pytest.param("5", {}, 400, id="an upgrade"),
        pytest.param("6", {}, 400, id="nothing to say"),
        pytest.param("40\x1e\x1e42", {}, 400, id="an empty packet"),
        pytest.param("²", {}, 400, id="a number that is none"),
        pytest.param("b!!!", {}, 400, id="no base64"),
        pytest.param("bé", {}, 400, id="base64 beyond ascii"),
        pytest.param("d=", {}, 400, id="a form of nothing"),
        pytest.param(b"\xff\xfe", {}, 400, id="no text"),
        pytest.param(b"junk", {"Content-Encoding": "gzip"}, 400, id="bad gzip"),
        pytest.param(b"junk", {"Content-Encoding": "deflate"}, 400, id="bad deflate"),
        pytest.param("1\x1e40", {}, 200, id="a word after leaving"),
        pytest.param("41\x1e42[]\x1e41", {}, 200, id="words of nobody"),
    ],
)
async def test_a_polling_post_of_any_form_is_answered(http, body, headers, status):
    path = await opened(http)

    async with http.post(path, data=body, headers=headers) as answer:
        assert status == answer.status
        assert (await answer.text()).strip('"')
    assert (await is_well(http)) is True


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param('40{"protocol":%s}', id="protocol"),
        pytest.param('40{"token":%s}', id="token"),
        pytest.param('40{"ticket":%s}', id="ticket"),
        pytest.param("40%s", id="auth"),
        pytest.param("40/state,%s", id="of the state"),
        pytest.param("40/nowhere,%s", id="of nowhere"),
    ],
)
@pytest.mark.parametrize("depth", [60, 990, 1100])
async def test_a_connect_of_any_depth_is_answered(http, packet, depth):
    async with http.ws_connect(WEBSOCKET) as peer:
        await peer.receive_str(timeout=WAIT_S)
        await peer.send_str(packet % ("[" * depth + "]" * depth))
        said = await peer.receive_str(timeout=WAIT_S)

    assert said.startswith("44")


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40, id="TLS"),
        pytest.param(b"GET / HTTP/9.9\r\n\r\n", id="version"),
        pytest.param(b"GET\r\n\r\n", id="no path"),
        pytest.param(b"\x00\x01\x02\r\n\r\n", id="noise"),
        pytest.param(b"GET /socket.io/?EIO=4 HTTP/1.1\r\nHost x\r\n\r\n", id="no header"),
        pytest.param(b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n", id="bad address"),
        pytest.param(b"GET /%ff%fe?EIO=%ff HTTP/1.1\r\nHost: x\r\n\r\n", id="no text in the path"),
        pytest.param(
            b"POST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: x\r\n"
            b"Content-Length: -5\r\n\r\n",
            id="negative length",
        ),
        pytest.param(
            b"POST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: x\r\n"
            b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            id="broken chunk",
        ),
        pytest.param(
            b"POST /api/todos HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\njunk",
            id="bad gzip at the api",
        ),
        pytest.param(
            b"POST /nowhere HTTP/1.1\r\nHost: x\r\n"
            b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\njunk",
            id="bad gzip at nothing",
        ),
        pytest.param(
            b"POST /api/todos HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 40\r\n\r\n{",
            id="half a body at the api",
        ),
        pytest.param(
            f"GET {WEBSOCKET} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\n\r\n".encode(),
            id="half a websocket",
        ),
        pytest.param(f"GET {WEBSOCKET}&j=x HTTP/1.1\r\nHost: x\r\n\r\n".encode(), id="bad index"),
        pytest.param(f"GET {WEBSOCKET} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), id="no upgrade"),
        pytest.param(
            b"GET /socket.io/?EIO=4&transport=flash HTTP/1.1\r\nHost: x\r\n\r\n", id="transport"
        ),
        pytest.param(b"PUT /socket.io/?EIO=4 HTTP/1.1\r\nHost: x\r\n\r\n", id="method"),
        pytest.param(b"HEAD /socket.io/?EIO=4 HTTP/1.1\r\nHost: x\r\n\r\n", id="head"),
    ],
)
async def test_http_of_any_form_is_answered_or_ended(daemon, http, request_):
    answer = await asyncio.to_thread(said_raw, daemon.url, request_)

    assert not answer.startswith(b"HTTP/1.1 5"), answer[:300]
    assert (await is_well(http)) is True


def form_of(chance):
    """Return a packet of some form, mostly nearly right."""
    kind = chance.choice(["", "0", "1", "2", "3", "4", "5", "6", "7", "9", "b", "²"])
    inner = chance.choice(["", "0", "1", "2", "3", "4", "5", "6", "7", "-", "é"])
    count = chance.choice(["", "", "", "0-", "1-", "2-", "65-", "99999999999-", "-"])
    place = chance.choice(["", "", "", "/,", "/state,", "/nowhere,", "/state", "/?x,", "/,,"])
    ack = chance.choice(["", "", "1", "0", "9" * 15, "9" * 120, "-1", "1.5"])
    data = chance.choice(
        [
            *("", "null", "{}", "[]", "5", '"x"', "{bad", "[" * 990 + "]" * 990, "probe"),
            *('{"protocol":1}', '{"protocol":{}}', '{"token":[]}', '["models",{}]', '["hello"]'),
            *(f'["get",{{"_placeholder":true,"num":{chance.randint(-2, 3)}}}]', '["connect"]'),
            *('["*",1]', '["disconnect","x"]', '[""]', "[[]]", '["find",1,2,3]', '["\\ud800"]'),
        ]
    )
    return kind + inner + count + place + ack + data


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_sequence_of_packets_breaks_the_daemon(http, seed):
    """Over both transports, packets in an order of chance; the seed names what was sent."""
    chance = random.Random(seed)
    for _ in range(FORMS_A_SEED // 10):
        forms = [form_of(chance) for _ in range(10)]
        async with http.ws_connect(WEBSOCKET) as peer:
            if chance.random() < 0.5:
                await peer.send_str("40")
            for form in forms:
                with contextlib.suppress(ConnectionError):
                    if chance.random() < 0.2:
                        await peer.send_bytes(form.encode())
                    else:
                        await peer.send_str(form)
        path = await opened(http)
        for form in ["40", *forms]:
            more = chance.sample(forms, chance.randint(0, 2))
            async with http.post(path, data="\x1e".join([form, *more]).encode()) as answer:
                assert answer.status in (200, 400), form

    assert (await is_well(http)) is True
