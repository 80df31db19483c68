"""A store that survives its process, tells what each commit wrote, and may die within one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from syncline.models import Conflict, Entry, Key, Pending
from syncline.revision import is_deletion
from syncline.store.memory import MemoryStore
from syncline.store.memory_content import Content
from syncline.store.memory_transaction import MemoryTransaction
from syncline.verdicts import equal_bodies


class Written(msgspec.Struct, frozen=True):
    """A store's write of one record: what was there, and what is there now."""

    key: Key
    before: Entry | None
    after: Entry | None


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
        transaction = RecordedTransaction(self, self._content)
        try:
            yield transaction
        except BaseException:
            transaction.undo()
            self.written, self.conflicts, self.twins = [], [], []
            raise

    def keys(self) -> list[Key]:
        """Return the keys of all that is held."""
        return sorted(self._content.entries)

    def snapshot(self) -> Content:
        """Return a copy of all that is stored."""
        return self._content.copy()

    def restore(self, snapshot: Content) -> None:
        """Put an older content back."""
        self._content = snapshot.copy()


class RecordedTransaction(MemoryTransaction):
    """Notes what is written; dies when its fuse is burnt."""

    def __init__(self, store: RecordedStore, content: Content) -> None:
        super().__init__(content)
        self._store = store

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
