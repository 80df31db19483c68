"""
Sending what waits: until none is left, or for as long as there is hope.

There is hope while the link is up or is being made. When it is not, one more attempt is made at
once, instead of at the end of a back-off; if that fails too the daemon is away.
"""

import time
from collections.abc import Awaitable, Callable

from syncline.driver import Driver
from syncline.effects import Effect
from syncline.errors import Busy
from syncline.status import SessionState


Until = Callable[[Callable[[], bool]], Awaitable[None]]

_UP = (SessionState.CONNECTING, SessionState.CATCHING_UP, SessionState.LIVE)


class Sending:
    """
    The outbox of one link, on its way to be empty.

    Args:
        until: returns when a condition holds, which is looked at after each step of the link.
    """

    def __init__(self, driver: Driver, until: Until) -> None:
        self._driver = driver
        self._until = until

    async def all(self) -> None:
        """Return when nothing waits to be sent."""
        await self._until(self._is_done)

    async def rest(self) -> None:
        """Return when nothing waits to be sent, or the daemon is away."""
        await self._until(lambda: self._is_done() or self._is_away())
        if self._is_done():
            return
        await self._try_at_once()
        await self._until(lambda: self._is_done() or self._is_away())

    async def _try_at_once(self) -> None:
        has_tried = False

        def hurry() -> list[Effect]:
            nonlocal has_tried
            has_tried = True
            return self._driver.session.hurry(time.monotonic())

        self._driver.put(hurry)
        await self._until(lambda: has_tried)

    def _is_done(self) -> bool:
        outgoing = self._driver.outgoing
        if not self._driver.is_welcome:
            outgoing.is_count_old = True  # Another process may hold the link, and send for us.
        outgoing.count_now()
        return not outgoing.pending

    def _is_away(self) -> bool:
        session = self._driver.session
        # A daemon that is busy has said when to come back.
        return session.state not in _UP and session.reason != Busy.code
