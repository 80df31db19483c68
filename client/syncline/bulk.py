"""Plan a bulk update: one verdict an item, and what is to be written."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from syncline.clock import bounded, stamp_at
from syncline.conflicts import Settlement, Strategy, settle
from syncline.models import (
    ANCESTORS_MAX,
    APPLIED,
    FORWARD,
    NO_BODY,
    Answer,
    ItemResult,
    Key,
    Resolution,
    Update,
    Verdict,
    join_ancestors,
    raw_body,
    result_of,
)
from syncline.rebase import adopt, keep_greater, rebase
from syncline.revision import Revision, new_revision, short_of
from syncline.verdicts import offer


GAVE_WAY = "it collided with what stands here, and its transaction gives way as a whole"
"""Why a transaction is refused of which this side's strategy would keep only a part."""
GIVEN_UP = "it was given up here before"
"""Why a revision is refused that was rolled back here, and whose maker was not told."""


class RulingKind(StrEnum):
    """What a validation hook made of an update."""

    PASSED = "passed"
    AMENDED = "amended"
    REFUSED = "refused"
    PARKED = "parked"


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """
    A validation hook's word on an update.

    Attributes:
        seen: the revision that the hook was shown as `before`; the ruling holds for no other.
        body: the amended record, encoded.
    """

    kind: RulingKind
    seen: Revision | None
    reason: str = ""
    body: msgspec.Raw | None = None


