"""The client's end of the wire, against a real daemon."""

import asyncio
import contextlib

import pytest
import socketio
from aiohttp import web
from engineio.async_socket import AsyncSocket
from engineio.packet import MESSAGE, PING, Packet

import syncline
from syncline.connection import Connection
from syncline.core import WRITES_A_TURN
from syncline.session import SessionSettings


WAIT_S = 20


async def test_what_is_read_is_handed_on_by_its_reader(daemon):
    """The seam in python-engineio still is where it was: no task a message, and so one order."""
    heard = asyncio.get_running_loop().create_future()

    def hear(event, _payload):
        if not heard.done():
            heard.set_result((event, asyncio.current_task()))

    listener = Connection(daemon.url, on_event=hear)
    writer = Connection(daemon.url)
    await listener.open()
    await writer.open()
    await listener.request("hello", {"replica": "listener", "models": ["todo"]})
    update = {"model": "todo", "id": "1", "rev": "1-00000000000000aa", "data": {"id": "1"}}
    await writer.request("bulk_update", {"updates": [update]})
    async with asyncio.timeout(WAIT_S):
        event, task = await heard
    reader = listener._client.eio.read_loop_task
    await listener.close()
    await writer.close()

    assert ("changed", reader) == (event, task)


async def test_what_changed_carries_is_left_encoded(daemon):
    heard = asyncio.Queue()
    listener = Connection(daemon.url, on_event=lambda _event, payload: heard.put_nowait(payload))
    bare = Connection(
        daemon.url, on_event=lambda _event, payload: heard.put_nowait(payload), bare=True
    )
    await listener.open()
    await bare.open()
    await listener.request("hello", {"replica": "listener", "models": ["todo"]})
    update = {"model": "todo", "id": "1", "rev": "1-00000000000000aa", "data": {"id": "1"}}
    await listener.request("bulk_update", {"updates": [update]})
    async with asyncio.timeout(WAIT_S):
        payloads = [await heard.get(), await heard.get()]
    await listener.close()
    await bare.close()

    assert {bytes, str} == {type(payload) for payload in payloads}
    assert "todo" in payloads


@pytest.fixture
async def written(daemon):
    """An open connection, and the texts in the order in which its socket was given them."""
    connection = Connection(daemon.url)
    await connection.open()
    socket, texts = connection._client.eio.ws, []
    send_str = socket.send_str

    async def send(text):
        texts.append(text)
        await send_str(text)

    socket.send_str = send
    yield connection, texts
    await connection.close()


async def test_what_is_sent_is_written_before_anything_else_happens(written):
    connection, texts = written
    answer = asyncio.get_running_loop().create_future()

    connection.send("checkpoint", {}, answer=answer.set_result)

    assert 1 == len(texts)
    async with asyncio.timeout(WAIT_S):
        (head,) = await answer
    assert "epoch" in head


async def test_what_is_sent_overtakes_nothing_that_waits(written):
    connection, texts = written
    answers = asyncio.Queue()
    queue = connection._client.eio.queue
    await asyncio.sleep(0)
    queue.put_nowait(Packet(MESSAGE, '2["heartbeat",{"cursor":1}]'))
    connection.send("heartbeat", {"cursor": 2}, answer=answers.put_nowait)

    assert [] == texts
    async with asyncio.timeout(WAIT_S):
        await answers.get()
    connection.send("heartbeat", {"cursor": 3}, answer=answers.put_nowait)
    assert ["1", "2", "3"] == [text.partition('"cursor":')[2][0] for text in texts]


async def test_on_a_socket_that_is_gone_nothing_is_raised(written):
    connection, _ = written
    await connection._client.eio.ws.close()

    connection.send("heartbeat", {"cursor": 1}, answer=lambda _got: None)


@pytest.fixture
async def pinging():
    """A server that pings often; three seconds of silence mean, at either end, that it is gone."""
    server = socketio.AsyncServer(async_mode="aiohttp", ping_interval=0.05, ping_timeout=3)
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await server.shutdown()
    await runner.cleanup()


