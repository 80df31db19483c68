"""Read what was pending from a damaged database, as far as it can be read."""

import contextlib
import sqlite3
from pathlib import Path

from syncline.models import Entry, Key
from syncline.store import statements as text
from syncline.store.contract import Salvaged
from syncline.store.rows import entry_of


def salvage(path: Path) -> Salvaged:
    """
    Return the pending entries of a database that may be damaged anywhere.

    The table is read from its start and from its end, each as far as it goes, so that a bad page
    in the middle hides no more than itself.
    """
    found: dict[Key, Entry] = {}
    is_whole = False
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as raw:
        for newest in (text.SALVAGE_FORWARD, text.SALVAGE_BACKWARD):
            try:
                columns = [row[1] for row in raw.execute("PRAGMA table_info(syncline_changes)")]
                is_older = text.SENT not in columns
                sql = newest.replace(text.SENT_COLUMN, "NULL") if is_older else newest
                for row in raw.execute(sql):
                    with contextlib.suppress(ValueError, TypeError, AttributeError):
                        entry = entry_of(row)
                        found[entry.update.key] = entry
                is_whole = True
                break
            except sqlite3.DatabaseError:
                continue
    entries = sorted(found.values(), key=lambda entry: entry.update.seq)
    return Salvaged(tuple(entries), is_whole)
