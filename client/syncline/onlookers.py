"""Who looks at a link: those who wait until something is so, and those who are told its status."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from syncline.errors import SynclineError
from syncline.logs import Logger
from syncline.status import Status


log = Logger("syncline")

Condition = Callable[[], bool]
Listener = Callable[[Status], Any]


class Onlookers:
    """
    The onlookers of one link.

    Args:
        status: how it stands now.
    """

    def __init__(self, status: Callable[[], Status]) -> None:
        self._status = status
        self._shown = Status()
        self._waiting: list[tuple[Condition, asyncio.Future[None]]] = []
        self._listeners: list[Listener] = []
        self._tasks: set[asyncio.Future[None]] = set()

    @property
    def has_listeners(self) -> bool:
        """Whether somebody is told of each change."""
        return bool(self._listeners)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener`, `async def` or not, whenever the status changes; return its end."""
        self._listeners.append(listener)

        def forget() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return forget

    async def until(self, condition: Condition) -> None:
        """Return when `look` finds the condition true."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = (condition, future)
        self._waiting.append(waiting)
        try:
            await future
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)

    def look(self) -> None:
        """
        Something may have changed: free those who waited for it, and tell the listeners.

        Whoever raises harms nobody else: this is called in the middle of the link's work.
        """
        for waiting in tuple(self._waiting):
            condition, future = waiting
            try:
                if not condition():
                    continue
            except Exception as error:  # noqa: BLE001 - it goes to who waits
                if not future.done():
                    future.set_exception(error)
            self._waiting.remove(waiting)
            if not future.done():
                future.set_result(None)
        if self._listeners:
            try:
                self._tell()
            except SynclineError as error:
                log.warning("status.unknown", error=error.code, reason=str(error))

    def _tell(self) -> None:
        status = self._status()
        shown = msgspec.structs.replace(status, lag_ms=0.0)
        if shown == self._shown:
            return
        self._shown = shown
        for listener in tuple(self._listeners):
            try:
                result = listener(status)
            except Exception:
                log.exception("status.listener_failed")
            else:
                if inspect.iscoroutine(result):
                    self._go_on_with(result)

    def _go_on_with(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(_guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def end(self, error: Exception) -> None:
        """Let nobody wait any more."""
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(error)
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()


async def _guarded(work: Coroutine[Any, Any, Any]) -> None:
    try:
        await work
    except Exception:
        log.exception("status.listener_failed")
