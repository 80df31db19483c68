"""
What waits to be pushed, as far as that is known without reading the store.

It is known from when the outbox was seen empty: since then it holds what was written here, and what
the push that is out carries. Whatever makes that uncertain has it forgotten, and the store is read.
"""

from collections.abc import Iterable, Sequence

from syncline.models import Key, Update
from syncline.payloads import size_of


KNOWN_MAX = 1024
"""How many records it holds; more are read from the store, page by page."""


class Unsent:
    """The writes of this process that the upstream was not told of yet."""

    def __init__(self) -> None:
        self._writes: dict[Key, Update] | None = None
        self._pushed: set[Key] = set()

    @property
    def count(self) -> int | None:
        """How many records wait beside those that are on their way; None when it isn't known."""
        return None if self._writes is None else len(self._writes)

    def note_empty(self) -> None:
        """The outbox was seen empty, and nothing is on its way."""
        self._writes = {}
        self._pushed.clear()

    def forget(self) -> None:
        """It is no longer known what waits."""
        self._writes = None

    def note_written(self, written: Sequence[Update] | None) -> None:
        """Take note of a commit; None for one of which nothing is known."""
        writes = self._writes
        if writes is None:
            return
        if written is None or len(writes) + len(written) > KNOWN_MAX:
            self.forget()
            return
        for update in written:
            # What is written again must be pushed upon another base, and a group is pushed whole.
            if update.group is not None or update.key in writes or update.key in self._pushed:
                self.forget()
                return
            writes[update.key] = update

    def note_met(self, updates: Iterable[Update]) -> None:
        """The list brought these: what waits may have met them."""
        if self._writes and any(update.key in self._writes for update in updates):
            self.forget()

    def take(self, *, items_max: int, bytes_max: int) -> list[Update] | None:
        """Return all that waits, for a push; None when the store must be asked."""
        # What was taken before and never settled was lost with its connection, and waits again.
        writes = None if self._pushed else self._writes
        self.forget()
        if not writes or len(writes) > items_max:
            return None
        updates = list(writes.values())
        if sum(map(size_of, updates)) > bytes_max:
            return None
        self._writes, self._pushed = {}, set(writes)
        return updates

    def note_settled(self, *, is_clean: bool) -> None:
        """
        Take note of the answer to a push.

        Args:
            is_clean: every item was taken as it was pushed, and nothing else came of it.
        """
        if not is_clean:
            self.forget()
        self._pushed.clear()