PINGS = 170
"""More than eight seconds, in which engineio's own client gives up if nothing was queued."""


async def test_a_connection_at_rest_stays(pinging):
    closed = []
    connection = Connection(pinging, on_close=closed.append)
    await connection.open()
    engine, pings = connection._client.eio, asyncio.Queue()
    receive = engine._receive_packet

    async def received(packet):
        await receive(packet)
        if packet.packet_type == PING:
            pings.put_nowait(packet)

    engine._receive_packet = received
    async with asyncio.timeout(WAIT_S):
        for _ in range(PINGS):
            await pings.get()
    writer = engine.write_loop_task
    await connection.close()

    assert [] == closed
    assert writer is not None


@pytest.mark.parametrize("broken", [ValueError("no packet"), RuntimeError("a bug")])
async def test_a_reader_that_breaks_tells_the_end(pinging, monkeypatch, broken):
    closed = asyncio.get_running_loop().create_future()
    connection = Connection(pinging, on_close=closed.set_result)
    await connection.open()

    async def received(_packet):
        raise broken

    monkeypatch.setattr(connection._client.eio, "_receive_packet", received)
    async with asyncio.timeout(WAIT_S):
        assert "transport error" == await closed
    await connection.close()


async def test_a_server_that_falls_silent_is_left(pinging, monkeypatch, caplog):
    closed = asyncio.get_running_loop().create_future()
    monkeypatch.setattr(AsyncSocket, "schedule_ping", lambda _self: None)
    connection = Connection(pinging, on_close=closed.set_result)
    await connection.open()
    async with asyncio.timeout(WAIT_S):
        assert "transport error" == await closed
    await connection.close()

    assert [] == caplog.records


async def test_a_write_is_on_its_way_when_it_returns(daemon, tmp_path):
    async with syncline.connect(daemon.url, store=str(tmp_path / "a.db"), models=["todo"]) as todo:
        await todo.link.wait_live(WAIT_S)
        await todo.model("todo").put("1", {"n": 1})
        is_in_flight = todo.link.is_in_flight(("todo", "1"))
        await todo.link.wait_live(WAIT_S)

    assert is_in_flight


async def test_the_answer_to_a_push_made_at_once_is_missed_in_time(daemon):
    settings = SessionSettings(ack_timeout_s=0.2)
    async with syncline.connect(daemon.url, models=["todo"], settings=settings) as replica:
        await replica.link.wait_live(WAIT_S)
        line, sent = replica.link._driver.line, []
        send = line.send

        def losing(event, *args, answer):
            sent.append(event)
            if "bulk_update" != event or sent.count(event) > 1:
                send(event, *args, answer=answer)

        line.send = losing
        await replica.model("todo").put("1", {"n": 1})
        await replica.link.wait_live(WAIT_S)

    assert ["bulk_update", "changes"] == sent[:2]


async def test_a_link_ends_also_when_a_cancellation_was_swallowed(daemon, tmp_path):
    """python-socketio ends some of its waits by it, and goes on."""
    replica = await syncline.connect(daemon.url, store=str(tmp_path / "a.db"), models=["todo"])
    await replica.link.wait_live(WAIT_S)
    begun = asyncio.Event()

    async def swallowing(_deadline):
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    replica.link._driver._wait = swallowing
    replica.link._driver.put(list)
    async with asyncio.timeout(WAIT_S):
        await begun.wait()
        await replica.close()


async def test_a_program_that_writes_without_a_pause_leaves_the_loop_its_turns(tmp_path):
    turned = []
    async with await syncline.Replica.open(str(tmp_path / "a.db"), ["todo"]) as replica:
        asyncio.get_running_loop().call_soon(turned.append, True)
        for number in range(WRITES_A_TURN):
            await replica.model("todo").put(str(number), {"n": number})

    assert [True] == turned
