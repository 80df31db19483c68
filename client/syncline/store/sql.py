"""
The store in an SQL database, today SQLite.

SQLAlchemy makes the connections and the tables; the few hot statements go to the driver of a
kept connection as cached text, since each pass through Core costs more than the statement.
"""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager

import sqlalchemy as sa

from syncline.errors import ConfigError, StoreError, StoreUnavailable
from syncline.schema import ModelSchema
from syncline.store.contract import Lease, ParkedRow, Salvaged
from syncline.store.damage import check, look_for_damage
from syncline.store.files import StoreFiles
from syncline.store.folding import begin_use, end_use, fold, still_used
from syncline.store.migrating import bring_up
from syncline.store.own_tables import OwnTables
from syncline.store.ownership import is_shared_with
from syncline.store.place import Place
from syncline.store.salvage import salvage
from syncline.store.sql_connecting import (
    CACHE_KIB,
    READER_CACHE_KIB,
    abandon,
    connect,
    lock,
    patiently,
)
from syncline.store.sql_errors import named, named_errors
from syncline.store.sql_reader import SqlReader
from syncline.store.sql_transaction import SqlTransaction
from syncline.store.sql_url import parse_url, path_of


BUSY_TIMEOUT_S = 5.0
READERS_MAX = 4
INLINE_MAX = 100
STEPS_MAX = 2000
"""A push of our own clients, and some; beyond it the commit alone would hold up the loop."""
QUIET_S = 0.5
"""After so long without a commit nobody is held up by a log that is cut."""


