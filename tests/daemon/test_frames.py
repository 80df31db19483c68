"""Frames past engineio's queue: with real sockets, since what is claimed is about its inside."""

import asyncio
import contextlib
import inspect
import json
import logging
from socket import SO_RCVBUF, SO_SNDBUF, SOL_SOCKET

import aiohttp
import engineio.async_server
import engineio.async_socket
import pytest
import socketio
from aiohttp import web
from engineio.async_drivers import aiohttp as eio_aiohttp
from engineio.packet import MESSAGE, Packet
from structlog.testing import capture_logs

from synclined import frames


TIMEOUT_S = 20
MESSAGE_BYTES_MAX = 100_000
SENT_MAX = 10_000
NARROW_BYTES = 32_768


async def until(condition):
    """Let the loop turn until the condition holds: nothing tells when engineio's writer waits."""
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110  a turn of the loop, not a wait
            await asyncio.sleep(0)


class Server:
    """A Socket.IO server with the seam, on a free port."""

    def __init__(self):
        self.sio = socketio.AsyncServer(async_mode="aiohttp", cors_allowed_origins=[])
        self.oversized = []
        self.received = []
        self.answer = None
        self.compress = False
        self.sids = asyncio.Queue()

    async def start(self):
        frames.install(
            self.sio,
            compress=self.compress,
            message_bytes_max=MESSAGE_BYTES_MAX,
            on_oversized=self.on_oversized,
        )
        self.writer = frames.FrameWriter(self.sio)
        self.sio.on("connect", self.on_connect)
        self.sio.on("page", self.on_page)
        app = web.Application()
        self.sio.attach(app)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    async def stop(self):
        await self.sio.shutdown()
        await self.runner.cleanup()

    async def on_connect(self, sid, environ):
        self.sids.put_nowait(sid)

    async def on_page(self, sid, data):
        self.received.append(data)
        return len(data)

    def on_oversized(self, sid, size):
        self.oversized.append((sid, size))
        return self.answer

    def link(self, sid):
        eio_sid = self.sio.manager.eio_sid_from_sid(sid, "/")
        return self.sio.eio._async["websocket"].links[eio_sid]

    def has_empty_queues(self):
        return all(socket.queue.empty() for socket in self.sio.eio.sockets.values())

    async def settled(self, sid):
        """Wait until the writer has sent all that was queued."""
        link = self.link(sid)
        await until(lambda: link._is_idle and not link._socket.queue.count)


@pytest.fixture
async def server():
    server = Server()
    await server.start()
    yield server
    await server.stop()


@contextlib.asynccontextmanager
async def replica(server, **options):
    """A python-socketio client; yields it, its sid and what it received."""
    client = socketio.AsyncClient(
        reconnection=False, websocket_extra_options={"max_msg_size": 0}, **options
    )
    inbox = asyncio.Queue()
    client.on("*", lambda event, data: inbox.put_nowait((event, data)))
    await client.connect(server.url, transports=["websocket"])
    try:
        async with asyncio.timeout(TIMEOUT_S):
            yield client, await server.sids.get(), inbox
    finally:
        await client.disconnect()


@contextlib.asynccontextmanager
async def bare_socket(server, **options):
    """A WebSocket that is read only when the test reads it; yields it, connected, with its sid."""
    url = f"{server.url}/socket.io/?EIO=4&transport=websocket"
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(url, max_msg_size=0, autoclose=False, **options) as socket,
        asyncio.timeout(TIMEOUT_S),
    ):
        await socket.receive_str()
        await socket.send_str("40")
        await socket.receive_str()
        yield socket, await server.sids.get()


def test_event_frame_is_what_socketio_encodes():
    packet = socketio.packet.Packet(socketio.packet.EVENT, data=['chan"ged', {"a": [1, "é"]}])

    assert "4" + packet.encode() == frames.event_frame(
        'chan"ged', json.dumps({"a": [1, "é"]}, separators=(",", ":"))
    )


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
async def test_frame_of_any_length_arrives_whole(server, size):
    async with replica(server) as (_, sid, inbox):
        await server.settled(sid)

        assert server.writer.send_text(sid, frames.event_frame("e", json.dumps("x" * size)))
        assert ("e", "x" * size) == await inbox.get()


