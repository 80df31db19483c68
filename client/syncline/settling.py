"""The ways to settle on what is held of a record: give way, replace, stand, roll back."""

from collections.abc import Sequence

import msgspec

from syncline.author import Author
from syncline.conflict_log import GIVEN_UP, ConflictLog, nothing_instead_of
from syncline.conflicts import latest
from syncline.models import (
    NO_BODY,
    VOID,
    Conflict,
    Entry,
    Key,
    Pending,
    Resolution,
    Update,
    join_ancestors,
)
from syncline.outcome import Outcome
from syncline.pending import Outbox
from syncline.rebase import adopt, rebase, restore_base
from syncline.revision import new_revision, next_generation, short_of
from syncline.store.contract import Transaction


class Settling:
    """
    Settles on what one replica holds of a record.

    Every method runs inside a transaction that the caller commits.
    """

    def __init__(self, author: Author, outbox: Outbox, conflict_log: ConflictLog) -> None:
        self._author = author
        self._outbox = outbox
        self._conflict_log = conflict_log

    def release(
        self,
        tx: Transaction,
        entry: Entry,
        resolution: str,
        outcome: Outcome,
        *,
        theirs: Update | None = None,
    ) -> None:
        """Close an open conflict that is settled; its group may be pushed again."""
        if self._conflict_log.close(tx, entry, resolution, theirs=theirs) is not None:
            outcome.must_push = True

    def give_way(self, tx: Transaction, entry: Entry, update: Update, outcome: Outcome) -> None:
        """Hold theirs as it is; a listening replica adds ours and its ancestors."""
        if self._author.listens:
            update = adopt(update, entry.update, ancestors_max=self._author.ancestors_max)
        self.replace(tx, entry, update, update.seq, outcome)

    def replace(
        self, tx: Transaction, entry: Entry, update: Update, base_seq: int, outcome: Outcome
    ) -> None:
        """Hold an update as it is, and wait with nothing."""
        stored = with_seq(update, tx.next_seqs(1))
        if update.is_deletion and not entry.update.is_deletion:
            outcome.note_deleted(update.model)
        tx.write([Entry(stored, base_seq)])
        if entry.pending is not None:
            tx.clear_pending([update.key])
        self._outbox.forget(update.key)
        outcome.visible.append(stored)

    def roll_back(self, tx: Transaction, entry: Entry, outcome: Outcome) -> None:
        """Hold the base again; what has none is dropped, or buried where others follow."""
        assert entry.pending is not None
        key = entry.update.key
        restored = restore_base(entry, entry.pending, ancestors_max=self._author.ancestors_max)
        if restored is None:
            if not self._author.listens:
                tx.next_seqs(1)  # Other processes look again.
                tx.remove([key])
                self._outbox.forget(key)
                outcome.visible.append(self.tombstone_over(entry.update))
                return
            restored = self.tombstone_over(entry.update)
        stored = with_seq(restored, tx.next_seqs(1))
        tx.write([Entry(stored, entry.base_seq)])
        tx.clear_pending([key])
        self._outbox.forget(key)
        outcome.visible.append(stored)

    def others_of_group(self, tx: Transaction, update: Update) -> list[Key]:
        """Return the other records that wait in the transaction of an update."""
        if update.group is None:
            return []
        return [other.key for other in tx.grouped_outbox([update.group]) if other.key != update.key]

    def give_up(self, tx: Transaction, others: Sequence[Key], outcome: Outcome) -> None:
        """
        Have records give way because one of their transaction did: it stands whole or not at all.

        What was written of each stays listable in the conflict log.
        """
        for key in others:
            entry = tx.entry(*key)
            if entry is not None and entry.pending is not None:
                self._give_up_one(tx, entry, entry.pending, outcome)

    def _give_up_one(
        self, tx: Transaction, entry: Entry, pending: Pending, outcome: Outcome
    ) -> None:
        conflict = self._conflict_log.close(tx, entry, Resolution.THEIRS.value)
        if conflict is not None:
            self.give_way(tx, entry, conflict.theirs, outcome)
            return
        if pending.base_rev is None and entry.update.ancestors:
            # No create: the upstream lost what this stands on, and nothing else may hold it.
            # So it is offered back, but by itself.
            alone = msgspec.structs.replace(entry.update, group=None)
            tx.write([Entry(alone, entry.base_seq)])
            outcome.must_push = True
            return
        base = restore_base(entry, pending, ancestors_max=self._author.ancestors_max)
        self._conflict_log.note_settled(
            tx,
            base=entry.base,
            ours=entry.update,
            theirs=base or nothing_instead_of(entry.update),
            resolution=Resolution.THEIRS,
            reason=GIVEN_UP,
        )
        self.roll_back(tx, entry, outcome)

    def stand(
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
        tx.write_pending([pending_on(theirs)])
        self._outbox.note_made(stored.key, stored.rev, over_base=False)
        outcome.visible.append(stored)
        outcome.must_push = True
        return stored

    def set_base(self, tx: Transaction, entry: Entry, update: Update, *, seq: int) -> None:
        """Have the base where the upstream holds this update, and wait with nothing."""
        tx.set_base_seqs([(update.key, seq)])
        if entry.pending is not None:
            tx.clear_pending([update.key])
        self._outbox.forget(update.key)

    def tombstone_over(self, update: Update) -> Update:
        """Return a deletion, made here, on top of an update."""
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

        Where theirs stands, the rest of the transaction that ours was written in gives way too.

        Args:
            body: for MANUAL and MERGE, the encoded record to stand; empty to delete.
        """
        current = tx.conflict(conflict.conflict_id)
        entry = tx.entry(*conflict.key)
        self._author.learn(tx)
        if current is None or not current.is_open or entry is None:
            return False
        if current.side == "met":
            return self._resolve_met(tx, current, entry, resolution, body, outcome)
        if entry.pending is None:
            return False
        if current.theirs.rev != conflict.theirs.rev or entry.update.rev != conflict.ours.rev:
            return False
        self.release(tx, entry, resolution.value, outcome)
        theirs = current.theirs
        if resolution is Resolution.LATEST:
            resolution = latest(entry.update, theirs)
        if resolution is Resolution.THEIRS:
            others = self.others_of_group(tx, entry.update)
            self.give_way(tx, entry, theirs, outcome)
            self.give_up(tx, others, outcome)
        else:
            stands = entry.update.body if resolution is Resolution.OURS or body is None else body
            self.stand(tx, entry, theirs, stands, outcome)
        return True

    def _resolve_met(
        self,
        tx: Transaction,
        met: Conflict,
        entry: Entry,
        resolution: Resolution,
        body: msgspec.Raw | None,
        outcome: Outcome,
    ) -> bool:
        """Settle what a replication of once met; the next one between the two carries it on."""
        if entry.update.rev != met.ours.rev:
            return False
        self._conflict_log.close_met(tx, met, resolution.value)
        ours = msgspec.structs.replace(entry.update, group=None)
        theirs = msgspec.structs.replace(met.theirs, group=None)
        if resolution is Resolution.LATEST:
            resolution = latest(ours, theirs)
        if resolution is Resolution.THEIRS:
            made = adopt(theirs, ours, ancestors_max=self._author.ancestors_max)
        else:
            stands = ours.body if resolution is Resolution.OURS or body is None else body
            made = rebase(
                ours,
                theirs,
                body=stands if bytes(stands) else None,
                nonce=self._author.new_nonce(),
                origin=self._author.replica_id,
                stamp=self._author.stamp(),
                ancestors_max=self._author.ancestors_max,
            )
        stored = with_seq(made, tx.next_seqs(1))
        waits = self._author.follows and entry.pending is None
        tx.write([Entry(stored, entry.base_seq, pending_over(entry) if waits else None)])
        self._outbox.forget(stored.key)
        outcome.visible.append(stored)
        outcome.must_push = True
        return True


def with_seq(update: Update, seq: int) -> Update:
    """Return the update at another place."""
    return update.placed(seq, stamp=update.stamp, group=update.group)


def pending_over(entry: Entry) -> Pending:
    """Return what a record has to tell whose base is what it held."""
    update = entry.update
    if entry.base_seq is None or entry.base_seq == VOID:
        return Pending(model=update.model, record_id=update.record_id)
    return pending_on(update)


def pending_on(theirs: Update) -> Pending:
    """Return what a record has to tell whose base is that update."""
    return Pending(
        model=theirs.model,
        record_id=theirs.record_id,
        base_rev=theirs.rev,
        base_body=bytes(theirs.body),
    )
