"""Replicate between two ends once, or find what would travel."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from syncline.brake import Brake
from syncline.errors import ModelUnknown
from syncline.models import ItemResult
from syncline.replica import Replica
from syncline.replicate import (
    PAGE_BYTES,
    PAGE_ITEMS,
    Replication,
    ReplicationConflict,
    bare,
    replicate,
)


Progress = Callable[[str, int, int], None]
"""Called with (what is going on, changes read, changes to read)."""

CONFLICT_STRATEGIES = ("manual", "ours", "theirs", "latest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """
    What is to be exchanged, and how.

    Attributes:
        models: the names of the models; empty for all that there are.
        where: which records, or None for all; deletions always pass.
        one_way: to B only.
        strategy: what becomes of conflicts: `manual` leaves them, `ours` is A's side.
        allow_deletions: let mass deletions through.
    """

    models: tuple[str, ...] = ()
    where: Mapping[str, Any] | None = None
    one_way: bool = False
    strategy: str = "manual"
    allow_deletions: bool = False

    @property
    def filter(self) -> dict[str, Any] | None:
        """The filter as `replicate` takes it."""
        return None if self.where is None else {"where": dict(self.where)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Collision:
    """A record that both ends changed: what each of them holds, None for a deletion."""

    record_id: str
    ours: dict[str, Any] | None
    theirs: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """
    What came of one model.

    Attributes:
        sent, received: how many records travelled, or would: from A to B, from B to A.
        sent_ids, received_ids: which, when it was only asked what would travel.
        refused: what an end refused by its own rules.
        is_logged: the conflicts are in the log of A, or of B where A is a daemon.
    """

    model: str
    sent: int = 0
    received: int = 0
    sent_ids: tuple[str, ...] = ()
    received_ids: tuple[str, ...] = ()
    conflicts: tuple[Collision, ...] = ()
    refused: tuple[ItemResult, ...] = ()
    is_logged: bool = False

    def swapped(self) -> "Exchanged":
        """Return the same as seen from B."""
        return replace(
            self,
            sent=self.received,
            received=self.sent,
            sent_ids=self.received_ids,
            received_ids=self.sent_ids,
            conflicts=tuple(replace(c, ours=c.theirs, theirs=c.ours) for c in self.conflicts),
        )

    @property
    def has_differences(self) -> bool:
        """Whether something is left that could not be brought together."""
        return bool(self.conflicts or self.refused)


async def names_of(a: Any, b: Any, terms: Terms) -> list[str]:
    """Return the models to exchange: those named, else all of A's, and B's when both ways."""
    if terms.models:
        return list(terms.models)
    names = set(await a.model_names())
    if not terms.one_way:
        names.update(await b.model_names())
    return sorted(names)


async def exchange(a: Any, b: Any, terms: Terms, progress: Progress) -> list[Exchanged]:
    """Replicate A to B, then B to A, a model after the other."""
    return [
        await _exchange_one(a, b, name, terms, progress) for name in await names_of(a, b, terms)
    ]


async def _exchange_one(a: Any, b: Any, name: str, terms: Terms, progress: Progress) -> Exchanged:
    with naming(name):
        ours, theirs = a.model(name), b.model(name)
        forth = await _replicate(ours, theirs, terms, f"{name} →", progress)
        sent, refused = forth.applied, list(forth.refused)
        taken = 0
        if forth.conflicts and terms.strategy != "manual":
            taken = await _settle(forth.conflicts, terms.strategy)
            forth = await _replicate(ours, theirs, terms, f"{name} →", progress)
            sent += forth.applied
        left = {conflict.record_id: conflict for conflict in forth.conflicts}
        received = taken
        if not terms.one_way:
            back = await _replicate(theirs, ours, terms, f"{name} ←", progress)
            received += back.applied
            refused += back.refused
            for conflict in back.conflicts:
                left.setdefault(conflict.record_id, conflict.swap_parties())
        is_logged = await _log(a, b, name, list(left.values()))
        conflicts = [await _looked_at(conflict) for conflict in left.values()]
    return Exchanged(
        model=name,
        sent=sent,
        received=received,
        conflicts=tuple(conflicts),
        refused=tuple(refused),
        is_logged=is_logged,
    )


async def _log(a: Any, b: Any, name: str, left: Sequence[ReplicationConflict]) -> bool:
    """Keep what is left in the log of A, or of B where A is a daemon; tell whether there is one."""
    end = next((one for one in (a, b) if isinstance(one, Replica)), None)
    if end is None:
        return False
    met = []
    for conflict in left:
        changes = await (conflict if end is a else conflict.swap_parties()).changes()
        if changes[0] is not None and changes[1] is not None:
            met.append((changes[0], changes[1]))
    await end.core.writer.run(lambda tx: end.core.engine.note_met(tx, name, met))
    return True


async def _replicate(
    source: Any, target: Any, terms: Terms, title: str, progress: Progress
) -> Replication:
    return await replicate(
        source,
        target,
        filter=terms.filter,
        progress=lambda done, total: progress(title, done, total),
        brake=Brake(share_max=1.0) if terms.allow_deletions else None,
    )


async def _settle(conflicts: Sequence[ReplicationConflict], strategy: str) -> int:
    """Settle conflicts at their source; return how many took the target's side."""
    taken = 0
    for conflict in conflicts:
        source, target = await conflict.changes()
        is_ours = strategy == "ours"
        if strategy == "latest" and source is not None and target is not None:
            is_ours = source.stamp >= target.stamp
        if is_ours:
            await conflict.resolve_using_source()
        else:
            await conflict.resolve_using_target()
            taken += 1
    return taken


