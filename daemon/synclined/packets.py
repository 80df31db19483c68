"""
Read what clients send as Socket.IO packets; one that can't be read becomes an event of its own.

The library raises where a packet is malformed: that writes a traceback for each, and where an
attachment was due it leaves the connection deaf for good. Here such a packet is instead the
event `MALFORMED`, with the reason as its argument, and the id and the attachments that it named:
so it is answered, counted and logged as any other mistake of its sender.
"""

import re
import time
from collections.abc import Mapping
from typing import Any

import socketio

from syncline.connection import WirePacket, wire_error
from syncline.errors import ProtocolError
from syncline.logs import Logger
from synclined.strangers import MSGPACK, msgpack_refusal
from synclined.waiting import Waiting


log = Logger("synclined")


MALFORMED = "malformed packet"
"""The event that an unreadable packet becomes."""

ATTACHMENTS_MAX = 64
"""An event with more attachments is refused; our protocol uses one."""

_NO_EVENTS = frozenset({"connect", "disconnect", "*", MALFORMED})
"""Names under which the library, or this file, keeps handlers that are no client's to call."""

_CONNECT, _DISCONNECT, _EVENT, _ACK, _, _BINARY_EVENT, _BINARY_ACK = range(7)
_HEADER = re.compile(r"([0-6])(?:(\d{1,10})-)?(?:(/[^,\[]*),)?(\d{1,15}(?!\d))?", re.ASCII)
_UNREADABLE = (ValueError, TypeError, RecursionError)


class DoorPacket(WirePacket):
    """A packet that came in through the door, readable or not, or that goes out."""

    def decode(self, encoded_packet: str | bytes) -> int:
        """Read a packet, and return how many attachments are to follow."""
        try:
            attachments: int = super().decode(encoded_packet)
        except _UNREADABLE as error:
            return self._become_malformed(encoded_packet, str(error))
        wrong = self._what_is_wrong(attachments)
        return self._become_malformed(encoded_packet, wrong) if wrong else attachments

    @classmethod
    def reconstruct_binary(cls, data: Any, attachments: list[Any]) -> Any:
        """Put the attachments in their places."""
        try:
            return super().reconstruct_binary(data, attachments)
        except (IndexError, *_UNREADABLE):
            return [MALFORMED, "its attachments and their places do not match"]

    def _what_is_wrong(self, attachments: int) -> str:
        if self.packet_type in (_BINARY_EVENT, _BINARY_ACK):
            if not 1 <= attachments <= ATTACHMENTS_MAX:
                return f"a binary packet has 1 to {ATTACHMENTS_MAX} attachments"
        elif self.packet_type not in (_CONNECT, _DISCONNECT, _EVENT, _ACK):
            return "a client sends no packet of this type"
        if self.packet_type not in (_EVENT, _BINARY_EVENT):
            return ""
        if not isinstance(self.data, list) or not self.data or not isinstance(self.data[0], str):
            return "an event is a list that begins with its name"
        return f"{self.data[0]!r} is no event's name" if self.data[0] in _NO_EVENTS else ""

    def _become_malformed(self, encoded_packet: str | bytes, reason: str) -> int:
        header = _HEADER.match(encoded_packet) if isinstance(encoded_packet, str) else None
        kind, due, namespace, ack_id = header.groups() if header else (_EVENT, None, None, None)
        kind, attachments = int(kind), int(due or 0)
        self.namespace, self.id, self.data = namespace, None, [MALFORMED, reason]
        if kind in (_CONNECT, _DISCONNECT):
            # Refused as an auth that is no object; whoever leaves may leave with any words.
            self.packet_type = kind
            return 0
        if kind in (_EVENT, _BINARY_EVENT) and ack_id:
            self.id = int(ack_id)
        is_binary = kind in (_BINARY_EVENT, _BINARY_ACK) and 1 <= attachments <= ATTACHMENTS_MAX
        self.packet_type = _BINARY_EVENT if is_binary else _EVENT
        return attachments if is_binary else 0


class DoorServer(socketio.AsyncServer):  # type: ignore[misc] # python-socketio has no types
    """
    The server, which no packet of a client makes raise.

    Attributes:
        waiting: the sockets that are connected to no namespace.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.waiting = Waiting()

    async def _handle_eio_connect(self, eio_sid: str, environ: Mapping[str, Any]) -> None:
        await super()._handle_eio_connect(eio_sid, environ)
        self.waiting.begin(eio_sid, time.monotonic())

    async def _handle_eio_disconnect(self, eio_sid: str, reason: Any) -> None:
        await super()._handle_eio_disconnect(eio_sid, reason)
        self.waiting.end(eio_sid)

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        namespace = namespace or "/"
        reason = ""
        if namespace not in self.handlers:
            reason = (
                f"there is no namespace {namespace[:64]!r} here, which is what a Socket.IO client "
                "makes of a path behind the address: leave the path away"
            )
        elif self.manager.sid_from_eio_sid(eio_sid, namespace) is not None:
            reason = f"the connection has {namespace!r} already"
        if reason:
            log.warning("connection.refused", error=ProtocolError.code, reason=reason)
            refusal = wire_error(ProtocolError(reason))["error"]
            error = {"message": reason, "data": refusal}
            packet = self.packet_class(socketio.packet.CONNECT_ERROR, error, namespace=namespace)
            await self._send_packet(eio_sid, packet)
            return
        # Whoever waits at the door is not late.
        self.waiting.end(eio_sid)
        try:
            await super()._handle_connect(eio_sid, namespace, data)
        finally:
            self._await_connect(eio_sid)

    async def _handle_disconnect(
        self, eio_sid: str, namespace: str | None, reason: Any = None
    ) -> None:
        await super()._handle_disconnect(eio_sid, namespace, reason)
        self._await_connect(eio_sid)

    def _await_connect(self, eio_sid: str) -> None:
        if eio_sid in self.environ and not self.is_anywhere(eio_sid):
            self.waiting.begin(eio_sid, time.monotonic())

    def is_anywhere(self, eio_sid: str) -> bool:
        """Tell whether a socket is connected to any namespace."""
        names = tuple(self.handlers)
        return any(self.manager.sid_from_eio_sid(eio_sid, name) is not None for name in names)

    async def _handle_eio_message(self, eio_sid: str, data: str | bytes) -> None:
        if eio_sid in self._binary_packet:
            await super()._handle_eio_message(eio_sid, data)
        elif isinstance(data, bytes):
            await self.meet_binary(eio_sid, data)
        elif not self._is_binary_of_nobody(eio_sid, data):
            await super()._handle_eio_message(eio_sid, data)

    async def meet_binary(self, eio_sid: str, message: bytes) -> None:
        """Answer a binary message of no event, where it is another parser's CONNECT."""
        if self.is_anywhere(eio_sid):
            return
        refusal = msgpack_refusal(message)
        if refusal is not None:
            log.warning("connection.refused", error=ProtocolError.code, reason=MSGPACK)
            await self.eio.send(eio_sid, refusal)

    def _is_binary_of_nobody(self, eio_sid: str, data: str) -> bool:
        """Tell whether a binary packet comes from where its sender is not connected."""
        header = _HEADER.match(data)
        if header is None or int(header[1]) not in (_BINARY_EVENT, _BINARY_ACK):
            return False
        return self.manager.sid_from_eio_sid(eio_sid, header[3] or "/") is None
