"""
Replicate one end to another, once: LoopBack's `replicate`, by ancestry.

An end is a model of a local replica, a model at a daemon, or a whole replica of either kind; any
two go together.
A page at a time: the source's changes, the target's `diff`, then a bulk update of what it lacks.
Repeated at rest it moves nothing, and one that was cut off goes on where it stopped.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec
import orjson

from syncline.brake import Brake
from syncline.errors import ConfigError, ConflictError, WriteRefused
from syncline.filters import plain_where
from syncline.models import (
    Answer,
    BulkResult,
    Change,
    ChangeKind,
    Checkpoint,
    Diff,
    Interval,
    ItemResult,
    Record,
    Update,
    encode_body,
)
from syncline.protocol import RECORD_BYTES_MAX
from syncline.rebase import adopt, rebase
from syncline.schema import check_record, under_its_id


PAGE_ITEMS = 2000
PAGE_BYTES = 2 * 1024 * 1024


class End(Protocol):
    """A model that can be replicated from and to."""

    name: str

    async def interval(
        self,
        since: int = 0,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - LoopBack's name
        *,
        limit: int | None = None,
        bytes_max: int = PAGE_BYTES,
    ) -> Interval:
        """Return a page of changes with their data."""

    async def diff(self, since: int, changes: Sequence[Change]) -> Diff:
        """Compare a source's changes with this end."""

    async def bulk_update(self, updates: Sequence[Update]) -> BulkResult:
        """Apply updates."""

    async def current_checkpoint(self) -> Checkpoint:
        """Return the head of this end's list."""

    async def get_change(self, record_id: str | int) -> Update | None:
        """Return a record with its change."""

    async def get_source_id(self) -> str:
        """Return the id of the data source."""


@runtime_checkable
class RemembersMarks(Protocol):
    """An end that can keep how far a replication came."""

    async def load_mark(self, name: str) -> bytes | None:
        """Return what was kept under that name."""

    async def save_mark(self, name: str, value: bytes) -> None:
        """Keep a value under that name."""


@runtime_checkable
class ChecksRecords(Protocol):
    """An end that can say whether it would keep a record."""

    def check_record(
        self, record_id: str, data: Mapping[str, Any], before: Record | None
    ) -> msgspec.Raw:
        """Return the encoded record as a `put` would keep it; raise `RecordError`."""


@runtime_checkable
class Counts(Protocol):
    """An end that can count its records."""

    async def count(self) -> int:
        """Return how many there are."""


@runtime_checkable
class ManyEnds(Protocol):
    """A whole replica: many models."""

    async def model_names(self) -> list[str]:
        """Return the names of its models."""

    def model(self, name: str) -> Any:
        """Return the end of one model."""


class Checkpoints(NamedTuple):
    """How far both ends have come."""

    source: int
    target: int


Since = int | Checkpoints | Mapping[str, int] | None


class Replication(msgspec.Struct, frozen=True):
    """
    What a replication came to.

    Attributes:
        conflicts: what collided, each to be resolved.
        checkpoints: what to pass as `since` next time.
        applied: how many updates the target took.
        refused: what the target refused by its own rules.
    """

    conflicts: tuple["ReplicationConflict", ...]
    checkpoints: Checkpoints
    applied: int
    refused: tuple[ItemResult, ...] = ()