async def test_text_beyond_ascii_arrives_unharmed(server):
    async with replica(server) as (_, sid, inbox):
        await server.settled(sid)

        assert server.writer.send_text(sid, frames.event_frame("é", '"Žluť 🐎"'))
        assert ("é", "Žluť 🐎") == await inbox.get()


async def test_direct_frames_and_binary_events_arrive_in_order_and_whole(server):
    """
    Attachments behind large placeholders, under back-pressure, with frames all between.

    The frames are tried again and again while each event is on its way.
    """
    async with replica(server) as (client, sid, inbox):
        # What the kernel would hold of an event must not be all of it.
        for end, buffer in ((server.link(sid)._transport, SO_SNDBUF), (client.eio.ws, SO_RCVBUF)):
            end.get_extra_info("socket").setsockopt(SOL_SOCKET, buffer, NARROW_BYTES)
        direct = queued = 0
        expected = []
        for n in range(60):
            pad, body = "p" * 200_000, bytes([n]) * 300_000
            await server.sio.emit("page", {"n": n, "pad": pad, "body": body}, to=sid)
            expected.append(("page", {"n": n, "pad": pad, "body": body}))
            for m in range(20):
                frame = frames.event_frame("changed", json.dumps([n, m]))
                if server.writer.send_text(sid, frame):
                    direct += 1
                else:
                    queued += 1
                    await server.writer.send_queued(sid, frame)
                expected.append(("changed", [n, m]))
                await asyncio.sleep(0)
            if n % 3 == 0:
                await server.settled(sid)
        received = [await inbox.get() for _ in expected]

        assert expected == received
        assert direct > 0
        assert queued > 0


async def test_no_frame_goes_between_a_placeholder_and_its_attachment(server, monkeypatch):
    # The writer waits until little is left in the transport, so it still waits where the transport
    # is no longer congested: that check must not be what saves the event.
    monkeypatch.setattr(frames, "CONGESTED_BYTES", 1 << 40)
    async with bare_socket(server) as (socket, sid):
        await server.settled(sid)
        pad, attachment = "p" * 20_000_000, b"a" * 3_000_000
        await server.sio.emit("page", [pad, attachment], to=sid)
        # The very moment: the queue is empty, and the writer, which has handed the placeholder to
        # the transport, waits for a peer that doesn't read.
        transport = server.link(sid)._transport
        await until(lambda: transport.get_write_buffer_size() and server.has_empty_queues())

        assert not server.writer.send_text(sid, frames.event_frame("changed", "1"))
        assert transport.get_write_buffer_size() + len(attachment) == server.writer.buffered(sid)
        await server.writer.send_queued(sid, frames.event_frame("changed", "1"))
        assert (await socket.receive_str()).startswith("451-")
        assert attachment == await socket.receive_bytes()
        assert '42["changed",1]' == await socket.receive_str()


async def test_frame_does_not_overtake_what_was_emitted_before(server):
    async with replica(server) as (_, sid, inbox):
        await server.settled(sid)
        server.link(sid)._socket.queue.put_nowait(Packet(MESSAGE, '2["first",1]'))

        assert not server.writer.send_text(sid, frames.event_frame("second", "2"))
        await server.writer.send(sid, frames.event_frame("second", "2"))
        assert [("first", 1), ("second", 2)] == [await inbox.get(), await inbox.get()]


def fill(send, sid, frame):
    """Send a frame as often as it goes; return how often it went."""
    sent = 0
    while sent < SENT_MAX and send(sid, frame):
        sent += 1
    return sent


