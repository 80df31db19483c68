"""The driver's errors by our names."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from syncline.errors import (
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from syncline.store.files import StoreFiles


@contextmanager
def named_errors(path: Path | None) -> Iterator[None]:
    """Give the driver's errors our names, once, here."""
    try:
        yield
    except sqlite3.Error as error:
        raise named(error, path) from error
    except sa.exc.DBAPIError as error:
        origin = error.orig
        if isinstance(origin, sqlite3.Error):
            raise named(origin, path) from error
        raise StoreError(str(error)) from error


def named(error: sqlite3.Error, path: Path | None) -> StoreError:
    """Return our error for one of SQLite's; damage is remembered for the next opening."""
    made = _named(error, path)
    made.place = "" if path is None else str(path)
    return made


def _named(error: sqlite3.Error, path: Path | None) -> StoreError:
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    where = str(path or "the store in memory")
    match code:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreUnavailable(f"{where} is locked by another process", hint="try again")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return StoreReadOnly(f"{where} can't be written", hint="check its owner and mode")
        case sqlite3.SQLITE_FULL:
            return StoreFull(f"there is no space left for {where}", hint="free some space")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            if path is not None:
                StoreFiles(path).suspect()
            return StoreCorrupt(f"{where} is damaged or no database", hint="move it away")
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_IOERR:
            return StoreUnavailable(f"{where} can't be opened: {error}", hint="check the folder")
        case _:
            return StoreError(f"{where}: {error}")