class ReplicationConflict:
    """
    A record that source and target changed without knowing of each other: LoopBack's conflict.

    Attributes:
        source, target: the two ends. record_id: whose record.
    """

    def __init__(self, source: End, target: End, record_id: str) -> None:
        self.source = source
        self.target = target
        self.record_id = record_id

    async def changes(self) -> tuple[Update | None, Update | None]:
        """Return the last change of both ends."""
        source, target = await asyncio.gather(
            self.source.get_change(self.record_id), self.target.get_change(self.record_id)
        )
        return source, target

    async def models(self) -> tuple[Record | None, Record | None]:
        """Return the record of both ends; None where it is gone."""
        source, target = await self.changes()
        return (source.data if source else None), (target.data if target else None)

    async def type(self) -> ChangeKind | None:
        """Return `update` when both are updates, `delete` when either is a delete, else None."""
        kinds = {change.kind for change in await self.changes() if change is not None}
        if ChangeKind.DELETE in kinds:
            return ChangeKind.DELETE
        return ChangeKind.UPDATE if kinds == {ChangeKind.UPDATE} else None

    async def resolve(self) -> None:
        """Set the source's record upon the target's revision; replicate again to send it."""
        source, target = await self.changes()
        if source is not None and target is not None:
            body = None if source.is_deletion else source.body
            await self._stand(source, target, body)

    async def resolve_using_source(self) -> None:
        """Let the source's record win."""
        await self.resolve()

    async def resolve_using_target(self) -> None:
        """Take the target's record at the source."""
        source, target = await self.changes()
        if source is not None and target is not None:
            await self._store(msgspec.structs.replace(adopt(target, source), group=None))

    async def resolve_manually(self, data: Mapping[str, Any] | None) -> None:
        """
        Let `data` win; None deletes the record.

        Raises:
            RecordError: as of a `put` at the source, and nothing was settled.
        """
        source, target = await self.changes()
        if source is not None and target is not None:
            body = None if data is None else self._checked(data, source.data or target.data)
            await self._stand(source, target, body)

    def _checked(self, data: Mapping[str, Any], before: Record | None) -> msgspec.Raw:
        if isinstance(self.source, ChecksRecords):
            return self.source.check_record(self.record_id, data, before)
        named = under_its_id(None, data, before)
        record, _ = check_record(None, self.record_id, named, bytes_max=RECORD_BYTES_MAX)
        return encode_body(record)

    def swap_parties(self) -> "ReplicationConflict":
        """Return the same conflict with the roles exchanged."""
        return ReplicationConflict(self.target, self.source, self.record_id)

    async def _stand(self, source: Update, target: Update, body: msgspec.Raw | None) -> None:
        stood = rebase(
            msgspec.structs.replace(source, group=None),
            target,
            body=body,
            nonce=random_nonce(),
            origin=source.origin,
            stamp=max(source.stamp, target.stamp) + 1,
        )
        await self._store(stood)

    async def _store(self, update: Update) -> None:
        """Store a resolution at the source; say so when it is not taken."""
        result = (await self.source.bulk_update([_as(self.source, update)])).results[0]
        place = f"{self.source.name}/{self.record_id}"
        match result.answer:
            case Answer.CONFLICT:
                raise ConflictError(f"{place} moved on meanwhile", hint="look at it again")
            case Answer.REFUSED | Answer.PARKED | Answer.HELD:
                raise WriteRefused(f"{place}: {result.reason}")
            case Answer.APPLIED | Answer.KNOWN:
                return


async def replicate(
    source: Any,
    target: Any,
    since: Since = None,
    filter: Mapping[str, Any] | None = None,  # noqa: A002 - LoopBack's name
    *,
    progress: Callable[[int, int], None] | None = None,
    brake: Brake | None = None,
) -> Replication:
    """
    Replicate the source's changes to the target.

    Args:
        source, target: two models, or two replicas; local or remote.
        since: the source's checkpoint to begin at, or `Checkpoints`; None goes on where the last
            replication between the two stopped.
        filter: LoopBack's, `{"where": …}`: which of the source's records; deletes always pass.
        progress: called with (changes read, changes to read).
        brake: how many deletions go through unasked; `Brake(share_max=1)` lets all through.

    Raises:
        MassDeletion: most of the target's records would go; none was deleted.
        LinkError: an end went away; what was moved until then stays moved.
    """
    if isinstance(source, ManyEnds) and isinstance(target, ManyEnds):
        return await _replicate_all(source, target, since, filter, progress, brake or Brake())
    if isinstance(source, ManyEnds) or isinstance(target, ManyEnds):
        raise ConfigError(
            "a model can't be replicated with a whole replica",
            hint="give two models, or two replicas",
        )
    return await _replicate_one(source, target, since, filter, progress, brake or Brake())


