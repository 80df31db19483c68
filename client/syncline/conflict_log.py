"""What could not be applied: conflicts, kept until settled and listable afterwards."""

import hashlib

import msgspec

from syncline.author import Author
from syncline.models import Base, Conflict, Entry, Resolution, Update
from syncline.revision import Revision, new_revision, nonce_of
from syncline.store.contract import Stray, Transaction


SETTLED_KEPT = 1000
"""How many settled or received conflicts stay listable."""
GIVEN_UP = "its transaction gave way as a whole"
"""Why the log keeps a record that collided with nothing: another of its transaction did."""


def received_id(model: str, record_id: str, rev: Revision) -> str:
    """
    Return what the log calls the conflict of another replica's revision.

    However often it is pushed and told of, it is one conflict. A digest, since the names are a
    client's to choose.
    """
    names = msgspec.json.encode((model, record_id, rev))
    return hashlib.sha256(names).hexdigest()[:32]


class ConflictLog:
    """The conflict log of one replica."""

    def __init__(self, author: Author) -> None:
        self._author = author

    def open(self, tx: Transaction, entry: Entry, theirs: Update) -> Conflict:
        """
        Log that a local record collides with an upstream's update; theirs may move on later.

        The record stays as it is and leaves the outbox. The base is what both were made from.
        """
        assert entry.pending is not None
        key = entry.update.key
        before = tx.open_conflict(*key)
        base = entry.base_of(theirs)
        conflict = Conflict(
            conflict_id=before.conflict_id if before else self._author.new_nonce(),
            model=key[0],
            record_id=key[1],
            base_rev=base.rev,
            base_body=base.body,
            ours=entry.update,
            theirs=theirs,
            opened_ms=before.opened_ms if before else self._author.now_ms(),
        )
        tx.write_conflict(conflict)
        if entry.pending.hold != "conflict":
            tx.write_pending([msgspec.structs.replace(entry.pending, hold="conflict")])
        return conflict

    def note_settled(
        self,
        tx: Transaction,
        *,
        base: Base,
        ours: Update,
        theirs: Update,
        resolution: Resolution,
        reason: str = "",
    ) -> None:
        """Keep both sides of a conflict that was settled at once, by a strategy mostly."""
        now = self._author.now_ms()
        tx.write_conflict(
            Conflict(
                conflict_id=self._author.new_nonce(),
                model=ours.model,
                record_id=ours.record_id,
                base_rev=base.rev,
                base_body=base.body,
                ours=ours,
                theirs=theirs,
                opened_ms=now,
                settled_ms=now,
                resolution=resolution.value,
                reason=reason,
            )
        )
        tx.trim_conflicts(SETTLED_KEPT)

    def note_met(self, tx: Transaction, ours: Update, theirs: Update) -> None:
        """
        Log that a record collided with another end's in a replication of once.

        However often the two are compared it is one conflict, and waits here to be settled.
        """
        conflict_id = received_id(ours.model, ours.record_id, theirs.rev)
        before = tx.conflict(conflict_id)
        tx.write_conflict(
            Conflict(
                conflict_id=conflict_id,
                model=ours.model,
                record_id=ours.record_id,
                ours=ours,
                theirs=theirs,
                opened_ms=before.opened_ms if before else self._author.now_ms(),
                side="met",
            )
        )

    def close_met(self, tx: Transaction, conflict: Conflict, resolution: str) -> None:
        """Mark a conflict of a replication of once as settled."""
        now = self._author.now_ms()
        tx.write_conflict(msgspec.structs.replace(conflict, resolution=resolution, settled_ms=now))
        tx.trim_conflicts(SETTLED_KEPT)

    def note_received(
        self,
        tx: Transaction,
        pushed: Update,
        current: Update | None,
        reason: str,
        pusher: str = "",
    ) -> None:
        """
        Keep an update that was pushed here and not taken, so that an inbox sees all.

        What its replica has told of it before, the base, stays.
        """
        now = self._author.now_ms()
        conflict_id = received_id(pushed.model, pushed.record_id, pushed.rev)
        before = tx.conflict(conflict_id)
        tx.write_conflict(
            Conflict(
                conflict_id=conflict_id,
                model=pushed.model,
                record_id=pushed.record_id,
                base_rev=before.base_rev if before else None,
                base_body=before.base_body if before else b"",
                ours=current or nothing_instead_of(pushed),
                theirs=pushed,
                opened_ms=before.opened_ms if before else now,
                settled_ms=now,
                resolution="refused" if reason else "returned",
                side=before.side if before else "received",
                reason=reason,
                holder=pusher or (before.holder if before else ""),
            )
        )
        tx.trim_conflicts(SETTLED_KEPT)

    def note_unreadable(self, tx: Transaction, held: Entry | None, stray: Stray) -> None:
        """
        Keep what a row held that makes no record, before its record takes its place.

        However often it is met, it is one conflict, settled for the record.
        """
        now = self._author.now_ms()
        theirs = None if held is None else held.update
        generation = 1 if theirs is None else theirs.generation
        nonce = hashlib.sha256(stray.body).hexdigest()[:16]
        ours = Update(
            model=stray.model,
            record_id=stray.record_id,
            rev=new_revision(generation, nonce),
            origin=self._author.replica_id,
            stamp=self._author.stamp(),
            body=msgspec.Raw(stray.body),
        )
        tx.write_conflict(
            Conflict(
                conflict_id=received_id(stray.model, stray.record_id, ours.rev),
                model=stray.model,
                record_id=stray.record_id,
                ours=ours,
                theirs=theirs or nothing_instead_of(ours),
                opened_ms=now,
                settled_ms=now,
                resolution=Resolution.THEIRS.value,
                reason=stray.problem,
            )
        )
        tx.trim_conflicts(SETTLED_KEPT)

    def close(
        self, tx: Transaction, entry: Entry, resolution: str, *, theirs: Update | None = None
    ) -> Conflict | None:
        """
        Mark a record's open conflict as settled, if it has one.

        Args:
            theirs: what theirs has moved on to meanwhile.
        """
        if entry.pending is None or entry.pending.hold != "conflict":
            return None
        conflict = tx.open_conflict(*entry.update.key)
        if conflict is None:
            return None
        settled = msgspec.structs.replace(
            conflict,
            theirs=theirs or conflict.theirs,
            resolution=resolution,
            settled_ms=self._author.now_ms(),
        )
        tx.write_conflict(settled)
        tx.trim_conflicts(SETTLED_KEPT)
        return settled


def nothing_instead_of(update: Update) -> Update:
    """Return the side of a conflict on which there is no such record: a deletion nobody made."""
    return Update(
        model=update.model,
        record_id=update.record_id,
        rev=new_revision(update.generation, nonce_of(update.rev), deleted=True),
    )
