"""What a replica does with its upstream's word: intervals, acknowledgements, resets."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from syncline.author import Author
from syncline.conflict_log import ConflictLog
from syncline.conflicts import Strategy, settle
from syncline.merge import merge
from syncline.models import (
    NO_BODY,
    VOID,
    Answer,
    Base,
    BulkResult,
    Conflict,
    Cursor,
    Entry,
    ItemResult,
    Key,
    Pending,
    Record,
    Resolution,
    Update,
    Verdict,
    encode_body,
    join_ancestors,
)
from syncline.pending import Outbox
from syncline.rebase import adopt, keep_greater, rebase, restore_base
from syncline.revision import is_deletion, new_revision, next_generation, short_of
from syncline.store.contract import Transaction
from syncline.verdicts import take


CURSOR = "cursor"
_cursor_decoder = msgspec.json.Decoder(type=Cursor)


def load_cursor(stored: bytes | None) -> Cursor:
    """Return the cursor of its stored form; the very start when nothing was stored."""
    return Cursor() if stored is None else _cursor_decoder.decode(stored)


class Outcome:
    """
    What came of taking updates.

    Attributes:
        visible: the records that changed, as they are now.
        conflicts: those that were opened or moved on, and wait.
        refusals: own writes that the upstream refused, (update, reason).
        must_push: something became ready to be pushed; whoever drives the session calls `wrote`.
        offered, dropped: at a reset, how many records that the upstream did not list were offered
            to it again, or let go.
        deleted: how many records went, by model.
    """

    __slots__ = (
        "conflicts",
        "deleted",
        "dropped",
        "must_push",
        "offered",
        "refusals",
        "visible",
    )

    def __init__(self) -> None:
        self.visible: list[Update] = []
        self.conflicts: list[Conflict] = []
        self.refusals: list[tuple[Update, str]] = []
        self.must_push = False
        self.offered = 0
        self.dropped = 0
        self.deleted: dict[str, int] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing came of it that anybody must hear of."""
        return not (self.visible or self.conflicts or self.refusals or self.must_push)

    def note_deleted(self, model: str) -> None:
        """Count a record that went."""
        self.deleted[model] = self.deleted.get(model, 0) + 1