async def _replicate_all(
    source: ManyEnds,
    target: ManyEnds,
    since: Since,
    filter: Mapping[str, Any] | None,  # noqa: A002 - LoopBack's name
    progress: Callable[[int, int], None] | None,
    brake: Brake,
) -> Replication:
    conflicts: list[ReplicationConflict] = []
    refused: list[ItemResult] = []
    applied = 0
    last = Checkpoints(0, 0)
    for name in await source.model_names():
        one = await _replicate_one(
            source.model(name), target.model(name), since, filter, progress, brake
        )
        conflicts.extend(one.conflicts)
        refused.extend(one.refused)
        applied += one.applied
        last = one.checkpoints
    return Replication(tuple(conflicts), last, applied, tuple(refused))


async def _replicate_one(
    source: End,
    target: End,
    since: Since,
    filter: Mapping[str, Any] | None,  # noqa: A002 - LoopBack's name
    progress: Callable[[int, int], None] | None,
    brake: Brake,
) -> Replication:
    mark = _Mark(source, target, filter)
    position = await mark.load() if since is None else _positions(since).source
    started_at = position
    tally = _Tally()
    deletions = _Deletions(target, brake)
    while True:
        page = await source.interval(position, filter, limit=PAGE_ITEMS, bytes_max=PAGE_BYTES)
        if page.updates:
            tally.add(*await move(source, target, position, page.updates, deletions))
            await deletions.check()
        position = page.checkpoint
        if page.is_whole:
            tally.add(*await deletions.carry_out(source))
        if progress is not None:
            progress(position - started_at, page.head - started_at)
        if not tally.is_open and not deletions.held:
            await mark.save(position)
        if page.is_whole:
            break
    head = await target.current_checkpoint()
    # With open conflicts the caller must begin again where this run began, as in LoopBack.
    ends = Checkpoints(started_at if tally.collided else position, head)
    conflicts = tuple(ReplicationConflict(source, target, each) for each in tally.collided)
    return Replication(conflicts, ends, tally.applied, tuple(tally.refused))


class _Tally:
    """What came of all that was moved."""

    def __init__(self) -> None:
        self.collided: dict[str, None] = {}
        self.refused: list[ItemResult] = []
        self.applied = 0

    def add(self, results: Sequence[ItemResult], colliding: Sequence[str]) -> None:
        self.applied += sum(1 for r in results if r.answer.value == "applied")
        self.refused.extend(r for r in results if r.answer.value in ("refused", "parked"))
        self.collided.update(dict.fromkeys(colliding))

    @property
    def is_open(self) -> bool:
        return bool(self.collided or self.refused)


class _Deletions:
    """The deletions of a replication, held until all are known, so that none goes unasked."""

    def __init__(self, target: End, brake: Brake) -> None:
        self._target = target
        self._brake = brake
        self._records: int | None = None
        self.held: list[Update] = []

    async def check(self) -> None:
        """Raise `MassDeletion` as soon as there are too many."""
        if not self._brake.minds(len(self.held)) or not isinstance(self._target, Counts):
            return
        if self._records is None:
            self._records = await self._target.count()
        self._brake.check(self._target.name, deletions=len(self.held), held=self._records)

    async def carry_out(self, source: End) -> tuple[list[ItemResult], list[str]]:
        """Send them, and return the target's word and the ids of what collided."""
        results: list[ItemResult] = []
        while self.held:
            chosen, self.held = self.held[:PAGE_ITEMS], self.held[PAGE_ITEMS:]
            result = await self._target.bulk_update(chosen)
            await _take_back(source, result)
            results += result.results
        return results, [r.record_id for r in results if r.answer.value == "conflict"]


