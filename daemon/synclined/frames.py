"""
Write pre-encoded frames straight to sockets: the one file that knows engineio's inside.

A room's ``emit`` makes a packet, a task and a queue hop for every client; one frame that was
encoded once and is written to each WebSocket costs a fraction of that. The price is that the
frame passes engineio's send queue by, so this file must know when that is harmless::

    emit ──▶ queue ──▶ writer: poll() takes all, then send(), send(), … ──▶ transport ──▶ peer
                                                                               ▲
    send_text ── only while the writer waits in poll() and the queue is empty ─┘

A writer that holds packets may be waiting for the peer between the placeholder of a binary event
and its attachment, and a frame written there would tear the event. So then, and whenever else in
doubt, `FrameWriter.send_text` answers False, and the frame goes through the queue, in order.

The seam belongs to one server and holds on to few things: the adapter in
``eio._async["websocket"]``, ``eio.create_queue``, ``eio.start_background_task``, and the ``poll``
and ``send`` of a socket. It fails on the safe side: a writer that no longer polls here is never
found idle, and all frames take the queue.
"""

import asyncio
import re
import struct
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol, cast

import orjson
import socketio
from aiohttp import StreamReader, web
from engineio import exceptions as eio_exceptions
from engineio.async_drivers import aiohttp as eio_aiohttp
from engineio.async_socket import AsyncSocket
from engineio.payload import Payload

from synclined.packets import ATTACHMENTS_MAX


CONGESTED_BYTES = 64 * 1024
"""With more than this waiting in the transport a frame takes the queue: asyncio's high-water."""

HARD_CAP_FACTOR = 2
"""A message of more than this many times the announced maximum ends the link unread."""

POST_PACKETS_MAX = 65_536
"""How many packets one POST may bring: a stock client sends all that waits, bounded by bytes."""

CLOSE_TIMEOUT_S = 3.0
"""How long a closing handshake may take: a peer that is gone must not hold up a drain."""

OnOversized = Callable[[str, int], str | None]
"""Hears the sid and the bytes of a refused message; returns a JSON array to acknowledge it with."""

Direct = Callable[[bytes], bool]
"""Writes a frame to one socket at once, if nothing waits for it there; tells whether it did."""

MAIN = "/"
"""The namespace of the application's data."""
_HEADER = re.compile(r"4([256])(?:(\d{1,10})-)?(/[^,\[]*,)?(\d{1,15}(?!\d))?")
"""An event, binary event or binary acknowledgement: attachments, namespace, acknowledgement id."""
_BINARY = ("5", "6")
"""How the text of a binary event or acknowledgement begins, in Socket.IO."""
_CONTROL = re.compile(r"[12356][a-z]{0,16}")
_PACKETS = frozenset({"40", "41", "42", "43", "45", "46"})
_HEADER_CHARS_MAX = 256


def event_frame(event: str, json_text: str, namespace: str = MAIN) -> str:
    """
    Return an event of one argument, encoded as Engine.IO and Socket.IO send it.

    Args:
        event: the event's name.
        json_text: the argument, already encoded.
    """
    place = "" if namespace == MAIN else f"{namespace},"
    return f"42{place}[{orjson.dumps(event).decode()},{json_text}]"


def install(
    sio: socketio.AsyncServer,
    *,
    compress: bool,
    message_bytes_max: int,
    on_oversized: OnOversized,
) -> None:
    """
    Put the seam into a server; call it once, before the first connection.

    Args:
        sio: the server, made with ``async_mode="aiohttp"``.
        compress: whether permessage-deflate is accepted when a client offers it. Its frames then
            take the queue, since every socket has its own compressor.
        message_bytes_max: the largest message accepted, attachments included; announced to
            clients as ``maxPayload``.
        on_oversized: called for each larger message, which reaches no handler while its link
            stays. What it returns answers the acknowledgement that the message asked for.
            Called on the loop; must not wait. A polling client's oversized POST still ends its
            link, as engineio has it.
    """
    eio = sio.eio
    seam = _Seam(sio, compress, message_bytes_max, on_oversized)
    eio._async = {  # noqa: SLF001  this file knows its inside
        **eio._async,  # noqa: SLF001
        "websocket": seam,
        "translate_request": _environ_of,
    }
    eio.max_http_buffer_size = message_bytes_max
    eio.create_queue = _SizedQueue
    eio.start_background_task = _noting_pings(eio.start_background_task)
    eio.on("disconnect", _letting_go(eio))
    # engineio has no place for it but the class, which is the whole process's; its own 16 end the
    # link of a polling client that asks for seventeen things at once.
    Payload.max_decode_packets = max(Payload.max_decode_packets, POST_PACKETS_MAX)


