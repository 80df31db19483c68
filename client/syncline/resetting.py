"""What a replica does when its cursor is no longer good, and the list is taken anew."""

from collections.abc import Iterable

import msgspec

from syncline.author import Author
from syncline.following import Following, save_cursor
from syncline.models import VOID, Cursor, Entry, Key, Pending
from syncline.outcome import Outcome
from syncline.pending import Outbox
from syncline.revision import is_deletion, short_of
from syncline.settling import Settling, with_seq
from syncline.store.contract import Transaction


class Resetting:
    """
    Takes one replica through a reset.

    Every method runs inside a transaction that the caller commits.
    """

    def __init__(
        self, author: Author, outbox: Outbox, settling: Settling, following: Following
    ) -> None:
        self._author = author
        self._outbox = outbox
        self._settling = settling
        self._following = following

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
        save_cursor(tx, cursor)

    def settle_unlisted(
        self,
        tx: Transaction,
        models: Iterable[str],
        listed: set[Key],
        outcome: Outcome,
    ) -> None:
        """
        Decide on what a whole list did not name, after a reset.

        What the upstream lost and we still hold is offered again, deletions too, since others may
        hold the record and offer that; what it had purged is dropped; a pending edit of a purged
        record is a conflict with a deletion.
        """
        self._author.learn(tx)
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
        update = entry.update
        if entry.pending is None:
            # Long acknowledged: the transaction that it was written in does not wait for it.
            update = msgspec.structs.replace(update, group=None)
        outcome.offered += 1
        tx.write([Entry(update, None)])
        tx.write_pending([Pending(model=update.model, record_id=update.record_id)])
        outcome.must_push = True

    def _settle_purged(self, tx: Transaction, entry: Entry, outcome: Outcome) -> None:
        if entry.pending is None or entry.update.is_deletion:
            self._drop(tx, entry, outcome)
            return
        theirs = msgspec.structs.replace(
            self._settling.tombstone_over(entry.update),
            seq=max(entry.base_seq or 0, 0),
            ancestors=() if entry.pending.base_rev is None else (short_of(entry.pending.base_rev),),
            prev=entry.pending.base_rev,
        )
        self._following.collide(tx, entry, theirs, outcome)

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
                buried = with_seq(self._settling.tombstone_over(entry.update), tx.next_seqs(1))
                tx.write([Entry(buried, None)])
                tx.clear_pending([key])
                outcome.visible.append(buried)
            return
        tx.next_seqs(1)  # Other processes look again.
        tx.remove([key])
        if not entry.update.is_deletion:
            outcome.visible.append(self._settling.tombstone_over(entry.update))
