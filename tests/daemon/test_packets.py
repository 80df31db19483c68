"""Malformed packets, by a client that writes raw frames: named, and nobody is disturbed."""

import asyncio
import json
import logging

import aiohttp
import pytest
import structlog
from aiohttp import web

import syncline
from synclined.access import Principal, Right
from synclined.app import DAEMON, build_app
from synclined.packets import ATTACHMENTS_MAX, DoorPacket


WAIT_S = 20
DEEP = "[" * 1000 + "]" * 1000
ASK = '42777["models",{}]'
ANSWER = ["todo"]


@pytest.fixture
async def site():
    app = build_app(access=access, store="memory:", models=["todo"])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    app.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield app
    await runner.cleanup()


def access(token):
    return Principal(name=token or "writer", rights={"*": Right.WRITE})


class Raw:
    """A WebSocket that says exactly what it is told to."""

    def __init__(self, socket):
        self._socket = socket

    async def say(self, *frames):
        for frame in frames:
            if isinstance(frame, bytes):
                await self._socket.send_bytes(frame)
            else:
                await self._socket.send_str(frame)

    async def hear(self):
        """Return the next frame; None when the socket has ended."""
        message = await self._socket.receive(WAIT_S)
        return message.data if message.type is aiohttp.WSMsgType.TEXT else None

    async def answers_before_mine(self):
        """Ask for the models, and return what was heard before that answer, and it."""
        await self.say(ASK)
        heard = []
        while not (frame := await self.hear() or "ended").startswith(("43777", "ended")):
            heard.append(frame)
        return heard, frame


@pytest.fixture
async def raw(site):
    async with aiohttp.ClientSession() as session:
        address = f"{site.url}/socket.io/?EIO=4&transport=websocket"
        async with session.ws_connect(address) as socket:
            client = Raw(socket)
            await client.hear()
            await client.say('40{"protocol":1}')
            await client.hear()
            yield client


@pytest.fixture
def tracebacks():
    """Gather what the libraries log; they log a traceback for what they did not expect."""
    records = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = records.append
    loggers = [logging.getLogger(name) for name in ("engineio.server", "socketio.server")]
    for logger in loggers:
        logger.addHandler(handler)
    yield records
    for logger in loggers:
        logger.removeHandler(handler)


MALFORMED = [
    pytest.param(["4212{bad"], id="no JSON"),
    pytest.param(["4212"], id="no data"),
    pytest.param(["4212null"], id="null"),
    pytest.param(['4212{"a":1}'], id="an object"),
    pytest.param(['4212"models"'], id="a text"),
    pytest.param(["4212[]"], id="an empty list"),
    pytest.param(["4212[5]"], id="a name that is a number"),
    pytest.param(['4212[["models"]]'], id="a name that is a list"),
    pytest.param(['4212[{"a":1}]'], id="a name that is an object"),
    pytest.param(['4212["connect",{}]'], id="the library's connect"),
    pytest.param(['4212["disconnect"]'], id="the library's disconnect"),
    pytest.param(['4212["*",1]'], id="the library's star"),
    pytest.param(['4212["malformed packet",1]'], id="the name that it gets"),
    pytest.param(["451-12{bad", b"[]"], id="no JSON before an attachment"),
    pytest.param(['451-12[{"_placeholder":true,"num":0}]', b"x"], id="an attached name"),
    pytest.param(
        ['451-12["bulk_update",{"_placeholder":true,"num":7}]', b"[]"], id="a place of none"
    ),
    pytest.param(
        ['451-12["bulk_update",{"_placeholder":true,"num":"0"}]', b"[]"], id="a place by text"
    ),
    pytest.param([f'451-12["hello",{DEEP}]', b"[]"], id="places too deep"),
]


@pytest.mark.parametrize("frames", MALFORMED)
async def test_a_malformed_packet_is_answered_by_name_and_the_connection_lives(
    site, raw, tracebacks, frames
):
    await raw.say(*frames)
    heard, mine = await raw.answers_before_mine()

    (answer,) = heard
    assert "4312[" == answer[:5]
    (said,) = json.loads(answer[4:])
    assert "message_invalid" == said["error"]["code"]
    assert said["error"]["message"].startswith("the packet can't be read: ")
    assert [{"models": ANSWER}] == json.loads(mine.removeprefix("43777"))
    assert 1 == len(site[DAEMON].sockets.peers)
    assert [] == tracebacks


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(["42{bad"], id="an event without an id"),
        pytest.param(["42" + "1" * 120 + '["models"]'], id="an endless id"),
        pytest.param(["42²[5]"], id="a digit of another script"),
        pytest.param(["4312{bad"], id="an answer that nobody asked for"),
        pytest.param(["461-12{bad", b"x"], id="an attached answer"),
        pytest.param(['461-12[{"_placeholder":true,"num":3}]', b"x"], id="an answer of no place"),
        pytest.param(['451-/nowhere,12["models",1]', b"x"], id="a namespace it did not join"),
        pytest.param(['42/nowhere,12{bad"]'], id="no JSON for such a namespace"),
    ],
)
async def test_what_asks_for_no_answer_gets_none_and_the_connection_lives(raw, tracebacks, frames):
    await raw.say(*frames)
    heard, mine = await raw.answers_before_mine()

    assert [] == heard
    assert [{"models": ANSWER}] == json.loads(mine.removeprefix("43777"))
    assert [] == tracebacks