async def test_congested_transport_gets_no_frame_and_tells_its_bytes(server):
    async with bare_socket(server) as (_, sid):
        await server.settled(sid)
        frame = frames.event_frame("changed", json.dumps("x" * 50_000))
        assert 1 < fill(server.writer.send_text, sid, frame) < SENT_MAX

        before = server.writer.buffered(sid)
        assert before > frames.CONGESTED_BYTES
        await server.writer.send_queued(sid, frame)
        assert before + len(frame) == server.writer.buffered(sid)


async def test_the_direct_way_is_open_while_nothing_waits(server):
    async with bare_socket(server) as (_, sid):
        await server.settled(sid)
        frame = frames.event_frame("changed", json.dumps("x" * 50_000))
        wire, write = server.writer.wire_of(frame), server.writer.direct(sid)
        assert 1 < fill(lambda _sid, _frame: write(wire), sid, frame) < SENT_MAX

        assert 0 < server.writer.buffered(sid) <= len(frame) + 16
        assert server.writer.direct("nobody") is None


async def test_cut_ends_a_peer_that_never_reads(server):
    gone = asyncio.Event()
    server.sio.on("disconnect", lambda sid, reason: gone.set())
    async with bare_socket(server) as (_, sid):
        await server.settled(sid)
        await server.sio.emit("page", ["p" * 20_000_000, b"attachment"], to=sid)
        await until(lambda: server.writer.buffered(sid) and server.has_empty_queues())

        assert server.writer.cut(sid)
        await gone.wait()
        assert not server.writer.send_text(sid, frames.event_frame("changed", "1"))
        assert 0 == server.writer.buffered(sid)


def pings():
    """Return how many tasks wait to ping somebody."""
    return sum("_send_ping" in str(task.get_coro()) for task in asyncio.all_tasks())


@pytest.mark.parametrize("transports", [["websocket"], ["polling"]])
async def test_the_ping_of_a_departed_socket_is_not_waited_for(server, transports):
    client = socketio.AsyncClient(reconnection=False)
    await client.connect(server.url, transports=transports)
    async with asyncio.timeout(TIMEOUT_S):
        await server.sids.get()
        assert 1 == pings()
        await client.disconnect()
        await until(lambda: pings() == 0)
        await until(lambda: not server.sio.eio.sockets)


async def test_a_ping_goes_out_again_and_again(server):
    server.sio.eio.ping_interval = 0.02
    async with bare_socket(server) as (socket, _):
        for _ in range(3):
            assert "2" == await socket.receive_str()
            await socket.send_str("3")


async def test_a_socket_that_answers_no_ping_is_ended_by_the_next_sending(server):
    server.sio.eio.ping_interval, server.sio.eio.ping_timeout = 0.02, 0.02
    gone = asyncio.Event()
    server.sio.on("disconnect", lambda sid, reason: gone.set())
    async with bare_socket(server):
        await gone.wait()
        await until(lambda: pings() == 0)


async def test_unknown_and_departed_sockets_get_false(server):
    async with replica(server) as (client, sid, _):
        gone = asyncio.Event()
        server.sio.on("disconnect", lambda sid, reason: gone.set())
        await client.disconnect()
        await gone.wait()

        assert not server.writer.send_text(sid, frames.event_frame("changed", "1"))
        assert not server.writer.cut("nobody")
        assert 0 == server.writer.buffered("nobody")
        await server.writer.send(sid, frames.event_frame("changed", "1"))


async def test_socket_that_is_not_connected_yet_gets_no_frame(server):
    """A frame from within the connect handler would come before the CONNECT packet."""
    answers = []
    connect = server.on_connect

    async def on_connect(sid, environ):
        answers.append(server.writer.send_text(sid, frames.event_frame("early", "1")))
        await connect(sid, environ)

    server.sio.on("connect", on_connect)
    async with replica(server):
        assert [False] == answers


