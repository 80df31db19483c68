"""
Serve one WebSocket of Engine.IO: read its messages, write its packets, tell how much waits.

It takes the place of engineio's `_websocket_handler`, which makes a task and a timer for every
message, and has a writer that can't be asked what it holds::

    packets ──▶ queue ──▶ writer: takes all, then writes one by one ──▶ transport ──▶ peer
                                                                            ▲
    write_now ─── only while the writer waits and the queue is empty ───────┘

A writer that holds packets may be waiting for the peer between the text of a binary event and its
attachment, and a frame written there would tear the event. So then, and whenever else in doubt,
`WebSocket.write_now` answers False, and what it was given goes through the queue, in order.
"""

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

import socketio
from aiohttp import web
from engineio import exceptions as eio_exceptions
from engineio.async_socket import AsyncSocket
from engineio.packet import NOOP, Packet

from syncline.logs import Logger
from synclined.intake import Intake, Refusal


log = Logger("synclined")

HARD_CAP_FACTOR = 2
"""A message of more than this many times the announced maximum ends the link unread."""

CLOSE_TIMEOUT_S = 3.0
"""How long a closing handshake may take: a peer that is gone must not hold up a drain."""

OnOversized = Callable[[str, int], str | None]
"""Hears the sid and the bytes of a refused message; returns a JSON array to acknowledge it with."""

OnOrphan = Callable[[str, bytes], Awaitable[None]]
"""Is given engineio's sid and the message."""

MAIN = "/"
"""The namespace of the application's data."""
_BINARY = ("5", "6")
"""How the text of a binary event or acknowledgement begins, in Socket.IO."""
_PROBE, _PROBE_ANSWER, _UPGRADE = "2probe", "3probe", "5"
_MESSAGE = "4"


class _Transport(Protocol):
    """What is used of an asyncio transport."""

    def write(self, data: bytes) -> None: ...
    def get_write_buffer_size(self) -> int: ...
    def is_closing(self) -> bool: ...
    def abort(self) -> None: ...


class Seam:
    """
    One server's WebSockets; engineio calls it to make one.

    Args:
        sio: the server. compress: whether permessage-deflate is accepted.
        message_bytes_max: the largest message that is delivered.
        on_oversized: hears of each larger one.
        on_orphan: is given each binary message that belongs to no event.

    Attributes:
        links: those that are open, by their sid in engineio.
    """

    def __init__(
        self,
        sio: socketio.AsyncServer,
        *,
        compress: bool,
        message_bytes_max: int,
        on_oversized: OnOversized,
        on_orphan: OnOrphan | None = None,
    ) -> None:
        self.sio = sio
        self.compress = compress
        self.message_bytes_max = message_bytes_max
        self.on_oversized = on_oversized
        self.on_orphan = on_orphan
        self.links: dict[str | None, WebSocket] = {}

    def __call__(self, handler: Callable[[Any], Awaitable[None]], server: object) -> "WebSocket":
        """Make the WebSocket of a socket; `handler` is its bound `_websocket_handler`."""
        return WebSocket(cast("Any", handler).__self__, server, self)


