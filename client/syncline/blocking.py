"""
The blocking facade: the same names for scripts, Flask and Django.

::

    with syncline.blocking.connect("http://127.0.0.1:8765", store="todos.db", models=["todo"]) as r:
        r.model("todo").put("1", {"title": "milk"})

One event loop on a thread of its own serves a replica; any thread may call.
A method that is `async` on the replica blocks here; all else is the same.
A callback that is a plain function is called on a thread of its own, and may do what a program
does.
A replica that a program forgets to close is closed when the program ends.
"""

import asyncio
import atexit
import contextlib
import inspect
import weakref
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from syncline.connecting import connect as _connect
from syncline.errors import ReplicaClosed, UnsentWrites
from syncline.loop_thread import LoopThread, on_thread
from syncline.model import Model
from syncline.models import BulkResult, Change, Checkpoint, Diff, Record, Resolution, Update
from syncline.observers import Watch
from syncline.replica import ALLOWED_S, Compaction, Replica
from syncline.replicate import End, Replication, Since
from syncline.replicate import replicate as _replicate
from syncline.resolving import OpenConflict
from syncline.revision import Revision
from syncline.status import Status
from syncline.store.contract import ParkedRow
from syncline.transaction import ReplicaTransaction


_Answer = TypeVar("_Answer")

_open: "weakref.WeakSet[BlockingReplica]" = weakref.WeakSet()


class BlockingReplica:
    """A replica for synchronous programs; open one with `connect` or `open_replica`."""

    def __init__(self, loop: LoopThread, replica: Replica) -> None:
        self._loop = loop
        self._replica = replica
        _open.add(self)

    @property
    def replica_id(self) -> str:
        """Who this replica is."""
        return self._replica.replica_id

    @property
    def status(self) -> Status:
        """How this replica stands to its upstream; `offline` once it is closed."""
        if self._loop.is_closed:
            return Status()
        return self._loop.ask(lambda: self._replica.status)

    def __repr__(self) -> str:
        """Whom it follows and how it stands, as of now; it may be asked anywhere."""
        if self._loop.is_closed or self._loop.is_forked:
            return "BlockingReplica(state='closed')"
        is_here = self._loop.is_own_thread
        said = repr(self._replica) if is_here else self._loop.ask(lambda: repr(self._replica))
        return f"Blocking{said}"

    def model(self, name: str) -> "BlockingModel":
        """Return the handle of a model; raise `ModelUnknown`."""
        return BlockingModel(self._loop, self._replica.model(name))

    def model_names(self) -> list[str]:
        """Return the names of the models."""
        return self._loop.call(self._replica.model_names())

    @contextmanager
    def transaction(self) -> Iterator[ReplicaTransaction]:
        """Group writes to several records and models; they are made when the block ends."""
        transaction = ReplicaTransaction(self._replica.core)
        yield transaction
        self._loop.call(transaction.commit())

    def conflicts(
        self, *, open_only: bool = True, model: str | None = None
    ) -> list["BlockingConflict"]:
        """Return the conflict log, oldest first."""
        found = self._loop.call(self._replica.conflicts(open_only=open_only, model=model))
        return [BlockingConflict(self._loop, conflict) for conflict in found]

    def barrier(self, timeout_s: float | None = None) -> None:
        """Return when this replica holds all that its upstream had at the call."""
        self._loop.call(self._replica.barrier(timeout_s))

    def wait_live(self, timeout_s: float | None = None) -> None:
        """Return when the status is `live`: level, and nothing left to push."""
        self._loop.call(self._replica.wait_live(timeout_s))

    def flush(self, timeout_s: float | None = None) -> None:
        """Return when all that was written here was sent and answered: the outbox is empty."""
        self._loop.call(self._replica.flush(timeout_s))

    def pause(self) -> None:
        """Cut the link and stay offline; writes wait."""
        self._loop.call(self._replica.pause())

    def resume(self) -> None:
        """Connect again."""
        self._loop.ask(self._replica.resume)

    def allow_deletions(self, *, for_s: float = ALLOWED_S) -> None:
        """Let mass deletions through for a while; a link that was stopped by one goes on."""
        self._loop.ask(lambda: self._replica.allow_deletions(for_s=for_s))

    def compact(self, older_than_s: float) -> Compaction:
        """Purge the tombstones older than that, in seconds."""
        return self._loop.call(self._replica.compact(older_than_s))

    def retry_parked(self) -> int:
        """Push again what the upstream could not rule on."""
        return self._loop.call(self._replica.retry_parked())

    def parked_rows(self) -> list[ParkedRow]:
        """Return the rows of models' own tables that make no record, or can't hold theirs."""
        return self._replica.parked_rows()

    def close(self, timeout_s: float | None = None) -> int:
        """
        Send what waits, and close the link, the store and the loop; closing twice is harmless.

        Args:
            timeout_s: how long to go on sending, in seconds; None for what it was opened with.

        Returns:
            how many writes stay in the store, unsent.

        Raises:
            UnsentWrites: they don't stay, for the store was in memory. It is closed all the same.
        """
        return self._end(self._replica.close(timeout_s)) or 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end(self._replica.__aexit__(kind, error, traceback))

    def _end(self, closing: Coroutine[Any, Any, _Answer]) -> _Answer | None:
        _open.discard(self)
        if self._loop.is_closed or self._loop.is_forked:
            closing.close()
            return None
        try:
            return self._loop.call(closing)
        except ReplicaClosed:
            return None  # By another thread, meanwhile.
        finally:
            if not self._loop.is_own_thread:
                self._loop.close()


