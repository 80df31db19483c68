"""Bare listeners at a real daemon: stock clients that know nothing of our protocol."""

import asyncio

import aiohttp
import pytest
import socketio
from aiohttp import web

from synclined.app import DAEMON, build_app
from synclined.peers import Limits


WAIT_S = 20
POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"


async def until(condition):
    """Let the loop turn until the condition holds."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - a turn of the loop, not a wait
            await asyncio.sleep(0)


@pytest.fixture
async def carry():
    """Serve an application; returned is the application, its address as `url`."""
    runners = []

    async def serve(**limits):
        app = build_app(access="anyone", store="memory:", models=["todo"], limits=Limits(**limits))
        runner = web.AppRunner(app, access_log=None)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        app.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return app

    yield serve
    for runner in runners:
        await runner.cleanup()


@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]])
async def test_a_stock_client_comes_back_after_a_graceful_restart(
    serve, syncline, free_port, tmp_path, transports
):
    """The guide's recipe: hear `changed`, with nothing but the stock client's own reconnection."""
    store = tmp_path / "todo.db"
    heard, opened = asyncio.Queue(), asyncio.Queue()
    http = aiohttp.ClientSession()  # The client does not close all that it makes.
    client = socketio.AsyncClient(
        reconnection_delay=0.1, reconnection_delay_max=0.2, http_session=http
    )
    client.on("changed", heard.put_nowait)
    client.on("connect", lambda: opened.put_nowait(True))
    async with asyncio.timeout(3 * WAIT_S):
        for is_first in (True, False):
            daemon = await asyncio.to_thread(serve, store, "--model", "todo", port=free_port)
            if is_first:
                await client.connect(daemon.url, transports=transports, wait_timeout=WAIT_S)
            else:
                await opened.get()
            while not opened.empty():
                opened.get_nowait()
            await asyncio.to_thread(syncline, "put", daemon.url, "todo", "1", '{"title": "milk"}')
            assert "todo" == await heard.get()
            assert 0 == await asyncio.to_thread(daemon.end)
        await client.shutdown()
    await http.close()


async def test_the_end_of_a_bare_listener_is_no_disconnect_packet(carry):
    app = await carry()
    async with (
        aiohttp.ClientSession(app.url) as http,
        http.ws_connect(WEBSOCKET) as bare,
        http.ws_connect(WEBSOCKET) as follower,
    ):
        for peer, connect in ((bare, "40"), (follower, '40{"protocol":1}')):
            await peer.receive_str(timeout=WAIT_S)
            await peer.send_str(connect)
            assert (await peer.receive_str(timeout=WAIT_S)).startswith("40{")
        ending = asyncio.create_task(app[DAEMON].say_bye(3 * WAIT_S))
        end = await bare.receive(WAIT_S)
        told = [await follower.receive_str(timeout=WAIT_S) for _ in range(2)]
        await asyncio.wait_for(ending, WAIT_S)  # Which does not wait for its deadline.

    assert aiohttp.WSMsgType.CLOSE == end.type
    assert ["42[", "41"] == [frame[:3] for frame in told]


async def test_a_crowd_of_bare_listeners_waits_inside_and_all_are_let_in(carry):
    app = await carry(connects_per_s=50.0)
    sockets = app[DAEMON].sockets
    async with aiohttp.ClientSession(app.url) as http, asyncio.timeout(WAIT_S):
        peers = [await http.ws_connect(WEBSOCKET) for _ in range(60)]
        for peer in peers:
            await peer.receive_str()
            await peer.send_str("40")
        answers = [await peer.receive_str() for peer in peers]
        assert 60 == len(sockets.peers)
        for peer in peers:
            await peer.close()

    assert {"40{"} == {answer[:3] for answer in answers}


async def test_one_that_polls_and_leaves_while_it_waits_leaves_nobody(carry):
    app = await carry(connects_per_s=5.0)
    sockets = app[DAEMON].sockets
    async with aiohttp.ClientSession(app.url) as http, asyncio.timeout(WAIT_S):
        peers = []
        for _ in range(6):
            async with http.get(POLLING) as answer:
                sid = (await answer.text()).split('"sid":"')[1].split('"')[0]
            peers.append(f"{POLLING}&sid={sid}")
        posts = [asyncio.create_task(http.post(path, data="40")) for path in peers]
        await until(lambda: len(sockets.sio.manager.pending_connect.get("/", ())) > 2)
        for path in peers:
            await (await http.post(path, data="1")).read()
        for post in posts:
            await (await post).read()

    assert {} == sockets.peers
    assert {} == sockets.sio.environ
    assert {} == sockets.sio.manager.rooms


async def test_a_bare_listener_that_comes_while_the_daemon_stops_is_not_refused(carry):
    app = await carry()
    sockets = app[DAEMON].sockets
    async with aiohttp.ClientSession(app.url) as http, asyncio.timeout(WAIT_S):
        async with http.ws_connect(WEBSOCKET) as early:
            await early.receive_str()
            await sockets.say_bye(delay_ms=10, reason="stopping")
            await early.send_str("40")
            assert aiohttp.WSMsgType.CLOSE == (await early.receive()).type
        async with http.ws_connect(WEBSOCKET) as told:
            await told.receive_str()
            await told.send_str('40{"protocol":1}')
            assert '"code":"busy"' in await told.receive_str()
