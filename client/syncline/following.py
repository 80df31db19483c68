"""What a replica does with the updates of its upstream, each by its own verdict."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from syncline.author import Author
from syncline.conflict_log import ConflictLog
from syncline.conflicts import Settlement, Strategy, settle
from syncline.merge import merge
from syncline.models import (
    FORWARD,
    KNOWN,
    SAME,
    Base,
    Cursor,
    Entry,
    Key,
    Pending,
    Record,
    Resolution,
    Update,
    Verdict,
    encode_body,
)
from syncline.news import Told, completed
from syncline.outcome import Outcome
from syncline.rebase import adopt, keep_greater
from syncline.settling import Settling, pending_on, with_seq
from syncline.store.contract import Transaction
from syncline.verdicts import take


CURSOR = "cursor"
_cursor_decoder = msgspec.json.Decoder(type=Cursor)


def load_cursor(stored: bytes | None) -> Cursor:
    """Return the cursor of its stored form; the very start when nothing was stored."""
    return Cursor() if stored is None else _cursor_decoder.decode(stored)


def save_cursor(tx: Transaction, cursor: Cursor) -> None:
    """Store the cursor with whatever else the transaction does."""
    tx.set_meta(CURSOR, msgspec.json.encode(cursor))


class Following:
    """
    Takes the updates of an upstream into one replica's store.

    Every method runs inside a transaction that the caller commits.
    """

    def __init__(
        self,
        author: Author,
        settling: Settling,
        conflict_log: ConflictLog,
        strategy_of: Callable[[str], Strategy],
    ) -> None:
        self._author = author
        self._settling = settling
        self._conflict_log = conflict_log
        self._strategy_of = strategy_of

    def take_updates(self, tx: Transaction, updates: Sequence[Update], outcome: Outcome) -> None:
        """
        Take pulled updates, each by its own verdict.

        None of them, where what live ones left out is not held here; the outcome says so.
        """
        if not updates:
            return
        keys = [(update.model, update.record_id) for update in updates]
        held = tx.entries(keys)
        if isinstance(updates[0], Told):
            updates = self._completed(tx, updates, held, outcome)
            if outcome.lacks_anchor:
                return
        self._author.learn(tx)
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
            if verdict is FORWARD and entry.pending is None:
                if update.is_deletion and not entry.update.is_deletion:
                    outcome.note_deleted(update.model)
                plain.append(Entry(self._adopted(entry, update), update.seq))
            elif verdict is SAME and entry.pending is None:
                moved.append((key, update.seq))
            elif verdict is not KNOWN or entry.pending is not None or entry.base.is_void:
                for other in self._take_one(tx, entry, update, verdict, outcome):
                    # It gave way with its transaction: what was read of it is no longer so.
                    held.pop(other, None)
                    held.update(tx.entries([other]))
        self._take_new(tx, fresh, outcome)
        self._write_plain(tx, plain, outcome)
        if moved:
            tx.set_base_seqs(moved)

    def _completed(
        self,
        tx: Transaction,
        updates: Sequence[Update],
        held: Mapping[Key, Entry],
        outcome: Outcome,
    ) -> list[Update]:
        """Return live updates with what was left out of them; note where that is not held here."""
        whole: list[Update] = []
        for update in updates:
            entry = held.get((update.model, update.record_id))
            theirs = None
            if entry is not None and entry.pending is not None and entry.pending.hold == "conflict":
                conflict = tx.open_conflict(update.model, update.record_id)
                theirs = None if conflict is None else conflict.theirs
            assert isinstance(update, Told)
            one = completed(update, entry, theirs, ancestors_max=self._author.ancestors_max)
            if one is None:
                outcome.lacks_anchor = True
                break
            whole.append(one)
        return whole

    def take_update(
        self, tx: Transaction, entry: Entry, update: Update, outcome: Outcome
    ) -> Sequence[Key]:
        """
        Take one update of a record that is held, by its own verdict.

        Returns:
            The other records that gave way with it.
        """
        return self._take_one(tx, entry, update, self._verdict(entry, update), outcome)

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
    ) -> Sequence[Key]:
        self._author.observe(update.stamp)
        if entry.pending is None and entry.update.group is not None:
            # The upstream lost it, and it may wait again; the transaction that it was once
            # written in is over.
            entry = Entry(msgspec.structs.replace(entry.update, group=None), entry.base_seq)
            tx.write([entry])
        if entry.pending is not None and entry.pending.hold and verdict is not KNOWN:
            # What it held back with it, its group, may be free now.
            outcome.must_push = True
        match verdict:
            case Verdict.KNOWN:
                self._take_known(tx, entry, update, outcome)
            case Verdict.SAME:
                self._settling.release(tx, entry, "same", outcome)
                self._settling.set_base(tx, entry, entry.update, seq=update.seq)
            case Verdict.FORWARD:
                self._settling.release(tx, entry, "theirs", outcome, theirs=update)
                self._settling.replace(tx, entry, self._adopted(entry, update), update.seq, outcome)
            case Verdict.EQUAL:
                self._take_equal(tx, entry, update, outcome)
            case Verdict.REBASE:
                self._settling.release(tx, entry, "ours", outcome)
                self._settling.stand(tx, entry, update, entry.update.body, outcome)
            case Verdict.AMENDED:
                self._take_amended(tx, entry, update, outcome)
            case Verdict.CONFLICT:
                return self.collide(tx, entry, update, outcome)
        return ()

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
        self._settling.release(tx, entry, "ours", outcome)
        tx.set_base_seqs([(entry.update.key, update.seq)])
        tx.write_pending([pending_on(update)])
        outcome.must_push = True

    def _take_equal(self, tx: Transaction, entry: Entry, update: Update, outcome: Outcome) -> None:
        self._settling.release(tx, entry, "equal", outcome)
        kept = keep_greater(entry.update, update, ancestors_max=self._author.ancestors_max)
        if kept.rev == update.rev:
            self._settling.replace(tx, entry, kept, update.seq, outcome)
            return
        tx.write([Entry(with_seq(kept, entry.update.seq), update.seq)])
        tx.write_pending([pending_on(update)])
        outcome.must_push = True

    def _take_amended(
        self, tx: Transaction, entry: Entry, update: Update, outcome: Outcome
    ) -> None:
        ours, theirs = entry.update.data, update.data
        if ours is None or theirs is None:
            body = entry.update.body
        else:
            base: Record | None = _decoded(entry.base_of(update))
            body = encode_body(merge(base, ours, theirs, prefer="ours").data)
        self._settling.release(tx, entry, "merge", outcome)
        self._settling.stand(tx, entry, update, body, outcome)

    def collide(
        self, tx: Transaction, entry: Entry, update: Update, outcome: Outcome
    ) -> Sequence[Key]:
        """
        Settle a collision by the model's strategy, or have it wait in the conflict log.

        A record that loses anything takes with it all that was written in its transaction.

        Returns:
            The other records that gave way with it.
        """
        if entry.pending is None:
            # The base is void and nothing was pending: what we hold is what we have to say.
            entry = Entry(
                entry.update,
                entry.base_seq,
                Pending(model=update.model, record_id=update.record_id),
            )
            assert entry.pending is not None
            tx.write_pending([entry.pending])
        base = entry.base_of(update)
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
            return ()
        others: Sequence[Key] = ()
        if settlement.loser == "ours":
            others = self._settling.others_of_group(tx, entry.update)
        if others:
            settlement = Settlement(Resolution.THEIRS)
        if entry.pending is not None and entry.pending.hold == "conflict":
            word = settlement.resolution.value
            self._settling.release(tx, entry, word, outcome, theirs=update)
        else:
            self._conflict_log.note_settled(
                tx, base=base, ours=entry.update, theirs=update, resolution=settlement.resolution
            )
        if settlement.resolution is Resolution.THEIRS:
            self._settling.give_way(tx, entry, update, outcome)
            self._settling.give_up(tx, others, outcome)
        else:
            self._settling.stand(tx, entry, update, settlement.body or entry.update.body, outcome)
        return others


def _decoded(base: Base) -> Record | None:
    return msgspec.json.decode(base.body) if base.body else None
