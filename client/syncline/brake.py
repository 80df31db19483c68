"""
A brake on mass deletion: a replication that would empty a model stops, and asks.

An upstream that lost its records, a filter with a mistake or a program gone wild looks like many
deletions, and replication would carry them everywhere.
It guards what replication infers from two lists; what a person or program deletes by a verb goes.
Pure: the time is passed in.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from enum import StrEnum

import msgspec

from syncline.errors import ConfigError, MassDeletion
from syncline.models import Update
from syncline.revision import is_deletion


SHARE_MAX = 0.5
"""More than this share of a model's records, and more than so many, are not deleted unasked."""
COUNT_MAX = 100
BULK_MIN = 20
"""Fewer at a time are somebody's daily work, such as a queue that is drained: never counted."""
WINDOW_MS = 10 * 60 * 1000
"""Those that come in bulk add up over so long, since one command may arrive in many parts."""


class Direction(StrEnum):
    """Whose records would go."""

    PULL = "pull"
    PUSH = "push"


class _Window(msgspec.Struct):
    since_ms: int
    deletions: int = 0
    held: int = 0


class Brake:
    """
    Holds back mass deletions.

    Args:
        share_max: of a model's records, 0 to 1; 1 lets everything through.
        count_max: so many deletions are never held back.

    Attributes:
        is_off: whether what comes at a time is let through, where a list is of what is now.
    """

    def __init__(self, *, share_max: float = SHARE_MAX, count_max: int = COUNT_MAX) -> None:
        if not 0 <= share_max <= 1:
            raise ConfigError(f"{share_max} is no share of records", hint="0 to 1; 1 is all")
        self.share_max = share_max
        self.count_max = count_max
        self._windows: dict[tuple[Direction, str], _Window] = {}
        self._lifted_until_ms = 0
        self.is_off = False

    def lift(self, until_ms: int) -> None:
        """Let everything through until then."""
        self._lifted_until_ms = until_ms
        self._windows.clear()

    def minds(self, deletions: int) -> bool:
        """Tell whether so many deletions need a look at how many records there are."""
        return deletions > self.count_max

    def check(self, model: str, *, deletions: int, held: int, here: bool = True) -> None:
        """
        Raise `MassDeletion` when too many of the records held would go.

        Args:
            held: before any of the deletions. here: whether they would go here, or upstream.
        """
        if self.minds(deletions) and deletions > self.share_max * held:
            raise MassDeletion(model, deletions=deletions, held=held, here=here)

    def check_next(
        self,
        direction: Direction,
        model: str,
        deletions: int,
        *,
        now_ms: int,
        left: Callable[[], int],
    ) -> None:
        """
        Check deletions that come at a time together with the bulk of the last minutes.

        Args:
            left: returns how many records will be left; asked once in a while, being slow.
        """
        if self.is_off or now_ms < self._lifted_until_ms or deletions < BULK_MIN:
            return
        window = self._window(direction, model, now_ms)
        total = window.deletions + deletions
        if not self.minds(total):
            return
        if not window.held:
            window.held = left() + total
        self.check(model, deletions=total, held=window.held, here=direction is Direction.PULL)

    def recent(self, direction: Direction, model: str, *, now_ms: int) -> int:
        """Return how many were deleted in the last minutes."""
        return self._window(direction, model, now_ms).deletions

    def note(self, direction: Direction, model: str, deletions: int, *, now_ms: int) -> None:
        """Take note of deletions that were carried out at a time."""
        if deletions >= BULK_MIN:
            self._window(direction, model, now_ms).deletions += deletions

    def _window(self, direction: Direction, model: str, now_ms: int) -> _Window:
        window = self._windows.get((direction, model))
        if window is None or now_ms - window.since_ms > WINDOW_MS:
            window = self._windows[(direction, model)] = _Window(now_ms)
        return window


def deletions_of(updates: Sequence[Update]) -> dict[str, int]:
    """Return how many records of the upstream a push would delete, by model."""
    return Counter(
        [
            update.model
            for update in updates
            if (prev := update.prev) is not None and update.is_deletion and not is_deletion(prev)
        ]
    )
