"""A live query: a callback that is shown the rows that match, now and whenever they changed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from syncline.core import Core
from syncline.errors import ReplicaClosed, StoreError
from syncline.logs import Logger
from syncline.models import Record
from syncline.observers import Watch


log = Logger("syncline")

READ_AGAIN_S = 1.0
"""After so long rows that the store could not give are asked for again."""

Find = Callable[[], Awaitable[list[Record]]]
Callback = Callable[[list[Record]], Any]


class Subscription:
    """
    One live query.

    ::

        begin ──▶ first rows ──▶ a change ──▶ rows ──▶ the callback ──▶ the next change …
                      │ raises                            │ raises
                      └──▶ ended, and whoever subscribed  └──▶ told, and it goes on
                           is told

    Args:
        watch: the changes that may concern it. find: reads the rows.
    """

    def __init__(self, core: Core, watch: Watch, find: Find, callback: Callback) -> None:
        self._core = core
        self._watch = watch
        self._find = find
        self._callback = callback

    async def begin(self) -> None:
        """Show the first rows, and go on; raise what the callback raises about those."""
        try:
            await self._call(await self._find())
        except BaseException:
            self._watch.close()
            raise
        if not self._watch.is_closed:
            self._core.spawn(self._follow())

    def end(self) -> None:
        """Call no more; a call that runs goes to its end, also when it is what ends this."""
        self._watch.close()

    async def _follow(self) -> None:
        async for _ in self._watch:
            rows = await self._read()
            if rows is None:
                return
            try:
                await self._call(rows)
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                await self._core.hook_failed("subscribe", error)
            except Exception as error:  # noqa: BLE001 - a callback's failure ends nothing
                await self._core.hook_failed("subscribe", error)
            if self._watch.is_closed:
                return

    async def _read(self) -> list[Record] | None:
        """Return the rows as they are now; None when nobody asks for them any more."""
        while not self._watch.is_closed:
            self._watch.drain()
            try:
                rows = await self._find()
            except StoreError as error:
                log.warning("subscription.delayed", error=error.code, reason=str(error))
                await asyncio.sleep(READ_AGAIN_S)
            except ReplicaClosed:
                return None
            else:
                return None if self._watch.is_closed else rows
        return None

    async def _call(self, rows: list[Record]) -> None:
        result = self._callback(rows)
        if isinstance(result, Awaitable):
            await result
