"""
The store in an SQL database, today SQLite.

SQLAlchemy makes the connections and the tables; the few hot statements go to the driver of a
kept connection as cached text, since each pass through Core costs more than the statement.
"""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa

from syncline.errors import (
    ConfigError,
    SchemaMismatch,
    StoreCorrupt,
    StoreUnavailable,
)
from syncline.schema import ModelSchema
from syncline.store import statements as text
from syncline.store.contract import Lease, Salvaged
from syncline.store.files import StoreFiles
from syncline.store.find_sql import add_functions
from syncline.store.salvage import salvage
from syncline.store.sql_errors import named, named_errors
from syncline.store.sql_reader import SqlReader
from syncline.store.sql_transaction import SqlTransaction
from syncline.store.tables import ModelTable, schema_of, table_of


BUSY_TIMEOUT_S = 5.0
BUSY_POLL_S = 0.005
READERS_MAX = 4
INLINE_MAX = 100
IN_MEMORY = ":memory:"
STEPS_MAX = 2000
"""A push of our own clients, and some; beyond it the commit alone would hold up the loop."""
CACHE_KIB = 64 * 1024
WAL_BYTES_MAX = 64 * 1024 * 1024
PAGE_BYTES = 2048
"""
Half of SQLite's own, for new files: a live write dirties three pages, whose bytes are what its
commit costs; it saves a quarter there and costs bulk work a thirtieth.
"""
CHECKPOINT_PAGES = 32_000
"""A commit folds the log back itself only beyond this; `tend` does it earlier, off the hot path."""


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
        self._url = _parse(url)
        self.path = _path_of(self._url)
        self._synchronous = synchronous
        self._busy_timeout_s = busy_timeout_s
        self._given = dict(tables or {})
        self._metadata = sa.MetaData()
        self._tables: dict[str, ModelTable] = {}
        self._engine: sa.Engine | None = None
        self._writer: sa.Connection | None = None
        self._raw: sqlite3.Connection | None = None
        self._readers: list[tuple[sa.Connection, sqlite3.Connection]] = []
        self._files = None if self.path is None else StoreFiles(self.path)
        self._data_version = 0
        self._is_version_asked = False
        self.commit_s = 0.0
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
            StoreCorrupt, StoreReadOnly, StoreUnavailable, SchemaMismatch: by their names.
        """
        if self._engine is not None:
            return
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
            self._engine = engine
            self._writer, self._raw = self._connect()
            try:
                self._look_for_damage(self._raw)
                self._migrate(self._raw)
                for name, table in self._given.items():
                    table.metadata.create_all(engine, tables=[table])
                    self._tables[name] = ModelTable(schema_of(name, table), table)
            except BaseException:
                self.close()
                raise

    def _connect(self) -> tuple[sa.Connection, sqlite3.Connection]:
        assert self._engine is not None
        connection = self._engine.connect()
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        if self.path is not None:
            raw.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            raw.execute("PRAGMA journal_mode = WAL")
        raw.execute(f"PRAGMA synchronous = {self._synchronous.upper()}")
        raw.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        raw.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        raw.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
        add_functions(raw)
        return connection, raw

    def _look_for_damage(self, raw: sqlite3.Connection) -> None:
        """Find a file that was cut short; look closely at one in which damage was met before."""
        files = self._files
        if files is None:
            return
        pages = raw.execute("PRAGMA page_count").fetchone()[0]
        page_bytes = raw.execute("PRAGMA page_size").fetchone()[0]
        if files.is_cut_short(pages, page_bytes):
            raise StoreCorrupt(f"{self.path} was cut short", hint="move it away")
        if files.is_suspect():
            found = raw.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise StoreCorrupt(f"{self.path} is damaged: {found}", hint="move it away")
            files.clear()

    def _migrate(self, raw: sqlite3.Connection) -> None:
        version = raw.execute("PRAGMA user_version").fetchone()[0]
        if version > text.SCHEMA_VERSION:
            raise SchemaMismatch(
                f"{self.path} has schema {version}, this syncline knows {text.SCHEMA_VERSION}",
                hint="upgrade syncline, or open another file",
            )
        if version == text.SCHEMA_VERSION:
            return
        self._begin(raw, wait=True)
        try:
            # Read again under the lock: another process may have been quicker.
            version = raw.execute("PRAGMA user_version").fetchone()[0]
            steps = (text.MIGRATIONS[n] for n in range(version + 1, text.SCHEMA_VERSION + 1))
            statements = chain(*steps) if version else (*text.CREATE, *text.PENDING_INDEXES)
            for statement in statements:
                raw.execute(statement)
            raw.execute(f"PRAGMA user_version = {text.SCHEMA_VERSION}")
            raw.execute("COMMIT")
        except BaseException:
            self._roll_back(raw)
            raise

    def close(self) -> None:
        """Close all connections; the log is folded back into the file."""
        for lease in Lease:
            self.release_lease(lease)
        with self._write_lock, self._readers_lock:
            for connection, _ in self._readers:
                connection.close()
            self._readers.clear()
            if self._writer is not None:
                self._writer.close()
            if self._engine is not None:
                self._engine.dispose()
            self._writer = self._raw = self._engine = None

    def declare(self, schemas: Iterable[ModelSchema]) -> None:
        """Make the tables of typed models; schemaless ones need none."""
        assert self._engine is not None, "open the store first"
        with named_errors(self.path):
            for schema in schemas:
                if not schema.properties or schema.name in self._tables:
                    continue
                table = table_of(schema, self._metadata)
                table.create(self._engine, checkfirst=True)
                self._tables[schema.name] = ModelTable(schema, table)

    def schemas(self) -> dict[str, ModelSchema]:
        """Return the declarations of the tables that the application handed in."""
        return {name: self._tables[name].schema for name in self._given}

    @contextmanager
    def read(self) -> Iterator[SqlReader]:
        """Return a snapshot."""
        if self.path is None:
            with self._write_lock, named_errors(self.path):
                yield SqlReader(self._usable(), self._tables)
            return
        connection, raw = self._borrow()
        try:
            with named_errors(self.path):
                raw.execute("BEGIN")
                try:
                    yield SqlReader(raw, self._tables)
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
        self._usable()
        with named_errors(self.path):
            return self._connect()

    def _usable(self) -> sqlite3.Connection:
        if self._raw is None:
            raise StoreUnavailable("the store is closed")
        return self._raw

    def write(self, *, wait: bool = True) -> "_Writing":
        """Return the writing transaction; `wait` is for the lock of another process."""
        return _Writing(self, wait=wait)

    def _begin(self, raw: sqlite3.Connection, *, wait: bool) -> None:
        """Lock the database; the driver's own waiting is off, the event loop must never wait."""
        deadline = time.monotonic() + (self._busy_timeout_s if wait else 0.0)
        while True:
            try:
                raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                code = (error.sqlite_errorcode or 0) & 0xFF
                if code != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(BUSY_POLL_S)
            else:
                return

    def begin(self, *, wait: bool) -> SqlTransaction:
        """Begin the writing transaction; for `write`."""
        self._write_lock.acquire()
        try:
            raw = self._usable()
            self._begin(raw, wait=wait)
        except BaseException as error:
            self._write_lock.release()
            if isinstance(error, sqlite3.Error):
                raise named(error, self.path) from error
            raise
        return SqlTransaction(raw, self._tables)

    def end(self, error: BaseException | None) -> None:
        """Commit, or roll back after an error; for `write`."""
        raw = self._raw
        assert raw is not None
        try:
            if error is None:
                started = time.perf_counter()
                raw.execute("COMMIT")
                self.commit_s = time.perf_counter() - started
        except sqlite3.Error as failure:
            self._roll_back(raw)
            raise named(failure, self.path) from failure
        else:
            if error is not None:
                self._roll_back(raw)
            if isinstance(error, sqlite3.Error):
                raise named(error, self.path) from error
        finally:
            if self._is_version_asked:
                self._read_version(raw)
            self._write_lock.release()

    def _roll_back(self, raw: sqlite3.Connection) -> None:
        if raw.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                raw.execute("ROLLBACK")

    def tend(self) -> None:
        """Fold the log back into the file, without holding up the writer."""
        if self.path is None or self._engine is None:
            return
        with self._readers_lock:
            pair = self._readers.pop() if self._readers else None
        connection, raw = pair or self._connect()
        try:
            with named_errors(self.path):
                raw.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            with self._readers_lock:
                self._readers.append((connection, raw))

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
        """Return SQLite's `data_version` as the writer sees it; the last one while it is busy."""
        # The event loop asks, and must not wait for a long transaction on the writer's thread.
        # That transaction reads it at its end, so that a writer that is always busy hides nothing.
        self._is_version_asked = True
        if self._write_lock.acquire(blocking=False):
            try:
                self._read_version(self._usable())
            finally:
                self._write_lock.release()
        return self._data_version

    def _read_version(self, raw: sqlite3.Connection) -> None:
        self._is_version_asked = False
        with contextlib.suppress(sqlite3.Error):
            self._data_version = int(raw.execute("PRAGMA data_version").fetchone()[0])


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


def url_of(path: str) -> sa.URL:
    """Return the URL of a database by its path, in which no character means anything."""
    name = path if path == IN_MEMORY else str(Path(path).absolute())
    return sa.URL.create("sqlite", database=name)


def _parse(url: str | sa.URL) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise ConfigError(
            f"{url!r} is no database URL", hint="memory:, sqlite:///file.db, or a path like file.db"
        ) from None
    if parsed.get_backend_name() != "sqlite":
        raise ConfigError(
            f"{parsed.get_backend_name()!r} is not a store yet", hint="sqlite:///file.db or memory:"
        )
    return parsed


def _path_of(url: sa.URL) -> Path | None:
    """Return the absolute path of a database's file; None in memory."""
    name = url.database or IN_MEMORY
    if url.query.get("uri") in ("true", "1", "yes", "on") and name.startswith("file:"):
        # Only then SQLite reads it as a URI of its own; else it is a file of that very name.
        uri = urlsplit(name)
        is_in_memory = uri.path == IN_MEMORY or "memory" in url.query.get("mode", "")
        name = IN_MEMORY if is_in_memory else unquote(uri.path)
    # The working directory may change under an open store.
    return None if name == IN_MEMORY else Path(name).absolute()
