"""Virtual time, and connections that delay, drop, repeat, reorder and break."""

import heapq
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from syncline.simulation.options import Options
from syncline.store.contract import Store


EVENTS_MAX = 400_000
Parts = tuple[Any, ...]


class Stuck(Exception):  # noqa: N818 - a verdict on the run, no error of the program
    """The run did not come to an end within its bounds."""


class Timeline:
    """What is to happen, in order of virtual time; equal times in order of arrangement."""

    def __init__(self) -> None:
        self.now = 0.0
        self.count = 0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Arrange for `action` to happen."""
        self.count += 1
        heapq.heappush(self._queue, (self.now + max(delay_s, 0.0), self.count, action))

    def run_until(self, when: float) -> None:
        """Let everything happen up to that time."""
        while self._queue and self._queue[0][0] <= when:
            if self.count > EVENTS_MAX:
                raise Stuck(f"more than {EVENTS_MAX} events: something never ends")
            self.now, _, action = heapq.heappop(self._queue)
            action()
        self.now = max(self.now, when)


class Place(Protocol):
    """Who holds an end of a wire."""

    @property
    def store(self) -> Store:
        """What it keeps."""


class End(Protocol):
    """One end of a wire."""

    @property
    def process(self) -> Place:
        """Whose end it is."""

    def heard(self, wire: "Wire", event: str, parts: Parts, ack: int) -> None:
        """Take a message; `ack` is 0 when no answer is expected."""

    def lost(self, wire: "Wire") -> None:
        """Take note that the wire is gone."""


class Wire:
    """
    One connection of a follower to a listener.

    Attributes:
        deaf: the directions in which nothing arrives any more, by `is_up`.
    """

    def __init__(self, lower: End, upper: End) -> None:
        self.ends = {False: lower, True: upper}
        self.deaf = {False: False, True: False}
        self.is_closed = False
        self.due = {False: 0.0, True: 0.0}
        self.replica = ""


class Network:
    """Carries messages, as badly as the options say."""

    def __init__(self, timeline: Timeline, options: Options, chance: random.Random) -> None:
        self.timeline = timeline
        self.options = options
        self.chance = chance
        self.is_healed = False
        self.sent: Counter[str] = Counter()
        self.kept: list[tuple[Wire, bool, str, Parts]] = []

    def send(self, wire: Wire, *, is_up: bool, event: str, parts: Parts, ack: int = 0) -> None:
        """Send a message; it may never arrive, or twice, or late."""
        self.sent[event] += 1
        if len(self.kept) < 2000:
            self.kept.append((wire, is_up, event, parts))
        if wire.is_closed or wire.deaf[is_up] or self._happens(self.options.drop):
            return
        for _ in range(2 if self._happens(self.options.duplicate) else 1):
            arrival = self.timeline.now + self.options.latency_s * self.chance.random()
            if self._happens(self.options.reorder):
                arrival += self.options.latency_s * 3 * self.chance.random()
            else:
                arrival = max(arrival, wire.due[is_up])
                wire.due[is_up] = arrival
            self.timeline.after(
                arrival - self.timeline.now,
                lambda: self._deliver(wire, event, parts, ack, is_up=is_up),
            )

    def _deliver(self, wire: Wire, event: str, parts: Parts, ack: int, *, is_up: bool) -> None:
        if not wire.deaf[is_up]:
            wire.ends[is_up].heard(wire, event, parts, ack)

    def _happens(self, probability: float) -> bool:
        return not self.is_healed and probability > 0.0 and self.chance.random() < probability

    def close(self, wire: Wire, *, told_up: bool = True, told_down: bool = True) -> None:
        """Close a wire; an end that isn't told finds out by silence. What is under way arrives."""
        if wire.is_closed:
            return
        wire.is_closed = True
        for is_up, told in ((True, told_up), (False, told_down)):
            if told:
                delay = self.options.latency_s * self.chance.random()
                end = wire.ends[is_up]
                self.timeline.after(delay, lambda end=end: end.lost(wire))  # type: ignore[misc] # bound now
