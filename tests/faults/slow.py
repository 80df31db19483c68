"""
Slow readers among others: what everybody else feels of them, ``python tests/faults/run.py --what
slow``.

One reads a kilobyte a second and one nothing at all, though it goes on saying that it lives. The
rest are light sockets that time each change from its writing.

Goes red when nothing bounds what waits for a slow one: with a window without end nobody is behind,
nobody is cut, and the daemon keeps it all (`test_slow.py` shows it).
"""

import asyncio
import contextlib
import json
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from proxy import OUT, FaultProxy

import syncline
from syncline.session import SessionSettings


sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))
import storm_clients


WAIT_S = 60
WINDOW_BYTES = 64 * 1024
GAP_S = 0.015
RECORD_BYTES = 16_000
RECORDS = 20
THROTTLED_BYTES_PER_S = 1000
TOML = f"""
schemaless = ["log"]

[limits]
window_bytes_max = {WINDOW_BYTES}
page_bytes_max = {WINDOW_BYTES // 2}

[timings]
heartbeat_s = 1.0
send_timeout_s = 1.0
"""
SETTINGS = SessionSettings(first_delay_s=0.05, delay_cap_s=0.5)


class Listener(storm_clients.Client):
    """A light client that times what it hears."""

    heartbeat_s = 0.4

    def __init__(self, url, name, late):
        super().__init__(url, name, "log")
        self._late = late

    def _heard(self, message):
        super()._heard(message)
        if message.startswith(b'42["changed"'):
            now = time.monotonic()
            for update in json.loads(message[2:])[1].get("updates", ()):
                self._late.append(now - update["data"]["sent"])


class Mute(storm_clients.Client):
    """A client that stops reading once it is live, and goes on saying that it lives."""

    def __init__(self, url):
        super().__init__(url, "mute", "log")
        self.is_mute = True

    async def _stay(self, connection):
        if not self.is_mute:
            await super()._stay(connection)
            return
        raw = connection._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection._transport.pause_reading()
        while self.is_mute and not connection.ended.done():
            with contextlib.suppress(OSError):
                connection.send(f'422["heartbeat",{{"cursor":{self._seq}}}]')
            if connection._transport.is_closing():
                break
            await asyncio.wait([connection.ended], timeout=0.2)


@dataclass
class Figures:
    """
    What was seen.

    Attributes:
        late: seconds from a write to each listener's hearing of it.
        rss_kib: the daemon's memory, now and then.
        level_s: how long the slow ones took to be level, afterwards.
    """

    late: list = field(default_factory=list)
    rss_kib: list = field(default_factory=list)
    level_s: float = 0.0

    def quantile(self, part):
        """Return a quantile of the lateness, in milliseconds."""
        return sorted(self.late)[int(len(self.late) * part)] * 1000


async def told(daemon, *, listeners, writes, with_slow):
    """Write to all, with slow ones among them or without; return figures."""
    figures = Figures()
    crowd = [Listener(daemon.url, f"light-{index}", figures.late) for index in range(listeners)]
    async with contextlib.AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        running = [group.create_task(client.run()) for client in crowd]
        await asyncio.gather(*(client.is_live.wait() for client in crowd))
        mute = throttled = None
        if with_slow:
            proxy = await stack.enter_async_context(FaultProxy(daemon.port))
            throttled = await stack.enter_async_context(
                syncline.connect(proxy.url, models=["log"], settings=SETTINGS)
            )
            await throttled.link.wait_live(WAIT_S)
            mute = Mute(daemon.url)
            running.append(group.create_task(mute.run()))
            await mute.is_live.wait()
            proxy.throttle(THROTTLED_BYTES_PER_S, OUT)
        await _write(daemon, writes, figures)
        with contextlib.suppress(TimeoutError):  # Whether all was heard is for the reader to judge.
            async with asyncio.timeout(WAIT_S):
                while len(figures.late) < listeners * writes:
                    await asyncio.sleep(0.02)
        if with_slow:
            started = time.monotonic()
            proxy.heal()
            mute.is_mute = False
            await throttled.link.wait_live(WAIT_S)
            await throttled.barrier(WAIT_S)
            async with asyncio.timeout(WAIT_S):
                while not (mute.is_live.is_set() and mute.lives[1:] and mute._seq >= writes):
                    await asyncio.sleep(0.02)
            figures.level_s = time.monotonic() - started
            newest = await throttled.model("log").get(str((writes - 1) % RECORDS))
            assert newest is not None
            assert newest["index"] == writes - 1
        for task in running:
            task.cancel()
    return figures


async def _write(daemon, writes, figures):
    async with await syncline.connect_remote(daemon.url) as remote:
        for index in range(writes):
            sent = {"index": index, "sent": time.monotonic(), "text": "x" * RECORD_BYTES}
            # Few records, so that the daemon's memory grows by what waits and not by what it keeps.
            await remote.model("log").put(str(index % RECORDS), sent)
            if index % 40 == 0:
                figures.rss_kib.append(daemon.rss_kib())
            await asyncio.sleep(GAP_S)
    figures.rss_kib.append(daemon.rss_kib())