def _noting_pings(start: Callable[..., Any]) -> Callable[..., Any]:
    """Return engineio's starter of tasks, which also notes the task of a socket's next ping."""

    def started(target: Any, *args: Any, **named: Any) -> Any:
        task = start(target, *args, **named)
        if getattr(target, "__func__", None) is AsyncSocket._send_ping:  # noqa: SLF001  as above
            target.__self__.ping_task = task
        return task

    return started


def _letting_go(eio: Any) -> Callable[[str, str], Awaitable[None]]:
    """
    Return engineio's handler of an end, which also lets go of what would outlive the socket.

    The task of the next ping would sleep to its end, a ping's interval, and hold the socket with
    all that belongs to it: with a link that flaps that is hundreds of them.
    And the GET that a leaving client has out would be left unanswered for as long and a timeout,
    while the client's process can't end before. When the server ends a link, its own last packet
    answers the GET.
    """
    heard = eio.handlers["disconnect"]

    async def disconnected(eio_sid: str, reason: str) -> None:
        await heard(eio_sid, reason)
        socket = eio.sockets.get(eio_sid)
        if socket is None:
            return
        ping = getattr(socket, "ping_task", None)
        # The ping itself may be what found the link dead.
        if ping is not None and ping is not asyncio.current_task():
            ping.cancel()
        if not socket.upgraded and reason == eio.reason.CLIENT_DISCONNECT:
            socket.queue.put_nowait(None)

    return disconnected


def _environ_of(request: web.Request) -> dict[str, Any]:
    environ: dict[str, Any] = eio_aiohttp.translate_request(request)
    environ["wsgi.input"] = _Body(request.content)
    return environ


class _Body:
    """The body of a polling client's POST; engineio asks once, and aiohttp gives what has come."""

    def __init__(self, content: StreamReader) -> None:
        self._content = content

    async def read(self, length: int) -> bytes:
        try:
            return await self._content.readexactly(length)
        except asyncio.IncompleteReadError as error:
            return error.partial


class FrameWriter:
    """
    Writes pre-encoded frames to a server's sockets, directly where that is harmless.

    Args:
        sio: the server, after `install`; without the seam every frame takes the queue.
        namespace: whose sids it is given.
    """

    def __init__(self, sio: socketio.AsyncServer, namespace: str = MAIN) -> None:
        self._namespace = namespace
        self._eio = sio.eio
        self._manager = sio.manager
        seam = sio.eio._async["websocket"]  # noqa: SLF001  as in install
        self._links: dict[str | None, _WebSocket] = seam.links if isinstance(seam, _Seam) else {}
        self._frame = ""
        self._wire = b""

    def event_frame(self, event: str, json_text: str) -> str:
        """Return an event's frame, for this namespace."""
        return event_frame(event, json_text, self._namespace)

    def send_text(self, sid: str, frame: str) -> bool:
        """
        Write a frame of `event_frame` now; False when it must take the queue instead.

        Never waits, and never overtakes what was emitted before. False for a polling client, a
        socket that is unknown, not yet connected or closing, a congested transport, and while
        queued packets are on their way out.
        """
        link = self._connected(sid)
        return link is not None and link.write_now(self.wire_of(frame), CONGESTED_BYTES)

    def direct(self, sid: str) -> Direct | None:
        """
        Return what writes a frame of `wire_of` to this socket while nothing waits for it there.

        It tells whether it did. It is good for as long as the sid is connected; None when there
        is no such way yet, as for a client that still polls.
        """
        link = self._connected(sid)
        return None if link is None else link.write_now

    def wire_of(self, frame: str) -> bytes:
        """Return a frame as a WebSocket carries it: one encoding for all sockets."""
        if frame is not self._frame:
            self._wire, self._frame = _websocket_frame(frame), frame
        return self._wire

    def is_settled(self) -> bool:
        """Tell whether no socket is half connected, or half gone."""
        return not (self._manager.pending_connect or self._manager.pending_disconnect)

    def _connected(self, sid: str) -> "_WebSocket | None":
        manager, namespace = self._manager, self._namespace
        # Before it is connected a socket was not sent its CONNECT, which must come first.
        if not self.is_settled() and not manager.is_connected(sid, namespace):
            return None
        return self._links.get(manager.eio_sid_from_sid(sid, namespace))

    async def send_queued(self, sid: str, frame: str) -> None:
        """Send a frame of `event_frame` behind all that waits, whatever the socket's transport."""
        eio_sid = self._manager.eio_sid_from_sid(sid, self._namespace)
        if eio_sid is not None:
            await self._eio.send(eio_sid, frame[1:])

    async def send(self, sid: str, frame: str) -> None:
        """Send a frame of `event_frame` by the way that is open."""
        if not self.send_text(sid, frame):
            await self.send_queued(sid, frame)

    def buffered(self, sid: str) -> int:
        """
        Return the bytes that wait for this socket's peer, in queue and transport.

        Text in the queue is counted in characters. 0 for an unknown sid.
        """
        eio_sid = self._manager.eio_sid_from_sid(sid, self._namespace)
        link = self._links.get(eio_sid)
        if link is not None:
            return link.buffered()
        return _queued_bytes(self._eio.sockets.get(eio_sid))

    def cut(self, sid: str) -> bool:
        """
        End a socket at once, dropping what it never read; False when it has no WebSocket.

        A polite disconnect waits behind all that the peer does not read.
        """
        link = self._links.get(self._manager.eio_sid_from_sid(sid, self._namespace))
        if link is None:
            return False
        link.abort()
        return True