async def test_polling_client_gets_false_and_hears_all_by_the_queue(server):
    url = f"{server.url}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as http, asyncio.timeout(TIMEOUT_S):
        opened = json.loads((await (await http.get(url)).text())[1:])
        session = f"{url}&sid={opened['sid']}"
        await (await http.post(session, data="40")).text()
        sid = await server.sids.get()
        await (await http.get(session)).text()
        frame = frames.event_frame("changed", '{"n":1}')

        assert not server.writer.send_text(sid, frame)
        assert not server.writer.cut(sid)
        await server.writer.send(sid, frame)
        assert len(frame) == server.writer.buffered(sid)
        assert frame == await (await http.get(session)).text()
        assert MESSAGE_BYTES_MAX == opened["maxPayload"]


async def test_client_that_upgrades_gets_frames_afterwards(server):
    client = socketio.AsyncClient(reconnection=False)
    inbox = asyncio.Queue()
    client.on("changed", inbox.put_nowait)
    await client.connect(server.url)  # polling first, as a stock client does
    async with asyncio.timeout(TIMEOUT_S):
        sid = await server.sids.get()
        await server.settled(sid)

        assert server.writer.send_text(sid, frames.event_frame("changed", "1"))
        assert 1 == await inbox.get()
    await client.disconnect()


async def test_without_the_seam_every_frame_takes_the_queue():
    server = Server()
    await server.start()
    server.sio.eio._async = {**server.sio.eio._async, "websocket": eio_aiohttp.WebSocket}
    writer = frames.FrameWriter(server.sio)
    async with replica(server) as (_, sid, inbox):
        assert not writer.send_text(sid, frames.event_frame("changed", "1"))
        await writer.send(sid, frames.event_frame("changed", "1"))
        assert ("changed", 1) == await inbox.get()
    await server.stop()


async def test_compression_is_refused_when_offered(server):
    async with bare_socket(server, compress=15) as (socket, sid):
        await server.settled(sid)

        assert 0 == socket.compress
        assert server.writer.send_text(sid, frames.event_frame("changed", "1"))
        assert '42["changed",1]' == await socket.receive_str()


async def test_configured_compression_is_accepted_and_its_frames_take_the_queue():
    server = Server()
    server.compress = True
    await server.start()
    async with bare_socket(server, compress=15) as (socket, sid):
        assert socket.compress
        assert not server.writer.send_text(sid, frames.event_frame("changed", "1"))
        await server.writer.send(sid, frames.event_frame("changed", "1"))
        assert '42["changed",1]' == await socket.receive_str()
    await server.stop()


@pytest.fixture
def no_tracebacks(caplog):
    """Fail the test when engineio or socketio logged an error, as on all they don't expect."""
    yield
    assert [] == [r for r in caplog.records if r.levelno >= logging.ERROR]


