"""
Light clients: WebSockets by the hundred, each an asyncio protocol that counts and keeps nothing.

They speak just enough of Engine.IO and Socket.IO for a floor, and of syncline's protocol for a
figure, so that the server's share decides what is measured.
"""

import asyncio
import struct
import time
from typing import Any
from urllib.parse import urlsplit

import orjson
from records import MODEL, make_records


CONNECT_TIMEOUT_S = 60.0
TOLD_TIMEOUT_S = 30.0
AT_ONCE = 50
GAP_S = 0.05
STAY_AFTER_S = 0.5
_REQUEST = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {host}\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Crowd:
    """
    What the clients of one process share.

    Attributes:
        told: how many `changed` frames came; last_at: when the last one did, monotonic seconds.
    """

    def __init__(self) -> None:
        self.told = 0
        self.last_at = 0.0
        self._due = 0
        self._all_told = asyncio.Event()

    def expect(self, count: int) -> None:
        """Begin to wait for so many more frames."""
        self._due = self.told + count
        self._all_told.clear()

    def note_told(self, count: int) -> None:
        """Take note of frames."""
        self.told += count
        if self.told >= self._due:
            self.last_at = time.perf_counter()
            self._all_told.set()

    async def all_told(self) -> None:
        """Return when all expected frames came."""
        async with asyncio.timeout(TOLD_TIMEOUT_S):
            await self._all_told.wait()


class LightClient(asyncio.Protocol):
    """
    One socket.

    Args:
        name: its replica id, when it speaks syncline's protocol; empty for a floor.
    """

    def __init__(self, crowd: Crowd, host: str, name: str) -> None:
        self._crowd = crowd
        self._host = host
        self._name = name
        self._is_open = False
        self._transport: asyncio.WriteTransport | None = None
        self.ready = asyncio.get_running_loop().create_future()
        self.epoch = ""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(_REQUEST.format(host=self._host).encode())

    def data_received(self, data: bytes) -> None:
        if self._is_open:
            # A frame is far smaller than what one read takes; a torn one would be counted late.
            told = data.count(b'42["changed"')
            if told:
                self._crowd.note_told(told)
            elif data[2:3] == b"2" and len(data) == 3:
                self.send("3")
            return
        if b'0{"sid"' in data:
            self.send('40{"protocol":1}' if self._name else "40")
        if b'40{"sid"' in data:
            if not self._name:
                self._open()
                return
            hello = {"replica": self._name, "models": [MODEL]}
            self.send(f'420["hello",{orjson.dumps(hello).decode()}]')
        if b"430[" in data:
            answer = orjson.loads(data[data.index(b"430[") + 3 :])[0]
            self.epoch = answer["epoch"]
            self._open()

    def _open(self) -> None:
        self._is_open = True
        self.ready.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(f"refused: {exc}"))

    def send(self, text: str) -> None:
        """Send a text frame, masked with zeros (RFC 6455, section 5.3)."""
        assert self._transport is not None
        payload = text.encode()
        size = len(payload)
        header = struct.pack("!BB", 0x81, 0x80 | min(size, 126))
        if size >= 126:
            header += struct.pack("!H", size)
        self._transport.write(header + b"\0\0\0\0" + payload)

    def close(self) -> None:
        """Cut the socket."""
        if self._transport is not None:
            self._transport.abort()


async def connect_crowd(url: str, count: int, *, speaks: bool) -> tuple[Crowd, list[LightClient]]:
    """Connect so many clients; `speaks` when they say hello to syncline."""
    crowd = Crowd()
    loop = asyncio.get_running_loop()
    parts = urlsplit(url)
    clients: list[LightClient] = []

    async def connect(index: int) -> LightClient:
        name = f"light-{index}" if speaks else ""
        _, client = await loop.create_connection(
            lambda: LightClient(crowd, parts.netloc, name), parts.hostname, parts.port
        )
        await client.ready
        return client

    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        for start in range(0, count, AT_ONCE):
            some = range(start, min(start + AT_ONCE, count))
            clients += await asyncio.gather(*map(connect, some))
    return crowd, clients


async def fan_out(url: str, count: int, writes: int, *, speaks: bool) -> list[float]:
    """Let one client write, and time how long the last of all waits for it; return the ms."""
    crowd, clients = await connect_crowd(url, count, speaks=speaks)
    print("connected", flush=True)
    writer = clients[0]
    took: list[float] = []
    for turn, record in enumerate(make_records(writes)):
        await asyncio.sleep(GAP_S)
        crowd.expect(count)
        message = _push_of(record, turn, writer.epoch) if speaks else _fire_of(record)
        started = time.perf_counter()
        writer.send(message)
        await crowd.all_told()
        took.append((crowd.last_at - started) * 1000)
    # The server's use is read between the two words: opening and closing sockets are not writes.
    print("written", flush=True)
    await asyncio.sleep(STAY_AFTER_S)
    for client in clients:
        client.close()
    return took


async def stay(url: str, count: int, seconds: float, *, speaks: bool) -> int:
    """Connect so many clients and stay, idle; return how many."""
    _, clients = await connect_crowd(url, count, speaks=speaks)
    print("connected", flush=True)
    await asyncio.sleep(seconds)
    for client in clients:
        client.close()
    return len(clients)


def _fire_of(record: dict[str, Any]) -> str:
    return f'42["fire",{orjson.dumps(record).decode()}]'


def _push_of(record: dict[str, Any], turn: int, epoch: str) -> str:
    update = {
        "model": MODEL,
        "id": record["id"],
        "rev": f"1-{turn:016x}",
        "origin": "light-0",
        "stamp": 1,
        "data": record,
    }
    return f'42["bulk_update",{orjson.dumps({"epoch": epoch, "updates": [update]}).decode()}]'
