"""
The newest part of the change list, kept in memory: what was just committed need not be read again.

It is a cache of the list, never a source beside it: it answers only where it is gapless, and
whoever asks for more reads the list.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from syncline.models import Key, Update
from syncline.news import Held
from syncline.payloads import size_of


BULK_MIN = 256
"""Of a larger commit only the models are kept: it is named to followers, who fetch it as pages."""

TAIL_MAX = 1024
"""How many changes it holds."""

TAIL_BYTES_MAX = 512 * 1024
"""
How many bytes of them, as on the wire; in memory they take some four times as much.

More would rarely be told: what is too large to be sent unasked is only named.
"""

BEFORE_MAX = 1024
"""Of how many records it knows what the list held before a change; some five kilobytes each."""


class News(NamedTuple):
    """
    Changes to tell of.

    Attributes:
        updates: in order; left out when there are too many bytes of them.
        is_small: whether they are few enough to be sent unasked.
        before: of each, what the list held of its record before all of this, where that is known;
            empty when it is known of none.
    """

    updates: list[Update]
    is_small: bool
    before: Sequence[Held | None] = ()

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
        self._sizes: deque[int] = deque()
        self._before: deque[Held | None] = deque()
        self._held: dict[Key, Held] = {}
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
            self._clear()
            self._held.clear()
            return True
        sizes = [size_of(update) for update in updates]
        self._updates.extend(updates)
        self._sizes.extend(sizes)
        self._before.extend([self._replace(update) for update in updates])
        self._size += sum(sizes)
        self._drop_oldest()
        return True

    def _replace(self, update: Update) -> Held | None:
        """Take note of a record's state; return the one before it, where that is known."""
        held, key = self._held, (update.model, update.record_id)
        before = held.pop(key, None)  # So that those that are written again and again come last.
        held[key] = Held(update.rev, update.ancestors)
        if len(held) > BEFORE_MAX:
            del held[next(iter(held))]
        return before

    def _drop_oldest(self) -> None:
        kept, size = len(self._updates), self._size
        # The last one stays, whatever its size: it can at least be named.
        while kept > TAIL_MAX or (size > TAIL_BYTES_MAX and kept > 1):
            self._updates.popleft()
            self._before.popleft()
            size -= self._sizes.popleft()
            kept -= 1
        if size != self._size:
            self._size = size
            self._reach = self.since
            self._bulk_models.clear()

    def restart(self, head: int) -> None:
        """Forget all, and go on from `head`."""
        self._clear()
        self._held.clear()
        self._bulk_models.clear()
        self.head = self._reach = head

    def _clear(self) -> None:
        self._updates.clear()
        self._sizes.clear()
        self._before.clear()
        self._size = 0

    def after(self, since: int, models: tuple[str, ...], *, bytes_max: int) -> News | None:
        """Return the changes of those models after `since`; None when it does not reach back."""
        if since < self._reach:
            return None
        if since < self.since and not self._bulk_models.isdisjoint(models):
            return News([], is_small=False)
        latest: dict[Key, Update] = {}
        before: dict[Key, Held | None] = {}
        size = 0
        for update, update_size, rev in zip(
            reversed(self._updates), reversed(self._sizes), reversed(self._before), strict=True
        ):
            if update.seq <= since:
                break
            if update.model not in models:
                continue
            key = update.key
            if key not in latest:
                latest[key] = update
                size += update_size
                if size > bytes_max:
                    return News([], is_small=False)
            before[key] = rev
        return News(
            list(reversed(latest.values())), is_small=True, before=list(reversed(before.values()))
        )