@pytest.mark.usefixtures("no_tracebacks")
class TestOversizedMessage:
    ANSWER = '[{"error":"message_too_large"}]'

    async def test_text_is_answered_by_name_and_the_link_stays(self, server):
        server.answer = self.ANSWER
        async with replica(server) as (client, sid, _):
            answer = await client.call("page", "x" * 150_000)

            assert {"error": "message_too_large"} == answer
            assert [(sid, 150_000 + len('42["page",""]') + 1)] == server.oversized
            assert 5 == await client.call("page", "small")
            assert ["small"] == server.received

    async def test_attachment_is_answered_by_name_and_the_link_stays(self, server):
        server.answer = self.ANSWER
        async with replica(server) as (client, sid, _):
            answer = await client.call("page", b"x" * 150_000)

            assert {"error": "message_too_large"} == answer
            assert [sid] == [refused for refused, _ in server.oversized]
            assert 5 == await client.call("page", b"small")
            assert [b"small"] == server.received

    async def test_attachments_that_are_too_much_together_are_refused_once(self, server):
        server.answer = self.ANSWER
        async with replica(server) as (client, _, _):
            answer = await client.call("page", [b"x" * 60_000, b"y" * 60_000, b"z"])

            assert {"error": "message_too_large"} == answer
            assert 1 == len(server.oversized)
            assert 5 == await client.call("page", b"small")

    async def test_attachments_of_a_refused_text_are_dropped_with_it(self, server):
        server.answer = self.ANSWER
        async with replica(server) as (client, _, _):
            answer = await client.call("page", ["x" * 150_000, b"one", b"two"])

            assert {"error": "message_too_large"} == answer
            assert 1 == len(server.oversized)
            assert 5 == await client.call("page", b"small")
            assert [b"small"] == server.received

    async def test_without_an_answer_it_is_only_told(self, server):
        async with replica(server) as (client, sid, _):
            await client.emit("page", "x" * 150_000)

            assert 5 == await client.call("page", "small")
            assert [sid] == [refused for refused, _ in server.oversized]

    async def test_more_than_the_hard_cap_ends_the_link(self, server):
        async with bare_socket(server) as (socket, _):
            await socket.send_str("42" + json.dumps(["page", "x" * MESSAGE_BYTES_MAX * 2]))

            assert aiohttp.WSMsgType.CLOSE == (await socket.receive()).type
            assert aiohttp.WSCloseCode.MESSAGE_TOO_BIG == socket.close_code
            assert [] == server.oversized

    async def test_attachment_of_nothing_is_dropped(self, server):
        async with bare_socket(server) as (socket, _):
            await socket.send_bytes(b"orphan")
            await socket.send_str('421["page","small"]')

            assert "431[5]" == await socket.receive_str()

    @pytest.mark.parametrize(
        "message", ["", "x", "b!", "4[[[", "4", "1[", "²", "44", "49", '450-["e"]']
    )
    async def test_what_is_no_engineio_message_ends_the_link_quietly(self, server, message):
        async with bare_socket(server) as (socket, _):
            await socket.send_str(message)

            assert aiohttp.WSMsgType.CLOSE == (await socket.receive()).type


class TestWebSocket:
    async def test_a_peer_that_says_nothing_is_ended(self, server):
        server.sio.eio.ping_interval, server.sio.eio.ping_timeout = 0.02, 0.02
        async with bare_socket(server) as (socket, _):
            # It reads, and so would be sent to for ever; what it does not do is answer.
            async with asyncio.timeout(TIMEOUT_S):
                while (await socket.receive()).type == aiohttp.WSMsgType.TEXT:
                    pass
            assert {} == server.sio.eio._async["websocket"].links

    async def test_a_handler_may_take_longer_than_a_peer_may_be_silent(self, server):
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow(_sid):
            begun.set()
            await go_on.wait()
            return "done"

        server.sio.async_handlers = False  # As our door has it.
        server.sio.on("slow", slow)
        async with bare_socket(server) as (socket, sid):
            link = server.link(sid)
            await socket.send_str('420["slow"]')
            await begun.wait()
            server.sio.eio.ping_interval = server.sio.eio.ping_timeout = 0.02
            link._watch_silence()
            for _ in range(2):
                timer = link._watch
                await until(lambda timer=timer: link._watch is not timer)
            go_on.set()
            assert '430["done"]' == await socket.receive_str()

    async def test_a_handler_that_raises_is_logged_and_the_link_stays(self, server):
        async def break_down(_sid):
            raise ValueError("no")

        server.sio.async_handlers = False  # As our door has it.
        server.sio.on("break", break_down)
        async with bare_socket(server) as (socket, _):
            with capture_logs() as logs:
                await socket.send_str('420["break"]')
                await socket.send_str('421["page","abc"]')
                assert "431[3]" == await socket.receive_str()

        assert ["message.broke"] == [line["event"] for line in logs]

    async def test_a_failed_probe_leaves_the_polling_client_be(self, server):
        url = f"{server.url}/socket.io/?EIO=4"
        async with aiohttp.ClientSession() as http, asyncio.timeout(TIMEOUT_S):
            opened = json.loads((await (await http.get(f"{url}&transport=polling")).text())[1:])
            session = f"&sid={opened['sid']}"
            for words in (["3"], ["2probe", "3"], []):
                async with http.ws_connect(f"{url}&transport=websocket{session}") as socket:
                    for word in words:
                        await socket.send_str(word)
                        if word == "2probe":
                            assert "3probe" == await socket.receive_str()
                            polled = await http.get(f"{url}&transport=polling{session}")
                            assert "6" == await polled.text()
                    if words:
                        assert aiohttp.WSMsgType.CLOSE == (await socket.receive()).type

            await (await http.post(f"{url}&transport=polling{session}", data="40")).text()
            polled = await http.get(f"{url}&transport=polling{session}")
            assert "40{" in await polled.text()

    async def test_what_is_queued_before_the_end_is_written(self, server):
        async with bare_socket(server) as (socket, sid):
            await server.settled(sid)
            queue = server.link(sid)._socket.queue
            for text in ("2[1]", "2[2]"):
                queue.put_nowait(Packet(MESSAGE, text))
            queue.put_nowait(None)

            assert ["42[1]", "42[2]"] == [await socket.receive_str() for _ in range(2)]
            assert aiohttp.WSMsgType.CLOSE == (await socket.receive()).type
            await socket.close()
            await until(lambda: not server.sio.eio.sockets)


