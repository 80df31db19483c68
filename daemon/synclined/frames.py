"""
Write pre-encoded frames straight to sockets: what knows engineio's inside, with `websocket`.

A room's ``emit`` makes a packet, a task and a queue hop for every client; one frame that was
encoded once and is written to each WebSocket costs a fraction of that. The price is that the
frame passes engineio's send queue by, which `WebSocket.write_now` does only where it is harmless.

The seam belongs to one server and holds on to few things: the adapter in
``eio._async["websocket"]``, ``eio.create_queue``, ``eio.start_background_task``, and the ``send``
of a socket. Without it every frame takes the queue.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import socketio
from engineio.async_socket import AsyncSocket
from engineio.payload import Payload

from synclined.websocket import (
    MAIN,
    OnOrphan,
    OnOversized,
    Seam,
    SizedQueue,
    WebSocket,
    frame_of,
    queued_bytes,
)


CONGESTED_BYTES = 64 * 1024
"""With more than this waiting in the transport a frame takes the queue: asyncio's high-water."""

POST_PACKETS_MAX = 65_536
"""How many packets one POST may bring: a stock client sends all that waits, bounded by bytes."""

Direct = Callable[[bytes], bool]
"""Writes a frame to one socket at once, if nothing waits for it there; tells whether it did."""


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
    on_orphan: OnOrphan | None = None,
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
        on_orphan: given each binary message that belongs to no event, over WebSocket.
    """
    eio = sio.eio
    seam = Seam(
        sio,
        compress=compress,
        message_bytes_max=message_bytes_max,
        on_oversized=on_oversized,
        on_orphan=on_orphan,
    )
    eio._async = {  # noqa: SLF001  this file knows its inside
        **eio._async,  # noqa: SLF001
        "websocket": seam,
    }
    eio.max_http_buffer_size = message_bytes_max
    eio.create_queue = SizedQueue
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


async def end_polling(eio: Any, socket: Any, reason: str) -> None:
    """End the link of a client that polls, without a packet; its next answer tells (`doorway`)."""
    socket.is_hung_up = True
    await socket.close(wait=False, abort=True, reason=reason)
    socket.queue.put_nowait(None)
    eio.sockets.pop(socket.sid, None)


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
        self._links: dict[str | None, WebSocket] = seam.links if isinstance(seam, Seam) else {}
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
            self._wire, self._frame = frame_of(frame), frame
        return self._wire

    def is_settled(self) -> bool:
        """Tell whether no socket is half connected, or half gone."""
        return not (self._manager.pending_connect or self._manager.pending_disconnect)

    def _connected(self, sid: str) -> WebSocket | None:
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
        return queued_bytes(self._eio.sockets.get(eio_sid))

    async def hang_up(self, sid: str) -> None:
        """End a socket's transport as a crash would, without a DISCONNECT; its client returns."""
        await self.hang_up_socket(self._manager.eio_sid_from_sid(sid, self._namespace))

    async def hang_up_socket(self, eio_sid: str | None) -> None:
        """End the transport of a socket that may be connected to nothing, by engineio's sid."""
        socket, link = self._eio.sockets.get(eio_sid), self._links.get(eio_sid)
        if socket is None:
            return
        if link is not None and socket.upgraded:
            link.hang_up()
        else:
            if link is not None:
                link.abort()  # It is about to take a client over that polls.
            await end_polling(self._eio, socket, self._eio.reason.SERVER_DISCONNECT)

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
