"""
The HTTP side of the socket door: who may begin, and what a client that polls may post.

engineio answers what is let through here. It takes every handshake; a POST it reads by its
Content-Length, so that a chunked one is lost, and one that it can't read is answered with 200, a
traceback, or not at all. So POSTs are read here, and newcomers counted.
"""

import base64
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web
from engineio import exceptions as eio_exceptions
from engineio.async_drivers.aiohttp import translate_request
from engineio.packet import Packet
from engineio.payload import Payload

from syncline.diagnosis import REFUSAL_HEADER
from syncline.logs import Logger
from synclined.frames import end_polling
from synclined.http_log import OF_PEERS
from synclined.strangers import EIO3, eio3_frames, eio3_payload


log = Logger("synclined")

FULL = "the daemon has as many connections as it takes"
RETRY_AFTER_S = 2
"""When whoever found no place may ask again; told in HTTP, whole seconds."""

_EIO = "4"
_TRANSPORTS = ("polling", "websocket")
_SEPARATOR = "\x1e"
_MESSAGE, _ATTACHMENT = "4", "b"
_CONTROL = ("1", "3")
"""What else a client sends by POST: its leaving, and the answer to a ping."""
_FORM = "d="
"""How the body of a page begins that polls without XMLHttpRequest."""


class TooLarge(Exception):  # noqa: N818 - no error of ours, the peer's
    """A body is over the limit."""


