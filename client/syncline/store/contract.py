"""
What a store must do.

A store is synchronous; whoever calls it decides on which thread.
There is one writer at a time, and its transaction commits records, changes, cursor and conflict
entries together.
The change list has one current entry per record and one counter, locked first, so that the order
of commits is the order of seqs.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import Enum
from typing import Protocol, runtime_checkable

import msgspec

from syncline.models import Conflict, Entry, Key, Pending, Record, Update
from syncline.ranges import Range, Summary
from syncline.schema import ModelSchema
from syncline.store.query import Query


class Lease(Enum):
    """What only one process at a time does with a store."""

    LINK = "link"
    """Holds the link to the upstream."""
    LISTEN = "listen"
    """Has others follow it."""


class Stray(msgspec.Struct, frozen=True, kw_only=True):
    """
    A row of a typed model's own table that is not as its record was written.

    Attributes:
        body: the encoded record that the row makes; empty when there is no row any more.
        problem: why the row makes no record, naming table and column; the body then shows what the
            row holds, and the row is parked: nothing is made of it until somebody mends it.
    """

    model: str
    record_id: str
    body: bytes = b""
    problem: str = ""


class ParkedRow(msgspec.Struct, frozen=True, kw_only=True):
    """
    A record and a row of a typed model's own table that can't be made one of the other.

    Attributes:
        problem: why, naming table and column.
        is_readable: False when the row makes no record; True when the row can't hold the record.
    """

    model: str
    record_id: str
    problem: str
    is_readable: bool


class Reader(Protocol):
    """A consistent view of the store."""

    @property
    def may_stray(self) -> bool:
        """Whether the models' own tables may hold what was written beside the replica."""

    def head(self) -> int:
        """Return the seq of the last change ever written."""

    def last_drop(self) -> int:
        """Return where the head stood after the last drop of entries; 0 where no others look."""

    def entry(self, model: str, record_id: str) -> Entry | None:
        """Return what is held of a record, its tombstone included."""

    def entries(self, keys: Sequence[Key]) -> dict[Key, Entry]:
        """Return what is held of those records, tombstones included."""

    def changes(
        self, since: int, *, models: Sequence[str] | None, limit: int, upto: int | None = None
    ) -> list[Update]:
        """Return the first `limit` entries with `since < seq <= upto`, in order of seq."""

    def keys_of(self, models: Sequence[str]) -> Iterator[Key]:
        """Return the keys of all entries of those models, tombstones included."""

    def summaries(
        self, model: str, ranges: Sequence[Range], *, every: int | None = None
    ) -> list[Summary]:
        """
        Return the summaries of ranges of record ids, in order; see `ranges.summarise_all`.

        Ids are in order of code point, and bodies are not decoded.
        """

    def find(self, model: str, query: Query) -> list[Record]:
        """Return the records that match, in the query's order, else by id."""

    def count(self, model: str, query: Query) -> int:
        """Return how many records match."""

    def models(self) -> list[str]:
        """Return the names of all models with entries, sorted."""

    def deletions_pending(self) -> dict[str, int]:
        """Return how many deletions of what the upstream holds wait to be pushed, by model."""

    def first_since(self, stamp: int) -> int | None:
        """Return the least seq of an entry with that stamp or a later one; None for no such."""

    def last_purgeable(self, upto: int) -> int | None:
        """Return the greatest seq, `upto` at most, that `purge` would drop; None for no such."""

    def outbox(self, *, limit: int, after: int = 0) -> list[Update]:
        """
        Return the first `limit` pending updates with a seq beyond `after`, in order of seq.

        A held one is left out, and with it its group; `prev` is the base's revision.
        """

    def grouped_outbox(self, groups: Sequence[str]) -> list[Update]:
        """Return every pending update of those groups, held ones included, as `outbox` does."""

    def pending_counts(self) -> dict[str, int]:
        """
        Return how many records are pending, by what holds them; `""` for nothing.

        Those that wait for a parked one of their group count as parked themselves.
        """

    def held(self, hold: str) -> list[Entry]:
        """Return the pending entries that are held for that cause, in order of seq."""

    def conflicts(
        self, *, open_only: bool, model: str | None = None, limit: int = 1000
    ) -> list[Conflict]:
        """Return the conflict log, oldest first."""

    def conflict(self, conflict_id: str) -> Conflict | None:
        """Return one conflict."""

    def open_conflict(self, model: str, record_id: str) -> Conflict | None:
        """Return the open conflict of a record that this replica met, if any."""

    def strays(self, keys: Sequence[Key] | None = None) -> list[Stray]:
        """
        Return what was written into the typed models' own tables beside the replica.

        Args:
            keys: of which records; None for all of all typed models.
        """

    def meta(self, name: str) -> bytes | None:
        """Return a small named value."""

    def digests(self, model: str, record_ids: Sequence[str]) -> dict[str, bytes]:
        """Return what the LoopBack doors keep of those records; none where nothing is kept."""

    def stage(self) -> Iterator[bytes]:
        """Return the staged pages, in order."""