async def move(
    source: End,
    target: End,
    since: int,
    updates: Sequence[Update],
    deletions: _Deletions | None = None,
) -> tuple[tuple[ItemResult, ...], list[str]]:
    """
    Send what the target lacks; return its word, and the ids of what collided.

    Args:
        deletions: takes the deletions, to be carried out later.
    """
    by_id = {update.record_id: update for update in updates}
    wanted = await target.diff(since, [_as(target, bare(update)) for update in updates])
    colliding = [change.record_id for change in wanted.conflicts]
    chosen = [
        msgspec.structs.replace(_as(target, by_id[delta.record_id]), prev=delta.prev, group=None)
        for delta in wanted.deltas
    ]
    if deletions is not None:
        deletions.held += [update for update in chosen if update.is_deletion]
        chosen = [update for update in chosen if not update.is_deletion]
    if colliding:
        # A diff sees no data; what turns out equal is no conflict, and the bulk update says so.
        chosen += [_as(target, by_id[record_id]) for record_id in colliding if record_id in by_id]
    if not chosen:
        return (), colliding
    result = await target.bulk_update(chosen)
    settled = {r.record_id for r in result.results if r.answer.value in ("applied", "known")}
    colliding = [record_id for record_id in colliding if record_id not in settled]
    colliding += [r.record_id for r in result.conflicts if r.record_id not in colliding]
    await _take_back(source, result)
    return result.results, colliding


async def _take_back(source: End, result: BulkResult) -> None:
    """Give the source what the target made of an update: an amendment, or an equal revision."""
    made = [
        _as(source, r.current)
        for r in result.results
        if r.current is not None and r.answer.value in ("applied", "known")
    ]
    if made:
        await source.bulk_update([msgspec.structs.replace(u, group=None) for u in made])


class _Mark:
    """How far the last replication between two ends came, kept by whichever end can."""

    def __init__(self, source: End, target: End, filter: Mapping[str, Any] | None) -> None:  # noqa: A002 - LoopBack's name
        self._source = source
        self._target = target
        plain = plain_where(filter or {})
        self._filter = orjson.dumps(plain, option=orjson.OPT_SORT_KEYS).decode() if plain else ""
        self._keepers = [end for end in (source, target) if isinstance(end, RemembersMarks)]

    async def _name(self) -> str:
        ids = await asyncio.gather(self._source.get_source_id(), self._target.get_source_id())
        return f"mark {ids[0]}/{self._source.name} {ids[1]}/{self._target.name} {self._filter}"

    async def load(self) -> int:
        if not self._keepers:
            return 0
        stored = await self._keepers[0].load_mark(await self._name())
        if stored is None:
            return 0
        position, target_head = orjson.loads(stored)
        heads = await asyncio.gather(
            self._source.current_checkpoint(), self._target.current_checkpoint()
        )
        # A list that is shorter than it was is a restored one: compare everything again.
        if heads[0] < position or heads[1] < target_head:
            return 0
        return int(position)

    async def save(self, position: int) -> None:
        if self._keepers:
            head = await self._target.current_checkpoint()
            value = orjson.dumps([position, int(head)])
            await self._keepers[0].save_mark(await self._name(), value)


def _positions(since: Since) -> Checkpoints:
    match since:
        case Checkpoints():
            return since
        case int():
            return Checkpoints(since, since)
        case None:
            return Checkpoints(0, 0)
        case _:
            return Checkpoints(since.get("source", 0), since.get("target", 0))


def bare(update: Update) -> Change:
    """Return an update's change without its data."""
    return Change(**{name: getattr(update, name) for name in Change.__struct_fields__})


def _as(end: End, change: Any) -> Any:
    """Return a change under the model name of the other end."""
    if change.model == end.name:
        return change
    return msgspec.structs.replace(change, model=end.name)


def random_nonce() -> str:
    """Return 64 random bits in hex."""
    return secrets.token_hex(8)