class WebSocket:
    """
    One socket's WebSocket.

    Args:
        socket: engineio's, which keeps the queue and the state of the connection.
        server: engineio's.
    """

    def __init__(self, socket: Any, server: Any, seam: Seam) -> None:
        self._socket = socket
        self._server = server
        self._seam = seam
        self._intake = Intake(seam.message_bytes_max)
        self._sock = web.WebSocketResponse(
            timeout=CLOSE_TIMEOUT_S,
            compress=seam.compress,
            max_msg_size=seam.message_bytes_max * HARD_CAP_FACTOR,
        )
        self._transport: _Transport | None = None
        self._is_compressing = False
        self._is_idle = False
        self._is_hung_up = False
        self._held_bytes = 0
        self._silent_since: float | None = None
        self._watch: asyncio.TimerHandle | None = None

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        """Serve it until it ends."""
        request: web.Request = environ["aiohttp.request"]
        try:
            await self._sock.prepare(request)
        except BaseException:
            # It left in the handshake, or made half of one. engineio would keep the socket until
            # it has missed a ping; one that polls goes on.
            if not self._socket.connected:
                await self._leave()
            raise
        self._is_compressing = bool(self._sock.compress)
        self._transport = cast("_Transport", request.transport)
        sid = self._socket.sid
        self._socket.send = self._send_packet
        self._seam.links[sid] = self
        self._watch_silence()
        try:
            await self._serve()
        finally:
            # The socket and this hold each other: let go, and neither waits for the garbage
            # collector.
            self._socket.__dict__.pop("send", None)
            self._seam.links.pop(sid, None)
            if self._watch is not None:
                self._watch.cancel()
        return self._sock

    async def _serve(self) -> None:
        socket = self._socket
        if socket.connected and not await self._upgrade():
            return
        socket.connected = socket.upgraded = True
        writing = asyncio.create_task(self._write_all())
        try:
            await self._read_all()
        except asyncio.CancelledError:
            # The writer may wait for a peer that does not read.
            self.abort()
            raise
        finally:
            if not self._is_hung_up:
                socket.queue.put_nowait(None)
            await writing
            await self._leave()

    async def _leave(self) -> None:
        reason = self._server.reason.TRANSPORT_CLOSE
        await self._socket.close(wait=False, abort=True, reason=reason)
        self._server.sockets.pop(self._socket.sid, None)

    async def _upgrade(self) -> bool:
        """Take a polling client's socket over: a probe, a last answer to its GET, the upgrade."""
        socket = self._socket
        socket.upgrading = True  # Its packets are held back.
        try:
            if await self._receive() != _PROBE:
                return False
            await self._sock.send_str(_PROBE_ANSWER)
            await socket.queue.put(Packet(NOOP))
            return await self._receive() == _UPGRADE
        except OSError:
            return False
        finally:
            socket.upgrading = False

    # ---- reading ------------------------------------------------------------------------

    async def _read_all(self) -> None:
        socket, hear = self._socket, self._server.handlers["message"]
        while True:
            try:
                message = await self._receive()
            except OSError:
                return
            try:
                if isinstance(message, bytes):
                    await hear(socket.sid, message)
                elif message[:1] == _MESSAGE:
                    await hear(socket.sid, message[1:])
                else:
                    await socket.receive(Packet(encoded_packet=message))
            except eio_exceptions.UnknownPacketError:
                pass
            except eio_exceptions.SocketIsClosedError:
                return
            except Exception:
                log.exception("message.broke")

    async def _receive(self) -> str | bytes:
        """
        Return the next message that may be delivered.

        Raises:
            OSError: the link has ended, or must.
        """
        while True:
            self._silent_since = asyncio.get_running_loop().time()
            message = (await self._sock.receive()).data
            self._silent_since = None
            if not isinstance(message, str | bytes):
                raise OSError("the peer is gone")
            refusal = self._intake.judge(message)
            if refusal is None:
                return message
            if refusal.size:
                await self._refuse(refusal)
            elif isinstance(message, bytes) and self._seam.on_orphan is not None:
                await self._seam.on_orphan(self._socket.sid, message)

    async def _refuse(self, refusal: Refusal) -> None:
        sio, eio_sid = self._seam.sio, self._socket.sid
        sid = sio.manager.sid_from_eio_sid(eio_sid, MAIN)
        if sid is None:
            raise OSError("an oversized message before CONNECT")
        if refusal.is_begun:
            sio._binary_packet.pop(eio_sid, None)  # noqa: SLF001  else it waits for an attachment
        answer = self._seam.on_oversized(sid, refusal.size)
        if answer is not None and refusal.answer_to:
            await self._server.send(eio_sid, refusal.answer_to + answer)

    def _watch_silence(self) -> None:
        """End the link when its peer answers no ping; one timer that seldom rings, for them all."""
        loop = asyncio.get_running_loop()
        silence_s = self._server.ping_interval + self._server.ping_timeout
        since = self._silent_since
        left_s = silence_s if since is None else since + silence_s - loop.time()
        if left_s <= 0:
            self.abort()
        else:
            self._watch = loop.call_later(left_s, self._watch_silence)

    # ---- writing ------------------------------------------------------------------------

    def write_now(self, wire: bytes, waiting_max: int = 0) -> bool:
        """
        Write a whole frame if that neither tears an event nor overtakes; tell whether it did.

        Args:
            wire: WebSocket header included.
            waiting_max: with more bytes than this in the transport it must wait its turn.
        """
        # Once a frame and socket, so as few calls as can be.
        socket, transport = self._socket, self._transport
        if (
            not self._is_idle
            or socket.queue.count
            or socket.closing
            or self._sock.closed
            or transport is None
            or transport.is_closing()
            or transport.get_write_buffer_size() > waiting_max
        ):
            return False
        transport.write(wire)
        return True

    def buffered(self) -> int:
        """Return the bytes in the queue, at the writer and in the transport."""
        in_transport = self._transport.get_write_buffer_size() if self._transport else 0
        return in_transport + self._held_bytes + queued_bytes(self._socket)

    def hang_up(self) -> None:
        """Close the WebSocket behind what is queued, and send nothing more."""
        self._is_hung_up = True
        self._socket.queue.put_nowait(None)

    def abort(self) -> None:
        """Drop the connection and all that was not read."""
        if self._transport is not None:
            self._transport.abort()

    async def _send_packet(self, packet: Any) -> None:
        """Send a packet as `AsyncSocket.send` does, past the queue where nothing is in it."""
        if self._is_hung_up:
            return
        data = packet.data
        # The text of a binary event goes where its attachments go: nothing may come between.
        is_whole = isinstance(data, str) and data[:1] not in _BINARY
        if not (is_whole and self.write_now(frame_of(packet.encode()))):
            await AsyncSocket.send(self._socket, packet)

    async def _write_all(self) -> None:
        """Write what is queued, until the end that is queued behind it."""
        try:
            with contextlib.suppress(OSError):
                while packets := await self._take():
                    for packet in packets:
                        await self._write(packet.encode())
        except Exception:
            log.exception("writer.broke")
        finally:
            self._is_idle = False
            with contextlib.suppress(OSError):
                await self._sock.close()

    async def _take(self) -> list[Any]:
        """Wait for packets and take all there are; none at the end."""
        queue = self._socket.queue
        self._held_bytes = 0
        self._is_idle = not self._is_compressing  # A compressor is its socket's own.
        packets = [await queue.get()]
        self._is_idle = False
        queue.task_done()
        while packets[-1] is not None and not queue.empty():
            packets.append(queue.get_nowait())
            queue.task_done()
        if packets[-1] is None:
            packets.pop()
            if packets:
                queue.put_nowait(None)  # The end, to be met again behind what is taken now.
        self._held_bytes = sum(map(_packet_bytes, packets))
        return packets

    async def _write(self, message: str | bytes) -> None:
        # Before the wait: aiohttp hands it to the transport whole, then waits for the peer.
        self._held_bytes = max(0, self._held_bytes - len(message))
        if isinstance(message, bytes):
            await self._sock.send_bytes(message)
        else:
            await self._sock.send_str(message)


class SizedQueue(asyncio.Queue[Any]):
    """An unbounded queue of packets that knows how many, and how many bytes, it holds."""

    count = 0
    size_bytes = 0

    def _put(self, item: Any) -> None:
        self.count += 1
        self.size_bytes += _packet_bytes(item)
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        self.count -= 1
        self.size_bytes -= _packet_bytes(item)
        return item


def queued_bytes(socket: Any) -> int:
    """Return the bytes in a socket's queue; text is counted in characters."""
    queue = getattr(socket, "queue", None)
    return queue.size_bytes if isinstance(queue, SizedQueue) else 0


def _packet_bytes(packet: Any) -> int:
    data = getattr(packet, "data", None)
    if isinstance(data, str):
        return len(data) + 1  # The packet's type goes before it.
    return len(data) if isinstance(data, bytes | bytearray) else 0


def frame_of(text: str) -> bytes:
    """Return an unmasked, final text frame, as a server sends it (RFC 6455, section 5.2)."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", 0x81, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload
