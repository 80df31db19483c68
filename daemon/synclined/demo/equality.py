"""Compare what the daemon and the replicas hold: data and revisions, record by record."""

from collections.abc import Mapping
from typing import Any

from syncline.ends import connect_remote


Contents = Mapping[str, Mapping[str, tuple[str, Mapping[str, Any]]]]
"""By model and record id: the revision and the record."""


async def contents_of_daemon(url: str, models: tuple[str, ...]) -> Contents:
    """Return what a daemon holds, read over the wire."""
    remote = await connect_remote(url)
    async with remote:
        found: dict[str, dict[str, tuple[str, Mapping[str, Any]]]] = {}
        for name in models:
            held: dict[str, tuple[str, Mapping[str, Any]]] = {}
            since, is_whole = 0, False
            while not is_whole:
                page = await remote.model(name).interval(since)
                held.update({u.record_id: (u.rev, u.data or {}) for u in page.updates if u.data})
                since, is_whole = page.checkpoint, page.is_whole
            found[name] = held
    return found


def differences(ends: Mapping[str, Contents]) -> list[str]:
    """Return in words what differs between the first end and each other; nothing when equal."""
    (first, expected), *others = ends.items()
    return [
        f"{model}/{record_id}: {how} at {first} and {name}"
        for name, found in others
        for model in sorted({*expected, *found})
        for record_id in sorted({*expected.get(model, {}), *found.get(model, {})})
        if (how := _difference(expected, found, model, record_id))
    ]


def _difference(one: Contents, other: Contents, model: str, record_id: str) -> str:
    ours, theirs = one.get(model, {}).get(record_id), other.get(model, {}).get(record_id)
    if ours is None or theirs is None:
        return "held by one only,"
    if ours[0] != theirs[0]:
        return f"revisions {ours[0]} and {theirs[0]},"
    return "" if ours[1] == theirs[1] else "other data under one revision,"
