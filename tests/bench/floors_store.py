"""The floors' table: raw sqlite3, one row a record in change order, WAL, synchronous=NORMAL."""

import hashlib
import sqlite3
from collections.abc import Sequence
from typing import Any

import orjson


_CREATE = (
    "CREATE TABLE IF NOT EXISTS records "
    "(seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL, rev TEXT NOT NULL)"
)
_WRITE = (
    "INSERT INTO records (seq, id, body, rev) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, body = excluded.body, rev = excluded.rev"
)


class FloorStore:
    """One SQLite file."""

    def __init__(self, path: str) -> None:
        self._raw = sqlite3.connect(path, isolation_level=None)
        self._raw.execute("PRAGMA journal_mode = WAL")
        self._raw.execute("PRAGMA synchronous = NORMAL")
        self._raw.execute("PRAGMA cache_size = -65536")
        self._raw.execute(_CREATE)
        self.head: int = self._raw.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()[
            0
        ]

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        """Write records in one transaction, each encoded and hashed."""
        head = self.head
        rows = []
        for record in records:
            head += 1
            body = orjson.dumps(record)
            rows.append((head, record["id"], body.decode(), digest_of(body)))
        self._raw.execute("BEGIN IMMEDIATE")
        if len(rows) == 1:
            self._raw.execute(_WRITE, rows[0])
        else:
            self._raw.executemany(_WRITE, rows)
        self._raw.execute("COMMIT")
        self.head = head

    def page(self, since: int, limit: int) -> tuple[int, bytes]:
        """Return the last seq and the stored bodies of a page, as one JSON array."""
        rows = self._raw.execute(
            "SELECT seq, body FROM records WHERE seq > ? ORDER BY seq LIMIT ?", (since, limit)
        ).fetchall()
        if not rows:
            return since, b"[]"
        return rows[-1][0], f"[{','.join([row[1] for row in rows])}]".encode()

    def close(self) -> None:
        """Close the file."""
        self._raw.close()


def digest_of(body: bytes) -> str:
    """Return a record's revision, as the floors make it."""
    return hashlib.sha1(body).hexdigest()