class BulkPlan(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a bulk update comes to.

    Attributes:
        results: one an item, in order.
        writes: what to store, in order, each at its place in the list.
        joined: what is held and stays in its place, with more ancestors; nobody need hear of it.
        unruled: the items that a hook has yet to rule on; when there are any, write nothing.
        clashes: the conflicts and refusals, (item, what is held), for the daemon's log.
        settled: the conflicts that a strategy of this side settled, (held, item, how), for the
            log too: the losing version stays listable.
    """

    results: tuple[ItemResult, ...]
    writes: tuple[Update, ...]
    joined: tuple[Update, ...] = ()
    unruled: tuple[int, ...] = ()
    clashes: tuple[tuple[Update, Update | None, str], ...] = ()
    settled: tuple[tuple[Update, Update, Resolution], ...] = ()


class BulkRules(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a plan depends on beside the records.

    Attributes:
        needs_ruling: whether a model has a validation hook.
        strategy_of: a model's conflict strategy on this side; `manual` answers the conflict.
        next_seq: the place in the list of the first write. now_ms: no stamp may claim much later.
        new_nonce: fresh nonces. stamp: for revisions made here. replica_id: their origin.
        pusher: the replica that pushes, for `amended_for`.
        amended: what this side makes of pushed records before any hook, such as a default filled
            in, encoded, by their revisions.
    """

    needs_ruling: Callable[[str], bool]
    strategy_of: Callable[[str], Strategy]
    next_seq: int
    now_ms: int
    new_nonce: Callable[[], str]
    stamp: int
    replica_id: str
    pusher: str = ""
    amended: Mapping[Revision, bytes] = {}
    ancestors_max: int = ANCESTORS_MAX


def plan_bulk_update(
    current: Mapping[Key, Update],
    updates: Sequence[Update],
    rulings: Mapping[int, Ruling],
    rules: BulkRules,
) -> BulkPlan:
    """
    Plan what a push does to this replica.

    Every item gets its own verdict and a bad one never blocks the others, unless they share a
    group: a group is applied whole or not at all.

    Args:
        current: what is held of the records concerned, tombstones included.
        updates: the pushed updates.
        rulings: the hooks' words so far, by item.
    """
    planning = _Planning(current, updates, rules)
    groups = _grouped(updates)
    for index, update in enumerate(updates):
        if update.group is None:
            _plan_single(index, update, planning, rulings)
        elif (group := groups.pop(update.group, None)) is not None:
            _plan_group(group, planning, rulings)
    return planning.plan()


def _plan_single(
    index: int, update: Update, planning: "_Planning", rulings: Mapping[int, Ruling]
) -> None:
    key = (update.model, update.record_id)
    mine = planning.held.get(key)
    is_plain = (mine is None or not mine.ancestors) and planning.is_plain(update)
    if is_plain and offer(mine, update) is FORWARD:
        # Nearly always, and so without a detour.
        planning.take(index, key, update)
    else:
        planning.note(index, _plan_item(mine, update, rulings.get(index), planning.rules))


def _plan_group(group: Sequence[int], planning: "_Planning", rulings: Mapping[int, Ruling]) -> None:
    """Plan what is applied whole or not at all."""
    staged: dict[Key, Update] = {}
    planned: list[tuple[int, _Planned | None]] = []
    for index in group:
        update = planning.updates[index]
        mine = staged.get(update.key, planning.held.get(update.key))
        outcome = _plan_item(mine, update, rulings.get(index), planning.rules)
        planned.append((index, outcome))
        if outcome is not None and outcome.write is not None:
            staged[update.key] = outcome.write
    is_barred = _has_bar(planned)
    if len(group) > 1 and not is_barred:
        planned = [(index, _give_way(one)) for index, one in planned]
        is_barred = _has_bar(planned)
    for index, outcome in planned:
        planning.note(index, _hold(outcome) if is_barred and outcome is not None else outcome)


def _has_bar(planned: Sequence[tuple[int, "_Planned | None"]]) -> bool:
    return any(one is not None and one.result.answer in _BARS for _, one in planned)


class _Planned(NamedTuple):
    result: ItemResult
    write: Update | None = None
    settled: tuple[Update, Update, Resolution] | None = None
    gives_way: bool = False


def _give_way(planned: _Planned | None) -> _Planned | None:
    """Return what becomes of an item of a transaction of which a strategy would drop a part."""
    if planned is None or planned.settled is None or not planned.gives_way:
        return planned
    mine, pushed, _ = planned.settled
    return _Planned(result_of(pushed, Answer.REFUSED, current=mine, reason=GAVE_WAY))


class _Planning:
    """
    A plan in the making.

    Attributes:
        held: what is held, with what is planned so far.
    """

    def __init__(
        self, current: Mapping[Key, Update], updates: Sequence[Update], rules: BulkRules
    ) -> None:
        self.updates = updates
        self.rules = rules
        self.held = dict(current)
        self._results: list[ItemResult | None] = [None] * len(updates)
        self._writes: list[Update] = []
        self._joined: list[Update] = []
        self._unruled: list[int] = []
        self._clashes: list[tuple[Update, Update | None, str]] = []
        self._settled: list[tuple[Update, Update, Resolution]] = []
        self._next_seq = rules.next_seq
        self._is_ruled: dict[str, bool] = {}
        self._stamp_max = stamp_at(rules.now_ms)

    def is_plain(self, update: Update) -> bool:
        """Tell whether nothing on this side has a say in an update that goes forward."""
        is_ruled = self._is_ruled.get(update.model)
        if is_ruled is None:
            is_ruled = self._is_ruled[update.model] = self.rules.needs_ruling(update.model)
        return not is_ruled and update.rev not in self.rules.amended

    def take(self, index: int, key: Key, update: Update) -> None:
        """Plan to store an update as it came."""
        placed = self._place(key, update)
        self._results[index] = result_of(update, APPLIED, seq=placed.seq)

    def note(self, index: int, planned: _Planned | None) -> None:
        """Add what is planned for an item; None when a hook has yet to rule on it."""
        if planned is None:
            self._unruled.append(index)
            return
        result, write, loss, _ = planned
        if write is not None:
            placed = self._placed(write)
            result = msgspec.structs.replace(
                result,
                seq=placed.seq if placed.rev == result.rev else result.seq,
                current=placed if result.current is write else result.current,
            )
        self._results[index] = result
        if loss is not None:
            self._settled.append(loss)
        if result.answer in _CLASHES:
            self._clashes.append((self.updates[index], result.current, result.reason))

    def _placed(self, write: Update) -> Update:
        """Give a write its place in the list; one under a revision that is held keeps that."""
        mine = self.held.get(write.key)
        if mine is None or mine.rev != write.rev:
            return self._place(write.key, write)
        placed = msgspec.structs.replace(write, seq=mine.seq)
        is_new = mine.seq >= self.rules.next_seq
        (self._writes if is_new else self._joined).append(placed)
        self.held[write.key] = placed
        return placed

    def _place(self, key: Key, write: Update) -> Update:
        stamp = write.stamp
        if stamp > self._stamp_max:
            stamp = bounded(stamp, self.rules.now_ms)
        placed = write.placed(self._next_seq, stamp=stamp, group=write.group)
        self._next_seq += 1
        self._writes.append(placed)
        self.held[key] = placed
        return placed

    def plan(self) -> BulkPlan:
        """Return the plan."""
        return BulkPlan(
            results=tuple([result for result in self._results if result is not None]),
            writes=tuple(self._writes),
            joined=tuple(self._joined),
            unruled=tuple(self._unruled),
            clashes=tuple(self._clashes),
            settled=tuple(self._settled),
        )


_BARS = (Answer.CONFLICT, Answer.REFUSED, Answer.PARKED)
_CLASHES = (Answer.CONFLICT, Answer.REFUSED)


def _grouped(updates: Sequence[Update]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for index, update in enumerate(updates):
        if update.group is not None:
            groups.setdefault(update.group, []).append(index)
    return groups


def _hold(planned: _Planned) -> _Planned:
    """Return what becomes of an item whose group is held back: nothing of it is written."""
    result, write = planned.result, planned.write
    if result.answer is Answer.CONFLICT:
        # A conflict with nothing mints a tombstone, which must be listed all the same.
        return planned
    if result.answer is APPLIED or write is not None:
        return _Planned(msgspec.structs.replace(result, answer=Answer.HELD, current=None))
    return planned


def _plan_item(
    mine: Update | None, update: Update, ruling: Ruling | None, rules: BulkRules
) -> _Planned | None:
    """Return the result and what to write; None when a hook has yet to rule."""
    verdict = offer(mine, update)
    if verdict is FORWARD:
        return _plan_forward(mine, update, ruling, rules)
    match verdict:
        case Verdict.SAME:
            assert mine is not None
            return _Planned(result_of(update, APPLIED, seq=mine.seq))
        case Verdict.KNOWN:
            return _Planned(result_of(update, Answer.KNOWN, current=mine))
        case Verdict.EQUAL:
            assert mine is not None
            return _plan_equal(mine, update, rules)
        case _:
            return _plan_conflict(mine, update, ruling, rules)


def _plan_equal(mine: Update, update: Update, rules: BulkRules) -> _Planned:
    kept = keep_greater(mine, update, ancestors_max=rules.ancestors_max)
    if kept.rev == mine.rev:
        return _Planned(result_of(update, Answer.KNOWN, current=kept), kept)
    return _Planned(result_of(update, APPLIED), kept)


def _plan_forward(
    mine: Update | None, update: Update, ruling: Ruling | None, rules: BulkRules
) -> _Planned | None:
    if mine is not None and mine.ancestors:
        if short_of(update.rev) in mine.ancestors:
            # What it was made over stands here again: it was rolled back, by a refusal further
            # up or with its transaction. Taken once more, it would come back by itself.
            return _Planned(result_of(update, Answer.REFUSED, current=mine, reason=GIVEN_UP))
        update = adopt(update, mine, ancestors_max=rules.ancestors_max)
    # A deletion of what is not here, offered back to one that lost it, changes nothing to rule on.
    changes_nothing = update.is_deletion and (mine is None or mine.is_deletion)
    if changes_nothing or not rules.needs_ruling(update.model):
        return _plan_passed(update, rules)
    if ruling is None or ruling.seen != (None if mine is None else mine.rev):
        return None
    match ruling.kind:
        case RulingKind.PASSED:
            return _plan_passed(update, rules)
        case RulingKind.REFUSED:
            return _Planned(result_of(update, Answer.REFUSED, current=mine, reason=ruling.reason))
        case RulingKind.PARKED:
            return _Planned(result_of(update, Answer.PARKED, reason=ruling.reason))
        case RulingKind.AMENDED:
            amended = _amend(update, ruling.body, rules)
            return _Planned(result_of(update, APPLIED, current=amended), amended)


def _plan_passed(update: Update, rules: BulkRules) -> _Planned:
    body = rules.amended.get(update.rev) if rules.amended else None
    if body is None:
        return _Planned(result_of(update, APPLIED), update)
    # A revision names one state for ever, so what is kept otherwise than it came is another.
    amended = _amend(update, msgspec.Raw(body), rules)
    return _Planned(result_of(update, APPLIED, current=amended), amended)


def _amend(update: Update, body: msgspec.Raw | None, rules: BulkRules) -> Update:
    ancestors = join_ancestors(update.ancestors, (short_of(update.rev),), limit=rules.ancestors_max)
    return msgspec.structs.replace(
        update,
        rev=new_revision(update.generation + 1, rules.new_nonce(), deleted=body is None),
        prev=update.rev,
        ancestors=ancestors,
        origin=rules.replica_id,
        stamp=rules.stamp,
        body=NO_BODY if body is None else raw_body(body),
        amended_for=rules.pusher or update.origin,
    )


def _plan_conflict(
    mine: Update | None, update: Update, ruling: Ruling | None, rules: BulkRules
) -> _Planned | None:
    if mine is None:
        # The pusher names a live revision that was purged here: it meets a deletion.
        tombstone = msgspec.structs.replace(
            update,
            rev=new_revision(update.generation + 1, rules.new_nonce(), deleted=True),
            prev=update.prev,
            origin=rules.replica_id,
            group=None,
            stamp=rules.stamp,
            body=NO_BODY,
        )
        return _Planned(result_of(update, Answer.CONFLICT, current=tombstone), tombstone)
    settlement = settle(rules.strategy_of(update.model), base_body=b"", ours=mine, theirs=update)
    if settlement is None:
        return _Planned(result_of(update, Answer.CONFLICT, current=mine))
    loss = (mine, update, settlement.resolution)
    if settlement.resolution is Resolution.THEIRS:
        adopted = adopt(update, mine, ancestors_max=rules.ancestors_max)
        planned = _plan_forward(mine, adopted, ruling, rules)
        is_taken = planned is not None and planned.write is not None
        return planned._replace(settled=loss) if planned is not None and is_taken else planned
    stood = rebase(
        mine,
        update,
        body=_standing_body(mine, settlement),
        nonce=rules.new_nonce(),
        origin=rules.replica_id,
        stamp=rules.stamp,
        ancestors_max=rules.ancestors_max,
    )
    gives_way = settlement.loser == "theirs"
    return _Planned(result_of(update, Answer.KNOWN, current=stood), stood, loss, gives_way)


def _standing_body(mine: Update, settlement: Settlement) -> msgspec.Raw | None:
    if settlement.body is not None:
        return settlement.body
    return None if mine.is_deletion else mine.body