class Transaction(Reader, Protocol):
    """The one writer; what it does commits together or not at all."""

    def next_seqs(self, count: int) -> int:
        """Take `count` new seqs and return the first of them."""

    def skip_seq(self) -> None:
        """Take a seq for no entry: whoever knew where the list stood has to look again."""

    def write(self, entries: Sequence[Entry]) -> None:
        """
        Store entries, one at most per record, typed tables included.

        An entry that brings no `pending` leaves alone what is stored of it.
        A row that can't hold its record stays as it is, and is parked.
        """

    @property
    def parked(self) -> Mapping[Key, ParkedRow | None]:
        """
        What rows could not hold in this transaction; None for a record that fits again.

        Of models that are declared now: another one's write is not refused for its former table.
        """

    def set_base_seqs(self, bases: Sequence[tuple[Key, int]]) -> None:
        """Move the base seq of entries that are held."""

    def remove(self, keys: Sequence[Key]) -> None:
        """
        Drop entries without a tombstone, their pending rows too.

        Take a seq for it, so that other processes look again; see `Reader.last_drop`.
        """

    def write_pending(self, pendings: Sequence[Pending]) -> None:
        """Store pending rows, one at most per record."""

    def clear_pending(self, keys: Sequence[Key]) -> None:
        """Drop pending rows."""

    def settle_applied(self, applied: Sequence[tuple[Update, int]]) -> set[Key]:
        """
        Take note that the upstream holds these updates, each at a seq of its own list.

        A record that still is at that revision, pending and not held, with a base no later than
        that seq, has its base there from now on and waits no more.

        Args:
            applied: each update as it stood in this replica's list when it was pushed.

        Returns:
            The records of which that is not true; they are as they were.
        """

    def offer_all(self) -> None:
        """Make every record without a base pending, as something that the upstream never saw."""

    def set_group(self, old: str, new: str) -> None:
        """Rename the group of pending entries."""

    def yield_bases(self, shared: int) -> None:
        """
        Give up what is not pending and has a base beyond `shared`, without dropping it yet.

        Its base counts as one from before all of the upstream's list.
        """

    def void_bases(self, shared: int) -> None:
        """Mark every base beyond `shared` as lost by the upstream."""

    def write_conflict(self, conflict: Conflict) -> None:
        """Store a conflict under its id, anew or over the one before."""

    def drop_open_conflicts(self) -> None:
        """Forget the open conflicts of this replica, and release the records they hold."""

    def trim_conflicts(self, keep: int) -> None:
        """Forget all but the newest `keep` conflicts that are settled or were received."""

    def set_meta(self, name: str, value: bytes) -> None:
        """Store a small named value."""

    def write_digests(self, model: str, rows: Sequence[tuple[str, bytes]]) -> None:
        """Keep encoded digests, (record id, them); they go when the record is dropped."""

    def purge(self, upto: int) -> int:
        """Drop tombstones with `seq <= upto` that are not pending; return how many."""

    def append_stage(self, page: bytes) -> None:
        """Add an encoded page to the stage."""

    def clear_stage(self) -> None:
        """Empty the stage."""


class Salvaged(msgspec.Struct, frozen=True):
    """
    What could be read of a damaged store.

    Attributes:
        entries: the pending ones, in order of seq.
        is_whole: whether all could be read, so that none is missing.
    """

    entries: tuple[Entry, ...]
    is_whole: bool


@runtime_checkable
class RescuableStore(Protocol):
    """A store that can be put aside when it is damaged, and begun anew."""

    def put_aside(self) -> tuple[str, Salvaged]:
        """Move the closed store away; return where it is now, and what was pending in it."""


class Store(Protocol):
    """
    Where a replica keeps everything.

    Closing and opening again gives the same content, for as long as the store is durable.
    """

    @property
    def inline_max(self) -> int:
        """How many records a transaction may write on the event loop; 0 for none at all."""

    @property
    def steps_max(self) -> int:
        """
        How many records a transaction may write on the event loop in steps; 0 for none at all.

        Between the steps others read here, and must see nothing of it.
        """

    @property
    def commit_s(self) -> float:
        """How long the last commit took, in seconds."""

    def open(self) -> None:
        """Open the store, make or migrate its tables."""

    def close(self) -> None:
        """Close it; closing twice is harmless."""

    def read(self) -> AbstractContextManager[Reader]:
        """Return a consistent view, for as long as the context lasts."""

    def write(self, *, wait: bool = True) -> AbstractContextManager[Transaction]:
        """
        Return the one writing transaction; it commits at the end, and rolls back on an error.

        Args:
            wait: whether to wait for the lock of another process, or raise at once.
        """

    def declare(self, schemas: Iterable[ModelSchema]) -> None:
        """Make sure that declared models have their tables."""

    @property
    def typed_models(self) -> Collection[str]:
        """The models that have a table of their own here."""

    @property
    def is_level(self) -> bool:
        """Whether nobody can have written into the models' own tables since the last look."""

    def note_level(self, version: int, *, is_whole: bool) -> None:
        """
        Take note that a look at all tables has found all that was written beside the replica.

        Args:
            version: what `foreign_writes` said before the look.
            is_whole: whether every row could be read.
        """

    def unfit_rows(self) -> list[ParkedRow]:
        """Return the records that their rows can't hold."""

    def tend(self) -> bool:
        """
        Do the store's housekeeping; called off the hot path, from any thread.

        Returns:
            Whether nothing is left of it; else it is to be called again in a while.
        """

    @property
    def place(self) -> str:
        """What tells the open store from any copy of it; empty where there can be none."""

    @property
    def is_shared(self) -> bool:
        """Whether other processes can open the same content."""

    def copy_aside(self, label: str) -> str | None:
        """
        Copy all that is stored to a place whose name says `label` and when.

        Returns:
            The place; None where nothing outlives the process anyway.
        """

    def foreign_writes(self) -> int:
        """Return a number that changes when another process has written."""

    def take_lease(self, name: Lease) -> bool:
        """Become the one process that does what the lease is for; False while another one is."""

    def release_lease(self, name: Lease) -> None:
        """Let another process do it."""