class SqlStore:
    """
    A durable store in one SQLite file.

    Args:
        url: an SQLAlchemy URL, `sqlite:///path`; `sqlite://` alone is a private one in memory.
            See `url_of` for one of a path.
        synchronous: `"normal"`: a power cut may lose the last commits, a crash never; `"full"`:
            an acknowledged write survives a power cut.
        tables: the application's own tables, by model name.

    Attributes:
        path: the database's file; None in memory.
        commit_s: how long the last commit took, in seconds.
        lacks_log: whether it was opened without the log that it had when it was copied.
    """

    def __init__(
        self,
        url: str | sa.URL,
        *,
        synchronous: str = "normal",
        tables: Mapping[str, sa.Table] | None = None,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> None:
        if synchronous not in ("normal", "full", "off"):
            raise ConfigError(f"synchronous is {synchronous!r}", hint="normal or full")
        self._url = parse_url(url)
        self.path = path_of(self._url)
        self._synchronous = synchronous
        self._busy_timeout_s = busy_timeout_s
        self._own = OwnTables(tables or {})
        self._tables = self._own.tables
        self._engine: sa.Engine | None = None
        self._writer: sa.Connection | None = None
        self._raw: sqlite3.Connection | None = None
        self._readers: list[tuple[sa.Connection, sqlite3.Connection]] = []
        self._files = None if self.path is None else StoreFiles(self.path)
        self._place = None if self.path is None else Place(self.path)
        self._is_version_asked = False
        self._looks = self._own.looks
        self.commit_s = 0.0
        self.lacks_log = False
        self._committed_at = 0.0
        self._write_lock = threading.RLock()
        self._readers_lock = threading.Lock()

    @property
    def inline_max(self) -> int:
        """How many records a commit may write on the loop: none where it waits for the disk."""
        return 0 if self._synchronous == "full" else INLINE_MAX

    @property
    def steps_max(self) -> int:
        """How many records a transaction may write on the loop in steps: a file has its readers."""
        return STEPS_MAX if self.inline_max and self.path is not None else 0

    def open(self) -> None:
        """
        Open the database, make its tables, or refuse one from a newer syncline.

        Raises:
            StoreCorrupt, StoreForeign, StoreReadOnly, StoreUnavailable, SchemaMismatch: by name.
        """
        if self._engine is not None:
            return
        is_applications = is_shared_with(self._files, self.path, own_tables=self._own.given)
        had_log = self._files is not None and self._files.has_log()
        engine = sa.create_engine(
            self._url,
            poolclass=sa.pool.StaticPool if self.path is None else sa.pool.NullPool,
            connect_args={
                "isolation_level": None,
                "check_same_thread": False,
                "timeout": 0.0,
            },
        )
        with named_errors(self.path):
            # Whoever opens a new file, and whoever closes one last, has it alone for a moment.
            patiently(
                lambda: self._open(engine, had_log=had_log, is_shared=is_applications),
                wait_s=self._busy_timeout_s,
            )

    def _open(self, engine: sa.Engine, *, had_log: bool, is_shared: bool) -> None:
        self._engine = engine
        try:
            self._writer, self._raw = self._connect()
            if self._files is not None:
                look_for_damage(self._raw, self._files, self.path)
            bring_up(self._raw, begin=self._begin_waiting, path=self.path, is_shared=is_shared)
            self._own.make_given(engine, self._raw)
            if self._place is not None and self._files is not None:
                self.lacks_log = begin_use(self._raw, had_log=had_log)
                if self.lacks_log:
                    # It may hold pages of one moment beside pages of another.
                    check(self._raw, self._files.path)
                self._place.note(self._raw)
        except BaseException:
            self.close()
            raise

    def _connect(self, *, cache_kib: int = CACHE_KIB) -> tuple[sa.Connection, sqlite3.Connection]:
        assert self._engine is not None
        return connect(
            self._engine, path=self.path, synchronous=self._synchronous, cache_kib=cache_kib
        )

    def _begin_waiting(self) -> None:
        assert self._raw is not None
        self._begin(self._raw, wait=True)

    def close(self) -> None:
        """Close all connections; the log is folded back into the file."""
        for lease in Lease:
            self.release_lease(lease)
        with self._write_lock, self._readers_lock:
            is_ours = self._place is not None and not self._place.fault
            if self._place is not None and self._place.has_anothers_log():
                self._abandon()
            elif self._raw is not None and is_ours:
                end_use(self._raw)
            for connection, _ in self._readers:
                connection.close()
            self._readers.clear()
            if self._writer is not None:
                self._writer.close()
            if self._engine is not None:
                self._engine.dispose()
            was_open = self._raw is not None
            self._writer = self._raw = self._engine = None
        # The last one that closes takes the log away.
        if self._files is not None and was_open and is_ours and self._files.has_log():
            still_used(self._files.path)

    def _abandon(self) -> None:
        """Let go of the connections without closing them."""
        abandon([*(connection for connection, _ in self._readers), self._writer])
        self._readers.clear()
        self._writer = self._raw = None

    def declare(self, schemas: Iterable[ModelSchema]) -> None:
        """
        Make the tables of typed models, and bring in line those that were declared otherwise.

        Raises:
            ConfigError: the records don't allow a change.
        """
        with named_errors(self.path), self._write_lock:
            raw = self._usable()
            self._begin(raw, wait=True)
            try:
                self._own.declare(raw, self._writer, [s for s in schemas if s.properties])
                raw.execute("COMMIT")
            except BaseException:
                self._roll_back(raw)
                raise

    def schemas(self) -> dict[str, ModelSchema]:
        """Return the declarations of the tables that the application handed in."""
        return {name: self._tables[name].schema for name in self._own.given}

    @contextmanager
    def read(self) -> Iterator[SqlReader]:
        """Return a snapshot."""
        if self.path is None:
            with self._write_lock, named_errors(self.path):
                yield SqlReader(self._usable(), self._tables, self._looks)
            return
        if self._place is not None and self._place.fault:
            raise self._place.error()
        connection, raw = self._borrow()
        try:
            with named_errors(self.path):
                raw.execute("BEGIN")
                try:
                    yield SqlReader(raw, self._tables, self._looks)
                finally:
                    raw.execute("COMMIT")
        finally:
            self._give_back(connection, raw)

    def _give_back(self, connection: sa.Connection, raw: sqlite3.Connection) -> None:
        with self._readers_lock:
            if self._engine is not None and len(self._readers) < READERS_MAX:
                self._readers.append((connection, raw))
            else:
                connection.close()

    def _borrow(self) -> tuple[sa.Connection, sqlite3.Connection]:
        with self._readers_lock:
            if self._readers:
                return self._readers.pop()
        with named_errors(self.path):
            # A new connection would make a new file in the place of one that was removed.
            self._look()
            return self._connect(cache_kib=READER_CACHE_KIB)

    def _named(self, error: sqlite3.Error) -> StoreError:
        """Return our error for one of SQLite's: the file's being another by now explains it."""
        try:
            self._look()
        except StoreUnavailable as moved:
            return moved
        return named(error, self.path)

    def _look(self) -> None:
        """Raise when the file is not where it was opened."""
        raw = self._usable()
        if self._place is not None:
            self._place.look(raw)

    def _usable(self) -> sqlite3.Connection:
        if self._raw is None:
            raise StoreUnavailable("the store is closed")
        return self._raw

    def write(self, *, wait: bool = True) -> "_Writing":
        """Return the writing transaction; `wait` is for the lock of another process."""
        return _Writing(self, wait=wait)

    def _begin(self, raw: sqlite3.Connection, *, wait: bool) -> None:
        """Lock the database."""
        lock(raw, wait_s=self._busy_timeout_s if wait else 0.0)

    def begin(self, *, wait: bool) -> SqlTransaction:
        """Begin the writing transaction; for `write`."""
        self._write_lock.acquire()
        try:
            raw = self._usable()
            self._begin(raw, wait=wait)
            if self._tables:
                # Under the lock, so nobody else writes into the tables before the commit.
                self._looks.version = raw.execute("PRAGMA data_version").fetchone()[0]
                self._own.parked = {}
        except BaseException as error:
            if self._raw is not None:
                self._roll_back(self._raw)
            self._write_lock.release()
            if isinstance(error, sqlite3.Error):
                raise self._named(error) from error
            raise
        return self._transaction(raw)

    def _transaction(self, raw: sqlite3.Connection) -> SqlTransaction:
        return SqlTransaction(raw, self._tables, self._looks, self._own.parked)

    def end(self, error: BaseException | None) -> None:
        """Commit, or roll back after an error; for `write`."""
        raw = self._raw
        assert raw is not None
        try:
            if error is None:
                if self._place is not None:
                    self._place.look(raw)
                started = time.perf_counter()
                raw.execute("COMMIT")
                self.commit_s = time.perf_counter() - started
                self._committed_at = started
                if self._own.parked:
                    self._looks.take(self._own.parked)
        except StoreUnavailable:
            self._roll_back(raw)
            raise
        except sqlite3.Error as failure:
            self._roll_back(raw)
            raise self._named(failure) from failure
        else:
            if error is not None:
                self._roll_back(raw)
            if isinstance(error, sqlite3.Error):
                raise self._named(error) from error
        finally:
            if self._is_version_asked:
                self._read_version(raw)
            self._write_lock.release()

    def _roll_back(self, raw: sqlite3.Connection) -> None:
        if raw.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                raw.execute("ROLLBACK")

    def tend(self) -> bool:
        """Fold the log back into the file, without holding up the writer."""
        if self._files is None or self._engine is None:
            return True
        connection, raw = self._borrow()
        try:
            with named_errors(self.path):
                # Nothing is folded into a file that came instead; after it this one is longer.
                self._look()
                is_quiet = time.perf_counter() - self._committed_at > QUIET_S
                is_done = fold(raw, self._files, is_quiet=is_quiet)
                self._look()
                return is_done
        finally:
            self._give_back(connection, raw)

    @property
    def place(self) -> str:
        """The number of the file on its disk, which a copy does not share and a move keeps."""
        return "" if self._place is None else self._place.number

    @property
    def is_shared(self) -> bool:
        """Whether it is a file."""
        return self.path is not None

    def take_lease(self, name: Lease) -> bool:
        """Become the one process that does what the lease is for."""
        return self._files is None or self._files.take_lease(name)

    def release_lease(self, name: Lease) -> None:
        """Let another process do it."""
        if self._files is not None:
            self._files.release_lease(name)

    def copy_aside(self, label: str) -> str | None:
        """Copy the database to a file beside it."""
        if self._files is None:
            return None
        place = str(self._files.name_aside(label))
        connection, raw = self._borrow()
        try:
            with named_errors(self.path):
                raw.execute("VACUUM INTO ?", (place,))
                with contextlib.closing(sqlite3.connect(place, isolation_level=None)) as copy:
                    end_use(copy)
        finally:
            self._give_back(connection, raw)
        return place

    def put_aside(self) -> tuple[str, Salvaged]:
        """Move a damaged file out of the way, and read what was pending in it."""
        assert self._files is not None
        assert self._engine is None, "close the store first"
        place = self._files.put_aside("damaged")
        return str(place), salvage(place)

    def foreign_writes(self) -> int:
        """
        Return SQLite's `data_version` as the writer sees it; the last one while it is busy.

        Raises:
            StoreUnavailable: the file was removed or replaced.
        """
        # The event loop asks, and must not wait for a long transaction on the writer's thread.
        # That transaction reads it at its end, so that a writer that is always busy hides nothing.
        self._is_version_asked = True
        if self._write_lock.acquire(blocking=False):
            try:
                raw = self._usable()
                if self._place is not None:
                    self._place.look(raw, with_log=True)
                self._read_version(raw)
            finally:
                self._write_lock.release()
        return self._looks.version

    @property
    def typed_models(self) -> Collection[str]:
        """The models that have a table of their own here."""
        return self._tables.keys()

    @property
    def is_level(self) -> bool:
        """Whether nobody else has committed since the last look at the models' own tables."""
        if self._tables:
            self.foreign_writes()
        return not self._tables or self._looks.is_level

    def note_level(self, version: int, *, is_whole: bool) -> None:
        """Take note that a look at all tables has found all that others wrote."""
        self._looks.level_at = version
        self._looks.was_whole = is_whole

    def unfit_rows(self) -> list[ParkedRow]:
        """Return the records that their rows can't hold."""
        return list(self._looks.unfit.values())

    def _read_version(self, raw: sqlite3.Connection) -> None:
        self._is_version_asked = False
        with contextlib.suppress(sqlite3.Error):
            self._looks.version = int(raw.execute("PRAGMA data_version").fetchone()[0])


class _Writing:
    """The writing transaction, as a context; a generator would cost a tenth of a small commit."""

    __slots__ = ("_store", "_wait")

    def __init__(self, store: SqlStore, *, wait: bool) -> None:
        self._store = store
        self._wait = wait

    def __enter__(self) -> SqlTransaction:
        return self._store.begin(wait=self._wait)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._store.end(error)