class Following:
    """
    Takes what an upstream says into one replica's store.

    Every method runs inside a transaction that the caller commits.
    """

    def __init__(
        self,
        author: Author,
        outbox: Outbox,
        conflict_log: ConflictLog,
        strategy_of: Callable[[str], Strategy],
    ) -> None:
        self._author = author
        self._outbox = outbox
        self._conflict_log = conflict_log
        self._strategy_of = strategy_of

    def save_cursor(self, tx: Transaction, cursor: Cursor) -> None:
        """Store the cursor with whatever else the transaction does."""
        tx.set_meta(CURSOR, msgspec.json.encode(cursor))

    # ---- intervals ----------------------------------------------------------------------

    def take_updates(self, tx: Transaction, updates: Sequence[Update], outcome: Outcome) -> None:
        """Take pulled updates, each by its own verdict."""
        keys = [(update.model, update.record_id) for update in updates]
        held = tx.entries(keys)
        if not held:
            self._take_new(tx, updates, outcome)
            return
        plain: list[Entry] = []
        moved: list[tuple[Key, int]] = []
        fresh: list[Update] = []
        for key, update in zip(keys, updates, strict=True):
            entry = held.get(key)
            if entry is None:
                fresh.append(update)
                continue
            verdict = self._verdict(entry, update)
            if verdict is Verdict.FORWARD and entry.pending is None:
                if update.is_deletion and not entry.update.is_deletion:
                    outcome.note_deleted(update.model)
                plain.append(Entry(self._adopted(entry, update), update.seq))
            elif verdict is Verdict.SAME and entry.pending is None:
                moved.append((key, update.seq))
            elif verdict is not Verdict.KNOWN or entry.pending is not None or entry.base.is_void:
                self._take_one(tx, entry, update, verdict, outcome)
        self._take_new(tx, fresh, outcome)
        self._write_plain(tx, plain, outcome)
        if moved:
            tx.set_base_seqs(moved)

    def _verdict(self, entry: Entry, update: Update) -> Verdict:
        return take(
            entry.update,
            entry.base,
            update,
            is_pending=entry.pending is not None,
            replica_id=self._author.replica_id,
        )

    def _adopted(self, entry: Entry, update: Update) -> Update:
        # A listening replica's own followers may still build on what it held before, or send it
        # once more.
        if self._author.listens:
            return adopt(update, entry.update, ancestors_max=self._author.ancestors_max)
        return update

    def _take_new(self, tx: Transaction, updates: Sequence[Update], outcome: Outcome) -> None:
        if not self._author.listens:
            # A leaf has no use for the tombstone of a record that it never held.
            updates = [update for update in updates if not update.is_deletion]
        self._write_plain(tx, [Entry(update, update.seq) for update in updates], outcome)

    def _write_plain(self, tx: Transaction, entries: Sequence[Entry], outcome: Outcome) -> None:
        if not entries:
            return
        first = tx.next_seqs(len(entries))
        stored = [
            Entry(with_seq(entry.update, seq), entry.base_seq)
            for seq, entry in enumerate(entries, first)
        ]
        tx.write(stored)
        self._author.observe(max(entry.update.stamp for entry in stored))
        outcome.visible.extend(entry.update for entry in stored)

    def _take_one(
        self, tx: Transaction, entry: Entry, update: Update, verdict: Verdict, outcome: Outcome
    ) -> None:
        self._author.observe(update.stamp)
        if entry.pending is not None and entry.pending.hold and verdict is not Verdict.KNOWN:
            # What it held back with it, its group, may be free now.
            outcome.must_push = True
        match verdict:
            case Verdict.KNOWN:
                self._take_known(tx, entry, update, outcome)
            case Verdict.SAME:
                self._release(tx, entry, "same", outcome)
                self._set(tx, entry, entry.update, seq=update.seq)
            case Verdict.FORWARD:
                self._release(tx, entry, "theirs", outcome)
                self._replace(tx, entry, self._adopted(entry, update), update.seq, outcome)
            case Verdict.EQUAL:
                self._take_equal(tx, entry, update, outcome)
            case Verdict.REBASE:
                self._release(tx, entry, "ours", outcome)
                self._stand(tx, entry, update, entry.update.body, outcome)
            case Verdict.AMENDED:
                self._take_amended(tx, entry, update, outcome)
            case Verdict.CONFLICT:
                self._collide(tx, entry, update, outcome)

    def _release(self, tx: Transaction, entry: Entry, resolution: str, outcome: Outcome) -> None:
        """Close an open conflict that the list has settled; its group may be pushed again."""
        if self._conflict_log.close(tx, entry, resolution) is not None:
            outcome.must_push = True

    def _take_known(self, tx: Transaction, entry: Entry, update: Update, outcome: Outcome) -> None:
        base = entry.base
        if base.seq is not None and update.seq <= base.seq:
            return
        is_held = entry.pending is not None and entry.pending.hold == "conflict"
        if entry.pending is not None and base.rev == update.rev and not is_held:
            tx.set_base_seqs([(entry.update.key, update.seq)])
            return
        # The upstream stands at an ancestor of ours, or has gone back to our base, which ends a
        # conflict: ours stays pending on top of it.
        self._release(tx, entry, "ours", outcome)
        tx.set_base_seqs([(entry.update.key, update.seq)])
        tx.write_pending([_pending_on(update)])
        outcome.must_push = True

    def _take_equal(self, tx: Transaction, entry: Entry, update: Update, outcome: Outcome) -> None:
        self._release(tx, entry, "equal", outcome)
        kept = keep_greater(entry.update, update, ancestors_max=self._author.ancestors_max)
        if kept.rev == update.rev:
            self._replace(tx, entry, kept, update.seq, outcome)
            return
        tx.write([Entry(with_seq(kept, entry.update.seq), update.seq)])
        tx.write_pending([_pending_on(update)])
        outcome.must_push = True

    def _take_amended(
        self, tx: Transaction, entry: Entry, update: Update, outcome: Outcome
    ) -> None:
        ours, theirs = entry.update.data, update.data
        if ours is None or theirs is None:
            body = entry.update.body
        else:
            base: Record | None = _decoded(entry.base)
            body = encode_body(merge(base, ours, theirs, prefer="ours").data)
        self._release(tx, entry, "merge", outcome)
        self._stand(tx, entry, update, body, outcome)

    def _collide(self, tx: Transaction, entry: Entry, update: Update, outcome: Outcome) -> None:
        if entry.pending is None:
            # The base is void and nothing was pending: what we hold is what we have to say.
            entry = Entry(
                entry.update,
                entry.base_seq,
                Pending(model=update.model, record_id=update.record_id),
            )
            assert entry.pending is not None
            tx.write_pending([entry.pending])
        base = entry.base
        settlement = settle(
            self._strategy_of(update.model),
            base_body=base.body,
            ours=entry.update,
            theirs=update,
        )
        if settlement is None:
            conflict = self._conflict_log.open(tx, entry, update)
            tx.set_base_seqs([(entry.update.key, update.seq)])
            outcome.conflicts.append(conflict)
            return
        if entry.pending is not None and entry.pending.hold == "conflict":
            self._release(tx, entry, settlement.resolution.value, outcome)
        else:
            self._conflict_log.note_settled(
                tx, base=base, ours=entry.update, theirs=update, resolution=settlement.resolution
            )
        if settlement.resolution is Resolution.THEIRS:
            self._give_way(tx, entry, update, outcome)
        else:
            self._stand(tx, entry, update, settlement.body or entry.update.body, outcome)

    # ---- the three ways to settle on a record -------------------------------------------

    def _give_way(self, tx: Transaction, entry: Entry, update: Update, outcome: Outcome) -> None:
        """Hold theirs as it is; a listening replica adds ours and its ancestors."""
        if self._author.listens:
            update = adopt(update, entry.update, ancestors_max=self._author.ancestors_max)
        self._replace(tx, entry, update, update.seq, outcome)

    def _replace(
        self, tx: Transaction, entry: Entry, update: Update, base_seq: int, outcome: Outcome
    ) -> None:
        stored = with_seq(update, tx.next_seqs(1))
        if update.is_deletion and not entry.update.is_deletion:
            outcome.note_deleted(update.model)
        tx.write([Entry(stored, base_seq)])
        if entry.pending is not None:
            tx.clear_pending([update.key])
        self._outbox.forget(update.key)
        outcome.visible.append(stored)

    def _stand(
        self, tx: Transaction, entry: Entry, theirs: Update, body: msgspec.Raw, outcome: Outcome
    ) -> Update:
        """Make a new revision on top of both, pending upon theirs."""
        stood = rebase(
            entry.update,
            theirs,
            body=body if bytes(body) else None,
            nonce=self._author.new_nonce(),
            origin=self._author.replica_id,
            stamp=self._author.stamp(),
            ancestors_max=self._author.ancestors_max,
        )
        stored = with_seq(stood, tx.next_seqs(1))
        tx.write([Entry(stored, theirs.seq)])
        tx.write_pending([_pending_on(theirs)])
        self._outbox.note_made(stored.key, stored.rev, over_base=False)
        outcome.visible.append(stored)
        outcome.must_push = True
        return stored

    def _set(self, tx: Transaction, entry: Entry, update: Update, *, seq: int) -> None:
        tx.set_base_seqs([(update.key, seq)])
        if entry.pending is not None:
            tx.clear_pending([update.key])
        self._outbox.forget(update.key)

    # ---- acknowledgements ---------------------------------------------------------------

    def acknowledge(
        self,
        tx: Transaction,
        pushed: Sequence[Update],
        answer: BulkResult,
        cursor: Cursor,
        outcome: Outcome,
    ) -> None:
        """Take the upstream's word on a push."""
        # Most records stand as they were pushed, and need not be read for that.
        by_rev = {update.rev: update for update in pushed}
        applied = [
            (update, result.seq)
            for result in answer.results
            if _is_applied(result) and (update := by_rev.get(result.rev)) is not None
        ]
        moved_on = tx.settle_applied(applied) if applied else set()
        self._outbox.forget_each(u.key for u, _ in applied if u.key not in moved_on)
        left: Sequence[ItemResult] = ()
        if moved_on or len(applied) < len(answer.results):
            settled = {update.rev for update, _ in applied if update.key not in moved_on}
            left = [result for result in answer.results if result.rev not in settled]
        sent = {update.key: update for update in pushed} if left else {}
        held = tx.entries([result.key for result in left]) if left else {}
        missed: list[Update] = []
        refused_groups: set[str] = set()
        for result in left:
            entry, update = held.get(result.key), sent.get(result.key)
            if update is None:
                continue
            if _is_applied(result):
                missed += self._acknowledge_applied(tx, entry, update, result.seq, outcome)
                continue
            if entry is None or entry.pending is None:
                continue
            self._acknowledge_one(tx, entry, update, result, outcome)
            if result.answer is Answer.REFUSED and update.group is not None:
                refused_groups.add(update.group)
            current = result.current
            if current is not None and current.seq <= cursor.seq:
                now = tx.entry(*result.key)
                if now is not None:
                    self._take_one(tx, now, current, self._verdict(now, current), outcome)
        # Ours had given way here to what it collided with, and was taken upstream all the same:
        # where the cursor says that the list was read so far, nothing else would bring it back.
        self.take_updates(tx, [u for u in missed if u.seq <= cursor.seq], outcome)
        if refused_groups:
            self._refuse_rest(tx, refused_groups, sent, outcome)
        if answer.results:
            self.save_cursor(tx, cursor)

    def _acknowledge_applied(
        self,
        tx: Transaction,
        entry: Entry | None,
        pushed: Update,
        seq: int,
        outcome: Outcome,
    ) -> list[Update]:
        """Take note that a push was taken; return it when the record is not what was pushed."""
        if entry is None or entry.pending is None:
            return [with_seq(pushed, seq)]
        if entry.base_seq is not None and seq < entry.base_seq:
            return []  # The list has already brought what came after it.
        if entry.update.rev == pushed.rev:
            self._release(tx, entry, "ours", outcome)
            self._set(tx, entry, entry.update, seq=seq)
        elif short_of(pushed.rev) in entry.update.ancestors:
            # What it collided with has given way to ours upstream.
            self._release(tx, entry, "ours", outcome)
            tx.set_base_seqs([(pushed.key, seq)])
            tx.write_pending([_rebased(entry.pending, pushed)])
            outcome.must_push = True
        else:
            return [with_seq(pushed, seq)]
        return []

    def _acknowledge_one(
        self, tx: Transaction, entry: Entry, pushed: Update, result: ItemResult, outcome: Outcome
    ) -> None:
        pending = entry.pending
        assert pending is not None
        is_ours_still = entry.update.rev == result.rev
        match result.answer:
            case Answer.APPLIED:
                # A hook amended it: the upstream passed through our revision to its own, which
                # the list brings; so the base's seq must not move beyond it.
                current = result.current
                if current is None or current.seq <= (entry.base_seq or 0):
                    return
                self._release(tx, entry, "ours", outcome)
                if is_ours_still:
                    self._set(tx, entry, entry.update, seq=max(entry.base_seq or 0, 0))
                elif short_of(result.rev) in entry.update.ancestors:
                    tx.write_pending([_rebased(pending, pushed)])
            case Answer.PARKED:
                if is_ours_still:
                    parked = msgspec.structs.replace(
                        pending, hold=pending.hold or "parked", reason=result.reason
                    )
                    tx.write_pending([parked])
            case Answer.REFUSED:
                outcome.refusals.append((pushed, result.reason))
                if is_ours_still:
                    self._roll_back(tx, entry, outcome)
            case Answer.KNOWN | Answer.CONFLICT | Answer.HELD:
                pass

    def _refuse_rest(
        self, tx: Transaction, groups: set[str], sent: dict[Key, Update], outcome: Outcome
    ) -> None:
        """Roll back the other members of a refused transaction, unless they have moved on."""
        # By what was sent, since the group may have been renamed by a later one meanwhile.
        for update in sent.values():
            entry = tx.entry(*update.key) if update.group in groups else None
            if entry is None or entry.pending is None:
                continue
            if update.rev == entry.update.rev:
                outcome.refusals.append((update, "another write of its transaction was refused"))
                self._roll_back(tx, entry, outcome)

    def _roll_back(self, tx: Transaction, entry: Entry, outcome: Outcome) -> None:
        """Restore the base; a refused create is dropped, or buried where others follow."""
        assert entry.pending is not None
        key = entry.update.key
        conflict = self._conflict_log.close(tx, entry, "refused")
        if conflict is not None:
            # The list has brought what it collided with, beyond the base.
            outcome.must_push = True
            self._give_way(tx, entry, conflict.theirs, outcome)
            return
        restored = restore_base(entry, entry.pending, ancestors_max=self._author.ancestors_max)
        if restored is None:
            if not self._author.listens:
                tx.remove([key])
                self._outbox.forget(key)
                outcome.visible.append(self._tombstone_over(entry.update))
                return
            restored = self._tombstone_over(entry.update)
        base_seq = entry.base_seq
        stored = with_seq(restored, tx.next_seqs(1))
        tx.write([Entry(stored, base_seq)])
        tx.clear_pending([key])
        self._outbox.forget(key)
        outcome.visible.append(stored)

    def _tombstone_over(self, update: Update) -> Update:
        ancestors = join_ancestors(
            update.ancestors, (short_of(update.rev),), limit=self._author.ancestors_max
        )
        return msgspec.structs.replace(
            update,
            seq=0,
            rev=new_revision(
                next_generation(update.rev, ancestors=ancestors),
                self._author.new_nonce(),
                deleted=True,
            ),
            prev=update.rev,
            ancestors=ancestors,
            origin=self._author.replica_id,
            group=None,
            stamp=self._author.stamp(),
            body=NO_BODY,
        )

    # ---- settling -----------------------------------------------------------------------

    def resolve(
        self,
        tx: Transaction,
        conflict: Conflict,
        resolution: Resolution,
        body: msgspec.Raw | None,
        outcome: Outcome,
    ) -> bool:
        """
        Settle an open conflict; answer whether it was still the one that was looked at.

        Args:
            body: for MANUAL and MERGE, the encoded record to stand; empty to delete.
        """
        current = tx.conflict(conflict.conflict_id)
        entry = tx.entry(*conflict.key)
        if current is None or not current.is_open or entry is None or entry.pending is None:
            return False
        if current.theirs.rev != conflict.theirs.rev or entry.update.rev != conflict.ours.rev:
            return False
        self._release(tx, entry, resolution.value, outcome)
        theirs = current.theirs
        if resolution is Resolution.LATEST:
            is_ours = entry.update.stamp >= theirs.stamp
            resolution = Resolution.OURS if is_ours else Resolution.THEIRS
        if resolution is Resolution.THEIRS:
            self._give_way(tx, entry, theirs, outcome)
        else:
            stands = entry.update.body if resolution is Resolution.OURS or body is None else body
            self._stand(tx, entry, theirs, stands, outcome)
        return True

    # ---- resets -------------------------------------------------------------------------

    def begin_reset(
        self, tx: Transaction, cursor: Cursor, shared: int, *, offers_back: bool = True
    ) -> None:
        """Void what the upstream lost; open conflicts are found again."""
        for entry in tx.held("conflict"):
            # The conflict moved the base's seq on to theirs, which the list shall bring again.
            has_base = entry.base.rev is not None
            tx.write([Entry(entry.update, 0 if has_base else None)])
        tx.drop_open_conflicts()
        if not offers_back:
            tx.yield_bases(shared)
        tx.void_bases(shared)
        tx.clear_stage()
        self._outbox.forget_all()
        self.save_cursor(tx, cursor)

    def settle_unlisted(
        self,
        tx: Transaction,
        models: Iterable[str],
        listed: set[Key],
        outcome: Outcome,
    ) -> None:
        """
        Decide on what a whole list did not name, after a reset.

        What the upstream lost and we still hold is offered again; what it had purged is dropped;
        a pending edit of a purged record is a conflict with a deletion.
        """
        for key in tx.keys_of(sorted(models)):
            if key in listed:
                continue
            entry = tx.entry(*key)
            if entry is None:
                continue
            if entry.base_seq == VOID:
                self._offer_again(tx, entry, outcome)
            elif entry.base_seq is not None:
                self._settle_purged(tx, entry, outcome)

    def _offer_again(self, tx: Transaction, entry: Entry, outcome: Outcome) -> None:
        key = entry.update.key
        if entry.update.is_deletion:
            self._drop(tx, entry, outcome)
            return
        outcome.offered += 1
        tx.write([Entry(entry.update, None)])
        tx.write_pending([Pending(model=key[0], record_id=key[1])])
        outcome.must_push = True

    def _settle_purged(self, tx: Transaction, entry: Entry, outcome: Outcome) -> None:
        if entry.pending is None or entry.update.is_deletion:
            self._drop(tx, entry, outcome)
            return
        theirs = msgspec.structs.replace(
            self._tombstone_over(entry.update),
            seq=max(entry.base_seq or 0, 0),
            ancestors=() if entry.pending.base_rev is None else (short_of(entry.pending.base_rev),),
            prev=entry.pending.base_rev,
        )
        self._collide(tx, entry, theirs, outcome)

    def _drop(self, tx: Transaction, entry: Entry, outcome: Outcome) -> None:
        """Let go of a record; a listening replica never does so without a tombstone."""
        key = entry.update.key
        if not entry.update.is_deletion:
            outcome.dropped += 1
            outcome.note_deleted(key[0])
        if self._author.listens:
            if is_deletion(entry.update.rev):
                tx.write([Entry(entry.update, None)])
                tx.clear_pending([key])
            else:
                buried = with_seq(self._tombstone_over(entry.update), tx.next_seqs(1))
                tx.write([Entry(buried, None)])
                tx.clear_pending([key])
                outcome.visible.append(buried)
            return
        tx.remove([key])
        if not entry.update.is_deletion:
            outcome.visible.append(self._tombstone_over(entry.update))


def with_seq(update: Update, seq: int) -> Update:
    """Return the update at another place."""
    return update.placed(seq, stamp=update.stamp, group=update.group)


def _pending_on(theirs: Update) -> Pending:
    return Pending(
        model=theirs.model,
        record_id=theirs.record_id,
        base_rev=theirs.rev,
        base_body=bytes(theirs.body),
    )


def _rebased(pending: Pending, pushed: Update) -> Pending:
    return msgspec.structs.replace(
        pending, base_rev=pushed.rev, base_body=bytes(pushed.body), hold="", reason=""
    )


def _is_applied(result: ItemResult) -> bool:
    return result.answer is Answer.APPLIED and result.current is None


def _decoded(base: Base) -> Record | None:
    return msgspec.json.decode(base.body) if base.body else None