class BlockingModel:
    """A model of a replica, for synchronous programs; see `Model` for each method."""

    def __init__(self, loop: LoopThread, model: Model) -> None:
        self._loop = loop
        self._model = model

    def __repr__(self) -> str:
        """Its name."""
        return f"BlockingModel({self.name!r})"

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    def put(
        self,
        record_id: str | int | Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        *,
        if_rev: Revision | None = None,
    ) -> Update:
        """Store a whole record and return it with its change."""
        return self._loop.call(self._model.put(record_id, data, if_rev=if_rev))

    def put_many(self, records: Sequence[Mapping[str, Any]]) -> list[Update]:
        """Store many records in one commit."""
        return self._loop.call(self._model.put_many(records))

    def patch(
        self, record_id: str | int, data: Mapping[str, Any], *, if_rev: Revision | None = None
    ) -> Update:
        """Set some properties of a record."""
        return self._loop.call(self._model.patch(record_id, data, if_rev=if_rev))

    def delete(self, record_id: str | int, *, if_rev: Revision | None = None) -> Update:
        """Delete a record."""
        return self._loop.call(self._model.delete(record_id, if_rev=if_rev))

    def get(self, record_id: str | int) -> Record | None:
        """Return a record, or None."""
        return self._loop.call(self._model.get(record_id))

    def get_change(self, record_id: str | int) -> Update | None:
        """Return a record with its change."""
        return self._loop.call(self._model.get_change(record_id))

    def find(
        self,
        where: Mapping[str, Any] | None = None,
        order: str | Sequence[str] | None = None,
        limit: int | None = None,
        after: str | int | None = None,
    ) -> list[Record]:
        """Return the records that match."""
        return self._loop.call(self._model.find(where, order, limit, after))

    def count(self, where: Mapping[str, Any] | None = None) -> int:
        """Return how many records match."""
        return self._loop.call(self._model.count(where))

    def watch(self) -> "BlockingWatch":
        """Return an iterator of changes, from now on."""

        async def begin() -> Watch:
            return self._model.watch()

        return BlockingWatch(self._loop, self._loop.call(begin()))

    def subscribe(
        self,
        callback: Callable[[list[Record]], Any],
        where: Mapping[str, Any] | None = None,
        order: str | Sequence[str] | None = None,
        limit: int | None = None,
    ) -> Callable[[], None]:
        """
        Call `callback` with the rows now, and again on change; return what ends that.

        A plain function is called on a thread of its own, and not again while it runs; it may use
        the replica. One that is `async def` runs on the loop, where nothing may block.
        """

        async def called(rows: list[Record]) -> None:
            if inspect.iscoroutinefunction(callback):
                await callback(rows)
            else:
                await on_thread(callback, rows)

        was_closed = self._loop.is_closed
        try:
            end = self._loop.call(self._model.subscribe(called, where, order, limit))
        except ReplicaClosed:
            if was_closed:
                raise
            return _nothing  # The first call has closed the replica.
        return lambda: self._loop.soon(end)

    def changes(
        self,
        since: int = 0,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - LoopBack's name
    ) -> list[Change]:
        """Return the changes after `since`."""
        return self._loop.call(self._model.changes(since, filter))

    def checkpoint(self) -> Checkpoint:
        """Return a checkpoint that all later writes lie beyond."""
        return self._loop.call(self._model.checkpoint())

    def current_checkpoint(self) -> Checkpoint:
        """Return the head of the change list."""
        return self._loop.call(self._model.current_checkpoint())

    def diff(self, since: int, changes: Sequence[Change]) -> Diff:
        """Compare a source's changes with this model."""
        return self._loop.call(self._model.diff(since, changes))

    def create_updates(self, deltas: Sequence[Change]) -> list[Update]:
        """Return the updates of a diff's deltas."""
        return self._loop.call(self._model.create_updates(deltas))

    def bulk_update(self, updates: Sequence[Update]) -> BulkResult:
        """Apply updates, each by its own verdict."""
        return self._loop.call(self._model.bulk_update(updates))

    def enable_change_tracking(self) -> int:
        """Give rows that the application wrote before it was tracked their first changes."""
        return self._loop.call(self._model.enable_change_tracking())

    def rectify_change(self, record_id: str | int) -> Update | None:
        """Bring one record's change up to date with the application's own table."""
        return self._loop.call(self._model.rectify_change(record_id))

    def rectify_all_changes(self) -> int:
        """Bring all changes up to date with the application's own table."""
        return self._loop.call(self._model.rectify_all_changes())

    def get_change_model(self) -> str:
        """Return the name of the change list."""
        return self._model.get_change_model()

    def get_source_id(self) -> str:
        """Return the id of the data source."""
        return self._loop.call(self._model.get_source_id())

    def handle_change_error(self, error: Exception, operation: str = "") -> None:
        """Tell the user's handler of an error in tracking."""
        self._loop.call(self._model.handle_change_error(error, operation))

    def replicate(
        self,
        target: "BlockingModel | End",
        since: Since = None,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - LoopBack's name
    ) -> Replication:
        """Replicate this model to another end."""
        end = target._model if isinstance(target, BlockingModel) else target  # noqa: SLF001 - ours
        return self._loop.call(_replicate(self._model, end, since, filter))


