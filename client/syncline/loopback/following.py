"""
Keep a replica level with a LoopBack server, continuously.

::

    local write ──┐
    its stream ───┼──▶ wake ──▶ push, then pull, model by model ──▶ live
    a slow poll ──┘                  │ nothing answers
                                     └──▶ offline, back-off, again

LoopBack's stream tells of its own process only and may be lost, so a slow poll stands behind it.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from syncline.backoff import backoff_delay
from syncline.errors import AuthError, ConfigError, LinkClosed, MassDeletion, SynclineError
from syncline.logs import Logger
from syncline.loopback.end import LoopBackServer
from syncline.loopback.shadow import ORIGIN
from syncline.models import Key, Update
from syncline.protocol import Welcome
from syncline.replica import Replica
from syncline.replicate import Replication, ReplicationConflict, replicate
from syncline.status import SessionState, Status


log = Logger("syncline")

POLL_S = 30.0
LoopBackStrategy = Literal["manual", "ours", "theirs"]


class LoopBackLink:
    """
    The link of a replica to a LoopBack server; see `follow_loopback`.

    Attributes:
        conflicts: what the last round left open, to be resolved by hand.
    """

    def __init__(
        self,
        replica: Replica,
        server: LoopBackServer,
        models: Sequence[str],
        *,
        strategy: LoopBackStrategy = "manual",
        poll_s: float = POLL_S,
    ) -> None:
        if strategy not in ("manual", "ours", "theirs"):
            raise ConfigError(f"no strategy {strategy!r}", hint="manual, ours or theirs")
        if not models:
            raise ConfigError("no models to follow", hint="name at least one")
        self._replica = replica
        self._server = server
        self._models = tuple(models)
        self._strategy = strategy
        self._poll_s = poll_s
        self.conflicts: list[ReplicationConflict] = []
        self._status = Status()
        self._listeners: list[Callable[[Status], Any]] = []
        self._wake = asyncio.Event()
        self._written: set[Key] = set()
        self._sending: set[Key] = set()
        self._rounds = 0
        self._failures = 0
        self._changed = asyncio.Condition()
        self._is_paused = False
        self._level_at = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []
        self._forget: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin to follow."""
        self._forget = self._replica.core.observers.listen(self._heard)
        self._tasks = [asyncio.create_task(self._follow(), name="syncline-loopback")]
        self._tasks += [
            asyncio.create_task(self._listen(model), name=f"syncline-loopback-{model}")
            for model in self._models
        ]

    # ---- what a replica asks of its link ------------------------------------------------

    @property
    def url(self) -> str:
        """Whom it follows."""
        return self._server.requests.url

    @property
    def status(self) -> Status:
        """How the replica stands to the server."""
        return msgspec.structs.replace(self._status, pending=self.unsent)

    @property
    def welcome(self) -> Welcome | None:
        """None: LoopBack says no hello."""
        return None

    def on_status(self, listener: Callable[[Status], Any]) -> Callable[[], None]:
        """Call `listener` with the status whenever it changes; return what ends that."""
        self._listeners.append(listener)

        def forget() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return forget

    async def barrier(self, timeout_s: float | None = None) -> None:
        """Return when both sides were level at some moment after the call."""
        async with asyncio.timeout(timeout_s), self._changed:
            # A round that runs now may have passed what the caller means.
            wanted = self._rounds + (2 if self._status.state is SessionState.CATCHING_UP else 1)
            self._wake.set()
            while self._rounds < wanted:
                self._require_open()
                await self._changed.wait()
                self._wake.set()

    async def wait_live(self, timeout_s: float | None = None) -> None:
        """Return when the status is `live`."""
        async with asyncio.timeout(timeout_s), self._changed:
            while self._status.state is not SessionState.LIVE:
                self._require_open()
                await self._changed.wait()

    async def flush(self, timeout_s: float | None = None) -> None:
        """Return when all that was written here went to the server, or is a conflict."""
        async with asyncio.timeout(timeout_s):
            if self.unsent:
                await self.barrier()

    async def send_rest(self) -> None:
        """Return when nothing waits to be sent any more, or the server does not answer."""
        if not self.unsent or self._is_paused:
            return
        async with self._changed:
            wanted = self._rounds + (2 if self._status.state is SessionState.CATCHING_UP else 1)
            failures = self._failures
            self._wake.set()
            while self._tasks and self._rounds < wanted and self._failures == failures:
                await self._changed.wait()
                self._wake.set()

    @property
    def unsent(self) -> int:
        """How many records were written here that no whole round has carried yet."""
        return len(self._written | self._sending)

    @property
    def reason(self) -> str:
        """Why nothing is sent, as far as that is known."""
        return self._status.reason

    def _require_open(self) -> None:
        if not self._tasks:
            raise LinkClosed("the link was closed")

    async def pause(self) -> None:
        """Stay offline after the round that runs."""
        self._is_paused = True
        await self._show(SessionState.OFFLINE, "paused")

    def resume(self) -> None:
        """Go on."""
        self._is_paused = False
        self._wake.set()

    def go_on(self) -> None:
        """Look again after deletions were allowed."""
        self._wake.set()

    def is_in_flight(self, key: Key) -> bool:  # noqa: ARG002 - of a link
        """Return False: a round has ended before anything else is asked."""
        return False

    async def close(self) -> None:
        """Stop following, and disconnect."""
        self._forget()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.close()
        await self._show(SessionState.OFFLINE, "closed")

    # ---- following ----------------------------------------------------------------------

    def _heard(self, updates: list[Update]) -> None:
        # What came from there need not go there.
        ours = [u.key for u in updates if u.origin != ORIGIN and u.model in self._models]
        if ours:
            self._written.update(ours)
            self._wake.set()

    async def _listen(self, model: str) -> None:
        attempt = 0
        while True:
            try:
                async with self._server.requests.stream(self._server.model(model).path) as events:
                    self._wake.set()
                    async for _ in events:
                        attempt = 0
                        self._wake.set()
            except SynclineError as error:
                log.debug("loopback.stream_lost", model=model, error=str(error))
            attempt += 1
            await asyncio.sleep(max(0.1, backoff_delay(attempt, random.random())))  # noqa: S311 - it spreads a load

    async def _follow(self) -> None:
        attempt = 0
        while True:
            self._wake.clear()
            wait_s = self._poll_s
            if not self._is_paused:
                try:
                    await self._round()
                    attempt = 0
                except SynclineError as error:
                    attempt += 1
                    self._failures += 1
                    wait_s = backoff_delay(attempt, random.random())  # noqa: S311 - it spreads a load
                    log.info("loopback.round_failed", error=error.code, reason=str(error))
                    await self._show(_state_after(error), str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def _round(self) -> None:
        await self._show(SessionState.CATCHING_UP)
        open_conflicts: list[ReplicationConflict] = []
        for model in self._models:
            open_conflicts += await self._level(model)
        self._sending.clear()
        self.conflicts = open_conflicts
        self._rounds += 1
        if self._written:
            # Written meanwhile: another round follows at once.
            await self._show(SessionState.CATCHING_UP)
            return
        self._level_at = time.monotonic()
        await self._show(SessionState.LIVE)

    async def _level(self, model: str) -> list[ReplicationConflict]:
        here, there = self._replica.model(model), self._server.model(model)
        brake = self._replica.core.engine.brake
        done = await self._send(model)
        for refusal in done.refused:
            log.warning(
                "update.refused", model=model, record_id=refusal.record_id, reason=refusal.reason
            )
        if done.conflicts and self._strategy != "manual":
            for conflict in done.conflicts:
                if self._strategy == "ours":
                    await conflict.resolve_using_source()
                else:
                    await conflict.resolve_using_target()
            done = await self._send(model)
        await replicate(there, here, brake=brake)
        return list(done.conflicts)

    async def _send(self, model: str) -> Replication:
        # What is written from here on may be passed by. What goes waits until the round is over;
        # if that fails, it goes with the next.
        going = {key for key in self._written if key[0] == model}
        self._written -= going
        self._sending |= going
        here, there = self._replica.model(model), self._server.model(model)
        return await replicate(here, there, brake=self._replica.core.engine.brake)

    async def _show(self, state: SessionState, reason: str = "") -> None:
        lag_s = 0.0 if state is SessionState.LIVE else time.monotonic() - self._level_at
        self._status = Status(
            state=state,
            reason=reason,
            conflicts=len(self.conflicts),
            lag_ms=lag_s * 1000,
        )
        async with self._changed:
            self._changed.notify_all()
        for listener in tuple(self._listeners):
            try:
                listener(self.status)
            except Exception:
                log.exception("status.listener_failed")


def _state_after(error: SynclineError) -> SessionState:
    if isinstance(error, AuthError):
        return SessionState.AUTH_REQUIRED
    return SessionState.BLOCKED if isinstance(error, MassDeletion) else SessionState.OFFLINE


async def follow_loopback(
    replica: Replica,
    server: LoopBackServer,
    models: Sequence[str],
    *,
    strategy: LoopBackStrategy = "manual",
    poll_s: float = POLL_S,
) -> LoopBackLink:
    """
    Have a replica follow a LoopBack server: its writes go there, and the server's come here.

    The replica's own writes and the server's change streams wake it; `poll_s` covers what is lost.
    The link becomes the replica's, and is closed with it.

    Args:
        models: the names to follow, the same at both ends.
        strategy: `"ours"`, `"theirs"`, or `"manual"`: conflicts wait in the link's `conflicts`.
        poll_s: the longest time between two looks, in seconds.

    Raises:
        ConfigError: the replica follows somebody already, or an argument can't be.
    """
    if replica.link is not None:
        raise ConfigError("the replica follows an upstream already", hint="open another replica")
    link = LoopBackLink(replica, server, models, strategy=strategy, poll_s=poll_s)
    replica.set_link(link)
    link.start()
    return link
