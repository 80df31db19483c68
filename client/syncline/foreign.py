"""
What other processes wrote into the same database.

Two processes may share a replica's file: any may write, one holds the link.
The head of the list is looked at every so often, and read on from where it was told to.
SQLite counts the commits of others: what moved no head, as when a parked record is to be pushed
again, is found by that.
The same look finds that the file was removed or replaced, and says so.
So are the models' own tables looked at.
"""

import asyncio

from syncline.core import Core
from syncline.errors import StoreError
from syncline.logs import Logger


log = Logger("syncline")

POLL_S = 0.25


class ForeignWrites:
    """
    Tells a replica's observers, and its link, of what other processes committed.

    Args:
        poll_s: how often to look, in seconds.
    """

    def __init__(self, core: Core, *, poll_s: float = POLL_S) -> None:
        self._core = core
        self._poll_s = poll_s
        self._version = 0

    def start(self) -> None:
        """Begin to look."""
        self._version = self._core.engine.store.foreign_writes()
        self._core.spawn(self._run())

    async def _run(self) -> None:
        told = ""
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                await self.look()
                await self._core.look_beside(None)
            except StoreError as error:
                # Once for as long as it lasts: a file that was removed does not come back.
                if str(error) != told:
                    told = str(error)
                    log.error("store.failed", error=error.code, reason=told, hint=error.hint)  # noqa: TRY400
            else:
                if told:
                    log.info("store.answered")
                told = ""

    async def look(self) -> None:
        """Look once."""
        # First the count: what is committed after it is found by the next look.
        version = self._core.engine.store.foreign_writes()
        await self._core.telling.look()
        if version != self._version:
            self._version = version
            self._core.wake(None)