async def test_the_first_malformed_packet_is_logged_once_and_others_hear_on(site, raw):
    async with syncline.connect(site.url, models=["todo"]) as other:
        with structlog.testing.capture_logs() as logs:
            await raw.say(*["42{bad"] * 5, "451-12{bad", b"x")
            await raw.answers_before_mine()
        await site[DAEMON].replica.model("todo").put("1", {"n": 1})
        await other.barrier(WAIT_S)

        refused = [line for line in logs if line["event"] == "event.refused"]
        assert ["message_invalid"] == [line["error"] for line in refused]
        assert {"id": "1", "n": 1} == await other.model("todo").get("1")


@pytest.mark.parametrize("said", ["40{bad", "40[1]", '40"x"'])
async def test_an_unreadable_auth_is_refused_by_name(site, said, tracebacks):
    async with aiohttp.ClientSession() as session:
        address = f"{site.url}/socket.io/?EIO=4&transport=websocket"
        async with session.ws_connect(address) as socket:
            client = Raw(socket)
            await client.hear()
            await client.say(said)
            refusal = await client.hear()

    assert "44" == refusal[:2]
    assert "message_invalid" == json.loads(refusal[2:])["data"]["code"]
    assert [] == tracebacks


async def test_one_that_leaves_with_unreadable_words_has_left(site, raw):
    await raw.say("41{bad", ASK)
    async with asyncio.timeout(WAIT_S):
        while site[DAEMON].sockets.peers:  # noqa: ASYNC110 - a turn of the loop, not a wait
            await asyncio.sleep(0)

    assert {} == site[DAEMON].sockets.peers


class Polling:
    """A client that polls, and posts exactly what it is told to."""

    def __init__(self, session, url):
        self._session = session
        self._address = f"{url}/socket.io/?EIO=4&transport=polling"

    async def open(self):
        opened = json.loads((await self.poll())[0][1:])
        self._address += f"&sid={opened['sid']}"
        await self.post('40{"protocol":1}')
        while not any(packet.startswith("40") for packet in await self.poll()):
            pass

    async def post(self, *packets):
        async with self._session.post(self._address, data="\x1e".join(packets)) as response:
            return response.status

    async def poll(self):
        async with self._session.get(self._address) as response:
            assert 200 == response.status, "the daemon knows this client no more"
            return (await response.text()).split("\x1e")

    async def answer_of(self, ack_id):
        while True:
            for packet in await self.poll():
                if packet.startswith(f"43{ack_id}["):
                    return json.loads(packet.removeprefix(f"43{ack_id}"))


@pytest.fixture
async def polling(site):
    async with aiohttp.ClientSession() as session:
        client = Polling(session, site.url)
        async with asyncio.timeout(WAIT_S):
            await client.open()
            yield client
            # Engine.IO's close: a daemon that ends waits for those who have something to read.
            await client.post("1")


@pytest.mark.parametrize(
    "packets",
    [
        pytest.param(["4212{bad"], id="no JSON"),
        pytest.param(['450-12["models"]'], id="no attachments"),
        pytest.param([f'45{ATTACHMENTS_MAX + 1}-12["models"]'], id="too many attachments"),
        pytest.param(
            ['451-12["bulk_update",{"_placeholder":true,"num":7}]', "bW10="], id="a place of none"
        ),
    ],
)
async def test_a_client_that_polls_is_answered_as_well(polling, tracebacks, packets):
    assert 200 == await polling.post(*packets)
    (answer,) = await polling.answer_of(12)
    assert 200 == await polling.post(ASK)
    (mine,) = await polling.answer_of(777)

    assert "message_invalid" == answer["error"]["code"]
    assert {"models": ANSWER} == mine
    assert [] == tracebacks


@pytest.mark.parametrize("packets", [["44{}"], ["49"], ["bMnggeA=="], ["42", "bMnggeA=="]])
async def test_what_is_no_packet_of_a_client_leaves_one_that_polls(polling, tracebacks, packets):
    assert 200 == await polling.post(*packets, ASK)
    (mine,) = await polling.answer_of(777)

    assert {"models": ANSWER} == mine
    assert [] == tracebacks


async def test_the_poll_of_a_client_that_leaves_is_answered_at_once(site, tracebacks):
    """Else a stock client's process could not end while engineio waits for its pings."""
    async with aiohttp.ClientSession() as session:
        client = Polling(session, site.url)
        await client.open()
        waiting = asyncio.create_task(client.poll())
        async with asyncio.timeout(WAIT_S):
            await client.post(ASK)
            await waiting
            waiting = asyncio.create_task(client.poll())
            (held,) = site[DAEMON].sockets.sio.eio.sockets.values()
            while not held.queue._getters:  # noqa: ASYNC110 - a turn of the loop, not a wait
                await asyncio.sleep(0)
            await client.post("1")

            assert [""] == await waiting
    assert {} == site[DAEMON].sockets.peers
    assert [] == tracebacks


async def test_one_post_may_bring_as_many_packets_as_its_bytes_hold(polling, tracebacks):
    """A stock client sends all that waits in one POST."""
    asked = [f'42{number}["models",{{}}]' for number in range(1, 501)]

    assert 200 == await polling.post(*asked, ASK)
    (mine,) = await polling.answer_of(777)

    assert {"models": ANSWER} == mine
    assert [] == tracebacks


def test_a_readable_packet_is_read_as_it_was_written():
    packet = DoorPacket(encoded_packet='2/state,7["models",{"a":1}]')

    assert (2, "/state", 7) == (packet.packet_type, packet.namespace, packet.id)
    assert ["models", {"a": 1}] == packet.data