class TestSeam:
    """When one of these fails, a new engineio moved the seam: read it, then mend ours."""

    def test_engineio_makes_its_websocket_from_the_table(self):
        source = inspect.getsource(engineio.async_socket.AsyncSocket._upgrade_websocket)

        assert "self.server._async['websocket'](" in source
        assert "self._websocket_handler, self.server)" in source

    def test_websocket_handler_is_the_one_that_ours_was_made_after(self):
        source = inspect.getsource(engineio.async_socket.AsyncSocket._websocket_handler)

        for step in (
            "if self.connected:",
            "decoded_pkt.data != 'probe':",
            "await ws.send(packet.Packet(packet.PONG, data='probe').encode())",
            "await self.queue.put(packet.Packet(packet.NOOP))",
            "if decoded_pkt.packet_type != packet.UPGRADE:",
            "self.server.ping_interval + self.server.ping_timeout)",
            "await self.receive(pkt)",
            "await self.queue.put(None)",
            "await self.close(wait=False, abort=True,",
            "reason=self.server.reason.TRANSPORT_CLOSE)",
        ):
            assert step in source
        assert 3 == source.count("websocket_wait()\n") + source.count("websocket_wait())\n")
        assert 2 == source.count("await self.queue.put(")

    def test_message_is_handed_to_the_handler_of_messages(self):
        source = inspect.getsource(engineio.async_socket.AsyncSocket.receive)

        assert "'message', self.sid, pkt.data," in source
        assert 1 == source.count("_trigger_event(")

    def test_everything_queued_goes_through_one_queue(self):
        source = inspect.getsource(engineio.async_socket.AsyncSocket.send)

        assert "await self.queue.put(pkt)" in source
        assert "self.queue = self.server.create_queue()" in inspect.getsource(
            engineio.base_socket.BaseSocket.__init__
        )

    def test_the_next_ping_is_a_task_of_the_servers(self):
        source = inspect.getsource(engineio.async_socket.AsyncSocket.schedule_ping)

        assert "self.server.start_background_task(self._send_ping)" in source

    def test_server_has_what_is_replaced_or_asked(self):
        sio = socketio.AsyncServer(async_mode="aiohttp")

        assert callable(sio.eio.create_queue)
        assert {} == sio.eio.sockets
        assert {} == sio._binary_packet
        assert isinstance(sio.eio.max_http_buffer_size, int)
        assert "websocket" in sio.eio._async

    async def test_installed_server_finds_its_writers_idle(self, server):
        """The one that counts: were the writer no longer ours, all frames would take the queue."""
        async with replica(server) as (_, sid, _):
            await server.settled(sid)

            assert server.writer.send_text(sid, frames.event_frame("changed", "1"))
