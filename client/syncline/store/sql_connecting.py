"""A connection to a database, as we use it."""

import ctypes
import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from syncline.store.find_sql import add_functions
from syncline.store.folding import LOG_BYTES_MAX


BUSY_POLL_S = 0.005
CACHE_KIB = 64 * 1024
READER_CACHE_KIB = 8 * 1024
"""
Of each connection that only reads: several hold the same pages, and fill for as long as they live,
which makes a daemon's memory grow for hours; what they lack the kernel has.
"""
PAGE_BYTES = 2048
"""
Half of SQLite's own, for new files: a live write dirties three pages, whose bytes are what its
commit costs; it saves a quarter there and costs bulk work a thirtieth.
"""
CHECKPOINT_PAGES = 32_000
"""A commit folds the log back itself only beyond this; `tend` does it earlier, off the hot path."""

_T = TypeVar("_T")


def connect(
    engine: sa.Engine, *, path: Path | None, synchronous: str, cache_kib: int = CACHE_KIB
) -> tuple[sa.Connection, sqlite3.Connection]:
    """Return a new connection, as SQLAlchemy's and as the driver's."""
    connection = engine.connect()
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)
    try:
        if path is not None:
            raw.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            raw.execute("PRAGMA journal_mode = WAL")
        raw.execute(f"PRAGMA synchronous = {synchronous.upper()}")
        raw.execute(f"PRAGMA cache_size = -{cache_kib}")
        raw.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        raw.execute(f"PRAGMA journal_size_limit = {LOG_BYTES_MAX}")
        add_functions(raw)
    except BaseException:
        connection.close()
        raise
    return connection, raw


def lock(raw: sqlite3.Connection, *, wait_s: float) -> None:
    """Begin to write; the driver's own waiting is off, the event loop must never wait."""
    patiently(lambda: raw.execute("BEGIN IMMEDIATE"), wait_s=wait_s)


def patiently(act: Callable[[], _T], *, wait_s: float) -> _T:
    """Do what needs a lock of the database's, again for as long as another process has it."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return act()
        except (sqlite3.OperationalError, sa.exc.OperationalError) as error:
            if not _is_busy(error) or time.monotonic() >= deadline:
                raise
            time.sleep(BUSY_POLL_S)


def _is_busy(error: sqlite3.OperationalError | sa.exc.OperationalError) -> bool:
    origin = error.orig if isinstance(error, sa.exc.OperationalError) else error
    code = getattr(origin, "sqlite_errorcode", None) or 0
    return code & 0xFF == sqlite3.SQLITE_BUSY


def abandon(connections: Iterable[sa.Connection | None]) -> None:
    """
    Keep connections open for as long as the process lasts, although nobody has them any more.

    The last one that closes removes the log by its name, and there may lie another's by now.
    """
    for connection in connections:
        if connection is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
