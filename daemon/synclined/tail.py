"""
The newest part of the change list, kept in memory: what was just committed need not be read again.

It is a cache of the list, never a source beside it: it answers only where it is gapless, and
whoever asks for more reads the list.
"""

from collections import deque
from typing import NamedTuple

from syncline.models import Key, Update
from syncline.protocol import size_of


BULK_MIN = 256
"""Of a larger commit only the models are kept: it is named to followers, who fetch it as pages."""

TAIL_MAX = 1024
"""How many changes it holds."""

TAIL_BYTES_MAX = 512 * 1024
"""
How many bytes of them, as on the wire; in memory they take some four times as much.

More would rarely be told: what is too large to be sent unasked is only named.
"""


class News(NamedTuple):
    """
    Changes to tell of.

    Attributes:
        updates: in order; left out when there are too many bytes of them.
        is_small: whether they are few enough to be sent unasked.
    """

    updates: list[Update]
    is_small: bool

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell."""
        return self.is_small and not self.updates


class Tail:
    """
    The changes of `(since, head]`, in order of seq.

    Args:
        head: where the list stands when it is made.
    """

    def __init__(self, head: int) -> None:
        self._updates: deque[Update] = deque()
        self._size = 0
        self.head = head
        # Before what is held a large commit, or several, of which only the models are known.
        self._reach = head
        self._bulk_models: set[str] = set()

    @property
    def since(self) -> int:
        """The seq after which it holds each change."""
        return self.head - len(self._updates)

    def add(self, updates: list[Update]) -> bool:
        """Take what was committed; False when it does not follow on, and all is forgotten."""
        if not updates:
            return True
        count = len(updates)
        if (updates[0].seq, updates[-1].seq) != (self.head + 1, self.head + count):
            self.restart(max(self.head, updates[-1].seq))
            return False
        self.head += count
        if count > BULK_MIN:
            self._bulk_models.update([update.model for update in self._updates])
            self._bulk_models.update([update.model for update in updates])
            self._updates.clear()
            self._size = 0
            return True
        for update in updates:
            self._updates.append(update)
            self._size += size_of(update)
        while len(self._updates) > TAIL_MAX or self._is_too_large:
            self._size -= size_of(self._updates.popleft())
            self._reach = self.since
            self._bulk_models.clear()
        return True

    @property
    def _is_too_large(self) -> bool:
        # The last one stays, whatever its size: it can at least be named.
        return self._size > TAIL_BYTES_MAX and len(self._updates) > 1

    def restart(self, head: int) -> None:
        """Forget all, and go on from `head`."""
        self._updates.clear()
        self._bulk_models.clear()
        self._size = 0
        self.head = self._reach = head

    def after(self, since: int, models: tuple[str, ...], *, bytes_max: int) -> News | None:
        """Return the changes of those models after `since`; None when it does not reach back."""
        if since < self._reach:
            return None
        if since < self.since and not self._bulk_models.isdisjoint(models):
            return News([], is_small=False)
        latest: dict[Key, Update] = {}
        size = 0
        for update in reversed(self._updates):
            if update.seq <= since:
                break
            if update.model in models and update.key not in latest:
                latest[update.key] = update
                size += size_of(update)
                if size > bytes_max:
                    return News([], is_small=False)
        return News(list(reversed(latest.values())), is_small=True)
