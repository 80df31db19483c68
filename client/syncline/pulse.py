"""
The heartbeats of a connection: when they are due, and what the wait for their answers tells.

An answer comes behind all that was sent before it, so what is shown when it comes is as new as the
request was, at least: no clock of another machine is needed to know how late one may be.
"""

from collections import deque


LATE_S = 1.0
"""A shorter wait is none to speak of."""
LIVE_LATE_MAX_S = 3.0
"""Who waits longer for an answer is not live, whatever it knows of the list."""


class Pulse:
    """
    One session's heartbeats.

    Args:
        deadlines: the session's, by name: `heartbeat`, when one is due; `heartbeat_answer`, when
            the link counts as lost without one; `late`, when the status is to be looked at.
        misses: after how many intervals without an answer the link counts as lost.
    """

    def __init__(self, deadlines: dict[str, float], misses: float) -> None:
        self._deadlines = deadlines
        self._misses = misses
        self._every_s = 10.0
        self._asked_at: deque[float] = deque()
        self._took_s = 0.0

    def begin(self, now: float, every_s: float) -> None:
        """Beat from now on, so often."""
        self._every_s = every_s
        self._deadlines["heartbeat"] = now + every_s

    def forget(self) -> None:
        """The connection is gone; the deadlines go with it."""
        self._asked_at.clear()
        self._took_s = 0.0

    def beat(self, now: float) -> None:
        """A heartbeat is sent; the wait for its answer is the judge of the link."""
        deadlines = self._deadlines
        deadlines["heartbeat"] = now + self._every_s
        wait_s = max(self._every_s * (self._misses - 1.0), 0.05)
        deadlines.setdefault("heartbeat_answer", now + wait_s)
        deadlines.setdefault("late", now + LATE_S)
        self._asked_at.append(now)

    def answered(self, now: float) -> None:
        """The oldest heartbeat was answered; whoever was late is asked again soon."""
        deadlines = self._deadlines
        if self._asked_at:
            self._took_s = now - self._asked_at.popleft()
        if not self._asked_at:
            deadlines.pop("late", None)
        if self._took_s >= LATE_S and "heartbeat" in deadlines:
            deadlines["heartbeat"] = min(deadlines["heartbeat"], now + LATE_S)

    def heard(self) -> None:
        """The link carries answers."""
        self._deadlines.pop("heartbeat_answer", None)

    def note_late(self, now: float) -> None:
        """The status was to be looked at; look again while an answer is awaited."""
        self._deadlines["late"] = now + LATE_S

    def late_s(self, now: float) -> float:
        """Return how old what is shown may be, in seconds; 0 when it is not worth a word."""
        waits_s = now - self._asked_at[0] if self._asked_at else 0.0
        late_s = max(self._took_s, waits_s)
        return late_s if late_s >= LATE_S else 0.0
