"""
How a replica ends: what waits is sent, all is closed, and what was left is said.

::

    send what waits ──▶ close the link ──▶ close the rest ──▶ count what is left ──▶ say it
      │ the deadline is over, there is no hope, or whoever closes was cancelled
      └─────────────────▲
"""

import asyncio
import atexit
import contextlib
import math
import weakref
from typing import Protocol

import msgspec

from syncline.core import Core
from syncline.errors import ConfigError, LinkClosed, SynclineError, UnsentWrites
from syncline.logs import Logger


log = Logger("syncline")

CLOSE_TIMEOUT_S = 5.0
"""How long a close goes on sending, unless told otherwise."""
CANCELLED_TIMEOUT_S = 1.0
"""At most so long where the program was interrupted or cancelled: it wants to be gone."""
LEAVE_S = 10.0
"""Whoever was cancelled waits no longer for the rest, which goes on by itself."""


NEVER_CLOSED = "the replica was never closed: use `async with`, or `await replica.close()`"


class Ends(Protocol):
    """What the end of a replica asks of its link."""

    @property
    def unsent(self) -> int | None:
        """How many records wait to be sent; None where the store knows it."""

    @property
    def reason(self) -> str:
        """Why nothing is sent, as far as that is known."""

    async def send_rest(self) -> None:
        """Return when nothing waits to be sent any more, or there is no hope that it will be."""

    async def close(self) -> None:
        """Close the link."""


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a closed replica had not sent.

    Attributes:
        count: the records that waited to be sent.
        conflicts, parked: those that wait for a person, and for the daemon's hooks.
        reason: why the link did not send them.
    """

    count: int = 0
    conflicts: int = 0
    parked: int = 0
    reason: str = ""


class Ending:
    """
    The end of one replica, however often and from wherever it is asked for.

    Args:
        timeout_s: how long it goes on sending, in seconds.
        is_kept: whether the store outlives the replica.

    Raises:
        ConfigError: a deadline that can't be.
    """

    def __init__(self, core: Core, *, timeout_s: float, is_kept: bool) -> None:
        self._core = core
        self._timeout_s = _checked(timeout_s)
        self._is_kept = is_kept
        self._task: asyncio.Task[Left] | None = None
        self._sending: asyncio.Task[None] | None = None
        self._waiting: set[asyncio.Task[object]] = set()
        self._is_said = False
        self._is_hurried = False
        self._is_awaited = False

    def expect(self) -> None:
        """From now on a replica that nobody closes says what it had not sent."""
        self._is_awaited = True
        _awaited.add(self)

    def __del__(self) -> None:
        """Say it, since nobody can close the replica any more."""
        self._say_never_closed()

    @property
    def is_begun(self) -> bool:
        """Whether the end has begun, here and not only in a call from elsewhere."""
        return self._task is not None

    async def run(self, link: Ends | None, timeout_s: float | None) -> int:
        """
        End the replica, and return how many writes stay in its store unsent.

        Raises:
            UnsentWrites: they don't stay, for the store was in memory; it is closed all the same.
        """
        left = await self._finish(link, timeout_s)
        if left.count and not self._is_kept and not self._is_said:
            self._is_said = True
            raise _lost(left)
        return left.count

    async def leave(self, link: Ends | None, error: BaseException | None) -> None:
        """
        End the replica at the end of a block; an error that ends the block is masked by none.

        Raises:
            UnsentWrites: as `run`, where the block ended well.
        """
        if error is None:
            await self.run(link, None)
            return
        is_hurried = isinstance(error, asyncio.CancelledError | KeyboardInterrupt | GeneratorExit)
        await self._finish(
            link, min(self._timeout_s, CANCELLED_TIMEOUT_S) if is_hurried else self._timeout_s
        )

    async def _finish(self, link: Ends | None, timeout_s: float | None) -> Left:
        if self._core.place.is_forked:
            return Left()  # All there is here belongs to the process that was forked.
        if self._task is None:
            self._core.place.check()
            limit_s = self._timeout_s if timeout_s is None else _checked(timeout_s)
            self._task = asyncio.create_task(self._end(link, limit_s), name="syncline-closing")
        return await self._wait_for(self._task)

    async def _wait_for(self, task: "asyncio.Task[Left]") -> Left:
        caller = asyncio.current_task()
        assert caller is not None
        # One of the replica's own tasks may close it, as a callback does: it isn't waited for.
        self._waiting.add(caller)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._is_hurried = True
            if self._sending is not None:
                self._sending.cancel()
            if not task.done():
                await asyncio.wait({task}, timeout=LEAVE_S)
            raise
        finally:
            self._waiting.discard(caller)

    async def _end(self, link: Ends | None, timeout_s: float) -> Left:
        unsent, reason = None, ""
        try:
            if link is not None and timeout_s > 0 and not self._is_hurried:
                await self._send(link, timeout_s)
        finally:
            try:
                if link is not None:
                    unsent, reason = link.unsent, link.reason
                    await link.close()
            finally:
                left = await self._close_core(unsent, reason)
                if link is not None:
                    self._say(left)
        return left

    async def _send(self, link: Ends, timeout_s: float) -> None:
        async def send() -> None:
            try:
                async with asyncio.timeout(None if math.isinf(timeout_s) else timeout_s):
                    await link.send_rest()
            except (TimeoutError, LinkClosed):
                pass  # What is left is counted, and said.
            except SynclineError as error:
                log.warning("replica.sending_failed", error=error.code, reason=str(error))

        # In a task of its own: whoever closes may be cancelled, which ends this and nothing else.
        self._sending = asyncio.create_task(send(), name="syncline-sending")
        try:
            await asyncio.wait({self._sending})
            with contextlib.suppress(asyncio.CancelledError):
                await self._sending
        finally:
            self._sending.cancel()

    def _say_never_closed(self) -> None:
        if not self._is_awaited or self._task is not None or self._core.place.is_forked:
            return
        self._is_awaited = False
        # An event loop that ended sends nothing, so there is nothing to do but to say it.
        with contextlib.suppress(SynclineError):
            counts = self._core.writer.read_now(lambda reader: reader.pending_counts())
            self._say(
                Left(
                    count=counts.get("", 0),
                    conflicts=counts.get("conflict", 0),
                    parked=counts.get("parked", 0),
                    reason=NEVER_CLOSED,
                )
            )

    async def _close_core(self, unsent: int | None, reason: str) -> Left:
        try:
            await self._core.end(spared=self._waiting)
            try:
                counts = self._core.writer.read_now(lambda reader: reader.pending_counts())
            except SynclineError as error:
                log.warning("replica.unsent_unknown", error=error.code, reason=str(error))
                counts = {}
        finally:
            self._core.engine.store.close()
        return Left(
            count=counts.get("", 0) if unsent is None else unsent,
            conflicts=counts.get("conflict", 0),
            parked=counts.get("parked", 0),
            reason=reason,
        )

    def _say(self, left: Left) -> None:
        if not left.count:
            return
        tell = log.warning if self._is_kept else log.error
        tell(
            "replica.closed_unsent",
            replica_id=self._core.engine.author.replica_id,
            outcome="kept" if self._is_kept else "lost",
            count=left.count,
            conflicts=left.conflicts,
            parked=left.parked,
            reason=left.reason,
        )


_awaited: "weakref.WeakSet[Ending]" = weakref.WeakSet()


@atexit.register
def _say_all() -> None:
    for ending in list(_awaited):
        ending._say_never_closed()  # noqa: SLF001 - its own module


def _lost(left: Left) -> UnsentWrites:
    writes = "1 write was" if left.count == 1 else f"{left.count} writes were"
    them = "it is" if left.count == 1 else "they are"
    why = f" ({left.reason})" if left.reason else ""
    return UnsentWrites(
        f"{writes} not sent{why}, and {them} lost: the store was in memory",
        hint='a store in a file keeps them for the next time: store="todos.db"',
        count=left.count,
    )


def _checked(timeout_s: float) -> float:
    if not timeout_s >= 0:
        raise ConfigError(f"the deadline of a close is {timeout_s}", hint="0 or more, in seconds")
    return timeout_s
