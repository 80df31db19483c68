"""
Compare two ends record by record without copying them, and make them level again.

Ranges of record ids are summarised at both ends, those that differ are taken apart, and only the
records of the last small ones are looked at; see `syncline.ranges`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from syncline.brake import Brake
from syncline.errors import ConfigError, ProtocolError
from syncline.models import BulkResult, Checkpoint, Update, join_ancestors
from syncline.ranges import (
    RANGES_MAX,
    WIDE_ROWS,
    Difference,
    DifferenceKind,
    Part,
    Range,
    Summary,
    compare_listed,
    differing,
    is_leaf,
    rest_of,
    splits_ours,
    step_of,
)
from syncline.replicate import move, random_nonce
from syncline.revision import is_deletion, new_revision, next_generation, short_of
from syncline.verdicts import equal_data


LOOKED_AT_ONCE = 64
LISTED_AT_ONCE = 500
Progress = Callable[[int], None]
Trust = Literal["ours", "theirs"] | None


class Comparable(Protocol):
    """An end of `replicate` that can summarise its records."""

    name: str

    async def summaries(
        self, ranges: Sequence[Range], *, every: int | None = None
    ) -> tuple[Summary, ...]:
        """Return the summaries of ranges, as many as one answer may hold."""

    async def get_change(self, record_id: str | int) -> Update | None:
        """Return a record with its change."""

    async def bulk_update(self, updates: Sequence[Update]) -> BulkResult:
        """Apply updates."""

    async def current_checkpoint(self) -> Checkpoint:
        """Return the head of this end's list."""


@runtime_checkable
class Restores(Protocol):
    """An end whose store is at hand."""

    async def restore(self, update: Update) -> bool:
        """Put back the data of a revision that is held with other data."""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """
    What came of comparing one model.

    Attributes:
        ours, theirs: how many records each end holds.
        differences: in order of id.
        has_moved: an end was written meanwhile, so a difference may be no more than that.
    """

    model: str
    ours: int
    theirs: int
    differences: tuple[Difference, ...] = ()
    has_moved: bool = False


