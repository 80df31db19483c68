"""Whether an open database is whole, as far as an opening can tell."""

import sqlite3
from pathlib import Path

from syncline.errors import StoreCorrupt
from syncline.store.files import StoreFiles


def look_for_damage(raw: sqlite3.Connection, files: StoreFiles, path: Path | None) -> None:
    """
    Find a file that was cut short; look closely at one in which damage was met before.

    Raises:
        StoreCorrupt: saying which it is.
    """
    pages = raw.execute("PRAGMA page_count").fetchone()[0]
    page_bytes = raw.execute("PRAGMA page_size").fetchone()[0]
    if files.is_cut_short(pages, page_bytes):
        raise StoreCorrupt(f"{path} was cut short", hint="move it away")
    if files.is_suspect():
        check(raw, path)
        files.clear()


def check(raw: sqlite3.Connection, path: Path | None) -> None:
    """Look at every page; raise `StoreCorrupt` when one is not sound."""
    found = raw.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise StoreCorrupt(f"{path} is damaged: {found}", hint="move it away")
