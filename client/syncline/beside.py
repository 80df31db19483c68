"""
What was written into the typed models' own tables beside the replica.

SQLite counts the commits of others; when the count moved, the tables are looked at: before somebody
reads here, and every now and then.
Whatever writes here looks by itself at the rows that it touches; see `Engine.rectify`.
"""

import asyncio
import time
from collections.abc import Sequence

from syncline.core import Core
from syncline.errors import StoreError
from syncline.logs import Logger
from syncline.models import Key, Update
from syncline.store.contract import ParkedRow, Reader, Stray, Transaction


log = Logger("syncline")

LONG_LOOK_S = 0.25
REST_FACTOR = 9.0
"""
A look at large tables is paid for with so much rest: they take a tenth of the time at most,
however often others write and somebody reads here. Until then what is read may be older.
"""
TOLD_MAX = 100
"""How many parked rows are named in the log, one by one, after a look."""


class Beside:
    """
    Looks for what was written beside one replica.

    Attributes:
        unreadable: the rows that made no record at the last look.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._is_looking = asyncio.Lock()
        self._next_at = 0.0
        self._unreadable: list[ParkedRow] = []
        self._told: set[tuple[Key, str]] = set()

    def parked(self) -> list[ParkedRow]:
        """Return the rows and records that could not be made one of the other."""
        return [*self._unreadable, *self._core.engine.store.unfit_rows()]

    async def look(self, keys: Sequence[Key] | None = None) -> None:
        """
        Record what others wrote: of those records, or all when it is time again.

        A store that can't be written now goes on being read.
        """
        store = self._core.engine.store
        if store.is_level:
            self.tell()
            return
        try:
            if keys is not None:
                await self._take(await self._core.read(lambda reader: reader.strays(keys)))
            elif time.monotonic() >= self._next_at:
                await self.look_at_all()
        except StoreError as error:
            log.warning("tables.not_looked_at", error=error.code, reason=str(error))

    async def look_at_all(self) -> int:
        """Record all that others wrote; return how many records moved."""
        async with self._is_looking:
            store = self._core.engine.store
            if store.is_level:
                return 0
            started = time.monotonic()
            # Before the look: what is committed during it counts as not seen.
            version = store.foreign_writes()
            try:
                strays = await self._core.read(_strays, large=True)
                moved = await self._take(strays)
            finally:
                ended = time.monotonic()
                if ended - started > LONG_LOOK_S:
                    self._next_at = ended + REST_FACTOR * (ended - started)
            self._unreadable = [
                ParkedRow(
                    model=stray.model,
                    record_id=stray.record_id,
                    problem=stray.problem,
                    is_readable=False,
                )
                for stray in strays
                if stray.problem
            ]
            store.note_level(version, is_whole=not self._unreadable)
            self.tell()
            return len(moved)

    def tell(self) -> None:
        """Name in the log what was parked since."""
        if not (self._told or self._unreadable or self._core.engine.store.unfit_rows()):
            return
        parked = {((row.model, row.record_id), row.problem): row for row in self.parked()}
        fresh = [row for each, row in parked.items() if each not in self._told]
        self._told = set(parked)
        for row in fresh[:TOLD_MAX]:
            log.error("row.parked", model=row.model, record_id=row.record_id, reason=row.problem)
        if len(fresh) > TOLD_MAX:
            log.error("row.parked", count=len(fresh) - TOLD_MAX, reason="and so many more")

    async def _take(self, strays: Sequence[Stray]) -> list[Update]:
        keys = [(stray.model, stray.record_id) for stray in strays if not stray.problem]
        if not keys:
            return []

        def job(tx: Transaction) -> list[Update]:
            return self._core.engine.rectify(tx, keys)

        moved = await self._core.writer.run(job, weight=len(keys))
        self._core.published(moved)
        self._core.wake(None)
        return moved


def _strays(reader: Reader) -> list[Stray]:
    return reader.strays()