class Repair(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a repair did, by record id.

    Attributes:
        received, sent: taken from theirs, and from ours. restored: whose data were put back.
        conflicts: changed at both ends: to be settled by whoever knows.
        undecided: rotten, and nobody said which end is right. refused: by an end's own rules.
    """

    model: str
    received: tuple[str, ...] = ()
    sent: tuple[str, ...] = ()
    restored: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


async def verify(
    ours: Comparable, theirs: Comparable, *, progress: Progress | None = None
) -> Verification:
    """
    Compare two models, local or remote; change nothing.

    Equal records under different revisions are no difference, and neither is a tombstone that
    the other end has not.

    Args:
        progress: called with how many records were compared so far.

    Raises:
        ConfigError: an end can't summarise its records.
        LinkError, StoreError: by name.
    """
    for end in (ours, theirs):
        if not hasattr(end, "summaries"):
            raise ConfigError(
                f"{type(end).__name__} {end.name!r} can't summarise its records",
                hint="give two models of replicas or daemons",
            )
    before = await _heads(ours, theirs)
    comparison = _Comparison(ours, theirs, progress or _nothing)
    differences = await comparison.run()
    return Verification(
        model=ours.name,
        ours=comparison.counts[0],
        theirs=comparison.counts[1],
        differences=tuple(sorted(differences, key=lambda d: d.record_id)),
        has_moved=before != await _heads(ours, theirs),
    )


class _Comparison:
    def __init__(self, ours: Comparable, theirs: Comparable, progress: Progress) -> None:
        self._ours = ours
        self._theirs = theirs
        self._progress = progress
        self._is_first = True
        self.counts = [0, 0]

    async def run(self) -> list[Difference]:
        leaves: list[Part] = []
        parts = [part async for part in self._split(self._ours, [Range()], WIDE_ROWS)]
        self._is_first = False
        while parts:
            leaves += filter(is_leaf, parts)
            parts = [p async for p in self._take_apart([p for p in parts if not is_leaf(p)])]
        leaves.sort(key=lambda part: part.ours.after)
        found: list[Difference] = []
        for start in range(0, len(leaves), LISTED_AT_ONCE):
            found += await self._list([p.ours.span for p in leaves[start : start + LISTED_AT_ONCE]])
        return await self._looked_at(found)

    async def _take_apart(self, parts: Sequence[Part]) -> AsyncIterator[Part]:
        """Compare the parts of ranges that differ, each split by the end that has more there."""
        groups: dict[tuple[bool, int], list[Range]] = {}
        for part in sorted(parts, key=lambda part: part.ours.after):
            groups.setdefault((splits_ours(part), step_of(part)), []).append(part.ours.span)
        for (is_ours, every), spans in groups.items():
            splitter = self._ours if is_ours else self._theirs
            async for part in self._split(splitter, spans, every):
                yield part

    async def _split(
        self, splitter: Comparable, spans: Sequence[Range], every: int
    ) -> AsyncIterator[Part]:
        other = self._theirs if splitter is self._ours else self._ours
        async for named in _asked(splitter, spans, every):
            answered = [s async for page in _asked(other, _spans(named)) for s in page]
            ours, theirs = (named, answered) if splitter is self._ours else (answered, named)
            if self._is_first:
                self.counts[0] += sum(s.count for s in ours)
                self.counts[1] += sum(s.count for s in theirs)
                self._progress(self.counts[0])
            for part in differing(ours, theirs):
                yield part

    async def _list(self, spans: Sequence[Range]) -> list[Difference]:
        ours, theirs = [
            [s async for page in _asked(end, spans, 1) for s in page]
            for end in (self._ours, self._theirs)
        ]
        return compare_listed(self._ours.name, ours, theirs)

    async def _looked_at(self, found: Sequence[Difference]) -> list[Difference]:
        """Leave out what differs in its bytes only: the order of keys, the form of a number."""
        left: list[Difference] = []
        for chunk in chunks(found, LOOKED_AT_ONCE):
            is_equal = await asyncio.gather(*(self._is_equal(one) for one in chunk))
            left += [one for one, equal in zip(chunk, is_equal, strict=True) if not equal]
        return left

    async def _is_equal(self, found: Difference) -> bool:
        if found.kind in (DifferenceKind.MISSING_HERE, DifferenceKind.MISSING_THERE):
            return False
        ours, theirs = await changes_of(self._ours, self._theirs, found.record_id)
        if ours is None or theirs is None:
            return False
        try:
            return equal_data(ours, theirs)
        except ValueError:  # not even JSON any more
            return False


async def repair(
    ours: Any,
    theirs: Any,
    differences: Sequence[Difference],
    *,
    trust: Trust = None,
    brake: Brake | None = None,
) -> Repair:
    """
    Bring the records that differ level, by the rules of `replicate`: a conflict stays one.

    A rotten record gets the data of the end that is trusted: in place where the store is at
    hand, else as a new revision, which travels on from there.

    Args:
        trust: which end is right about rotten records; None leaves them.
        brake: what holds back mass deletions.

    Raises:
        MassDeletion: more would be deleted than the brake lets through; nothing was changed.
    """
    done: dict[str, list[str]] = {name: [] for name in Repair.__struct_fields__ if name != "model"}
    rotten = [d.record_id for d in differences if d.kind is DifferenceKind.ROTTEN]
    others = [d for d in differences if d.kind is not DifferenceKind.ROTTEN]
    await _check_deletions(ours, theirs, others, brake or Brake())
    for chunk in chunks([d.record_id for d in others], LISTED_AT_ONCE):
        await _level(ours, theirs, chunk, done)
    for record_id in rotten:
        is_done = trust is not None and await _restore(ours, theirs, record_id, trust)
        done["restored" if is_done else "undecided"].append(record_id)
    return Repair(model=ours.name, **{name: tuple(ids) for name, ids in done.items()})


async def _check_deletions(
    ours: Any, theirs: Any, differences: Sequence[Difference], brake: Brake
) -> None:
    for end, gone in ((ours, "theirs"), (theirs, "ours")):
        revs = (getattr(one, gone) for one in differences)
        count = sum(1 for rev in revs if rev is not None and is_deletion(rev))
        if brake.minds(count):
            brake.check(end.name, deletions=count, held=await end.count())


async def _level(
    ours: Any, theirs: Any, record_ids: Sequence[str], done: Mapping[str, list[str]]
) -> None:
    collided: set[str] = set()
    for source, target, name in ((theirs, ours, "received"), (ours, theirs, "sent")):
        found = await asyncio.gather(*(source.get_change(each) for each in record_ids))
        updates = [update for update in found if update is not None]
        if not updates:
            continue
        results, colliding = await move(source, target, 0, updates)
        collided.update(colliding)
        for result in results:
            if result.answer.value == "applied":
                done[name].append(result.record_id)
            elif result.answer.value in ("refused", "parked"):
                done["refused"].append(result.record_id)
    done["conflicts"].extend(sorted(collided))


async def _restore(ours: Any, theirs: Any, record_id: str, trust: Trust) -> bool:
    bad, good = (theirs, ours) if trust == "ours" else (ours, theirs)
    right = await good.get_change(record_id)
    if right is None or not bytes(right.body):
        return False
    right = msgspec.structs.replace(right, model=bad.name)
    if isinstance(bad, Restores):
        return await bad.restore(right)
    held = await bad.get_change(record_id)
    if held is None or held.rev != right.rev:
        return False
    result = await bad.bulk_update([_over(held, right)])
    return all(one.answer.value == "applied" for one in result.results)


def _over(held: Update, right: Update) -> Update:
    """Return a new revision upon the held one, with the right data."""
    ancestors = join_ancestors(held.ancestors, (short_of(held.rev),))
    return msgspec.structs.replace(
        right,
        rev=new_revision(next_generation(held.rev, ancestors=ancestors), random_nonce()),
        prev=held.rev,
        ancestors=ancestors,
        group=None,
        amended_for=None,
        stamp=right.stamp + 1,
    )


async def _asked(
    end: Comparable, spans: Sequence[Range], every: int | None = None
) -> AsyncIterator[tuple[Summary, ...]]:
    """Ask for summaries, a page after the other, until the ranges are through."""
    for chunk in chunks(spans, RANGES_MAX):
        rest: Sequence[Range] = chunk
        while rest:
            page = await end.summaries(rest, every=every)
            if not page:
                raise ProtocolError("an end answered no summary at all")
            yield page
            rest = rest_of(rest, page)


def _spans(summaries: Sequence[Summary]) -> list[Range]:
    return [summary.span for summary in summaries]


async def changes_of(
    ours: Comparable, theirs: Comparable, record_id: str
) -> tuple[Update | None, Update | None]:
    """Return a record's change at both ends."""
    here, there = await asyncio.gather(ours.get_change(record_id), theirs.get_change(record_id))
    return here, there


async def _heads(ours: Comparable, theirs: Comparable) -> tuple[int, int]:
    here, there = await asyncio.gather(ours.current_checkpoint(), theirs.current_checkpoint())
    return here, there


def chunks(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Return the items in lists of at most that size."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _nothing(_done: int) -> None:
    """Tell nobody."""
