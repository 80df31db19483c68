"""What a replica asks of its link, and the verbs about its upstream."""

from collections.abc import Callable
from typing import Any, Protocol

from syncline.core import Core
from syncline.ending import Ending, Ends
from syncline.errors import LinkClosed, SynclineError
from syncline.models import Key
from syncline.protocol import Welcome
from syncline.status import Status


class LinkLike(Ends, Protocol):
    """What a replica asks of its link."""

    @property
    def url(self) -> str:
        """Whom it follows."""

    @property
    def status(self) -> Status:
        """How the replica stands to its upstream."""

    @property
    def welcome(self) -> Welcome | None:
        """What the upstream said at the last hello."""

    async def barrier(self, timeout_s: float | None = None) -> None:
        """Return when the replica holds all that the upstream had at the call."""

    async def wait_live(self, timeout_s: float | None = None) -> None:
        """Return when the status is `live`."""

    async def flush(self, timeout_s: float | None = None) -> None:
        """Return when nothing waits to be sent."""

    async def pause(self) -> None:
        """Cut the link and stay offline; writes wait."""

    def resume(self) -> None:
        """Connect again."""

    def on_status(self, listener: Callable[[Status], Any]) -> Callable[[], None]:
        """Call `listener` with the status whenever it changes; return what ends that."""

    def go_on(self) -> None:
        """Connect again after what stopped the link was allowed."""

    def is_in_flight(self, key: Key) -> bool:
        """Tell whether a record is in a push that was not answered yet."""


class Linked:
    """
    A replica, as far as its link goes.

    Attributes:
        link: how it follows an upstream; None for one that follows nobody, or is closed.
    """

    def __init__(self, core: Core, ending: Ending) -> None:
        self.core = core
        self.link: LinkLike | None = None
        self._ending = ending

    def set_link(self, link: "LinkLike") -> None:
        """Have a link be the replica's, for whatever makes one; a close ends it from then on."""
        self.link = link
        self._ending.expect()

    @property
    def status(self) -> Status:
        """How this replica stands to its upstream; `offline` without one."""
        return Status() if self.link is None else self.link.status

    async def barrier(self, timeout_s: float | None = None) -> None:
        """
        Return when this replica holds all that its upstream had at the call.

        It says nothing of the other direction: what was written here may still wait to be sent.
        For that there is `flush`, and `wait_live` for both.

        Raises:
            LinkClosed: there is no link. TimeoutError: it took longer.
        """
        await self._get_link().barrier(timeout_s)

    async def flush(self, timeout_s: float | None = None) -> None:
        """
        Return when all that was written here was sent and answered: the outbox is empty.

        A write that the upstream refused is rolled back, and one that met a conflict waits for a
        person; neither is waited for. `status` tells of both.

        Raises:
            LinkClosed: there is no link. TimeoutError: it took longer; the rest still waits.
        """
        await self._get_link().flush(timeout_s)

    async def wait_live(self, timeout_s: float | None = None) -> None:
        """
        Return when the status is `live`: level with the upstream, and nothing left to send.

        Raises:
            LinkClosed: there is no link. TimeoutError: it took longer.
        """
        await self._get_link().wait_live(timeout_s)

    def on_status(self, listener: Callable[[Status], Any]) -> Callable[[], None]:
        """Call `listener` with the status whenever it changes; return what ends that."""
        return self._get_link().on_status(listener)

    async def pause(self) -> None:
        """Cut the link and stay offline; writes wait."""
        await self._get_link().pause()

    def resume(self) -> None:
        """Connect again."""
        self._get_link().resume()

    def _get_link(self) -> LinkLike:
        self.core.place.check_thread()
        if self.link is None:
            raise LinkClosed("this replica follows nobody", hint="open it with syncline.connect")
        return self.link

    def __repr__(self) -> str:
        """Whom it follows and how it stands, as of now; it may be asked anywhere."""
        if self._ending.is_begun and self.link is None:
            return "Replica(state='closed')"
        return f"Replica({shown(self.link)})"


def shown(link: LinkLike | None) -> str:
    """Return what a representation says of a link; it never raises."""
    if link is None:
        return "url=None, state='offline', pending=0"
    try:
        status = link.status
    except SynclineError as error:
        return f"url={link.url!r}, state={error.code!r}"
    words = f"url={link.url!r}, state={status.state.value!r}, pending={status.pending}"
    words += f", conflicts={status.conflicts}" if status.conflicts else ""
    return words + (f", reason={status.reason!r}" if status.reason else "")
