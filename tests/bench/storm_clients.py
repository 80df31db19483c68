"""
The clients of a storm: light sockets that are lost together and come back as replicas do.

They speak as much of the protocol as a reconnecting replica: connect, hello, the changes since the
cursor; they wait as the daemon told them, by `bye` or with a refusal, else by syncline's own
back-off.
"""

import asyncio
import random
import struct
import time
from urllib.parse import urlsplit

import orjson

from syncline.backoff import backoff_delay


CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 20.0
"""As the library's own: `connection.CONNECT_TIMEOUT_S` and `SessionSettings.ack_timeout_s`."""
STORM_TIMEOUT_S = 180.0
HEARTBEAT_S = 10.0
AT_ONCE = 25
STAY_S = 8.0
_REQUEST = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {host}\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Refused(Exception):
    """The daemon said when to come back."""

    def __init__(self, error):
        super().__init__(error.get("code"))
        self.delay_s = error.get("delay_ms", 0) / 1000
        self.ticket = error.get("ticket", "")


class Socket(asyncio.Protocol):
    """One connection: hands each message to `heard`, and is told of its end by `lost`."""

    def __init__(self, host, heard):
        self._host = host
        self._heard = heard
        self._buffer = b""
        self._is_upgraded = False
        self._transport = None
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self._transport = transport
        transport.write(_REQUEST.format(host=self._host).encode())

    def data_received(self, data):
        self._buffer += data
        if not self._is_upgraded:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head.split(b"\r\n", 1)[0]:
                self.close()
                return
            self._is_upgraded, self._buffer = True, rest
        while (message := self._next()) is not None:
            if message == b"2":
                self.send("3")
            else:
                self._heard(message)

    def _next(self):
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 127, 2
        if size == 126:
            size, start = int.from_bytes(buffer[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < start + size:
            return None
        self._buffer = buffer[start + size :]
        kind = buffer[0] & 15
        if kind == 8:
            self.close()
        return buffer[start : start + size] if kind in (1, 2) else b""

    def connection_lost(self, exc):
        if not self.ended.done():
            self.ended.set_result(None)

    def send(self, text):
        payload = text.encode()
        size = len(payload)
        header = struct.pack("!BB", 0x81, 0x80 | min(size, 126))
        if size >= 126:
            header += struct.pack("!H", size)
        self._transport.write(header + b"\0\0\0\0" + payload)

    def close(self):
        self._transport.abort()


class Client:
    """
    One replica, as light as can be.

    Attributes:
        lives: when it was live, each time, seconds since 1970. losses: when it was lost.
        refusals: how often it was told to come back later.
    """

    heartbeat_s = HEARTBEAT_S

    def __init__(self, url, name, model):
        parts = urlsplit(url)
        self._host, self._port, self._netloc = parts.hostname, parts.port, parts.netloc
        self._name, self._model = name, model
        self._chance = random.Random(name)
        self._where = {}
        self._ticket = ""
        self._seq = 0
        self._answers = {}
        self._told_delay_s = None
        self.attempts = 0
        self.refusals = 0
        self.lives = []
        self.losses = []
        self.is_live = asyncio.Event()

    async def run(self):
        """Be connected, and come back whenever lost."""
        while True:
            delay_s = None
            socket = None
            self._told_delay_s = None
            try:
                socket = await self._connect()
                self.attempts = 0
                self.lives.append(time.time())
                self.is_live.set()
                await self._stay(socket)
            except Refused as refusal:
                self.refusals += 1
                self._ticket = refusal.ticket
                delay_s = refusal.delay_s or None
            except (OSError, TimeoutError):
                pass
            finally:
                if socket is not None:
                    socket.close()
            if self.is_live.is_set():
                self.losses.append(time.time())
                self.is_live.clear()
            self.attempts += 1
            if delay_s is None:
                delay_s = self._told_delay_s
            if delay_s is None:
                delay_s = backoff_delay(self.attempts, self._chance.random())
            await asyncio.sleep(delay_s)

    async def _connect(self):
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            opened = self._expect("0")
            _, socket = await loop.create_connection(
                lambda: Socket(self._netloc, self._heard), self._host, self._port
            )
            try:
                await self._answer(socket, opened)
                connected = self._expect("40")
                auth = {"protocol": 1, "ticket": self._ticket} if self._ticket else {"protocol": 1}
                socket.send("40" + orjson.dumps(auth).decode())
                await self._answer(socket, connected)
            except BaseException:
                socket.close()
                raise
        self._ticket = ""
        try:
            await self._catch_up(socket)
        except BaseException:
            socket.close()
            raise
        return socket

    async def _catch_up(self, socket):
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            hello = {
                "replica": self._name,
                "models": [self._model],
                "seq": self._seq,
                **self._where,
            }
            welcomed = self._expect("430")
            socket.send(f'420["hello",{orjson.dumps(hello).decode()}]')
            welcome = (await self._answer(socket, welcomed))[0]
            if "error" in welcome:
                raise OSError(welcome["error"]["code"])
            self._where = {"source": welcome["source"], "epoch": welcome["epoch"]}
            if welcome.get("standing", "good") != "good":
                self._seq = 0
            while self._seq < welcome["head"]:
                paged = self._expect("461-1")
                socket.send(f'421["changes",{{"since":{self._seq}}}]')
                self._seq = (await self._answer(socket, paged))[0]["checkpoint"]

    async def _stay(self, socket):
        while not socket.ended.done():
            await asyncio.wait([socket.ended], timeout=self.heartbeat_s)
            if not socket.ended.done():
                socket.send(f'422["heartbeat",{{"cursor":{self._seq}}}]')

    def _expect(self, start):
        self._answers = {start: asyncio.get_running_loop().create_future()}
        return self._answers[start]

    async def _answer(self, socket, future):
        await asyncio.wait([future, socket.ended], return_when=asyncio.FIRST_COMPLETED)
        if not future.done():
            raise ConnectionResetError("lost")
        return future.result()

    def _heard(self, message):
        if message[:4] == b'44{"':
            for future in self._answers.values():
                if not future.done():
                    future.set_exception(Refused(orjson.loads(message[2:])["data"]))
        elif message[:2] == b"42":
            event, payload = orjson.loads(message[2:])
            if event == "bye":
                self._told_delay_s = payload.get("delay_ms", 0) / 1000
            elif event == "changed":
                self._seq = max(self._seq, payload["checkpoint"])
        else:
            for start, future in self._answers.items():
                if message.startswith(start.encode()) and not future.done():
                    body = message[len(start) :]
                    future.set_result(orjson.loads(body) if body[:1] in (b"[", b"{") else None)


async def weather(url, count, first, model, storms):
    """
    Be so many clients through so many storms; return what each went through.

    Prints `connected` when all are live, and `level` after each storm.
    """
    clients = [Client(url, f"storm-{first + index}", model) for index in range(count)]
    async with asyncio.timeout(STORM_TIMEOUT_S), asyncio.TaskGroup() as group:
        tasks = []
        for start in range(0, count, AT_ONCE):
            some = clients[start : start + AT_ONCE]
            tasks += [group.create_task(client.run()) for client in some]
            await asyncio.gather(*(client.is_live.wait() for client in some))
        print("connected", flush=True)
        for turn in range(1, storms + 1):
            while not all(len(c.losses) >= turn and c.is_live.is_set() for c in clients):
                await asyncio.sleep(0.05)
            print("level", flush=True)
        await asyncio.sleep(STAY_S)
        for task in tasks:
            task.cancel()
    return [[c.losses, c.lives, c.refusals] for c in clients]