class Refusal(NamedTuple):
    """
    Why an incoming message is not delivered.

    Attributes:
        size: its bytes when it is too large; 0 when it is dropped without a word, as part of an
            event that was refused before or of none.
        answer_to: the start of the acknowledgement that it asked for, or empty.
        is_begun: whether the event's text was delivered before, so that it must be taken back.
    """

    size: int = 0
    answer_to: str = ""
    is_begun: bool = False


DROPPED = Refusal()


class Intake:
    """
    Judges a socket's incoming messages by size, and counts attachments.

    An event is its text and the attachments that the text announces; it is refused as a whole,
    for an attachment without its text is an error to socketio, and one too few ends all talk.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._due = 0
        self._size = 0
        self._answer_to = ""
        self._is_refused = False

    def judge(self, message: str | bytes) -> Refusal | None:
        """
        Return why the message must not be delivered; None when it may be.

        Raises:
            OSError: no Engine.IO message. engineio ends the link without a traceback.
        """
        if isinstance(message, str):
            if _CONTROL.fullmatch(message):
                return None
            if message[:2] not in _PACKETS:
                raise OSError("not an Engine.IO message that a client sends")
        if self._due:
            return self._judge_attachment(message)
        return DROPPED if isinstance(message, bytes) else self._judge_text(message)

    def _judge_text(self, message: str) -> Refusal | None:
        # A character has at most four bytes; nearly all messages need no closer look.
        is_small = len(message) * 4 <= self._bytes_max
        self._size = len(message) if is_small else len(message.encode())
        self._answer_to = ""
        header = _HEADER.match(message[:_HEADER_CHARS_MAX])
        if header is not None:
            kind, attachments, namespace, ack_id = header.groups(default="")
            self._due = int(attachments or 0) if kind != "2" else 0
            if kind != "2" and not self._due:
                raise OSError("a binary packet without attachments")
            if ack_id and kind != "6":
                answer_kind = "3"  # An acknowledgement; this one without attachments.
                self._answer_to = answer_kind + namespace + ack_id
        self._is_refused = self._size > self._bytes_max or self._due > ATTACHMENTS_MAX
        return Refusal(self._size, self._answer_to) if self._is_refused else None

    def _judge_attachment(self, message: str | bytes) -> Refusal | None:
        self._due -= 1
        if self._is_refused:
            return DROPPED
        self._size += len(message)
        self._is_refused = self._size > self._bytes_max
        return Refusal(self._size, self._answer_to, is_begun=True) if self._is_refused else None


class _Transport(Protocol):
    """What is used of an asyncio transport."""

    def write(self, data: bytes) -> None: ...
    def get_write_buffer_size(self) -> int: ...
    def is_closing(self) -> bool: ...
    def abort(self) -> None: ...


class _Seam:
    """One server's adapters: engineio calls it to make a WebSocket."""

    def __init__(
        self,
        sio: socketio.AsyncServer,
        compress: bool,  # noqa: FBT001  private, called once
        message_bytes_max: int,
        on_oversized: OnOversized,
    ) -> None:
        self.sio = sio
        self.compress = compress
        self.message_bytes_max = message_bytes_max
        self.on_oversized = on_oversized
        self.links: dict[str | None, _WebSocket] = {}

    def __call__(self, handler: Callable[[Any], Awaitable[None]], server: object) -> "_WebSocket":
        return _WebSocket(handler, server, self)


