"""
Planted bugs: what the simulation must find, or it proves nothing.

Each breaks one rule of the design for as long as its context lasts; `hunt` runs seeds until one
fails.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import msgspec

from syncline import bulk, following, verdicts
from syncline.acknowledging import Acknowledging
from syncline.conflict_log import ConflictLog
from syncline.effects import ApplyUpdates, Mode
from syncline.engine import Engine
from syncline.facts import Facts
from syncline.following import Following, save_cursor
from syncline.lineage import Lineage, Standing
from syncline.models import Answer, Entry, ItemResult, Key, Update, Verdict
from syncline.news import Told
from syncline.outcome import Outcome
from syncline.pending import Outbox
from syncline.pulling import Pulling
from syncline.rebase import rebase as _stand
from syncline.resetting import Resetting
from syncline.session import Session
from syncline.settling import Settling
from syncline.simulation.follower import Follower
from syncline.simulation.recorded import RecordedTransaction
from syncline.simulation.run import simulate
from syncline.store.contract import Transaction


SEEDS_MAX = 200

Patches = Sequence[Any]


class Bug(msgspec.Struct, frozen=True):
    """
    A rule that is broken on purpose.

    Attributes:
        patches: makes the patches that break it. options: of the runs that should find it.
    """

    name: str
    rule: str
    patches: Callable[[], Patches]
    options: Mapping[str, Any] = {}


class Catch(msgspec.Struct, frozen=True):
    """How a planted bug was found; `seeds` were run, `failure` is empty when it was not."""

    name: str
    seeds: int
    failure: str


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """Break a rule for as long as the context lasts."""
    patches = bug.patches()
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in reversed(patches):
            patch.stop()


def hunt(bug: Bug, *, seeds_max: int = SEEDS_MAX, first: int = 0) -> Catch:
    """Run seeds with a planted bug until one fails, in whatever way."""
    with planted(bug):
        for count in range(1, seeds_max + 1):
            try:
                failure = simulate(first + count - 1, quiet=True, **bug.options).failure
            except Exception as error:  # noqa: BLE001 - a bug may break anything
                failure = repr(error)
            if failure:
                return Catch(bug.name, count, failure)
    return Catch(bug.name, seeds_max, "")


def _nothing(*_args: Any, **_named: Any) -> None:
    """Do nothing, where something should be done."""


# ---- the bugs ---------------------------------------------------------------------------


def _equality_first() -> Patches:
    right = verdicts.offer

    def offer(current: Update | None, update: Update) -> Verdict:
        if current is not None and verdicts.equal_data(current, update):
            return Verdict.EQUAL if current.rev != update.rev else Verdict.SAME
        return right(current, update)

    return [mock.patch.object(bulk, "offer", offer)]


def _no_prev_check() -> Patches:
    right = verdicts.offer

    def offer(current: Update | None, update: Update) -> Verdict:
        verdict = right(current, update)
        return Verdict.FORWARD if verdict is Verdict.CONFLICT else verdict

    return [mock.patch.object(bulk, "offer", offer)]


def _squashes_sent() -> Patches:
    return [mock.patch.object(Outbox, "forget", _nothing)]


def _pages_singly() -> Patches:
    right = Engine._apply  # noqa: SLF001 - what is broken here

    def apply(
        self: Engine, tx: Transaction, interval: Any, mode: Mode, *rest: Any, **named: Any
    ) -> None:
        if mode is Mode.STAGE:
            self._following.take_updates(tx, interval.updates, Outcome())  # noqa: SLF001
        right(self, tx, interval, mode, *rest, **named)

    return [mock.patch.object(Engine, "_apply", apply)]


def _gaps_ignored() -> Patches:
    right = Pulling.take_interval

    def take(self: Pulling, interval: Any) -> Any:
        if interval.since > self.cursor.seq and self._stage is None:  # noqa: SLF001
            interval = msgspec.structs.replace(interval, since=self.cursor.seq)
        return right(self, interval)

    return [mock.patch.object(Pulling, "take_interval", take)]


def _amends_in_place() -> Patches:
    def amend(update: Update, body: msgspec.Raw | None, _rules: Any) -> Update:
        return msgspec.structs.replace(update, body=body or update.body)

    return [mock.patch.object(bulk, "_amend", amend)]


def _refusal_drops_newer() -> Patches:
    right = Acknowledging._acknowledge_one  # noqa: SLF001 - what is broken here

    def acknowledge(
        self: Acknowledging,
        tx: Any,
        entry: Entry,
        pushed: Update,
        result: ItemResult,
        outcome: Outcome,
    ) -> None:
        if result.answer is Answer.REFUSED:
            result = msgspec.structs.replace(result, rev=entry.update.rev)
        right(self, tx, entry, pushed, result, outcome)

    return [mock.patch.object(Acknowledging, "_acknowledge_one", acknowledge)]


def _cursor_before_data() -> Patches:
    right = Follower._store_effect  # noqa: SLF001 - what is broken here

    def store(self: Follower, effect: Any) -> None:
        if isinstance(effect, ApplyUpdates) and effect.mode is Mode.WHOLE:
            with self.process.store.write() as tx:
                cursor = msgspec.structs.replace(effect.cursor, resetting=None)
                save_cursor(tx, cursor)
            self.process.may_die()
        right(self, effect)

    return [mock.patch.object(Follower, "_store_effect", store)]


def _pushes_while_behind() -> Patches:
    right = Session.answered

    def answered(self: Session, now: float, push_id: int, answer: Any) -> Any:
        results = tuple(
            r if r.current is None else msgspec.structs.replace(r, current=None)
            for r in answer.results
        )
        return right(self, now, push_id, msgspec.structs.replace(answer, results=results))

    return [mock.patch.object(Session, "answered", answered)]


def _tombstones_ignored() -> Patches:
    right = Following.take_updates

    def take(self: Following, tx: Any, updates: Sequence[Update], outcome: Outcome) -> None:
        right(self, tx, [u for u in updates if not u.is_deletion], outcome)

    return [mock.patch.object(Following, "take_updates", take)]


def _group_item_by_item() -> Patches:
    def plan(group: Sequence[int], planning: Any, rulings: Any) -> None:
        for index in group:
            bulk._plan_single(index, planning.updates[index], planning, rulings)  # noqa: SLF001

    return [mock.patch.object(bulk, "_plan_group", plan)]


def _epoch_ignored() -> Patches:
    def judge(_self: Lineage, **_cursor: Any) -> Standing:
        return Standing(is_good=True)

    return [mock.patch.object(Lineage, "judge", judge)]


def _bases_not_voided() -> Patches:
    return [mock.patch.object(RecordedTransaction, "void_bases", _nothing)]


def _reader_meets_conflicts() -> Patches:
    right = verdicts.take

    def take(local: Any, base: Any, update: Any, *, is_pending: bool, **rest: Any) -> Verdict:
        del is_pending
        return right(local, base, update, is_pending=True, **rest)

    return [mock.patch.object(following, "take", take)]


def _ancestors_forgotten() -> Patches:
    def join(*_groups: Any, **_limit: Any) -> tuple[str, ...]:
        return ()

    return [
        mock.patch("syncline.change_log.join_ancestors", join),
        mock.patch.object(sys.modules[_stand.__module__], "join_ancestors", join),
    ]


def _ancestors_left_out() -> Patches:
    right = Told.of

    def of(update: Update, **told: Any) -> Told:
        return msgspec.structs.replace(
            right(update, **told), prev=update.prev, ancestors=(), anchor=""
        )

    return [mock.patch.object(Told, "of", of)]


def _loser_unlogged() -> Patches:
    return [mock.patch.object(ConflictLog, "note_settled", _nothing)]


def _no_rollback() -> Patches:
    return [mock.patch.object(RecordedTransaction, "undo", _nothing)]


def _settles_what_moved_on() -> Patches:
    right = RecordedTransaction.settle_applied

    def settle(self: RecordedTransaction, applied: Sequence[Any]) -> Any:
        held = self.entries([update.key for update, _ in applied])
        now = [(held[u.key].update, seq) for u, seq in applied if u.key in held]
        return right(self, now)

    return [mock.patch.object(RecordedTransaction, "settle_applied", settle)]


def _facts_remembered() -> Patches:
    return [mock.patch.object(Facts, "learn_within", _nothing)]


def _purge_takes_no_seq() -> Patches:
    return [mock.patch.object(RecordedTransaction, "skip_seq", _nothing)]


def _nobody_wakes() -> Patches:
    right = Following.take_updates

    def take(self: Following, tx: Any, updates: Sequence[Update], outcome: Outcome) -> None:
        right(self, tx, updates, outcome)
        outcome.must_push = False

    return [mock.patch.object(Following, "take_updates", take)]


def _decides_alone() -> Patches:
    def others(_self: Settling, _tx: Transaction, _update: Update) -> list[Key]:
        return []

    return [mock.patch.object(Settling, "others_of_group", others)]


def _daemon_decides_alone() -> Patches:
    def keep(planned: Any) -> Any:
        return planned

    return [mock.patch.object(bulk, "_give_way", keep)]


def _deletions_not_offered() -> Patches:
    right = Resetting._offer_again  # noqa: SLF001 - what is broken here

    def offer(self: Resetting, tx: Transaction, entry: Entry, outcome: Outcome) -> None:
        if entry.update.is_deletion:
            self._drop(tx, entry, outcome)  # noqa: SLF001
        else:
            right(self, tx, entry, outcome)

    return [mock.patch.object(Resetting, "_offer_again", offer)]


BUGS = (
    Bug(
        "equality_first",
        "the revision is compared before the data",
        _equality_first,
        {"levels": 2, "steps": 150},
    ),
    Bug("no_prev_check", "a push names what it replaces", _no_prev_check),
    Bug("squashes_sent", "a revision that was handed out is never edited in place", _squashes_sent),
    Bug(
        "pages_singly",
        "pages become visible with the whole interval",
        _pages_singly,
        {"profile": "calm"},
    ),
    Bug("gaps_ignored", "a gap is fetched", _gaps_ignored, {"profile": "lossy"}),
    Bug("amends_in_place", "a hook that amends makes a new revision", _amends_in_place),
    Bug("refusal_drops_newer", "a refusal concerns one revision", _refusal_drops_newer),
    Bug(
        "cursor_before_data",
        "cursor and data commit together",
        _cursor_before_data,
        {"profile": "crashing"},
    ),
    Bug(
        "pushes_while_behind",
        "what collided is not pushed before the list was read",
        _pushes_while_behind,
    ),
    Bug("tombstones_ignored", "a deletion is a change like any other", _tombstones_ignored),
    Bug("group_item_by_item", "a group is applied whole or not at all", _group_item_by_item),
    Bug(
        "epoch_ignored", "a cursor is good only on the lineage", _epoch_ignored, {"restores": True}
    ),
    Bug(
        "bases_not_voided",
        "a reset voids the bases that the upstream lost",
        _bases_not_voided,
        {"restores": True},
    ),
    Bug(
        "reader_meets_conflicts",
        "who has nothing pending takes what comes",
        _reader_meets_conflicts,
    ),
    Bug("ancestors_forgotten", "an edit remembers what it was made over", _ancestors_forgotten),
    Bug(
        "ancestors_left_out",
        "what a live update leaves out is filled in from what is held",
        _ancestors_left_out,
        {"profile": "lossy", "steps": 150},
    ),
    Bug("loser_unlogged", "the losing version is kept", _loser_unlogged),
    Bug(
        "no_rollback",
        "a transaction that fails leaves nothing behind",
        _no_rollback,
        {"profile": "crashing"},
    ),
    Bug(
        "settles_what_moved_on",
        "an answer settles the revision that was pushed, no later one",
        _settles_what_moved_on,
    ),
    Bug(
        "facts_remembered",
        "a push is answered under the epoch of its transaction",
        _facts_remembered,
        {"purges": True},
    ),
    Bug(
        "purge_takes_no_seq",
        "whoever purges takes a seq, so that all others look again",
        _purge_takes_no_seq,
        {"purges": True},
    ),
    Bug("nobody_wakes", "what became ready is pushed without a write to nudge it", _nobody_wakes),
    Bug(
        "decides_alone",
        "a strategy, or a person, decides for a transaction as a whole",
        _decides_alone,
    ),
    Bug(
        "daemon_decides_alone",
        "a daemon's strategy takes or refuses a transaction as a whole",
        _daemon_decides_alone,
    ),
    Bug(
        "deletions_not_offered",
        "a deletion that somebody still holds is offered back to who lost it",
        _deletions_not_offered,
        {"restores": True, "profile": "lossy"},
    ),
)
