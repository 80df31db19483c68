"""What has not been acknowledged: which revisions may still be squashed, and what to push."""

from collections.abc import Sequence

import msgspec

from syncline.models import Entry, Key, Update
from syncline.protocol import size_of
from syncline.revision import Revision
from syncline.store.contract import Reader


class Outbox:
    """
    The pending updates of a replica that follows.

    Only a revision that was made here since the start and was never handed to a link may be
    edited in place; after a restart every pending revision counts as sent.

    Attributes:
        may_squash: whether this process owns the link, and so knows what was handed out.
    """

    def __init__(self) -> None:
        self.may_squash = False
        self._fresh: dict[Key, tuple[Revision, bool]] = {}

    def note_made(self, key: Key, rev: Revision, *, over_base: bool) -> None:
        """
        Take note of a new pending revision.

        Args:
            over_base: it was made directly over the base, so going back to the base's data
                leaves nothing pending.
        """
        if self.may_squash:
            self._fresh[key] = (rev, over_base)

    def squashable(self, key: Key, rev: Revision) -> bool:
        """Tell whether this revision was never handed out."""
        return self.may_squash and self._fresh.get(key, ("",))[0] == rev

    def is_over_base(self, key: Key) -> bool:
        """Tell whether the fresh revision of this record was made directly over the base."""
        return self._fresh[key][1]

    def forget(self, key: Key) -> None:
        """Count a record's revision as sent."""
        self._fresh.pop(key, None)

    def forget_all(self) -> None:
        """Count everything as sent."""
        self._fresh.clear()

    def collect(
        self, reader: Reader, *, items_max: int, bytes_max: int
    ) -> tuple[list[Update], bool]:
        """
        Return what to push next, groups whole, and whether more is waiting.

        Each update's `prev` names what the upstream holds.
        """
        entries = reader.outbox(limit=items_max + 1)
        has_more = len(entries) > items_max
        entries = entries[:items_max]
        groups = sorted({e.update.group for e in entries if e.update.group is not None})
        if groups:
            entries = _with_groups(entries, reader.grouped_outbox(groups))
        chosen: list[Update] = []
        size = 0
        for batch in _batches(entries):
            weight = sum(size_of(e.update) for e in batch)
            if chosen and size + weight > bytes_max:
                has_more = True
                break
            chosen.extend(as_pushed(e) for e in batch)
            size += weight
        for update in chosen:
            self.forget(update.key)
        return chosen, has_more


def as_pushed(entry: Entry) -> Update:
    """Return an entry's update as it is pushed: `prev` is the base's revision."""
    assert entry.pending is not None
    if entry.update.prev == entry.pending.base_rev:
        return entry.update
    return msgspec.structs.replace(entry.update, prev=entry.pending.base_rev)


def _with_groups(entries: Sequence[Entry], grouped: Sequence[Entry]) -> list[Entry]:
    seen = {entry.update.key for entry in entries}
    return [*entries, *(entry for entry in grouped if entry.update.key not in seen)]


def _batches(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Return entries that must travel together, in order of their first."""
    batches: dict[str | Key, list[Entry]] = {}
    for entry in entries:
        batches.setdefault(entry.update.group or entry.update.key, []).append(entry)
    return list(batches.values())