async def _looked_at(conflict: ReplicationConflict) -> Collision:
    ours, theirs = await conflict.models()
    return Collision(record_id=conflict.record_id, ours=ours, theirs=theirs)


async def preview(a: Any, b: Any, terms: Terms, progress: Progress) -> list[Exchanged]:
    """Find by `diff` what an exchange would move; change nothing."""
    found = []
    for name in await names_of(a, b, terms):
        with naming(name):
            ours, theirs = a.model(name), b.model(name)
            sent, collided = await _compare(ours, theirs, terms, f"{name} →", progress)
            received: list[str] = []
            if not terms.one_way:
                received, back = await _compare(theirs, ours, terms, f"{name} ←", progress)
                collided |= {
                    record_id: Collision(record_id=record_id, ours=c.theirs, theirs=c.ours)
                    for record_id, c in back.items()
                    if record_id not in collided
                }
        found.append(
            Exchanged(
                model=name,
                sent=len(sent),
                received=len(received),
                sent_ids=tuple(sent),
                received_ids=tuple(received),
                conflicts=tuple(collided.values()),
            )
        )
    return found


async def _compare(
    source: Any, target: Any, terms: Terms, title: str, progress: Progress
) -> tuple[list[str], dict[str, Collision]]:
    """Return the ids of what the target lacks, and what collides with what it has."""
    lacking: list[str] = []
    collided: dict[str, Collision] = {}
    position = 0
    while True:
        page = await source.interval(position, terms.filter, limit=PAGE_ITEMS, bytes_max=PAGE_BYTES)
        held = {update.record_id: update for update in page.updates}
        wanted = await target.diff(position, [bare(update) for update in page.updates])
        lacking += [delta.record_id for delta in wanted.deltas]
        for change in wanted.conflicts:
            theirs = await target.get_change(change.record_id)
            ours = held[change.record_id].data
            # A diff sees no data: what turns out equal collides with nothing.
            if theirs is None or theirs.data != ours:
                collided[change.record_id] = Collision(
                    record_id=change.record_id, ours=ours, theirs=theirs and theirs.data
                )
        position = page.checkpoint
        progress(title, position, page.head)
        if page.is_whole:
            return lacking, collided


@contextlib.contextmanager
def naming(model: str) -> Iterator[None]:
    """Say of a model that one end does not know how to go on without it."""
    try:
        yield
    except ModelUnknown as error:
        raise ModelUnknown(
            f"one end has no model {model!r}",
            hint=f"{error.hint}; name those to exchange with --model",
        ) from error
