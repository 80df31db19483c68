"""The connection that a link has now; of a former one nothing is heard any more."""

from collections.abc import Callable
from typing import Any

from syncline.connection import Connection
from syncline.errors import LinkClosed
from syncline.http_options import HttpOptions


class Line:
    """
    One link's connections, one after the other.

    Args:
        http: how the daemon is reached.
        on_event: called with (event, payload) for each event of the one that stands.
        on_close: called with the reason when that one is gone.
    """

    def __init__(
        self,
        url: str,
        *,
        http: HttpOptions,
        on_event: Callable[[str, Any], None],
        on_close: Callable[[str], None],
    ) -> None:
        self._url = url
        self._http = http
        self._on_event = on_event
        self._on_close = on_close
        self.socket: Connection | None = None

    async def open(self, token: str | None, ticket: str) -> None:
        """Connect; raise as `Connection.open`."""

        def heard(event: str, payload: Any) -> None:
            if socket is self.socket:
                self._on_event(event, payload)

        def closed(reason: str) -> None:
            if socket is self.socket:
                self._on_close(reason)

        socket = Connection(
            self._url,
            token=token,
            on_event=heard,
            on_close=closed,
            ticket=ticket,
            http=self._http,
        )
        self.socket = socket
        await socket.open()

    def forget(self) -> None:
        """Forget a connection that could not be made."""
        self.socket = None

    async def drop(self) -> None:
        """Disconnect."""
        socket, self.socket = self.socket, None
        if socket is not None:
            await socket.close()

    def send(self, event: str, *args: Any, answer: Callable[[tuple[Any, ...]], None]) -> None:
        """Send a request now; `answer` is called with the acknowledgement's arguments."""
        socket = self.socket
        if socket is None or not socket.is_open:
            return

        def answered(got: tuple[Any, ...]) -> None:
            # The answers of a former socket are nobody's.
            if socket is self.socket:
                answer(got)

        socket.send(event, *args, answer=answered)

    async def request(self, event: str, payload: Any, *, timeout_s: float) -> tuple[Any, ...]:
        """
        Send a request and return its answer, past the session.

        Raises:
            AckTimeout, LinkClosed; and whatever error the daemon named.
        """
        if self.socket is None:
            raise LinkClosed("not connected")
        return await self.socket.request(event, payload, timeout_s=timeout_s)
