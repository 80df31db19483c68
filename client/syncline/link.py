"""
The link: keeps a replica level with a daemon.

Here is what users ask of it; the conversation goes on in `driver`.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from syncline.core import Core
from syncline.driver import Driver, Token
from syncline.effects import Effect
from syncline.errors import LinkClosed, LinkError, MassDeletion
from syncline.holding import Holding
from syncline.http_options import PLAIN, HttpOptions
from syncline.linked import shown
from syncline.models import Key, Update
from syncline.onlookers import Onlookers
from syncline.protocol import Head, Welcome, decode
from syncline.replica import Replica
from syncline.sending import Sending
from syncline.session import Session, SessionSettings
from syncline.status import SessionState, Status, state_shown


class Link:
    """
    Keeps a replica level with a daemon.

    Args:
        url: the daemon, `http://host:port`.
        token: a text, or a function that gives one at each connection.
        http: how the daemon is reached.
        offers_back: whether a daemon that lost what this replica holds is offered it again. None:
            yes, unless the replica followed another daemon's data before, at another address;
            then the store is copied aside, and only what was pending is offered.
    """

    def __init__(
        self,
        replica: Replica,
        url: str,
        *,
        models: tuple[str, ...],
        token: Token = None,
        settings: SessionSettings | None = None,
        offers_back: bool | None = None,
        http: HttpOptions = PLAIN,
    ) -> None:
        self._replica = replica
        self._http = http
        self._core: Core = replica.core
        self._url = url
        self._token = token
        self._models = models
        self._settings = settings or SessionSettings()
        self._holding = Holding(self._core, url, offers_back)
        self._driver: Driver | None = None
        self._onlookers = Onlookers(lambda: self.status)
        self._level_at = time.monotonic()
        self._is_paused = False
        self._is_closed = False

    async def start(self) -> None:
        """Begin to connect, and keep on until `close`."""
        cursor, pending = await self._core.read(
            lambda reader: (self._core.engine.cursor(reader), bool(reader.pending_counts()))
        )
        session = Session(
            replica_id=self._replica.replica_id,
            models=self._models,
            cursor=cursor,
            has_pending=pending,
            chance=random.random,
            settings=self._settings,
        )
        await self._holding.begin()
        driver = self._driver = Driver(
            self._core,
            session,
            self._url,
            token=self._token,
            http=self._http,
            holding=self._holding,
            on_step=self._note_step,
        )
        self._core.wake = self._note_written
        driver.restart()
        driver.run()

    def __repr__(self) -> str:
        """Whom it follows and how it stands."""
        return f"Link({shown(self)})"

    @property
    def url(self) -> str:
        """Whom it follows."""
        return self._url

    @property
    def status(self) -> Status:
        """How the replica stands to the daemon, as of the last step."""
        driver = self._driver
        if driver is None:
            return Status()
        session, outgoing, stall = driver.session, driver.outgoing, driver.stall
        outgoing.count_now()
        done, total = session.progress
        behind_s = round(session.late_s(time.monotonic()), 1)
        state = state_shown(
            session.state,
            is_level=session.is_level and not driver.is_ahead,
            pending=outgoing.pending + session.has_unsent + session.is_pushing,
            behind_s=behind_s,
        )
        is_live = state is SessionState.LIVE
        reason = session.reason
        if stall.is_stalled and state is SessionState.CATCHING_UP:
            state = SessionState.STALLED
            reason = f"no progress for {stall.idle_s(time.monotonic()):.0f} s"
        return Status(
            state=state,
            reason=reason,
            hint="" if driver.is_welcome else driver.hint,
            pending=outgoing.pending,
            conflicts=outgoing.conflicts,
            parked=outgoing.parked,
            behind=session.behind,
            done=done,
            total=total,
            lag_ms=0.0 if is_live else (time.monotonic() - self._level_at) * 1000,
            behind_s=behind_s,
        )

    @property
    def welcome(self) -> Welcome | None:
        """What the daemon said at the last hello; None before the first."""
        return None if self._driver is None else self._driver.welcome

    def on_status(self, listener: Callable[[Status], Any]) -> Callable[[], None]:
        """Call `listener` with the status whenever it changes; return what ends that."""
        self._core.place.check_thread()
        return self._onlookers.listen(listener)

    async def barrier(self, timeout_s: float | None = None) -> None:
        """Return when the replica holds all that the daemon had at the call."""
        driver = self._driver_here()
        session = driver.session
        async with asyncio.timeout(timeout_s):
            while True:
                await self._until(lambda: driver.is_welcome)
                epoch = session.cursor.epoch
                try:
                    head = await self._ask_head()
                except LinkError:
                    await asyncio.sleep(0)
                    continue
                if session.cursor.epoch != epoch:
                    continue
                driver.put(lambda: session.heard_head(time.monotonic(), head.epoch, head.head))  # noqa: B023 - runs in order
                if head.epoch != epoch:
                    # The list has begun anew; the session says hello again.
                    await self._until(
                        lambda: session.cursor.epoch != epoch or not driver.is_welcome  # noqa: B023 - of this round
                    )
                    continue
                await self._until(
                    lambda: (
                        session.cursor.epoch != epoch  # noqa: B023 - of this round
                        or (session.cursor.is_whole and session.cursor.seq >= head.head)  # noqa: B023
                    )
                )
                if session.cursor.epoch == epoch:
                    return

    async def wait_live(self, timeout_s: float | None = None) -> None:
        """Return when the status is `live`: level, and nothing left to push."""
        driver = self._driver_here()
        async with asyncio.timeout(timeout_s):
            await self._until(lambda: driver.is_level and self.status.state is SessionState.LIVE)

    async def flush(self, timeout_s: float | None = None) -> None:
        """Return when nothing waits to be sent: all was answered, or is a conflict."""
        async with asyncio.timeout(timeout_s):
            await Sending(self._driver_here(), self._until).all()

    async def send_rest(self) -> None:
        """Return when nothing waits to be sent any more, or the daemon is away."""
        await Sending(self._driver_here(), self._until).rest()

    @property
    def unsent(self) -> int | None:
        """None: the store knows it."""
        return None

    @property
    def reason(self) -> str:
        """Why nothing is sent, as far as that is known."""
        return "" if self._driver is None else self._driver.session.reason

    async def pause(self) -> None:
        """Cut the link and stay offline until `resume`; writes wait."""
        driver = self._driver_here()
        self._is_paused = True
        driver.put(driver.session.paused)
        await self._until(lambda: driver.line.socket is None)

    def resume(self) -> None:
        """Connect again."""
        driver = self._driver_here()
        if self._is_paused:
            self._is_paused = False
            driver.restart()

    @property
    def halted(self) -> MassDeletion | None:
        """What stopped the link for good; None unless it waits for `go_on`."""
        return None if self._driver is None else self._driver.halted

    def go_on(self) -> None:
        """Connect again after what stopped the link was allowed."""
        driver = self._driver_here()
        if driver.halted is not None:
            driver.restart()

    def is_in_flight(self, key: Key) -> bool:
        """Tell whether a record is in a push that was not answered yet."""
        driver = self._driver_here()
        return driver.outgoing.is_in_flight(key, driver.session.pushes)

    async def close(self) -> None:
        """Disconnect and end."""
        self._is_closed = True
        self._core.wake = lambda _written: None
        if self._driver is not None:
            await self._driver.close()
        self._holding.release()
        self._onlookers.end(LinkClosed("the link was closed"))

    # ---- what it is told ----------------------------------------------------------------

    def _driver_here(self) -> Driver:
        """Return the driver to whoever may use it: what is put on another thread wakes nobody."""
        self._core.place.check_thread()
        if self._is_closed:
            raise LinkClosed("the link was closed")
        return self._get_driver()

    def _get_driver(self) -> Driver:
        if self._driver is None:
            raise LinkClosed("the link was not started")
        return self._driver

    def _note_written(self, written: Sequence[Update] | None) -> None:
        driver = self._get_driver()
        if not driver.note_written(written) and self._onlookers.has_listeners:
            driver.put(_nothing_to_do)  # Only to have the status shown: it counts what waits.

    def _note_step(self) -> None:
        if self._get_driver().is_level:
            self._level_at = time.monotonic()
        self._onlookers.look()

    async def _until(self, condition: Callable[[], bool]) -> None:
        self._core.place.check()
        if self._get_driver().is_ahead or not condition():
            await self._onlookers.until(condition)

    async def _ask_head(self) -> Head:
        answer = await self._get_driver().line.request(
            "barrier", {}, timeout_s=self._settings.ack_timeout_s
        )
        return decode(Head, answer[0])


def _nothing_to_do() -> list[Effect]:
    return []
