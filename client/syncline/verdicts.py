"""
The two pure decisions: a foreign update meets a local record.

`offer` is asked by a replica that listens, `take` by one that follows.
The order of the tests matters; beyond the kept ancestors a false conflict is possible, a lost
write never is.
"""

import orjson

from syncline.models import FORWARD, KNOWN, SAME, Base, Update, Verdict
from syncline.revision import Revision, generation_of, is_deletion, short_of


def offer(current: Update | None, update: Update) -> Verdict:
    """
    Decide on an update that was pushed to this replica.

    Args:
        current: what this replica holds of the record, its tombstone included; None for nothing.
        update: the pushed update; its `prev` names what the pusher believes is held here.

    Returns:
        SAME, KNOWN (an old message again, or one that lost here before), FORWARD (take it), EQUAL
        or CONFLICT.
    """
    prev = update.prev
    if current is None:
        return FORWARD if prev is None or is_deletion(prev) else Verdict.CONFLICT
    if current.rev == update.rev:
        return SAME
    if _is_behind(update.rev, current):
        return KNOWN
    if update.descends_from(current.rev):
        return FORWARD
    if short_of(update.rev) in current.ancestors:
        # It collided before, and lost to one of a lower generation; a late repeat must not be
        # decided anew.
        return KNOWN
    if equal_data(current, update):
        return Verdict.EQUAL
    return Verdict.CONFLICT


def take(
    local: Update | None, base: Base, update: Update, *, is_pending: bool, replica_id: str = ""
) -> Verdict:
    """
    Decide on an update that was pulled from upstream.

    Args:
        local: what this replica holds; None for nothing.
        base: what it knew its upstream to hold.
        update: the upstream's update; `seq` is its place in the upstream's list.
        is_pending: whether `local` has something to tell upstream.
        replica_id: this replica, to know an amendment of its own write.

    Returns:
        KNOWN, SAME, FORWARD, EQUAL, REBASE, AMENDED or CONFLICT.
    """
    if base.seq is not None and update.seq <= base.seq:
        return KNOWN
    if local is None:
        return FORWARD
    if local.rev == update.rev:
        return SAME
    if not is_pending and not base.is_void:
        return FORWARD
    if is_pending and base.rev == update.rev:
        return KNOWN
    if _is_behind(update.rev, local):
        return KNOWN
    if update.descends_from(local.rev):
        return FORWARD
    if equal_data(local, update):
        return Verdict.EQUAL
    if base.is_absent and update.is_deletion and not local.is_deletion:
        # Unless it is the deletion of what this is an edit of, as one finds it after a restore.
        return Verdict.CONFLICT if _have_common_past(local, update) else Verdict.REBASE
    if update.amended_for is not None and update.amended_for == replica_id:
        return Verdict.AMENDED
    return Verdict.CONFLICT


def equal_data(one: Update, other: Update) -> bool:
    """Tell whether two updates hold equal JSON values; two deletions are equal."""
    if one.is_deletion or other.is_deletion:
        return one.is_deletion and other.is_deletion
    return equal_bodies(bytes(one.body), bytes(other.body))


def equal_bodies(one: bytes, other: bytes) -> bool:
    """Tell whether two encoded records are equal JSON values; an empty one is no record."""
    if one == other:
        return True
    return bool(one) and bool(other) and _sorted(one) == _sorted(other)


def _sorted(body: bytes) -> bytes:
    # Text, since Python takes true for 1; bodies are normalised, so 1.0 was written as 1.
    return orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)


def _have_common_past(one: Update, other: Update) -> bool:
    return not {*one.ancestors, short_of(one.rev)}.isdisjoint(other.ancestors)


def _is_behind(rev: Revision, holder: Update) -> bool:
    # The generation keeps a revision that was refused, or went round a ring, from counting as old.
    return short_of(rev) in holder.ancestors and generation_of(rev) < holder.generation
