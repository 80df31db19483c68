"""What a replica does with the answers to its pushes."""

from collections.abc import Sequence

import msgspec

from syncline.author import Author
from syncline.conflict_log import ConflictLog
from syncline.following import Following, save_cursor
from syncline.limits import is_about_size
from syncline.models import (
    APPLIED,
    Answer,
    BulkResult,
    Cursor,
    Entry,
    ItemResult,
    Key,
    Pending,
    Update,
)
from syncline.outcome import Outcome
from syncline.pending import Outbox
from syncline.revision import short_of
from syncline.settling import Settling, with_seq
from syncline.store.contract import Transaction


class Acknowledging:
    """
    Takes the upstream's word on what one replica pushed.

    Every method runs inside a transaction that the caller commits.
    """

    def __init__(
        self,
        author: Author,
        outbox: Outbox,
        conflict_log: ConflictLog,
        settling: Settling,
        following: Following,
    ) -> None:
        self._author = author
        self._outbox = outbox
        self._conflict_log = conflict_log
        self._settling = settling
        self._following = following

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
            if result.answer is APPLIED
            and result.current is None
            and (update := by_rev.get(result.rev)) is not None
        ]
        moved_on = tx.settle_applied(applied) if applied else set()
        self._outbox.forget_each(u.key for u, _ in applied if u.key not in moved_on)
        left: Sequence[ItemResult] = ()
        if moved_on or len(applied) < len(answer.results):
            settled = {update.rev for update, _ in applied if update.key not in moved_on}
            left = [result for result in answer.results if result.rev not in settled]
        sent = {update.key: update for update in pushed} if left else {}
        held = tx.entries([result.key for result in left]) if left else {}
        if left:
            self._author.learn(tx)
        missed: list[Update] = []
        refused_groups: set[str] = set()
        for result in left:
            entry, update = held.get(result.key), sent.get(result.key)
            if update is None:
                continue
            if result.answer is APPLIED and result.current is None:
                missed += self._acknowledge_applied(tx, entry, update, result.seq, outcome)
                continue
            if entry is None or entry.pending is None:
                continue
            self._acknowledge_one(tx, entry, update, result, outcome)
            if _word_of(result) is Answer.REFUSED and update.group is not None:
                refused_groups.add(update.group)
            current = result.current
            if current is not None and current.seq <= cursor.seq:
                now = tx.entry(*result.key)
                if now is not None:
                    moved = self._following.take_update(tx, now, current, outcome)
                    held.update(tx.entries(moved) if moved else {})
        # Ours had given way here to what it collided with, and was taken upstream all the same:
        # where the cursor says that the list was read so far, nothing else would bring it back.
        self._following.take_updates(tx, [u for u in missed if u.seq <= cursor.seq], outcome)
        if refused_groups:
            self._refuse_rest(tx, refused_groups, sent, outcome)
        if answer.results:
            save_cursor(tx, cursor)

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
            self._settling.release(tx, entry, "ours", outcome)
            self._settling.set_base(tx, entry, entry.update, seq=seq)
        elif short_of(pushed.rev) in entry.update.ancestors:
            # What it collided with has given way to ours upstream.
            self._settling.release(tx, entry, "ours", outcome)
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
        match _word_of(result):
            case Answer.APPLIED:
                # A hook amended it: the upstream passed through our revision to its own, which
                # the list brings; so the base's seq must not move beyond it.
                current = result.current
                if current is None or current.seq <= (entry.base_seq or 0):
                    return
                self._settling.release(tx, entry, "ours", outcome)
                if is_ours_still:
                    self._settling.set_base(
                        tx, entry, entry.update, seq=max(entry.base_seq or 0, 0)
                    )
                elif short_of(result.rev) in entry.update.ancestors:
                    tx.write_pending([_rebased(pending, pushed)])
            case Answer.PARKED:
                if is_ours_still:
                    outcome.parked.append((pushed, result.reason))
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
        conflict = self._conflict_log.close(tx, entry, "refused")
        if conflict is not None:
            # The list has brought what it collided with, beyond the base.
            outcome.must_push = True
            self._settling.give_way(tx, entry, conflict.theirs, outcome)
            return
        self._settling.roll_back(tx, entry, outcome)


def _word_of(result: ItemResult) -> Answer:
    """Return the word on an item; what is only too large is parked, since limits can be raised."""
    if result.answer is Answer.REFUSED and is_about_size(result.reason):
        return Answer.PARKED
    return result.answer


def _rebased(pending: Pending, pushed: Update) -> Pending:
    return msgspec.structs.replace(
        pending, base_rev=pushed.rev, base_body=bytes(pushed.body), hold="", reason="", sent=()
    )
