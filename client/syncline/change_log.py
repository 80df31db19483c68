"""Every write leaves a change: local writes, and what others push here."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from syncline.author import Author
from syncline.bulk import BulkPlan, BulkRules, Ruling, plan_bulk_update
from syncline.conflict_log import ConflictLog
from syncline.conflicts import Strategy
from syncline.errors import ConflictError, RecordNotFound, RecordTooLarge
from syncline.grouping import in_group, in_push, join_groups
from syncline.limits import too_large
from syncline.models import (
    NO_BODY,
    SENT_MAX,
    VOID,
    Base,
    Entry,
    Key,
    Pending,
    Sent,
    Update,
    join_ancestors,
    raw_body,
)
from syncline.parking import unpark_group
from syncline.pending import Outbox, base_rev_of, pending_anew
from syncline.revision import Revision, is_deletion, new_revision, next_generation, short_of
from syncline.steps import Steps
from syncline.store.contract import Transaction
from syncline.verdicts import equal_bodies


STEP_ENTRIES = 200
"""How many entries are written in a step: under a millisecond."""


class WriteKind(StrEnum):
    """What a local write does."""

    PUT = "put"
    PATCH = "patch"
    DELETE = "delete"


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """
    A local write, already found valid.

    Attributes:
        body: the encoded record, for a put.
        merge: for a patch, makes the encoded record from the one before; for a put, whose id may
            be a number or its text, does so where there is one.
        if_rev: the revision that must stand, or None for any.
    """

    kind: WriteKind
    model: str
    record_id: str
    body: msgspec.Raw = NO_BODY
    merge: Callable[[dict[str, Any]], bytes] | None = None
    if_rev: Revision | None = None

    @property
    def key(self) -> Key:
        """Model and record id."""
        return self.model, self.record_id


class ChangeLog:
    """
    Records writes in the change list of one replica.

    Every method runs inside a transaction that the caller commits.
    """

    def __init__(self, author: Author, outbox: Outbox, conflict_log: ConflictLog) -> None:
        self._author = author
        self._outbox = outbox
        self._conflict_log = conflict_log
        self._is_joined = False

    def record_writes(
        self, tx: Transaction, writes: Sequence[Write], *, group: str | None = None
    ) -> list[Update]:
        """Store local writes, in order; see `record_write`."""
        self._is_joined = False
        written: list[Update] | None = None
        if len(writes) > 1:
            written = self._record_creates(tx, writes, group)
        if written is None:
            written = [self.record_write(tx, write, group=group) for write in writes]
        if group is not None and self._author.follows:
            self._check_size(tx, group, written)
        return written

    def _check_size(self, tx: Transaction, group: str, written: Sequence[Update]) -> None:
        """Raise `RecordTooLarge` when no push could carry the transaction: it would never leave."""
        unit: Sequence[Update] = list({u.key: u for u in written if u.group == group}.values())
        if self._is_joined:
            unit = tx.grouped_outbox([group])
        reason = too_large(unit, self._outbox.limits)
        if reason:
            raise RecordTooLarge(
                reason.partition(": ")[2],
                hint="write in several transactions, use put_many, or raise the daemon's limits",
            )

    def _record_creates(
        self, tx: Transaction, writes: Sequence[Write], group: str | None
    ) -> list[Update] | None:
        """Store what an import brings: new records, all at once; None when it is anything else."""
        if any(write.kind is not WriteKind.PUT or write.if_rev is not None for write in writes):
            return None
        keys = [(write.model, write.record_id) for write in writes]
        if len(set(keys)) < len(keys) or tx.entries(keys):
            return None
        self._author.learn(tx)
        first = tx.next_seqs(len(writes))
        updates = [
            self._next_update(None, write, write.body, group, seq=seq)
            for seq, write in enumerate(writes, first)
        ]
        if not self._author.follows:
            tx.write([Entry(update) for update in updates])
            return updates
        tx.write([Entry(u, None, pending_anew(None, u.key)) for u in updates])
        for update in updates:
            self._note_pending(tx, None, update)
        return updates

    def record_write(self, tx: Transaction, write: Write, *, group: str | None = None) -> Update:
        """
        Store a local write with its change, and return the record as it is now.

        A write that changes nothing makes no revision.

        Raises:
            RecordNotFound: a patch or a delete of what is not there.
            ConflictError: `if_rev` does not stand.
        """
        entry = tx.entry(write.model, write.record_id)
        self._author.learn(tx)
        before = None if entry is None else entry.update
        if write.if_rev is not None and (before is None or before.rev != write.if_rev):
            raise ConflictError(
                f"{write.model}/{write.record_id} is at {before.rev if before else 'nothing'}, "
                f"not at {write.if_rev}"
            )
        body = self._body_after(before, write)
        if before is not None and _is_same(before, body):
            return before
        if self._is_undone(entry, body):
            assert entry is not None
            return self._undo(tx, entry)
        update = self._next_update(entry, write, body, group, seq=tx.next_seqs(1))
        base_seq = None if entry is None else entry.base_seq
        if not self._author.follows:
            tx.write([Entry(update, base_seq)])
            return update
        pending = self._pending_of(entry, update.key)
        tx.write([Entry(update, base_seq, pending)])
        self._note_pending(tx, entry, update)
        if group is not None and join_groups(tx, [(entry, group)]):
            self._is_joined = True
        return update

    def _body_after(self, before: Update | None, write: Write) -> msgspec.Raw:
        if write.kind is WriteKind.PUT:
            is_there = before is not None and not before.is_deletion
            if write.merge is None or not is_there:
                return write.body
            assert before is not None
            kind = _id_kind(before.body)
            if kind and kind == _id_kind(write.body):
                return write.body
            assert before.data is not None
            return msgspec.Raw(write.merge(before.data))
        if before is None or before.is_deletion:
            raise RecordNotFound(f"there is no {write.model} {write.record_id!r}")
        if write.kind is WriteKind.DELETE:
            return NO_BODY
        assert write.merge is not None
        assert before.data is not None
        return msgspec.Raw(write.merge(before.data))

    def _squashes(self, entry: Entry | None) -> bool:
        return (
            entry is not None
            and entry.pending is not None
            and not entry.pending.hold
            and not self._author.listens
            and self._outbox.squashable(entry.update.key, entry.update.rev)
        )

    def _is_undone(self, entry: Entry | None, body: msgspec.Raw) -> bool:
        """Tell whether this write leads a never-sent revision back to the base's data."""
        if entry is None or entry.pending is None or not self._squashes(entry):
            return False
        if not self._outbox.is_over_base(entry.update.key) or entry.base_seq == VOID:
            return False
        base_rev = entry.pending.base_rev
        if base_rev is None or is_deletion(base_rev):
            return not bytes(body)
        return bool(bytes(body)) and equal_bodies(entry.pending.base_body, bytes(body))

    def _undo(self, tx: Transaction, entry: Entry) -> Update:
        pending = entry.pending
        assert pending is not None
        self._outbox.forget(entry.update.key)
        if pending.base_rev is None:
            tx.next_seqs(1)  # Other processes look again.
            tx.remove([entry.update.key])
            return msgspec.structs.replace(
                entry.update,
                seq=0,
                rev=new_revision(entry.update.generation, self._author.new_nonce(), deleted=True),
                body=NO_BODY,
            )
        base_short = short_of(pending.base_rev)
        restored = msgspec.structs.replace(
            entry.update,
            seq=tx.next_seqs(1),
            rev=pending.base_rev,
            prev=None,
            ancestors=tuple(a for a in entry.update.ancestors if a != base_short),
            group=None,
            body=raw_body(pending.base_body),
        )
        tx.write([Entry(restored, entry.base_seq)])
        tx.clear_pending([entry.update.key])
        return restored

    def _next_update(
        self,
        entry: Entry | None,
        write: Write,
        body: msgspec.Raw,
        group: str | None,
        *,
        seq: int,
    ) -> Update:
        deleted = not bytes(body)
        before = None if entry is None else entry.update
        base_rev = base_rev_of(entry)
        if before is None:
            ancestors: tuple[str, ...] = ()
            generation = 1
        elif self._squashes(entry):
            ancestors = before.ancestors
            generation = before.generation
        else:
            ancestors = join_ancestors(
                before.ancestors, (short_of(before.rev),), limit=self._author.ancestors_max
            )
            generation = next_generation(before.rev, base_rev, ancestors=ancestors)
        if group is None and entry is not None and entry.pending is not None:
            group = entry.update.group
        return Update(
            model=write.model,
            record_id=write.record_id,
            seq=seq,
            rev=new_revision(generation, self._author.new_nonce(), deleted=deleted),
            prev=base_rev if self._author.follows else (before.rev if before else None),
            ancestors=ancestors,
            origin=self._author.replica_id,
            group=group,
            stamp=self._author.stamp(),
            body=body,
        )

    def _pending_of(self, entry: Entry | None, key: Key) -> Pending | None:
        """Return what a new revision of a record has to tell upstream; None when that stands."""
        if entry is None or entry.pending is None:
            return pending_anew(entry, key)
        sent = self._sent_of(entry, entry.pending)
        is_same = sent is entry.pending.sent
        if is_same and entry.pending.hold != "parked" and not entry.pending.reason:
            return None
        hold = "conflict" if entry.pending.hold == "conflict" else ""
        return msgspec.structs.replace(entry.pending, hold=hold, reason="", sent=sent)

    def _sent_of(self, entry: Entry, pending: Pending) -> tuple[Sent, ...]:
        """Return what is kept of revisions that were sent, when this one is edited."""
        if self._author.listens or pending.hold == "conflict" or self._squashes(entry):
            return pending.sent
        return (*pending.sent, Sent(entry.update.rev, entry.update.body))[-SENT_MAX:]

    def _note_pending(self, tx: Transaction, entry: Entry | None, update: Update) -> None:
        """Take note of a new pending revision, once it is written."""
        over_base = True
        if entry is not None and entry.pending is not None:
            over_base = self._squashes(entry) and self._outbox.is_over_base(update.key)
            if entry.pending.hold == "parked":
                # One of it is another record now, which may let all of it go.
                for group in {entry.update.group or "", update.group or ""} - {""}:
                    unpark_group(tx, group)
            if entry.pending.hold == "conflict":
                self._move_ours(tx, update)
        self._outbox.note_made(update.key, update.rev, over_base=over_base)

    def _move_ours(self, tx: Transaction, update: Update) -> None:
        conflict = tx.open_conflict(*update.key)
        if conflict is not None:
            tx.write_conflict(msgspec.structs.replace(conflict, ours=update))

    def rules(
        self,
        *,
        head: int,
        needs_ruling: Callable[[str], bool],
        strategy_of: Callable[[str], Strategy],
        pusher: str,
        amended: Mapping[Revision, bytes] | None = None,
    ) -> BulkRules:
        """Return what a plan depends on beside the records; `head` is where the list stands."""
        return BulkRules(
            needs_ruling=needs_ruling,
            strategy_of=strategy_of,
            next_seq=head + 1,
            now_ms=self._author.now_ms(),
            new_nonce=self._author.new_nonce,
            stamp=self._author.stamp(),
            replica_id=self._author.replica_id,
            pusher=pusher,
            amended=amended or {},
            ancestors_max=self._author.ancestors_max,
        )

    def offer_updates(
        self,
        tx: Transaction,
        updates: Sequence[Update],
        rulings: Mapping[int, Ruling],
        *,
        needs_ruling: Callable[[str], bool],
        strategy_of: Callable[[str], Strategy],
        pusher: str = "",
        amended: Mapping[Revision, bytes] | None = None,
    ) -> Steps[BulkPlan]:
        """
        Apply what was pushed here, each item by its own verdict.

        Nothing is written while an item waits for a hook's ruling: see `BulkPlan.unruled`.
        """
        entries = tx.entries([update.key for update in updates])
        self._author.learn(tx)
        yield
        current = {key: entry.update for key, entry in entries.items()}
        rules = self.rules(
            head=tx.head(),
            needs_ruling=needs_ruling,
            strategy_of=strategy_of,
            pusher=pusher,
            amended=amended,
        )
        plan = plan_bulk_update(current, updates, rulings, rules)
        if plan.unruled:
            return plan
        if plan.writes or plan.joined:
            yield
            plan = yield from self._store_plan(tx, plan, entries, updates)
        for pushed, held, reason in plan.clashes:
            self._conflict_log.note_received(tx, pushed, held, reason, pusher)
        for mine, pushed, resolution in plan.settled:
            self._conflict_log.note_settled(
                tx, base=Base(), ours=mine, theirs=pushed, resolution=resolution
            )
        return plan

    def _store_plan(
        self,
        tx: Transaction,
        plan: BulkPlan,
        entries: Mapping[Key, Entry],
        pushed: Sequence[Update],
    ) -> Steps[BulkPlan]:
        """Store what is planned; return the plan with only the last write of each record."""
        last = {(u.model, u.record_id): u for u in plan.writes}
        groups = {update.key: update.group for update in pushed if update.group is not None}
        joined = {
            update.key: in_push(update, entries.get(update.key), groups.get(update.key))
            for update in plan.joined
            if update.key not in last
        }
        writes = plan.writes if len(last) == len(plan.writes) else tuple(last.values())
        if writes:
            seq = max([update.seq for update in writes])
            first = tx.next_seqs(seq - tx.head())
            assert first == plan.writes[0].seq, "planned upon another head"
            self._author.observe(max([update.stamp for update in writes]))
        if self._author.follows:
            writes = yield from self._store_pending(tx, writes, entries)
        elif not entries:
            yield from _write(tx, [Entry(update) for update in writes])
        else:
            yield from _write(tx, [Entry(u, _base_seq(entries.get(u.key))) for u in writes])
        if joined:
            tx.write([Entry(u, entries[key].base_seq) for key, u in joined.items()])
        if self._author.follows:
            met = [update for update in pushed if update.key in joined]
            join_groups(tx, [(entries.get(u.key), u.group) for u in (*writes, *met)])
        return msgspec.structs.replace(plan, writes=writes)

    def _store_pending(
        self, tx: Transaction, writes: Sequence[Update], entries: Mapping[Key, Entry]
    ) -> Steps[tuple[Update, ...]]:
        """Store writes that wait to go further upstream; return them in the groups they wait in."""
        pairs = [(update, entries.get(update.key)) for update in writes]
        grouped = [(in_group(update, entry), entry) for update, entry in pairs]
        stored = [Entry(u, _base_seq(e), self._pending_of(e, u.key)) for u, e in grouped]
        yield from _write(tx, stored)
        for update, entry in grouped:
            self._note_pending(tx, entry, update)
        return tuple([update for update, _ in grouped])


def _id_kind(body: msgspec.Raw) -> str:
    """Return how a record begins, `"text"` or `"number"`, where that is its id; else nothing."""
    start = bytes(memoryview(body)[:7])
    if start[:6] != b'{"id":':
        return ""
    return "text" if start[6:] == b'"' else "number"


def _write(tx: Transaction, entries: Sequence[Entry]) -> Steps[None]:
    for start in range(0, len(entries), STEP_ENTRIES):
        tx.write(entries[start : start + STEP_ENTRIES])
        yield


def _base_seq(entry: Entry | None) -> int | None:
    return None if entry is None else entry.base_seq


def _is_same(before: Update, body: msgspec.Raw) -> bool:
    if before.is_deletion:
        return not bytes(body)
    return bool(bytes(body)) and equal_bodies(bytes(before.body), bytes(body))
