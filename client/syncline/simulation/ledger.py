"""
What really happened: every revision that was made, over which, and where it was stored.

The engine's own ancestors are bounded and sometimes adopted; the ledger's are the truth that its
decisions are judged by.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from syncline.models import Conflict, Entry, Key, Pending
from syncline.revision import is_deletion
from syncline.store.memory import MemoryStore, MemoryTransaction
from syncline.verdicts import equal_bodies


class Written(msgspec.Struct, frozen=True):
    """A store's write of one record: what was there, and what is there now."""

    key: Key
    before: Entry | None
    after: Entry | None


class Ledger:
    """
    The truth about all revisions.

    Attributes:
        parents: what each revision was made over.
        twins: equal data under another revision, that this one was kept for.
        bodies: the data that each revision names.
        refused, undone: revisions that were given up in the open.
        amended: pushed revisions that a hook amended.
        pushed: what each replica ever pushed, (replica, rev).
        works: what the workload wrote, (replica, key, rev).
    """

    def __init__(self) -> None:
        self.parents: dict[str, tuple[str, ...]] = {}
        self.twins: dict[str, list[str]] = {}
        self.bodies: dict[str, bytes] = {}
        self.refused: set[str] = set()
        self.undone: set[str] = set()
        self.amended: set[str] = set()
        self.pushed: set[tuple[str, str]] = set()
        self.works: list[tuple[str, Key, str]] = []
        self.accepted: list[tuple[str, Key, str]] = []

    def note(self, written: Written) -> str:
        """Enter a write; return what is wrong with it, or nothing."""
        if written.after is None:
            return ""
        update, before = written.after.update, written.before
        body = bytes(update.body)
        if update.rev not in self.parents:
            over = [] if before is None else [str(before.update.rev)]
            if update.prev is not None and update.prev not in over:
                over.append(str(update.prev))
            self.parents[update.rev] = tuple(over)
            self.bodies[update.rev] = body
            if update.amended_for is not None and update.prev is not None:
                self.amended.add(update.prev)
            return ""
        if not equal_bodies(self.bodies[update.rev], body) and self.bodies[update.rev] != body:
            return f"revision {update.rev} of {written.key} names two different records"
        if before is not None and before.update.rev != update.rev:
            old = before.update.rev
            if equal_bodies(bytes(before.update.body), body) or (
                before.update.is_deletion and update.is_deletion
            ):
                self.twins.setdefault(update.rev, []).append(old)
        return ""

    def note_undone(self, written: Written) -> None:
        """Take note of a local write that led a never-sent revision back to its base."""
        if written.before is not None:
            after = written.after
            if after is None or after.update.rev in self.parents:
                self.undone.add(written.before.update.rev)

    def descends(self, rev: str, ancestor: str, *, with_twins: bool = True) -> bool:
        """Tell whether `rev` was made knowing `ancestor`, or is it."""
        seen: set[str] = set()
        ahead = [rev]
        while ahead:
            at = ahead.pop()
            if at == ancestor:
                return True
            if at in seen:
                continue
            seen.add(at)
            ahead.extend(self.parents.get(at, ()))
            if with_twins:
                ahead.extend(self.twins.get(at, ()))
        return False

    def burials(self) -> set[str]:
        """
        Return the tombstones that a refusal left where others follow.

        They were given up with what they bury: a deletion that met one as its equal had nothing
        but a record to delete that no upstream ever took.
        """
        works = {rev for _, _, rev in self.works}
        return {
            rev
            for rev, over in self.parents.items()
            if is_deletion(rev) and rev not in works and self.refused.intersection(over)
        }

    def lineage_of(self, revs: Sequence[str]) -> set[str]:
        """Return all that those revisions were made knowing, themselves included."""
        seen: set[str] = set()
        ahead = list(revs)
        while ahead:
            at = ahead.pop()
            if at not in seen:
                seen.add(at)
                ahead.extend(self.parents.get(at, ()))
                ahead.extend(self.twins.get(at, ()))
        return seen


class Fuse(Exception):  # noqa: N818 - a planned accident
    """The transaction dies here."""


class RecordedStore(MemoryStore):
    """
    A memory store that says what each commit wrote, and may die within one.

    Attributes:
        fuse: how many more writing calls succeed; None for all.
        written, conflicts, twins: of the last commit; twins are revisions of equal data.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fuse: int | None = None
        self.written: list[Written] = []
        self.conflicts: list[Conflict] = []
        self.twins: list[tuple[str, str]] = []

    @contextmanager
    def write(self, *, wait: bool = True) -> Iterator["RecordedTransaction"]:  # noqa: ARG002 - contract
        """Return the writing transaction."""
        self.written, self.conflicts, self.twins = [], [], []
        transaction = RecordedTransaction(self)
        try:
            yield transaction
        except BaseException:
            transaction.undo()
            self.written, self.conflicts, self.twins = [], [], []
            raise

    def snapshot(self) -> dict[str, Any]:
        """Return a copy of all that is stored; entries are immutable."""
        return {
            "_head": self._head,
            "_entries": dict(self._entries),
            "_key_of": dict(self._key_of),
            "_seqs": list(self._seqs),
            "_pending": dict(self._pending),
            "_conflicts": dict(self._conflicts),
            "_meta": dict(self._meta),
            "_stage": list(self._stage),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Put an older content back."""
        for name, value in snapshot.items():
            setattr(self, name, value if isinstance(value, int) else value.copy())


class RecordedTransaction(MemoryTransaction):
    """Notes what is written; dies when its fuse is burnt."""

    _store: RecordedStore

    def _burn(self) -> None:
        store = self._store
        if store.fuse is not None:
            store.fuse -= 1
            if store.fuse < 0:
                store.fuse = None
                raise Fuse

    def write(self, entries: Sequence[Entry]) -> None:
        """Store entries."""
        self._burn()
        for entry in entries:
            before = self.entry(*entry.update.key)
            self._store.written.append(Written(entry.update.key, before, entry))
        super().write(entries)
        self._note_twins([entry.pending for entry in entries if entry.pending is not None])
        self._burn()

    def remove(self, keys: Sequence[Key]) -> None:
        """Drop entries."""
        self._burn()
        for key in keys:
            self._store.written.append(Written(key, self.entry(*key), None))
        super().remove(keys)

    def write_conflict(self, conflict: Conflict) -> None:
        """Store a conflict."""
        self._burn()
        self._store.conflicts.append(conflict)
        super().write_conflict(conflict)

    def set_meta(self, name: str, value: bytes) -> None:
        """Store a small named value."""
        super().set_meta(name, value)
        self._burn()

    def write_pending(self, pendings: Sequence[Pending]) -> None:
        """Store pending rows; one whose data equal its base's is its twin."""
        super().write_pending(pendings)
        self._note_twins(pendings)

    def _note_twins(self, pendings: Sequence[Pending]) -> None:
        for row in pendings:
            entry = self.entry(*row.key)
            if entry is None or row.base_rev is None:
                continue
            is_gone = is_deletion(row.base_rev) and entry.update.is_deletion
            if is_gone or equal_bodies(row.base_body, bytes(entry.update.body)):
                self._store.twins.append((entry.update.rev, row.base_rev))

    def clear_pending(self, keys: Sequence[Key]) -> None:
        """Drop pending rows."""
        self._burn()
        super().clear_pending(keys)
