"""Which records wait together: transactions that share a record that waits are one."""

from collections.abc import Iterable

import msgspec

from syncline.models import Entry, Update
from syncline.store.contract import Transaction


def in_group(update: Update, entry: Entry | None) -> Update:
    """Return the update in the group that its record waits in, if it has none of its own."""
    if update.group is None and entry is not None and entry.pending is not None:
        return msgspec.structs.replace(update, group=entry.update.group)
    return update


def in_push(held: Update, entry: Entry | None, group: str | None) -> Update:
    """Return what is held, and waits by itself, in the group of a push that brought the same."""
    if held.group is None and entry is not None and entry.pending is not None:
        return msgspec.structs.replace(held, group=group)
    return held


def join_groups(tx: Transaction, meetings: Iterable[tuple[Entry | None, str | None]]) -> bool:
    """
    Make one of the groups that meet in a record; call it when all of them are written.

    Args:
        meetings: what was held of a record, and the group in which it waits from now on.

    Returns:
        Whether any was joined with another.
    """
    # A group that was joined goes by its new name when it meets a third.
    names: dict[str, str] = {}
    for entry, group in meetings:
        if entry is None or entry.pending is None or entry.update.group is None or group is None:
            continue
        old, new = _name_now(names, entry.update.group), _name_now(names, group)
        if old != new:
            tx.set_group(old, new)
            names[old] = new
    return bool(names)


def _name_now(names: dict[str, str], group: str) -> str:
    while group in names:
        group = names[group]
    return group
