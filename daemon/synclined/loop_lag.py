"""
Measure how long the event loop was held, by a timer that should have rung on time.

Whatever holds the loop (a hook that does not yield, a processor taken away, a process that was
stopped) holds every link of the daemon; this says so, and how long.
"""

import asyncio
from typing import NamedTuple

from syncline.logs import Logger


log = Logger("synclined")

RING_S = 0.1
WINDOW_S = 60.0


class Lag(NamedTuple):
    """
    What was measured.

    Attributes:
        last_ms: how late the timer rang the last time.
        worst_ms: the latest it rang within the last one to two minutes.
        blocked: how often it rang later than the setting allows, since the start.
    """

    last_ms: float
    worst_ms: float
    blocked: int


class LoopLag:
    """
    Rings ten times a second and notes how late.

    Args:
        warn_s: a warning is logged when the loop was held longer; it may be held up to `RING_S`
            longer than is seen.
    """

    def __init__(self, warn_s: float) -> None:
        self._warn_s = warn_s
        self._last_s = 0.0
        self._worst_s = 0.0
        self._worst_before_s = 0.0
        self._window_ends = 0.0
        self._blocked = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        loop = asyncio.get_running_loop()
        self._window_ends = loop.time() + WINDOW_S
        self._wind(loop)

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def lag(self) -> Lag:
        """What was measured so far."""
        worst_s = max(self._worst_s, self._worst_before_s)
        return Lag(round(self._last_s * 1000, 1), round(worst_s * 1000, 1), self._blocked)

    def _wind(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + RING_S
        self._timer = loop.call_at(due, self._ring, loop, due)

    def _ring(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        self._note(now, max(now - due, 0.0))
        self._wind(loop)

    def _note(self, now: float, late_s: float) -> None:
        if now >= self._window_ends:
            self._worst_before_s, self._worst_s = self._worst_s, 0.0
            self._window_ends = now + WINDOW_S
        self._last_s = late_s
        self._worst_s = max(self._worst_s, late_s)
        if late_s > self._warn_s:
            self._blocked += 1
            log.warning(
                "loop.blocked",
                duration_ms=round(late_s * 1000),
                hint="a hook that does not yield, or too little processor time",
            )
