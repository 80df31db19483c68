"""Merge two edits of one record field by field, over the record that both started from."""

from typing import Any, NamedTuple

from syncline.models import Record


class Merged(NamedTuple):
    """
    A three-way merge.

    Attributes:
        data: the merged record; a field that collided holds the preferred side's value.
        collisions: dotted paths of the fields that both sides changed differently.
    """

    data: Record
    collisions: tuple[str, ...]


_ABSENT: Any = object()


def merge(base: Record | None, ours: Record, theirs: Record, *, prefer: str = "ours") -> Merged:
    """
    Merge `ours` and `theirs`, field by field, objects within objects too.

    A field that only one side changed takes that side's value; removing a field is a change.

    Args:
        base: what both started from; None when it isn't known, then every field that differs
            collides.
        prefer: `"ours"` or `"theirs"`, the side whose value a collision takes.
    """
    collisions: list[str] = []
    data = _merge_objects(base or {}, ours, theirs, prefer, "", collisions)
    return Merged(data, tuple(collisions))


def _merge_objects(
    base: Record, ours: Record, theirs: Record, prefer: str, path: str, collisions: list[str]
) -> Record:
    merged: Record = {}
    for name in dict.fromkeys([*ours, *theirs]):
        b, o, t = base.get(name, _ABSENT), ours.get(name, _ABSENT), theirs.get(name, _ABSENT)
        if o is t or o == t:
            value = o
        elif o == b:
            value = t
        elif t == b:
            value = o
        elif isinstance(o, dict) and isinstance(t, dict):
            inner = b if isinstance(b, dict) else {}
            value = _merge_objects(inner, o, t, prefer, f"{path}{name}.", collisions)
        else:
            collisions.append(f"{path}{name}")
            value = o if prefer == "ours" else t
        if value is not _ABSENT:
            merged[name] = value
    return merged
