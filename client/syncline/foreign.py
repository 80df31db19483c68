"""
What other processes wrote into the same database.

Two processes may share a replica's file: any may write, one holds the link.
SQLite counts the commits of others; when the count moves, the change list is read on.
"""

import asyncio

from syncline.core import Core
from syncline.errors import StoreError
from syncline.logs import Logger
from syncline.models import Update
from syncline.store.contract import Reader


log = Logger("syncline")

POLL_S = 0.25
LIMIT = 10_000


class ForeignWrites:
    """
    Tells a replica's observers, and its link, of what other processes committed.

    Args:
        poll_s: how often to look, in seconds.
    """

    def __init__(self, core: Core, *, poll_s: float = POLL_S) -> None:
        self._core = core
        self._poll_s = poll_s
        self._told: set[int] = set()
        self._position = 0
        self._version = 0

    async def start(self) -> None:
        """Begin to look."""
        self._position = await self._core.read(lambda reader: reader.head())
        self._version = self._core.engine.store.foreign_writes()
        self._core.observers.listen(self._note_own)
        self._core.spawn(self._run())

    def _note_own(self, updates: list[Update]) -> None:
        self._told.update([update.seq for update in updates])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                await self._look()
            except StoreError as error:
                log.warning("foreign.failed", error=error.code, reason=str(error))

    async def _look(self) -> None:
        version = self._core.engine.store.foreign_writes()
        if version == self._version:
            self._told.clear()
            self._position = await self._core.read(lambda reader: reader.head())
            return
        self._version = version

        def job(reader: Reader) -> list[Update]:
            self._core.engine.refresh(reader)
            return reader.changes(self._position, models=None, limit=LIMIT)

        updates = await self._core.read(job, large=True)
        fresh = [update for update in updates if update.seq not in self._told]
        if updates:
            self._position = updates[-1].seq
        self._told.clear()
        if fresh:
            self._core.observers.tell(fresh)
            self._core.wake(None)
