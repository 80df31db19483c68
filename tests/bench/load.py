"""The two loads on a live pair, the same for floor and figure: paced, and as fast as it goes."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from records import make_record


Write = Callable[[dict[str, Any]], Awaitable[object]]
WRITE_TIMEOUT_S = 10.0
WRITES_MAX = 2_000_000


async def paced(write: Write, records: Sequence[dict[str, Any]], gap_s: float) -> list[float]:
    """Run writes that return when B holds the record, with a gap after each; return the ms."""
    took: list[float] = []
    for record in records:
        await asyncio.sleep(gap_s)
        started = time.perf_counter()
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await write(record)
        took.append((time.perf_counter() - started) * 1000)
    return took


class Sustained:
    """
    Writes new records, at most so many of them not yet seen by the reader.

    Args:
        unseen_max: how many.
    """

    def __init__(self, unseen_max: int) -> None:
        self._unseen_max = unseen_max
        self._written = 0
        self._seen = 0
        self._wake = asyncio.Event()

    def seen(self, count: int) -> None:
        """Take note that the reader holds so many more."""
        self._seen += count
        self._wake.set()

    async def run(self, put: Write, seconds: float) -> float:
        """Write for that long; return how many a second the reader saw."""
        chance = random.Random(7)
        started = time.perf_counter()
        deadline = started + seconds
        while (now := time.perf_counter()) < deadline and self._written < WRITES_MAX:
            if self._written - self._seen < self._unseen_max:
                await put(make_record(chance, self._written))
                self._written += 1
                continue
            self._wake.clear()
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._wake.wait()
        seen, took_s = self._seen, now - started
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            while self._seen < self._written:
                self._wake.clear()
                await self._wake.wait()
        return seen / took_s