class BlockingWatch:
    """An iterator of a model's changes; close it, or use it with `with`."""

    def __init__(self, loop: LoopThread, watch: Watch) -> None:
        self._loop = loop
        self._watch = watch

    def next(self, timeout_s: float | None = None) -> Update:
        """Return the next change; raise `TimeoutError` when none comes in time."""

        async def wait() -> Update:
            async with asyncio.timeout(timeout_s):
                return await anext(self._watch)

        return self._loop.call(wait())

    def close(self) -> None:
        """End the iteration."""
        self._loop.soon(self._watch.close)

    def __iter__(self) -> Iterator[Update]:
        return self

    def __next__(self) -> Update:
        async def wait() -> Update | None:
            return await anext(self._watch, None)

        update = self._loop.call(wait())
        if update is None:
            raise StopIteration
        return update

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class BlockingConflict:
    """A conflict of a replica's log, with the means to settle it."""

    def __init__(self, loop: LoopThread, conflict: OpenConflict) -> None:
        self._loop = loop
        self._conflict = conflict
        self.conflict = conflict.conflict

    @property
    def base(self) -> Record | None:
        """The record that both sides started from."""
        return self._conflict.base

    @property
    def ours(self) -> Record | None:
        """The record here."""
        return self._conflict.ours

    @property
    def theirs(self) -> Record | None:
        """The record that it collided with."""
        return self._conflict.theirs

    def resolve(self, resolution: Resolution | str, data: Mapping[str, Any] | None = None) -> bool:
        """Settle it: `"ours"`, `"theirs"`, `"latest"`, or `"manual"` with `data`."""
        return self._loop.call(self._conflict.resolve(resolution, data))


def connect(url: str, **options: Any) -> BlockingReplica:
    """Open a replica that follows a daemon; the arguments are those of `syncline.connect`."""
    return _opened(lambda: _opening(url, options))


def open_replica(store: str = "memory:", **options: Any) -> BlockingReplica:
    """Open a replica that follows nobody; the arguments are those of `Replica.open`."""
    return _opened(lambda: Replica.open(store, **options))


def _nothing() -> None:
    """End what has ended."""


@atexit.register
def _close_all() -> None:
    for replica in list(_open):
        # What is lost has been logged, and the others are to be closed too.
        with contextlib.suppress(UnsentWrites):
            replica.close()


async def _opening(url: str, options: Mapping[str, Any]) -> Replica:
    return await _connect(url, **options)


def _opened(opening: Callable[[], Coroutine[Any, Any, Replica]]) -> BlockingReplica:
    loop = LoopThread()
    try:
        return BlockingReplica(loop, loop.call(opening()))
    except BaseException:
        loop.close()
        raise
