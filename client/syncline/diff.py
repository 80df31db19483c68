"""
What a target lacks of a source's changes, and what collides.

LoopBack's `diff`, decided by ancestry: a change that the target already knows is neither a delta
nor a conflict.
"""

from collections.abc import Iterable, Mapping

import msgspec

from syncline.models import Change, Diff, Key, Update, Verdict
from syncline.verdicts import offer


def diff(current: Mapping[Key, Update], changes: Iterable[Change]) -> Diff:
    """
    Compare a source's changes with what the target holds.

    Data are not compared here, since changes carry none; equal data show at the bulk update.

    Args:
        current: the target's records, tombstones included, by key.
        changes: the source's changes.

    Returns:
        deltas, with `prev` set to the revision that the target holds (None for nothing), and the
        target's own changes that collide.
    """
    deltas: list[Change] = []
    conflicts: list[Change] = []
    for change in changes:
        held = current.get(change.key)
        shown = Update(**{name: getattr(change, name) for name in Change.__struct_fields__})
        if held is None:
            if not change.is_deletion:
                deltas.append(msgspec.structs.replace(change, prev=None))
            continue
        match _verdict(held, shown):
            case Verdict.FORWARD:
                deltas.append(msgspec.structs.replace(change, prev=held.rev))
            case Verdict.CONFLICT:
                conflicts.append(_bare(held))
            case _:
                pass
    return Diff(deltas=tuple(deltas), conflicts=tuple(conflicts))


def _verdict(held: Update, shown: Update) -> Verdict:
    if held.is_deletion and shown.is_deletion:
        return Verdict.SAME
    bare = Update(**{name: getattr(held, name) for name in Change.__struct_fields__})
    # Bodies are left out, so that empty ones never pass for equal data.
    if bare.rev != shown.rev and not shown.descends_from(bare.rev):
        known = offer(bare, shown)
        return Verdict.CONFLICT if known is Verdict.EQUAL else known
    return offer(bare, shown)


def _bare(update: Update) -> Change:
    return Change(**{name: getattr(update, name) for name in Change.__struct_fields__})
