"""
What waits for a person: conflicts of this daemon's own, and those that wait at its followers.

All of it is in the conflict log; here it is made readable beside what stands now, and what the
list has settled meanwhile is marked so, since an ancestor is not kept for ever.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from syncline.clock import milliseconds_of
from syncline.models import Conflict, Key, Update
from syncline.replica import Replica
from syncline.reported import LOG_MAX, has_taken_in
from syncline.revision import is_deletion
from syncline.store.contract import Reader


SHOWN_MAX = 200
SHOWN_BYTES_MAX = 4 * 1024 * 1024
"""The encoded records of all that are shown; a single conflict may be larger."""


class Inbox:
    """
    Reads the conflict log as a page shows it.

    Attributes:
        waiting_at: how many conflicts are known to wait at each follower, by its replica id.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._keys: frozenset[Key] = frozenset()
        self.waiting_at: Counter[str] = Counter()

    def concerns(self, updates: Sequence[Update]) -> bool:
        """Tell whether something waits that is about one of these records."""
        keys = self._keys
        return bool(keys) and any(update.key in keys for update in updates)

    async def look(self) -> dict[str, dict[str, Any]]:
        """Return what is shown, by the conflict's id: what waits before what is settled."""
        found, current = await self._replica.core.read(_read)
        settled = {one.conflict_id for one in found if _is_settled(one, current.get(one.key))}
        if settled:
            reported = self._replica.core.engine.reported
            await self._replica.core.writer.run(lambda tx: reported.settle(tx, settled))
        waiting = [one for one in found if one.is_waiting and one.conflict_id not in settled]
        over = [one for one in found if not one.is_waiting or one.conflict_id in settled]
        self._keys = frozenset(one.key for one in waiting)
        self.waiting_at = Counter(one.holder for one in waiting if one.holder)
        open_ids = {one.conflict_id for one in waiting}
        return {
            one.conflict_id: shown(
                one, current.get(one.key), is_waiting=one.conflict_id in open_ids
            )
            for one in _as_many_as_fit([*over, *waiting])
        }


def shown(conflict: Conflict, current: Update | None, *, is_waiting: bool) -> dict[str, Any]:
    """
    Return a conflict as the inbox shows it.

    Args:
        current: what is held here now, which is the side that a resolution is made upon while it
            waits; what is over is shown as it was.
    """
    ours = conflict.ours if current is None or not is_waiting else current
    theirs = conflict.theirs
    is_base_known = conflict.side not in ("received", "met")
    return {
        "model": conflict.model,
        "record_id": conflict.record_id,
        "is_waiting": is_waiting,
        "is_base_known": is_base_known,
        "base": conflict.base,
        "base_rev": conflict.base_rev,
        "ours": ours.data,
        "theirs": theirs.data,
        # What nobody holds has no revision to build upon.
        "ours_rev": None if is_waiting and current is None else ours.rev,
        "theirs_rev": theirs.rev,
        "ours_ancestors": list(ours.ancestors),
        "theirs_ancestors": list(theirs.ancestors),
        "ours_origin": ours.origin,
        "theirs_origin": theirs.origin,
        "ours_ms": milliseconds_of(ours.stamp),
        "theirs_ms": milliseconds_of(theirs.stamp),
        "holder": conflict.holder,
        "opened_ms": conflict.opened_ms,
        "settled_ms": conflict.settled_ms,
        "resolution": conflict.resolution,
        "side": conflict.side,
        "reason": conflict.reason,
    }


def _read(reader: Reader) -> tuple[list[Conflict], dict[Key, Update]]:
    found = reader.conflicts(open_only=False, limit=LOG_MAX)
    entries = reader.entries([one.key for one in found if one.is_waiting])
    return found, {key: entry.update for key, entry in entries.items()}


def _is_settled(conflict: Conflict, current: Update | None) -> bool:
    """Tell whether what waited at a follower was taken in by what stands."""
    if conflict.side == "ours" or not conflict.is_waiting:
        return False
    # Two deletions are equal, and there is nothing to choose between.
    are_deleted = is_deletion(conflict.theirs.rev) and (current is None or current.is_deletion)
    return are_deleted or has_taken_in(current, conflict.theirs.rev)


def _as_many_as_fit(conflicts: Sequence[Conflict]) -> list[Conflict]:
    """Return the last of them, in their order."""
    chosen: list[Conflict] = []
    size = 0
    for conflict in reversed(conflicts[-SHOWN_MAX:]):
        size += len(conflict.base_body)
        size += len(memoryview(conflict.ours.body)) + len(memoryview(conflict.theirs.body))
        if chosen and size > SHOWN_BYTES_MAX:
            break
        chosen.append(conflict)
    return chosen[::-1]
