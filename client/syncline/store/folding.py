"""
The log of an open database: when it is folded back, and whether it was left behind.

What a commit writes is in the log, and in the file only once it was folded. A copy of the file
alone holds what was folded, so that is done soon; and a mark in the file says that it is in use, so
that a copy without its log is known for one.
"""

import contextlib
import sqlite3
from pathlib import Path

from syncline.store.files import StoreFiles


LOG_BYTES_KEPT = 4 * 1024 * 1024
"""A log this long is left as it is: writing over it is cheaper than making it longer again."""
LOG_BYTES_MAX = 64 * 1024 * 1024
"""A longer one is cut even while writers have to wait for that."""
WAIT_MS = 1000
"""How long readers of an older state are waited for before the log is cut; writers wait too."""
IN_USE = "in_use"

_WRITE_MARK = (
    "INSERT INTO syncline_meta (name, value) VALUES (?, '1') ON CONFLICT (name) DO NOTHING"
)
_REMOVE_MARK = "DELETE FROM syncline_meta WHERE name = ?"


def fold(raw: sqlite3.Connection, files: StoreFiles, *, is_quiet: bool) -> bool:
    """
    Fold the log back into the file, as far as its readers allow, without holding up the writer.

    Args:
        is_quiet: nobody writes, so that a long log may be cut.

    Returns:
        Whether nothing is left to do.
    """
    busy, pages, folded = raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    is_whole = not busy and pages == folded
    length = files.log_bytes()
    if length <= LOG_BYTES_KEPT:
        return is_whole
    if not is_quiet and length <= LOG_BYTES_MAX:
        return False
    # While a page of an old state is being read the log can't begin anew, and if there always is
    # a reader it never would: this waits for those that are here, and lets no writer in before.
    raw.execute(f"PRAGMA busy_timeout = {WAIT_MS}")
    try:
        return not raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    finally:
        raw.execute("PRAGMA busy_timeout = 0")


def begin_use(raw: sqlite3.Connection, *, had_log: bool) -> bool:
    """
    Mark the file as in use; return whether its log is missing although it was in use.

    Args:
        had_log: whether there was a log beside it before it was opened.
    """
    sql = "SELECT 1 FROM syncline_meta WHERE name = ?"
    was_in_use = raw.execute(sql, (IN_USE,)).fetchone() is not None
    # Another process's lock, or a file that is only read: the mark is for a warning, no more.
    with contextlib.suppress(sqlite3.OperationalError):
        if not was_in_use:
            raw.execute(_WRITE_MARK, (IN_USE,))
        raw.execute("PRAGMA wal_checkpoint(PASSIVE)")
    return was_in_use and not had_log


def end_use(raw: sqlite3.Connection) -> None:
    """Take the mark away, before the file is closed, or from a copy that needs no log."""
    with contextlib.suppress(sqlite3.Error):
        raw.execute(_REMOVE_MARK, (IN_USE,))


def still_used(path: Path) -> None:
    """Mark the file again: another process has it open."""
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=0.0)) as raw,
    ):
        raw.execute(_WRITE_MARK, (IN_USE,))
