"""
Everything that a replica does to its store, each as one transaction.

The engine is synchronous and knows no network: `Replica` drives it on a thread or inline, the
simulation drives it in virtual time.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from syncline.acknowledging import Acknowledging
from syncline.author import Author
from syncline.brake import Brake, Direction
from syncline.bulk import BulkPlan, BulkRules, Ruling
from syncline.change_log import ChangeLog, Write
from syncline.conflict_log import ConflictLog
from syncline.conflicts import Strategy
from syncline.diff import diff
from syncline.effects import Acknowledge, ApplyUpdates, BeginReset, DropStage, Mode, SaveCursor
from syncline.errors import StoreUnavailable
from syncline.facts import Facts
from syncline.filters import parse_where
from syncline.following import CURSOR, Following, load_cursor, save_cursor
from syncline.lineage import Lineage, Standing
from syncline.models import (
    BulkResult,
    Change,
    Conflict,
    Cursor,
    Diff,
    Entry,
    Interval,
    Key,
    Resolution,
    Update,
)
from syncline.outcome import Outcome
from syncline.parking import load_limits
from syncline.payloads import decode_page, encode_page, size_of
from syncline.pending import Outbox
from syncline.protocol import PAGE_BYTES_MAX
from syncline.rectifying import Rectifying, refuse_unfit
from syncline.reported import Reported, has_taken_in
from syncline.resetting import Resetting
from syncline.revision import Revision
from syncline.settling import Settling
from syncline.steps import Steps
from syncline.store.contract import Lease, Reader, Store, Transaction
from syncline.store.query import Query


CHUNK_ROWS = 2000
ALL = Query(condition=parse_where(None))
StoreEffect = ApplyUpdates | BeginReset | SaveCursor | DropStage


def _manual(_model: str) -> Strategy:
    return "manual"


def _no_ruling(_model: str) -> bool:
    return False


class Engine:
    """
    One replica's engine.

    Args:
        store: opened by `open`.
        new_nonce, now_ms: randomness and time, passed in.
        follows: it has an upstream, so its writes wait to be acknowledged.
        listens: others follow it: it opens an epoch and keeps tombstones.
        strategy_of: the conflict strategy of a model.
        needs_ruling: whether a model has a validation hook.
        replica_id: who it is; by default the id stored with it, else a new one.
        brake: what holds back mass deletions.

    Attributes:
        guards_pushes: whether it holds back pushes too. What waits in a replica was deleted by a
            verb, so that is for a command only, which carries it for somebody.
    """

    def __init__(
        self,
        store: Store,
        *,
        new_nonce: Callable[[], str],
        now_ms: Callable[[], int],
        follows: bool,
        listens: bool,
        strategy_of: Callable[[str], Strategy] = _manual,
        needs_ruling: Callable[[str], bool] = _no_ruling,
        replica_id: str | None = None,
        ancestors_max: int = 64,
        brake: Brake | None = None,
    ) -> None:
        self.store = store
        self.author = Author(
            replica_id=replica_id or "",
            new_nonce=new_nonce,
            now_ms=now_ms,
            follows=follows,
            listens=listens,
            ancestors_max=ancestors_max,
        )
        self.facts = Facts(self.author)
        self.outbox = Outbox()
        self._strategy_of = strategy_of
        self.needs_ruling = needs_ruling
        conflict_log = ConflictLog(self.author)
        self._change_log = ChangeLog(self.author, self.outbox, conflict_log)
        self._rectifying = Rectifying(self._change_log, conflict_log)
        self._conflict_log = conflict_log
        self._settling = Settling(self.author, self.outbox, conflict_log)
        self._following = Following(self.author, self._settling, conflict_log, strategy_of)
        self._acknowledging = Acknowledging(
            self.author, self.outbox, conflict_log, self._settling, self._following
        )
        self._resetting = Resetting(self.author, self.outbox, self._settling, self._following)
        self.reported = Reported(self.author)
        self.brake = brake or Brake()
        self.guards_pushes = False

    def open(self) -> None:
        """
        Open the store; learn or choose who we are; a listening replica opens an epoch.

        Raises:
            StoreUnavailable: this is to listen, and another process does so already.
        """
        self.store.open()
        if self.author.listens and not self.store.take_lease(Lease.LISTEN):
            self.store.close()
            raise StoreUnavailable(
                "another process serves this database already",
                hint="have clients and other programs use that daemon, or end it first",
            )
        with self.store.write() as tx:
            self.facts.open(tx, place=self.store.place)
            self.outbox.limits = load_limits(tx)

    @property
    def lineage(self) -> Lineage:
        """The epochs of the list, as far as they are known here."""
        return self.facts.lineage

    @property
    def horizon(self) -> int:
        """The seq up to which tombstones may be gone, as far as it is known here."""
        return self.facts.horizon

    # ---- local writes -------------------------------------------------------------------

    def write(
        self, tx: Transaction, writes: Sequence[Write], *, group: str | None = None
    ) -> list[Update]:
        """
        Record local writes inside the caller's transaction.

        Raises:
            RecordInvalid: a typed model's own table can't hold a record.
        """
        self._rectifying.mind(tx, writes)
        written = self._change_log.record_writes(tx, writes, group=group)
        refuse_unfit(tx, written)
        return written

    def rectify(self, tx: Transaction, keys: Sequence[Key] | None = None) -> list[Update]:
        """Record what others wrote into the models' own tables; see `Rectifying`."""
        return self._rectifying.rectify(tx, keys)

    # ---- listening ----------------------------------------------------------------------

    def offer(
        self,
        tx: Transaction,
        updates: Sequence[Update],
        rulings: Mapping[int, Ruling],
        *,
        pusher: str = "",
        amended: Mapping[Revision, bytes] | None = None,
    ) -> Steps[BulkPlan]:
        """Apply what was pushed here, inside the caller's transaction, in steps."""
        self._rectifying.mind(tx, updates)
        return self._change_log.offer_updates(
            tx,
            updates,
            rulings,
            needs_ruling=self.needs_ruling,
            strategy_of=self._strategy_of,
            pusher=pusher,
            amended=amended,
        )

    def rules(self, reader: Reader, *, pusher: str = "") -> BulkRules:
        """Return what a plan depends on, for a dry run outside a transaction."""
        return self._change_log.rules(
            head=reader.head(),
            needs_ruling=self.needs_ruling,
            strategy_of=self._strategy_of,
            pusher=pusher,
        )

    def answer(self, tx: Reader, plan: BulkPlan) -> BulkResult:
        """Return the answer to a push."""
        return BulkResult(epoch=self.lineage.current, checkpoint=tx.head(), results=plan.results)

    def refresh(self, reader: Reader) -> Lineage:
        """Return the lineage as of this snapshot; see `Facts.refresh`."""
        return self.facts.refresh(reader)

    def head(self, reader: Reader) -> int:
        """Return the seq of the last change; the epoch that it is of, or a later one, is known."""
        return self.facts.learn(reader)

    def judge(self, *, source: str, epoch: str, seq: int, reach: int, head: int) -> Standing:
        """Judge a follower's cursor."""
        return self.facts.judge(source=source, epoch=epoch, seq=seq, reach=reach, head=head)

    def interval(
        self,
        reader: Reader,
        since: int,
        *,
        models: Sequence[str] | None,
        bytes_max: int = PAGE_BYTES_MAX,
        rows_max: int | None = None,
    ) -> Interval:
        """Read the changes after `since`, as many as the bytes and rows allow, one at least."""
        assert rows_max is None or rows_max > 0, "a page has one row at least"
        head = reader.head()
        # Of the same snapshot as the rows: a page without the tombstones that another process
        # has just purged must not pass for one of the epoch before.
        epoch = self.refresh(reader).current
        chosen: list[Update] = []
        size = 0
        position = since
        checkpoint = head
        while position < head:
            limit = CHUNK_ROWS
            if rows_max is not None:
                limit = min(limit, rows_max - len(chosen) + 1)
            chunk = reader.changes(position, models=models, limit=limit)
            for update in chunk:
                weight = size_of(update)
                if chosen and (size + weight > bytes_max or len(chosen) == rows_max):
                    checkpoint = chosen[-1].seq
                    break
                chosen.append(update)
                size += weight
            else:
                if len(chunk) == limit:
                    position = chosen[-1].seq
                    continue
            break
        return Interval(
            epoch=epoch,
            since=since,
            checkpoint=max(checkpoint, since),
            head=head,
            updates=tuple(chosen),
        )

    def diff(self, reader: Reader, changes: Sequence[Change]) -> Diff:
        """Compare a source's changes with what is held here."""
        entries = reader.entries([change.key for change in changes])
        return diff({key: entry.update for key, entry in entries.items()}, changes)

    def restore(self, tx: Transaction, update: Update) -> bool:
        """Put the data of a revision in the place of what is held under it; False if it moved."""
        self._rectifying.mind(tx, [update])
        entry = tx.entry(*update.key)
        if entry is None or entry.update.rev != update.rev:
            return False
        held = msgspec.structs.replace(entry.update, body=update.body)
        tx.write([Entry(held, entry.base_seq)])
        return True

    def purgeable(self, reader: Reader, before: int) -> int | None:
        """
        Return the seq up to which tombstones are older than a stamp; None when none would go.

        Nothing is passed over: a change that is younger keeps all that follow it, also the
        deletion that an absent author made long ago, and that arrived only now.
        """
        first = reader.first_since(before)
        return reader.last_purgeable(reader.head() if first is None else first - 1)

    def compact(self, tx: Transaction, upto: int) -> int:
        """
        Purge tombstones up to a seq, and raise the horizon there; return how many went.

        A purge opens an epoch, so that a follower that is in the middle of the list, or behind
        the horizon, says hello again and is judged anew. Call `head` after the commit.
        """
        purged = tx.purge(upto)
        self.facts.raise_horizon(tx, upto)
        return purged

    # ---- following ----------------------------------------------------------------------

    def cursor(self, reader: Reader) -> Cursor:
        """Return how far the upstream was followed."""
        return load_cursor(reader.meta(CURSOR))

    def collect(
        self, reader: Reader, *, items_max: int, bytes_max: int, in_flight: Sequence[Update] = ()
    ) -> tuple[list[Update], bool]:
        """Return what to push next, and whether more is waiting; it counts as sent from now."""
        return self.outbox.collect(
            reader, items_max=items_max, bytes_max=bytes_max, in_flight=in_flight
        )

    def carry_out(self, tx: Transaction, effect: StoreEffect) -> Outcome:
        """Carry out what the session asked of the store, inside the caller's transaction."""
        outcome = Outcome()
        match effect:
            case ApplyUpdates(interval, mode, cursor, with_stage):
                self._apply(tx, interval, mode, cursor, outcome, with_stage=with_stage)
            case BeginReset(cursor, shared, offers_back):
                self._rectifying.mind(tx, None, outcome)
                self._resetting.begin_reset(tx, cursor, shared, offers_back=offers_back)
            case SaveCursor(cursor):
                save_cursor(tx, cursor)
            case DropStage():
                tx.clear_stage()
        return outcome

    def _apply(
        self,
        tx: Transaction,
        interval: Interval,
        mode: Mode,
        cursor: Cursor,
        outcome: Outcome,
        *,
        with_stage: bool,
    ) -> None:
        if mode is Mode.STAGE:
            tx.append_stage(encode_page(interval.updates))
            return
        is_reset = mode is Mode.WHOLE and cursor.resetting is not None
        listed: set[Key] = set()
        if is_reset:
            self._rectifying.mind(tx, None, outcome)
        if with_stage:
            for page in tx.stage():
                updates = decode_page(page)
                self._rectifying.mind(tx, updates, outcome)
                self._following.take_updates(tx, updates, outcome)
                if is_reset:
                    listed.update(update.key for update in updates)
            tx.clear_stage()
        self._rectifying.mind(tx, interval.updates, outcome)
        self._following.take_updates(tx, interval.updates, outcome)
        if outcome.lacks_anchor:
            return
        if is_reset:
            listed.update(update.key for update in interval.updates)
            self._resetting.settle_unlisted(tx, cursor.models, listed, outcome)
            cursor = msgspec.structs.replace(cursor, resetting=None)
        save_cursor(tx, cursor)
        self._check_deletions(tx, outcome)

    def _check_deletions(self, tx: Transaction, outcome: Outcome) -> None:
        """Raise `MassDeletion`, which undoes the transaction, when too many records went."""
        for model, count in outcome.deleted.items():
            self.brake.check_next(
                Direction.PULL,
                model,
                count,
                now_ms=self.author.now_ms(),
                left=lambda: tx.count(model, ALL),  # noqa: B023 - asked at once
            )

    def check_push(self, reader: Reader, counts: Mapping[str, int]) -> None:
        """
        Raise `MassDeletion` when what waits to be pushed would empty the upstream.

        Only where `guards_pushes`. All deletions that wait are counted, not only those of this
        push, so that it stops before the first.

        Args:
            counts: the deletions of this push, by model; see `deletions_of`.
        """
        if not self.guards_pushes:
            return
        now_ms = self.author.now_ms()
        recent = {m: self.brake.recent(Direction.PUSH, m, now_ms=now_ms) for m in counts}
        if not any(self.brake.minds(count + recent[m]) for m, count in counts.items()):
            return
        waiting = reader.deletions_pending()
        for model, count in counts.items():
            self.brake.check_next(
                Direction.PUSH,
                model,
                max(count, waiting.get(model, 0)),
                now_ms=now_ms,
                left=lambda: reader.count(model, ALL),  # noqa: B023 - asked at once
            )

    def note_deletions(self, direction: Direction, counts: Mapping[str, int]) -> None:
        """Take note, after the commit, of deletions that were carried out."""
        for model, count in counts.items():
            self.brake.note(direction, model, count, now_ms=self.author.now_ms())

    def acknowledge(
        self, tx: Transaction, pushed: Sequence[Update], effect: Acknowledge
    ) -> Outcome:
        """Take the upstream's word on a push, inside the caller's transaction."""
        outcome = Outcome()
        self._rectifying.mind(tx, effect.answer.results, outcome)
        self._acknowledging.acknowledge(tx, pushed, effect.answer, effect.cursor, outcome)
        return outcome

    def note_met(self, tx: Transaction, model: str, met: Sequence[tuple[Update, Update]]) -> None:
        """Log what a replication of once met, (ours, theirs); close what it met no more."""
        keys = {ours.key for ours, _ in met}
        for conflict in tx.conflicts(open_only=True, model=model):
            entry = tx.entry(*conflict.key)
            held = None if entry is None else entry.update
            is_gone = conflict.side == "met" and conflict.key not in keys
            if is_gone and has_taken_in(held, conflict.theirs.rev):
                self._conflict_log.close_met(tx, conflict, "same")
        for ours, theirs in met:
            self._conflict_log.note_met(tx, ours, theirs)

    def resolve(
        self,
        tx: Transaction,
        conflict: Conflict,
        resolution: Resolution,
        body: msgspec.Raw | None = None,
    ) -> tuple[bool, Outcome]:
        """Settle an open conflict; answer whether it still stood as it was looked at."""
        outcome = Outcome()
        self._rectifying.mind(tx, [conflict], outcome)
        done = self._settling.resolve(tx, conflict, resolution, body, outcome)
        return done, outcome