class _WebSocket(eio_aiohttp.WebSocket):  # type: ignore[misc]  # engineio has no types
    """engineio's adapter of an aiohttp WebSocket, with the three things that it lacks."""

    def __init__(
        self, handler: Callable[[Any], Awaitable[None]], server: object, seam: _Seam
    ) -> None:
        super().__init__(handler, server)
        self._seam = seam
        # The handler is the bound `AsyncSocket._websocket_handler`: its self is the socket.
        self._socket = cast("Any", handler).__self__
        self._intake = Intake(seam.message_bytes_max)
        self._transport: _Transport | None = None
        self._is_compressing = False
        self._is_idle = False
        self._held_bytes = 0

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        """Serve one WebSocket until it ends."""
        request: web.Request = environ["aiohttp.request"]
        self.environ = environ
        self._sock = web.WebSocketResponse(
            timeout=CLOSE_TIMEOUT_S,
            compress=self._seam.compress,
            max_msg_size=self._seam.message_bytes_max * HARD_CAP_FACTOR,
        )
        await self._sock.prepare(request)
        self._is_compressing = bool(self._sock.compress)
        self._transport = cast("_Transport", request.transport)
        sid = self._socket.sid
        self._socket.poll = self._poll
        self._socket.send = self._send_packet
        self._seam.links[sid] = self
        try:
            await self.handler(self)
        finally:
            # The socket and this adapter hold each other: let go, and neither waits for the
            # garbage collector.
            self._socket.__dict__.pop("poll", None)
            self._socket.__dict__.pop("send", None)
            self._seam.links.pop(sid, None)
        return self._sock

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
        return in_transport + self._held_bytes + _queued_bytes(self._socket)

    def abort(self) -> None:
        """Drop the connection and all that was not read."""
        if self._transport is not None:
            self._transport.abort()

    async def _send_packet(self, packet: Any) -> None:
        """Send a packet as `AsyncSocket.send` does, past the queue where nothing is in it."""
        data = packet.data
        # The text of a binary event goes where its attachments go: nothing may come between.
        is_whole = isinstance(data, str) and data[:1] not in _BINARY
        if not (is_whole and self.write_now(_websocket_frame(packet.encode()))):
            await AsyncSocket.send(self._socket, packet)

    async def send(self, message: str | bytes) -> None:
        """Send one packet that the writer holds."""
        # Before the wait: aiohttp hands it to the transport whole, then waits for the peer.
        self._held_bytes = max(0, self._held_bytes - len(message))
        await super().send(message)

    async def wait(self) -> str | bytes:
        """Return the next message that may be delivered."""
        while True:
            message: str | bytes = await super().wait()
            refusal = self._intake.judge(message)
            if refusal is None:
                return message
            if refusal.size:
                await self._refuse(refusal)

    async def _refuse(self, refusal: Refusal) -> None:
        sio, eio_sid = self._seam.sio, self._socket.sid
        sid = sio.manager.sid_from_eio_sid(eio_sid, MAIN)
        if sid is None:
            raise OSError("an oversized message before CONNECT")
        if refusal.is_begun:
            sio._binary_packet.pop(eio_sid, None)  # noqa: SLF001  else it waits for an attachment
        answer = self._seam.on_oversized(sid, refusal.size)
        if answer is not None and refusal.answer_to:
            await self.server.send(eio_sid, refusal.answer_to + answer)

    async def _poll(self) -> list[Any]:
        """
        Take all queued packets, as `AsyncSocket.poll` does; while it waits the writer is idle.

        engineio's own waits by ``wait_for``, in which, before Python 3.12, a task takes the
        packet: for a moment the queue would look empty with the packet still on its way.
        """
        queue = self._socket.queue
        self._held_bytes = 0
        # A GET polls too, before the upgrade; and a compressor is its socket's own.
        self._is_idle = self._socket.upgraded and not self._is_compressing
        try:
            async with asyncio.timeout(self.server.ping_interval + self.server.ping_timeout):
                packets = [await queue.get()]
        except (TimeoutError, asyncio.CancelledError):
            raise eio_exceptions.QueueEmpty from None
        finally:
            self._is_idle = False
        queue.task_done()
        if packets == [None]:
            return []
        while not queue.empty():
            packet = queue.get_nowait()
            queue.task_done()
            if packet is None:  # The end, to be met again by the next poll.
                queue.put_nowait(None)
                break
            packets.append(packet)
        self._held_bytes = sum(map(_packet_bytes, packets))
        return packets


class _SizedQueue(asyncio.Queue[Any]):
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


def _packet_bytes(packet: Any) -> int:
    data = getattr(packet, "data", None)
    if isinstance(data, str):
        return len(data) + 1  # The packet's type goes before it.
    return len(data) if isinstance(data, bytes | bytearray) else 0


def _queued_bytes(socket: Any) -> int:
    queue = getattr(socket, "queue", None)
    return queue.size_bytes if isinstance(queue, _SizedQueue) else 0


def _websocket_frame(text: str) -> bytes:
    """Return an unmasked, final text frame (RFC 6455, section 5.2)."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", 0x81, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload
