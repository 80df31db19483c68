"""A daemon with a bug: the link that it keeps waiting says that it is stuck, and why."""

import asyncio

import pytest
import socketio
from aiohttp import web
from structlog.testing import capture_logs

import syncline
from syncline.protocol import Head, PushAnswer, Welcome, encode
from syncline.session import SessionSettings
from syncline.status import SessionState


class Forgetful:
    """Answers every push, and says nothing of what was in it, until it is cured."""

    def __init__(self):
        self.is_cured = False
        self.hellos = 0
        self._head = 0
        self._sio = socketio.AsyncServer(async_mode="aiohttp", async_handlers=False)
        for event in ("hello", "heartbeat", "changes", "bulk_update"):
            self._sio.on(event, getattr(self, f"_{event}"))

    async def start(self):
        app = web.Application()
        self._sio.attach(app)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self):
        await self._runner.cleanup()

    async def _hello(self, _sid, hello):
        self.hellos += 1
        rights = dict.fromkeys(hello["models"], "write")
        return encode(
            Welcome(source="s", epoch="e", head=self._head, heartbeat_s=0.05, models=rights)
        )

    async def _heartbeat(self, _sid, _payload):
        return encode(Head(epoch="e", head=self._head))

    async def _changes(self, _sid, asked):
        header = {"epoch": "e", "since": asked.get("since", 0), "checkpoint": self._head}
        return {**header, "head": self._head}, b"[]"

    async def _bulk_update(self, _sid, push):
        answer = encode(PushAnswer(epoch="e", checkpoint=self._head))
        if not self.is_cured:
            return {**answer, "results": []}
        self._head += 1
        named = {name: push["updates"][0][name] for name in ("model", "id", "rev")}
        return {**answer, "results": [{**named, "answer": "applied", "seq": self._head}]}


@pytest.fixture
async def forgetful():
    daemon = Forgetful()
    daemon.url = await daemon.start()
    yield daemon
    await daemon.stop()


async def test_link_that_gets_nowhere_is_stalled_says_so_and_starts_anew(forgetful):
    settings = SessionSettings(stall_timeout_s=0.2, first_delay_s=0.01)
    stalled, live = asyncio.Event(), asyncio.Event()
    shown = []

    def note(status):
        shown.append(status)
        (stalled if status.state is SessionState.STALLED else live).set()

    with capture_logs() as logs:
        async with syncline.connect(forgetful.url, models=["todo"], settings=settings) as replica:
            replica.link.on_status(note)
            await replica.model("todo").put("1", {"title": "milk"})
            async with asyncio.timeout(20):
                await stalled.wait()
                while forgetful.hellos < 2:
                    await asyncio.sleep(0)
                forgetful.is_cured = True
                await replica.link.wait_live()

    (status,) = [status for status in shown if status.state is SessionState.STALLED][:1]
    assert (1, "no progress") == (status.pending, status.reason[:11])
    told = next(line for line in logs if line["event"] == "link.stalled")
    assert "SendUpdates" in told["trace"]
    assert 1 == told["pending"]
