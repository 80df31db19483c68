"""
One Socket.IO connection to a daemon: requests with answers, events in order.

This alone knows python-socketio on this side; what is beneath it is `transport`'s.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import msgspec
import orjson
import socketio

from syncline import errors
from syncline.address import read_address
from syncline.diagnosis import diagnose
from syncline.doubles import loads
from syncline.errors import (
    AckTimeout,
    Busy,
    LinkClosed,
    ProtocolError,
    SynclineError,
    Unauthenticated,
)
from syncline.http_options import PLAIN, HttpOptions
from syncline.place import Place
from syncline.protocol import PROTOCOL_VERSION, WireError, decode
from syncline.transport import Transport, run_to_a_wait


CONNECT_TIMEOUT_S = 10.0
EVENTS = ("changed", "news", "beat", "behind", "bye")
_LIVE = {'2["changed",{': "changed", '2["news",{': "news"}
"""How the texts of live events begin; to a bare listener `changed` carries a name."""

_BY_CODE: dict[str, type[SynclineError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, SynclineError)
}


class OrjsonCodec:
    """The JSON codec of small live events."""

    @staticmethod
    def dumps(value: Any, **_: Any) -> str:
        """Return the JSON text."""
        return orjson.dumps(value).decode()

    @staticmethod
    def loads(text: str | bytes, **_: Any) -> Any:
        """Return the value of a JSON text."""
        return loads(text)


class WirePacket(socketio.packet.Packet):  # type: ignore[misc] # python-socketio has no types
    """A packet in our codec; given as `json` it would be every socket's in this process."""

    json = OrjsonCodec


class _HeardPacket(WirePacket):
    """A packet that a client hears; what live events carry is left encoded, for `heard`."""

    def decode(self, encoded_packet: Any) -> int:
        if isinstance(encoded_packet, str):
            # Up to and with the first brace, which is in the text of every live event.
            begin = encoded_packet[: encoded_packet.find("{", 0, 16) + 1]
            event = _LIVE.get(begin)
            if event is not None:
                self.packet_type = socketio.packet.EVENT
                self.namespace = None
                self.data = [event, encoded_packet[len(begin) - 1 : -1].encode()]
                return 0
        attachments: int = super().decode(encoded_packet)
        return attachments


class _Client(socketio.AsyncClient):  # type: ignore[misc] # python-socketio has no types
    """The client, deaf once it is closed: what still arrives then is nobody's."""

    is_deaf = False

    def _engineio_client_class(self) -> type[Transport]:
        return Transport

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.ended = asyncio.Event()

    async def _handle_eio_disconnect(self, reason: Any) -> None:
        self.ended.set()
        await super()._handle_eio_disconnect(reason)

    async def _handle_eio_message(self, data: Any) -> None:
        # A disconnect forgets the event whose attachment is still on its way, which would be
        # taken for an event of its own.
        if not self.is_deaf:
            await super()._handle_eio_message(data)