class Doorway:
    """
    Answers the requests of Engine.IO, as the `handle_request` of a server.

    Args:
        sio: the server, after `frames.install`.
        body_bytes_max: the largest POST.
        sockets_max: how many sockets may be open, from their handshake on.
    """

    def __init__(
        self,
        sio: Any,
        *,
        body_bytes_max: int,
        sockets_max: int,
    ) -> None:
        self._sio = sio
        self._eio = sio.eio
        self._body_bytes_max = body_bytes_max
        self._sockets_max = sockets_max
        self._is_full = False
        sio.handle_request = self.answer
        # Its own goes to a logger that nobody reads but as an error.
        self._eio._log_error_once = self._log_once  # noqa: SLF001
        self._logged: set[str] = set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request; what is wrong with it is its sender's, and never raises."""
        try:
            if request.method == "POST":
                return await self._take(request)
            sid = request.query.get("sid")
            if request.method == "GET" and sid is None:
                refusal = await self._judge_newcomer(request)
                if refusal is not None:
                    return refusal
            held = self._eio.sockets.get(sid)
            answer: web.StreamResponse = await self._eio.handle_request(request)
        except OSError:
            # Gone while it was being answered: this answer is read by nobody.
            return web.Response(status=400)
        if getattr(held, "is_hung_up", False) and not answer.prepared:
            return await self._refuse(request, 503, "the link has ended: begin another")
        return answer

    # ---- newcomers ----------------------------------------------------------------------

    async def _judge_newcomer(self, request: web.Request) -> web.StreamResponse | None:
        """Return the answer to one that can't begin; None for one that may."""
        if len(self._sio.environ) >= self._sockets_max:
            refused = log.debug if self._is_full else log.warning
            refused("connection.refused", error="connections_max", count=self._sockets_max)
            self._is_full = True
            return await self._refuse(request, 503, FULL)
        self._is_full = False
        version, transport = request.query.get("EIO"), request.query.get("transport", "polling")
        is_upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
        if version == "3" and (transport == "polling" or is_upgrade):
            return await self._tell_eio3(request, is_upgrade=transport == "websocket")
        if version != _EIO:
            reason = "this is Engine.IO 4, of Socket.IO 3 and 4: the query must say EIO=4"
        elif transport not in _TRANSPORTS:
            reason = f"the transports here are {' and '.join(_TRANSPORTS)}"
        elif transport == "websocket" and not is_upgrade:
            reason = (
                "a WebSocket's handshake has the header Upgrade: websocket; a proxy in between "
                "must hand it on"
            )
        else:
            return None
        self._log_once(reason, reason)
        return await self._refuse(request, 400, reason)

    async def _tell_eio3(self, request: web.Request, *, is_upgrade: bool) -> web.StreamResponse:
        self._log_once(EIO3, EIO3)
        if not is_upgrade:
            return web.Response(
                text=eio3_payload(EIO3),
                headers=self._eio._cors_headers(translate_request(request)),  # noqa: SLF001
            )
        socket = web.WebSocketResponse(timeout=1.0)
        await socket.prepare(request)
        for frame in eio3_frames(EIO3):
            await socket.send_str(frame)
        await socket.close()
        return socket

    # ---- clients that poll --------------------------------------------------------------

    async def _take(self, request: web.Request) -> web.StreamResponse:
        """Deliver the packets of a POST, and answer when they were dealt with."""
        eio = self._eio
        environ = translate_request(request)
        origin = environ.get("HTTP_ORIGIN")
        allowed = eio._cors_allowed_origins(environ)  # noqa: SLF001
        if origin and allowed is not None and origin not in allowed:
            self._log_once(f"{origin} is not an accepted origin", "bad-origin")
            return await self._refuse(request, 400, f"{origin} is not an accepted origin.")
        socket = eio.sockets.get(request.query.get("sid"))
        if socket is None or socket.closed or socket.upgraded or not socket.connected:
            return await self._refuse(request, 400, "no client polls under this sid")
        try:
            packets = read_packets(await self._body(request))
        except (TooLarge, ValueError, *OF_PEERS) as error:
            is_large = isinstance(error, TooLarge)
            reason = str(error) if isinstance(error, TooLarge | ValueError) else "unreadable body"
            log.warning("post.refused", reason=reason[:200])
            await end_polling(eio, socket, eio.reason.TRANSPORT_ERROR)
            return await self._refuse(request, 413 if is_large else 400, reason)
        for packet in packets:
            if self._is_too_much(socket, packet):
                await end_polling(eio, socket, eio.reason.TRANSPORT_ERROR)
                return await self._refuse(request, 413, "an event's attachments are over the limit")
            if socket.closed or not await self._deliver(socket, packet):
                break
        return await self._made(eio._ok(), environ)  # noqa: SLF001

    def _is_too_much(self, socket: Any, packet: str | bytes) -> bool:
        """Tell whether an attachment is more than its event may have, over several POSTs."""
        event = self._sio._binary_packet.get(socket.sid)  # noqa: SLF001
        if event is None or not isinstance(packet, bytes):
            return False
        return len(packet) + sum(map(len, event.attachments)) > self._body_bytes_max

    async def _deliver(self, socket: Any, packet: str | bytes) -> bool:
        """Hand on one packet; False when the socket has ended."""
        try:
            if isinstance(packet, str) and packet in _CONTROL:
                await socket.receive(Packet(encoded_packet=packet))
            else:
                message = packet[1:] if isinstance(packet, str) else packet
                if message:
                    await self._eio.handlers["message"](socket.sid, message)
        except eio_exceptions.SocketIsClosedError:
            return False
        except Exception:
            log.exception("message.broke")
        return True

    async def _body(self, request: web.Request) -> bytes:
        limit = self._body_bytes_max
        parts: list[bytes] = []
        size = request.content_length or 0
        if size <= limit:
            size = 0
            while size <= limit and (part := await request.content.readany()):
                size += len(part)
                parts.append(part)
        if size > limit:
            raise TooLarge(f"the body is over the limit of {limit} bytes")
        return b"".join(parts)

    # ---- answers ------------------------------------------------------------------------

    async def _refuse(self, request: web.Request, status: int, reason: str) -> web.StreamResponse:
        said = self._eio._bad_request(reason)  # noqa: SLF001
        said["status"] = str(status)
        if reason == FULL:
            # A WebSocket client is shown no body.
            said["headers"] += [("Retry-After", str(RETRY_AFTER_S)), (REFUSAL_HEADER, reason)]
        return await self._made(said, translate_request(request))

    async def _made(self, said: Any, environ: dict[str, Any]) -> web.StreamResponse:
        response: web.StreamResponse = await self._eio._make_response(said, environ)  # noqa: SLF001
        return response

    def _log_once(self, reason: str, key: str) -> None:
        """Log a kind of mistake, and its repetitions only for who looks for them."""
        said = log.debug if key in self._logged else log.warning
        self._logged.add(key)
        said("request.refused", reason=reason[:200])


def read_packets(body: bytes) -> list[str | bytes]:
    """
    Return the packets of a POST: attachments as bytes, all others as their text.

    Raises:
        ValueError: one is none that a client sends.
    """
    text = body.decode()
    if text.startswith(_FORM):
        text = parse_qs(text).get("d", [""])[0]
    found = text.split(_SEPARATOR)
    if len(found) > Payload.max_decode_packets:
        raise ValueError("too many packets in one POST")
    return [_read_packet(packet) for packet in found]


def _read_packet(packet: str) -> str | bytes:
    if packet[:1] == _ATTACHMENT:
        return base64.b64decode(packet[1:], validate=True)
    if packet[:1] == _MESSAGE or packet in _CONTROL:
        return packet
    raise ValueError(f"{packet[:16]!r} is no packet that a client sends by POST")
