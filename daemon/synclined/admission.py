"""
Decide when a newcomer may come in, so that a storm of them is spread over a window.

Places in time lie evenly, so many a second; each newcomer is given the next. One whose place is
near waits for it at the door; one whose place is further away is told when to come back, and given
a ticket that holds the place, so whoever was told once is let in the next time. Who can't be told
waits at the door for as long as it takes::

    now        wait_s                                window_s
     │ at the door │  come back, each with a place of its own │  beyond: shared places
     ├─┬─┬─┬─┬─┬─┬─┼─┬─┬─┬─┬─┬─┬─┬─┬─┬─┬─┬─┬─┬─┬─┬─┬─┬─┬─┬─┬─┬─┤
"""

from collections.abc import Callable
from typing import NamedTuple


BURST_S = 0.2
"""So many seconds' worth of newcomers come in at once when nobody came before."""
WAIT_S = 0.5
WINDOW_S = 30.0
EARLY_S = 0.5
KEPT_S = 60.0
TICKETS_MAX = 50_000


class Place(NamedTuple):
    """
    When a newcomer may come in.

    Attributes:
        wait_s: how long to wait at the door, or to stay away when there is a ticket.
        ticket: what to show when coming back; empty for one who may come in.
    """

    wait_s: float
    ticket: str = ""


class Admission:
    """
    Gives out places.

    Args:
        per_s: how many come in a second.
        new_ticket: makes a text that nobody guesses.
    """

    def __init__(self, per_s: float, new_ticket: Callable[[], str]) -> None:
        self._gap_s = 1.0 / per_s
        self._burst_s = max(BURST_S, self._gap_s)
        self._new_ticket = new_ticket
        self._next = float("-inf")
        # In the order of their places, since each is later than the one before.
        self._tickets: dict[str, float] = {}

    def ask(self, now: float, ticket: str = "", *, is_patient: bool = False) -> Place:
        """
        Return a newcomer's place.

        Args:
            now: a clock that only grows, seconds. ticket: what it was given, or empty.
            is_patient: it waits at the door, however long, and gets no ticket.
        """
        self._forget(now)
        held = self._tickets.get(ticket) if ticket else None
        if held is not None:
            if held - now > EARLY_S:
                return Place(held - now, ticket)
            del self._tickets[ticket]
            return Place(max(held - now, 0.0))
        place = min(max(self._next, now - self._burst_s), now + WINDOW_S)
        self._next = place + self._gap_s
        if is_patient or place - now <= WAIT_S:
            return Place(max(place - now, 0.0))
        given = self._new_ticket()
        self._tickets[given] = place
        return Place(place - now, given)

    def window_s(self, count: int) -> float:
        """Return over how long so many who come back together are to be spread, seconds."""
        return min(count * self._gap_s, WINDOW_S)

    def _forget(self, now: float) -> None:
        """Drop the tickets of those who did not come, and the oldest beyond the limit."""
        while self._tickets:
            oldest, place = next(iter(self._tickets.items()))
            if len(self._tickets) <= TICKETS_MAX and place + KEPT_S > now:
                return
            del self._tickets[oldest]
