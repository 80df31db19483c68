"""The store in dictionaries: for games held in memory, for tests, and for the simulation."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from syncline.schema import ModelSchema
from syncline.store.contract import Lease, ParkedRow
from syncline.store.memory_content import Content
from syncline.store.memory_reader import MemoryReader
from syncline.store.memory_transaction import MemoryTransaction


_COMPACT_MIN = 1024


class MemoryStore:
    """
    A store whose whole content is lost with the process.

    A transaction keeps an undo list, so that one that fails leaves nothing behind.
    """

    inline_max = 2000
    steps_max = 0  # Who reads here sees what is being written.
    commit_s = 0.0

    def __init__(self) -> None:
        self._content = Content()
        self._lock = threading.RLock()

    def open(self) -> None:
        """Do nothing: it is open."""

    def close(self) -> None:
        """Do nothing: the content lives as long as the object."""

    def declare(self, schemas: Iterable[ModelSchema]) -> None:
        """Do nothing: records of all models are alike here."""

    @property
    def typed_models(self) -> tuple[str, ...]:
        """None: records of all models are alike here."""
        return ()

    @property
    def is_level(self) -> bool:
        """True: there are no other tables."""
        return True

    def note_level(self, version: int, *, is_whole: bool) -> None:
        """Do nothing: there are no other tables."""

    def unfit_rows(self) -> list[ParkedRow]:
        """Return none: a record is held as it is."""
        return []

    def tend(self) -> bool:
        """Do nothing: there is nothing to tend."""
        return True

    @property
    def place(self) -> str:
        """Nowhere: it can't be copied."""
        return ""

    @property
    def is_shared(self) -> bool:
        """False: no other process can see it."""
        return False

    def foreign_writes(self) -> int:
        """Return 0: no other process can write."""
        return 0

    def copy_aside(self, label: str) -> str | None:  # noqa: ARG002 - contract
        """Return None: nothing outlives the process."""
        return None

    def take_lease(self, name: Lease) -> bool:  # noqa: ARG002 - contract
        """Return True: nobody else can."""
        return True

    def release_lease(self, name: Lease) -> None:
        """Do nothing."""

    @contextmanager
    def read(self) -> Iterator[MemoryReader]:
        """Return a view; it is consistent since it holds the lock."""
        with self._lock:
            yield MemoryReader(self._content)

    @contextmanager
    def write(self, *, wait: bool = True) -> Iterator[MemoryTransaction]:  # noqa: ARG002 - contract
        """Return the writing transaction."""
        with self._lock:
            transaction = MemoryTransaction(self._content)
            try:
                yield transaction
            except BaseException:
                transaction.undo()
                raise
            self._compact()

    def _compact(self) -> None:
        content = self._content
        if len(content.seqs) > max(_COMPACT_MIN, 2 * len(content.key_of)):
            content.seqs = sorted(content.key_of)
