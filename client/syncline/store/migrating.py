"""
Make our tables in a database, or bring older ones up.

Our version stands in a row of our own. In a file of our own it is SQLite's `user_version` too, as
older synclines look there; in one that an application shares with us that number is the
application's, and is left alone.
"""

import contextlib
import sqlite3
from collections.abc import Callable
from itertools import chain
from pathlib import Path

from syncline.errors import SchemaMismatch
from syncline.store import statements as text


VERSION = "schema"
_READ_TABLE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
_WRITE_VERSION = (
    "INSERT INTO syncline_meta (name, value) VALUES (?, ?) "
    "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)


def bring_up(
    raw: sqlite3.Connection, *, begin: Callable[[], None], path: Path | None, is_shared: bool
) -> None:
    """
    Have the tables be those of this syncline.

    Args:
        begin: locks the database for writing.
        is_shared: an application made the database, and our tables are not in it yet.

    Raises:
        SchemaMismatch: they are of a newer one.
    """
    version, is_stored = read_version(raw)
    refuse_newer(version, path)
    if version == text.SCHEMA_VERSION and is_stored:
        return
    begin()
    try:
        # Read again under the lock: another process may have been quicker.
        version, _ = read_version(raw)
        refuse_newer(version, path)
        steps = (text.MIGRATIONS[n] for n in range(version + 1, text.SCHEMA_VERSION + 1))
        for statement in chain(*steps) if version else (*text.CREATE, *text.PENDING_INDEXES):
            raw.execute(statement)
        number = raw.execute("PRAGMA user_version").fetchone()[0]
        if number == version and not is_shared:
            raw.execute(f"PRAGMA user_version = {text.SCHEMA_VERSION}")
        raw.execute(_WRITE_VERSION, (VERSION, str(text.SCHEMA_VERSION)))
        raw.execute("COMMIT")
    except BaseException:
        if raw.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                raw.execute("ROLLBACK")
        raise


def read_version(raw: sqlite3.Connection) -> tuple[int, bool]:
    """Return the version of our tables, 0 for none, and whether a row of ours says it."""
    if not raw.execute(_READ_TABLE, ("syncline_meta",)).fetchone():
        return 0, False
    sql = "SELECT value FROM syncline_meta WHERE name = ?"
    stored = raw.execute(sql, (VERSION,)).fetchone()
    if stored is not None:
        return int(stored[0]), True
    # Of a syncline from before there was that row.
    return raw.execute("PRAGMA user_version").fetchone()[0], False


def refuse_newer(version: int, path: Path | None) -> None:
    """Raise `SchemaMismatch` for tables of a newer syncline."""
    if version > text.SCHEMA_VERSION:
        raise SchemaMismatch(
            f"{path} has schema {version}, this syncline knows {text.SCHEMA_VERSION}",
            hint="upgrade syncline, or open another file",
        )
