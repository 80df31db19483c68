"""
Tells a replica's observers of its change list: in order of seq, without a gap, whoever committed.

A commit of this process that follows on is told from memory.
Where it does not, others have committed before it, and the list is read from where it was told to.
"""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from syncline.engine import Engine
from syncline.errors import ReplicaClosed, StoreError
from syncline.logs import Logger
from syncline.models import Update
from syncline.observers import Observers
from syncline.store.contract import Reader
from syncline.writer import Writer


log = Logger("syncline")

GAP_MAX = 200
"""How many changes are read on the event loop; more are read on a thread."""

PAGE_MAX = 5_000
"""How many are read at once there."""


class _Page(NamedTuple):
    updates: list[Update]
    checkpoint: int
    is_whole: bool
    last_drop: int


class Telling:
    """
    The one that tells the observers.

    Args:
        on_others: called soon after others' commits were told.
        spawn: runs work in a task that ends with the replica.

    Attributes:
        position: the seq up to which everything was told.
    """

    def __init__(
        self,
        engine: Engine,
        writer: Writer,
        observers: Observers,
        *,
        on_others: Callable[[], None],
        spawn: Callable[[Any], Any],
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._observers = observers
        self._on_others = on_others
        self._spawn = spawn
        self._is_reading = False
        self._heard = 0
        self._last_drop = 0
        self.position = 0

    async def start(self) -> None:
        """Tell from now on."""

        def job(reader: Reader) -> tuple[int, int]:
            return self._engine.head(reader), reader.last_drop()

        self.position, self._last_drop = await self._writer.read(job)

    def committed(self, updates: list[Update]) -> None:
        """Tell of a commit of this process, and first of what others had committed before it."""
        if not updates:
            return
        first, last = updates[0].seq, updates[-1].seq
        follows_on = first == self.position + 1 and last == self.position + len(updates)
        if follows_on and not self._is_reading:
            self._move(last)
            self._observers.tell(updates)
            return
        newest = max([update.seq for update in updates])
        if newest > self.position:
            self._read_on(newest)
        # What was dropped without a tombstone has no place in the list, and no other way here.
        self._observers.tell([update for update in updates if not update.seq])

    async def look(self) -> bool:
        """Tell what the store holds beyond what was told; return whether there was any."""
        head = await self._writer.read(self._engine.head)
        if head <= self.position:
            return False
        self._read_on(head)
        return True

    def _move(self, position: int) -> None:
        self.position = position
        # All up to there was ours, or was read: nothing else can have changed unseen.
        self._engine.facts.known_head = position

    def _read_on(self, newest: int) -> None:
        self._heard = max(self._heard, newest)
        if self._is_reading:
            return
        try:
            page = self._writer.read_now(lambda reader: self._page(reader, GAP_MAX))
        except StoreError as error:
            # The next commit, or the next look, finds it again.
            log.warning("telling.failed", error=error.code, reason=str(error))
            return
        self._tell(page)
        if self.position < self._heard or not page.is_whole:
            self._is_reading = True
            self._spawn(self._read_rest())

    async def _read_rest(self) -> None:
        try:
            is_whole = False
            while self.position < self._heard or not is_whole:
                page = await self._writer.read(
                    lambda reader: self._page(reader, PAGE_MAX), large=True
                )
                is_whole = page.is_whole
                self._tell(page)
        except (StoreError, ReplicaClosed) as error:
            log.warning("telling.failed", error=error.code, reason=str(error))
        finally:
            self._is_reading = False

    def _page(self, reader: Reader, limit: int) -> _Page:
        head = self._engine.head(reader)
        updates = reader.changes(self.position, models=None, limit=limit)
        is_whole = len(updates) < limit
        checkpoint = head if is_whole else updates[-1].seq
        return _Page(updates, checkpoint, is_whole, reader.last_drop())

    def _tell(self, page: _Page) -> None:
        if page.checkpoint <= self.position:
            return
        self._move(page.checkpoint)
        self._observers.tell(page.updates)
        if page.last_drop > self._last_drop:
            self._last_drop = page.last_drop
            self._observers.stir()
        # Not at once: this may be amid a step of the link.
        asyncio.get_running_loop().call_soon(self._on_others)
