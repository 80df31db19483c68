"""What has not been acknowledged: which revisions may still be squashed, and what to push."""

from collections.abc import Iterable, Sequence

from syncline.limits import PushLimits, TooLarge, sort_out
from syncline.models import VOID, Entry, Key, Pending, Update
from syncline.payloads import size_of
from syncline.revision import Revision
from syncline.store.contract import Reader


class Outbox:
    """
    The pending updates of a replica that follows.

    Only a revision that was made here since the start and was never handed to a link may be
    edited in place; after a restart every pending revision counts as sent.

    Attributes:
        may_squash: whether this process owns the link, and so knows what was handed out.
        limits: how much the upstream takes, as far as it is known.
        too_large: what the last `collect` found that it does not take, and left out.
    """

    def __init__(self) -> None:
        self.may_squash = False
        self.limits = PushLimits()
        self.too_large: Sequence[TooLarge] = ()
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

    def forget_each(self, keys: Iterable[Key]) -> None:
        """Count these records' revisions as sent."""
        if self._fresh:
            for key in keys:
                self.forget(key)

    def forget_all(self) -> None:
        """Count everything as sent."""
        self._fresh.clear()

    def collect(
        self, reader: Reader, *, items_max: int, bytes_max: int, in_flight: Sequence[Update] = ()
    ) -> tuple[list[Update], bool]:
        """
        Return what to push next, groups whole, and whether more is waiting behind it.

        Args:
            in_flight: what was pushed and is not answered yet. A record is in at most one push
                on its way, so what was made of these since then waits, and its group with it.
        """
        after = max([update.seq for update in in_flight], default=0)
        updates = reader.outbox(limit=items_max + 1, after=after)
        has_more = len(updates) > items_max
        del updates[items_max:]
        groups = sorted({update.group for update in updates if update.group is not None})
        if groups:
            updates = _with_groups(updates, reader.grouped_outbox(groups))
        if in_flight:
            updates = _without(updates, in_flight)
        sizes = [size_of(update) for update in updates]
        whole_max = self.limits.push_items_max
        if sum(sizes) > bytes_max or len(updates) > whole_max:
            fitting = _fitting(updates, sizes, bytes_max, whole_max)
            has_more = has_more or len(fitting) < len(updates)
            updates = fitting
        self.too_large = ()
        if sum(sizes[: len(updates)]) > self.limits.sure_bytes or len(updates) > whole_max:
            updates, self.too_large, is_cut = sort_out(updates, self.limits)
            has_more = has_more or is_cut
        self.forget_each([update.key for update in updates] if self._fresh else ())
        return updates, has_more


def _with_groups(updates: Sequence[Update], grouped: Sequence[Update]) -> list[Update]:
    """Return the updates with the rest of their groups, each group together."""
    seen = {update.key for update in updates}
    together: dict[str | Key, list[Update]] = {}
    for update in (*updates, *(one for one in grouped if one.key not in seen)):
        together.setdefault(update.group or update.key, []).append(update)
    return [update for batch in together.values() for update in batch]


def _without(updates: list[Update], in_flight: Sequence[Update]) -> list[Update]:
    ids = {update.record_id for update in in_flight}
    if ids.isdisjoint([update.record_id for update in updates]):
        return updates  # Nearly always: only what was written again since then is found here.
    keys = {update.key for update in in_flight}
    barred = {update.group for update in updates if update.key in keys} - {None}
    return [u for u in updates if u.key not in keys and u.group not in barred]


def _fitting(
    updates: Sequence[Update], sizes: Sequence[int], bytes_max: int, items_max: int
) -> list[Update]:
    """Return as many as fit, one or one group at least; a group is never cut."""
    total = 0
    end = 0
    for index, (update, size) in enumerate(zip(updates, sizes, strict=True)):
        is_start = update.group is None or update.group != updates[index - 1].group
        if index == 0 or is_start:
            end = index
        if end and (total + size > bytes_max or index >= items_max):
            return list(updates[:end])
        total += size
    return list(updates)


def base_rev_of(entry: Entry | None) -> Revision | None:
    """Return what the upstream is known to hold of a record."""
    if entry is None:
        return None
    if entry.pending is not None:
        return entry.pending.base_rev
    return None if entry.base_seq == VOID else entry.update.rev


def pending_anew(entry: Entry | None, key: Key) -> Pending:
    """Return what a record has to tell that had nothing to tell before."""
    if entry is None or entry.base_seq == VOID:
        return Pending(model=key[0], record_id=key[1])
    return Pending(
        model=key[0],
        record_id=key[1],
        base_rev=entry.update.rev,
        base_body=bytes(entry.update.body),
    )
