"""Purge old tombstones by itself, as the settings say."""

import asyncio

from syncline.errors import SynclineError
from syncline.logs import Logger
from syncline.replica import Replica


log = Logger("synclined")

DAY_S = 24 * 3600


class Compacting:
    """
    Keeps the change list of a daemon short.

    Args:
        kept_days: how old a tombstone gets; 0 for as old as the list.
        every_s: how often to look, in seconds.
    """

    def __init__(self, replica: Replica, *, kept_days: float, every_s: float) -> None:
        self._replica = replica
        self._kept_s = kept_days * DAY_S
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, now and every now and then."""
        if self._kept_s:
            self._task = asyncio.create_task(self._run(), name="syncline-compacting")

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._replica.compact(self._kept_s)
            except SynclineError as error:
                # A full disk or a busy database: the next time may go better.
                log.warning("list.not_compacted", error=error.code, reason=str(error))
            await asyncio.sleep(self._every_s)
