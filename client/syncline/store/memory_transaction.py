"""Writes of the memory store, with a list of how to take them back."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from syncline.models import VOID, Conflict, Entry, Key, Pending, Update
from syncline.store.contract import ParkedRow
from syncline.store.memory_content import Content
from syncline.store.memory_reader import MemoryReader


_ABSENT: Any = object()


class MemoryTransaction(MemoryReader):
    """See `store.contract`."""

    def __init__(self, content: Content) -> None:
        super().__init__(content)
        self._undo: list[Callable[[], object]] = []

    def undo(self) -> None:
        """Take everything back, last first."""
        while self._undo:
            self._undo.pop()()

    def next_seqs(self, count: int) -> int:
        """Take `count` new seqs and return the first."""
        content, head = self._content, self._content.head

        def back() -> None:
            content.head = head

        self._undo.append(back)
        content.head = head + count
        return head + 1

    def skip_seq(self) -> None:
        """Take a seq for no entry."""
        self.next_seqs(1)

    def write(self, entries: Sequence[Entry]) -> None:
        """Store entries."""
        content = self._content
        held, key_of = content.entries, content.key_of
        keys = [entry.update.key for entry in entries]
        before = [held.get(key) for key in keys]
        seqs_length = len(content.seqs)

        def back() -> None:
            del content.seqs[seqs_length:]
            for key, entry, old in zip(
                reversed(keys), reversed(entries), reversed(before), strict=True
            ):
                key_of.pop(entry.update.seq, None)
                if old is None:
                    held.pop(key, None)
                else:
                    held[key] = old
                    key_of[old.update.seq] = key
            # In place, since what this transaction did before holds the same dictionary.
            in_order = sorted(key_of.items())
            key_of.clear()
            key_of.update(in_order)

        self._undo.append(back)
        for key, entry, old in zip(keys, entries, before, strict=True):
            seq = entry.update.seq
            if old is None or old.update.seq != seq:
                if old is not None:
                    del key_of[old.update.seq]
                key_of[seq] = key
                content.seqs.append(seq)
            held[key] = entry if entry.pending is None else Entry(entry.update, entry.base_seq)
        for entry in entries:
            if entry.pending is not None:
                self._set(content.pending, entry.pending.key, entry.pending)

    @property
    def parked(self) -> dict[Key, ParkedRow | None]:
        """Nothing: a record is held as it is."""
        return {}

    def set_base_seqs(self, bases: Sequence[tuple[Key, int]]) -> None:
        """Move the base seqs of entries that are held."""
        held = self._content.entries
        for key, seq in bases:
            old = held.get(key)
            if old is not None:
                self._set(held, key, Entry(old.update, seq))

    def remove(self, keys: Sequence[Key]) -> None:
        """Drop entries without a tombstone."""
        for key in keys:
            entry = self._content.entries.get(key)
            if entry is not None:
                self._unset(self._content.key_of, entry.update.seq)
                self._unset(self._content.entries, key)
            self._unset(self._content.digests, key)
        self.clear_pending(keys)

    def write_pending(self, pendings: Sequence[Pending]) -> None:
        """Store pending rows."""
        for row in pendings:
            self._set(self._content.pending, row.key, row)

    def clear_pending(self, keys: Sequence[Key]) -> None:
        """Drop pending rows."""
        for key in keys:
            self._unset(self._content.pending, key)

    def settle_applied(self, applied: Sequence[tuple[Update, int]]) -> set[Key]:
        """Move the bases of those that still stand as they were pushed; they wait no more."""
        settled: dict[Key, int] = {}
        left: set[Key] = set()
        for update, seq in applied:
            key = update.key
            entry, row = self._content.entries.get(key), self._content.pending.get(key)
            if (
                entry is None
                or row is None
                or row.hold
                or entry.update.rev != update.rev
                or (entry.base_seq is not None and entry.base_seq > seq)
            ):
                left.add(key)
            else:
                settled[key] = seq
        self.set_base_seqs(list(settled.items()))
        self.clear_pending(list(settled))
        return left

    def offer_all(self) -> None:
        """Make every record without a base pending."""
        for key, entry in self._content.entries.items():
            is_bare = entry.base_seq is None and key not in self._content.pending
            if is_bare and not entry.update.is_deletion:
                self._set(self._content.pending, key, Pending(model=key[0], record_id=key[1]))

    def set_group(self, old: str, new: str) -> None:
        """Rename the group of pending entries."""
        for key in list(self._content.pending):
            entry = self._content.entries[key]
            if entry.update.group == old:
                update = msgspec.structs.replace(entry.update, group=new)
                self._set(self._content.entries, key, Entry(update, entry.base_seq))

    def yield_bases(self, shared: int) -> None:
        """Give up what is not pending beyond `shared`."""
        for key, entry in list(self._content.entries.items()):
            is_beyond = entry.base_seq is not None and entry.base_seq > shared
            if is_beyond and key not in self._content.pending:
                self._set(self._content.entries, key, Entry(entry.update, 0))

    def void_bases(self, shared: int) -> None:
        """Mark every base beyond `shared` as lost by the upstream."""
        for key, entry in list(self._content.entries.items()):
            if entry.base_seq is not None and entry.base_seq > shared:
                self._set(self._content.entries, key, Entry(entry.update, VOID))
                row = self._content.pending.get(key)
                if row is not None:
                    lost = msgspec.structs.replace(row, base_rev=None, base_body=b"")
                    self._set(self._content.pending, key, lost)

    def write_conflict(self, conflict: Conflict) -> None:
        """Store a conflict."""
        self._set(self._content.conflicts, conflict.conflict_id, conflict)

    def drop_open_conflicts(self) -> None:
        """Forget the open conflicts of this replica."""
        self._keep_conflicts()
        for conflict in list(self._content.conflicts.values()):
            if conflict.is_open and conflict.side == "ours":
                del self._content.conflicts[conflict.conflict_id]
        for key, row in list(self._content.pending.items()):
            if row.hold == "conflict":
                self._set(self._content.pending, key, msgspec.structs.replace(row, hold=""))

    def trim_conflicts(self, keep: int) -> None:
        """Forget all but the newest `keep` that wait for nobody here."""
        idle = [
            c.conflict_id
            for c in self._content.conflicts.values()
            if not c.is_open or c.side != "ours"
        ]
        old = idle[: max(0, len(idle) - keep)]
        if old:
            self._keep_conflicts()
        for conflict_id in old:
            del self._content.conflicts[conflict_id]

    def _keep_conflicts(self) -> None:
        # Put back one by one, they would come last: the log's order is the dictionary's.
        table = self._content.conflicts
        before = dict(table)

        def back() -> None:
            table.clear()
            table.update(before)

        self._undo.append(back)

    def set_meta(self, name: str, value: bytes) -> None:
        """Store a small named value."""
        self._set(self._content.meta, name, value)

    def write_digests(self, model: str, rows: Sequence[tuple[str, bytes]]) -> None:
        """Keep encoded digests."""
        for record_id, value in rows:
            self._set(self._content.digests, (model, record_id), value)

    def purge(self, upto: int) -> int:
        """Drop old tombstones that are not pending."""
        old = [key for key, _ in self._purgeable(upto)]
        self.remove(old)
        return len(old)

    def append_stage(self, page: bytes) -> None:
        """Add an encoded page to the stage."""
        self._undo.append(self._content.stage.pop)
        self._content.stage.append(page)

    def clear_stage(self) -> None:
        """Empty the stage."""
        content, before = self._content, self._content.stage

        def back() -> None:
            content.stage = before

        self._undo.append(back)
        content.stage = []

    def _set(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        before = table.get(key, _ABSENT)
        self._undo.append(lambda: _put_back(table, key, before))
        table[key] = value

    def _unset(self, table: dict[Any, Any], key: Any) -> None:
        before = table.pop(key, _ABSENT)
        if before is not _ABSENT:
            self._undo.append(lambda: _put_back(table, key, before))


def _put_back(table: dict[Any, Any], key: Any, before: Any) -> None:
    if before is _ABSENT:
        table.pop(key, None)
    else:
        table[key] = before