class Connection:
    """
    A connection to a daemon.

    Args:
        url: `http://host:port`, and the path that the daemon lies below; `/state` behind it names
            another data source of the daemon.
        token: what the daemon asks for, or None.
        on_event: called with (event, payload) for each event, in order.
        on_close: called once with the reason when an open connection is gone.
        bare: name no protocol: hear only which models changed.
        ticket: what a daemon that was busy gave us; see `Busy`.
        http: how it is reached.

    Attributes:
        url: where it leads.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        on_event: Callable[[str, Any], None] | None = None,
        on_close: Callable[[str], None] | None = None,
        bare: bool = False,
        ticket: str = "",
        http: HttpOptions = PLAIN,
    ) -> None:
        self._address = read_address(url)
        self.url = url
        self._http = http
        self._namespace = self._address.namespace
        self._auth: dict[str, Any] = {} if bare else {"protocol": PROTOCOL_VERSION}
        if token is not None:
            self._auth["token"] = token
        if ticket:
            self._auth["ticket"] = ticket
        self._on_event = on_event
        self._on_close = on_close
        self._place = Place()
        self._is_open = False
        self._client = _Client(
            reconnection=False,
            serializer=_HeardPacket,
            handle_sigint=False,
            http_session=http.session,
            websocket_extra_options={"max_msg_size": 0},
        )
        self._waiting: set[asyncio.Future[Any]] = set()
        for event in EVENTS:
            self._client.on(event, self._hearer(event), self._namespace)
        self._client.on("disconnect", self._disconnected, self._namespace)

    async def open(self) -> None:
        """
        Connect.

        Raises:
            Unreachable and other LinkErrors: why no daemon is reached, see `diagnosis`. AuthError,
                VersionNotSupported: by name.
        """
        refusal: list[Any] = []
        self._client.on("connect_error", refusal.append, self._namespace)
        try:
            await self._connect()
        except (socketio.exceptions.ConnectionError, *self._http.errors) as error:
            await self._shut()
            if refusal and isinstance(refusal[0], dict) and "data" in refusal[0]:
                raise _refused(refusal[0]["data"]) from None
            raise await diagnose(self._address, error, self._http) from None
        except BaseException:
            await self._shut()
            raise
        self._is_open = True

    async def _connect(self) -> None:
        """Connect, or end with the transport: socketio would wait for its whole timeout."""
        if self._http.session is None:
            self._client.eio.http = self._http.new_session(self._address.origin)
        connecting = asyncio.ensure_future(
            self._client.connect(
                self._address.origin,
                headers=self._http.headers_now(),
                socketio_path=self._address.socketio_path,
                auth=self._auth,
                namespaces=[self._namespace],
                transports=["websocket"],
                wait_timeout=CONNECT_TIMEOUT_S,
            )
        )
        ended = asyncio.ensure_future(self._client.ended.wait())
        try:
            await asyncio.wait((connecting, ended), return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                raise socketio.exceptions.ConnectionError("cut while connecting")
            connecting.result()
        finally:
            connecting.cancel()
            ended.cancel()
            await asyncio.gather(connecting, ended, return_exceptions=True)

    @property
    def waiting(self) -> int:
        """How many requests wait for their answer."""
        return len(self._waiting)

    @property
    def is_open(self) -> bool:
        """Whether it is connected."""
        return self._is_open

    def send(self, event: str, *args: Any, answer: Callable[[tuple[Any, ...]], None]) -> None:
        """
        Send a request now; `answer` is called with the acknowledgement's arguments.

        On a dying connection nothing is sent; its end is heard by itself.
        """
        payload = args[0] if len(args) == 1 else args
        with contextlib.suppress(socketio.exceptions.SocketIOError):
            # It waits for nothing: what can't be written now is queued.
            run_to_a_wait(
                self._client.emit(
                    event, payload, self._namespace, callback=lambda *got: answer(got)
                )
            )

    async def request(self, event: str, *args: Any, timeout_s: float = 20.0) -> tuple[Any, ...]:
        """
        Send a request and return the acknowledgement's arguments.

        Raises:
            AckTimeout, LinkClosed; and whatever error the daemon named. WrongLoop, WrongProcess:
                it was opened elsewhere.
        """
        self._place.check()
        if not self._is_open:
            raise LinkClosed("the connection is closed")
        future: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)

        def answered(got: tuple[Any, ...]) -> None:
            if not future.done():
                future.set_result(got)

        payload = args[0] if len(args) == 1 else args
        try:
            await self._client.emit(
                event, payload, self._namespace, callback=lambda *got: answered(got)
            )
            async with asyncio.timeout(timeout_s):
                return checked(await future)
        except TimeoutError:
            raise AckTimeout(f"{event}: no answer within {timeout_s} s") from None
        except socketio.exceptions.SocketIOError as error:
            raise LinkClosed(f"{event}: {error}") from None
        finally:
            self._waiting.discard(future)

    async def close(self) -> None:
        """Disconnect; nothing is heard afterwards."""
        self._on_close = None
        self._on_event = None
        self._is_open = False
        await self._shut()

    async def _shut(self) -> None:
        self._fail_waiting("the connection was closed")
        self._client.is_deaf = True
        with contextlib.suppress(Exception):
            async with asyncio.timeout(2.0):
                await self._client.disconnect()
        session = self._client.eio.http
        if session is not None and session is not self._http.session and not session.closed:
            await session.close()

    def _hearer(self, event: str) -> Callable[..., None]:
        def hear(*args: Any) -> None:
            if self._on_event is not None:
                self._on_event(event, args[0] if args else None)

        return hear

    def _disconnected(self, reason: str = "") -> None:
        self._is_open = False
        self._fail_waiting(str(reason) or "connection lost")
        if self._on_close is not None:
            self._on_close(str(reason) or "connection lost")

    def _fail_waiting(self, reason: str) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_exception(LinkClosed(reason))


def checked(answer: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return an acknowledgement's arguments, or raise the error that it carries."""
    if answer and isinstance(answer[0], dict) and "error" in answer[0]:
        raise error_of(answer[0]["error"])
    return answer


def error_of(payload: Any) -> SynclineError:
    """Return the error that a daemon named."""
    if isinstance(payload, dict) and "error" in payload:
        payload = payload["error"]
    try:
        wire = decode(WireError, payload)
    except ProtocolError:
        return ProtocolError(f"the daemon refused: {payload!r}")
    error = _BY_CODE.get(wire.code, SynclineError)(wire.message, hint=wire.hint)
    error.retryable = wire.retryable
    if isinstance(error, Busy):
        error.delay_s, error.ticket = max(wire.delay_ms, 0) / 1000, wire.ticket
    return error


def _refused(payload: Any) -> SynclineError:
    """Return the error with which a daemon refused a connection, in the words of this library."""
    error = error_of(payload)
    if isinstance(error, Unauthenticated):
        error.hint = "give the token that the daemon knows: token=..."
    return error


def wire_error(error: SynclineError) -> dict[str, Any]:
    """Return an error as acknowledgements carry it."""
    wire = WireError(
        code=error.code, message=error.told(), hint=error.hint, retryable=error.retryable
    )
    if isinstance(error, Busy):
        delay_ms = round(error.delay_s * 1000)
        wire = msgspec.structs.replace(wire, delay_ms=delay_ms, ticket=error.ticket)
    built: dict[str, Any] = msgspec.to_builtins(wire)
    return {"error": built}
