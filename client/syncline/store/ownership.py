"""
Whose file it is that was named as a store: it is looked at, and left as it was.

A file is opened here without a lock, a log or a write of any kind, for it may be another program's,
which stands still, or runs.
"""

import contextlib
import sqlite3
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from syncline.errors import StoreForeign
from syncline.store.files import StoreFiles


TABLES = ("syncline_changes", "syncline_meta")
LOOKED_AT_BYTES = 64 * 1024
SHOWN_MAX = 5
_READ_NAMES = (
    "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite~_%' "
    "ESCAPE '~'"
)


class Owner(StrEnum):
    """Who made a file."""

    NOBODY = "nobody"
    OURS = "ours"
    ANOTHER = "another"


class Found(NamedTuple):
    """
    Whose a file is.

    Attributes:
        is_database: whether an application could share it with us.
        reason: what another's file is, for the error.
    """

    owner: Owner
    is_database: bool = True
    reason: str = ""


NEW = Found(Owner.NOBODY)
OURS = Found(Owner.OURS)


def is_shared_with(
    files: StoreFiles | None, path: Path | None, *, own_tables: Collection[str]
) -> bool:
    """
    Tell whether a file is an application's that shares it with us.

    Raises:
        StoreForeign: it is another program's, and no tables of it are models here.
    """
    if files is None:
        return False
    found = look_at(files)
    if found.owner is not Owner.ANOTHER:
        return False
    if own_tables and found.is_database:
        return True
    raise StoreForeign(
        f"{path} {found.reason}",
        hint="name a file of its own; an application that keeps records beside its own tables "
        "hands these in as models",
    )


def look_at(files: StoreFiles) -> Found:
    """
    Return whose the file is; one that can't be read is left to the opening, which says why.

    A damaged store of ours is ours still: by the lease of its link beside it, or by what is left
    of its tables' names.
    """
    if not files.has_content():
        return NEW
    try:
        names, version = _read(files)
    except sqlite3.DatabaseError as error:
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return NEW
        if files.had_lease() or files.is_suspect() or b"syncline_" in files.start(LOOKED_AT_BYTES):
            return OURS
        return Found(Owner.ANOTHER, is_database=False, reason="is no database")
    if any(name in names for name in TABLES):
        return OURS
    if names:
        shown = ", ".join(sorted(names)[:SHOWN_MAX])
        more = "" if len(names) <= SHOWN_MAX else f" and {len(names) - SHOWN_MAX} more"
        return Found(Owner.ANOTHER, reason=f"is another program's database: it has {shown}{more}")
    if version:
        reason = f"is another program's database: it is empty, with user_version {version}"
        return Found(Owner.ANOTHER, reason=reason)
    return NEW


def _read(files: StoreFiles) -> tuple[set[str], int]:
    """Return the names of the tables and the `user_version`."""
    # Without a log nothing is missed by looking at the file alone, and no log is made beside it;
    # with one it is in it that the tables may be.
    how = ("mode=ro",) if files.has_log() else ("mode=ro&immutable=1", "mode=ro")
    for place, options in enumerate(how, 1):
        uri = f"{files.path.as_uri()}?{options}"
        try:
            with contextlib.closing(sqlite3.connect(uri, uri=True)) as raw:
                names = {row[0] for row in raw.execute(_READ_NAMES)}
                return names, raw.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.DatabaseError:
            # A program that was writing may have been met in the middle: look with its locks.
            if place == len(how):
                raise
    raise AssertionError("a way of looking at it either answers or fails")
