"""
What must hold of the database files themselves, read with SQLite alone.

They are read as a crash left them, before any process of ours opens them again.
"""

import json
import sqlite3
from contextlib import closing


def connected(path):
    """Open a database read only."""
    return closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10))


def is_made(path):
    """Tell whether the file has our tables."""
    if not path.exists():
        return False
    with connected(path) as db:
        return bool(
            db.execute("SELECT 1 FROM sqlite_master WHERE name = 'syncline_meta'").fetchone()
        )


def entries(path):
    """Return (seq, rev, base_seq, body) by (model, id), tombstones included."""
    with connected(path) as db:
        rows = db.execute("SELECT model, record_id, seq, rev, base_seq, body FROM syncline_changes")
        return {row[:2]: row[2:] for row in rows}


def records(path):
    """Return the records by (model, id)."""
    return {key: json.loads(row[3]) for key, row in entries(path).items() if row[3] is not None}


def cursor(path):
    """Return a client's stored cursor, or None."""
    with connected(path) as db:
        row = db.execute("SELECT value FROM syncline_meta WHERE name = 'cursor'").fetchone()
        return None if row is None else json.loads(row[0])


def pending(path):
    """Return how many records wait to be pushed, or are held."""
    return _count(path, "syncline_changes WHERE hold IS NOT NULL")


def staged(path):
    """Return how many pages are staged."""
    return _count(path, "syncline_stage")


def _count(path, rows):
    with connected(path) as db:
        return db.execute(f"SELECT count(*) FROM {rows}").fetchone()[0]


def problems(path):
    """Return what is wrong with a store by itself, a sentence each."""
    wrong = []
    if not is_made(path):
        return wrong
    with connected(path) as db:
        checked = db.execute("PRAGMA integrity_check").fetchall()
        if checked != [("ok",)]:
            wrong.append(f"{path.name}: {checked}")
        has_typed = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'task'").fetchone()
        typed = set(db.execute("SELECT id, title FROM task")) if has_typed else set()
    found = records(path)
    rows = {(key[1], record.get("title")) for key, record in found.items() if key[0] == "task"}
    if rows != typed:
        wrong.append(f"{path.name}: the typed table and the list differ by {rows ^ typed}")
    left = {key[1]: record for key, record in found.items() if key[0] == "left"}
    right = {key[1]: record for key, record in found.items() if key[0] == "right"}
    if left != right:
        wrong.append(f"{path.name}: half a transaction: {left} and {right}")
    return wrong


def cursor_problems(client, daemon):
    """Return where a client's cursor claims what its records do not hold."""
    if not is_made(client) or not is_made(daemon):
        return []
    at = cursor(client)
    if at is None or not at.get("is_whole") or at.get("resetting") is not None:
        return []
    if at.get("source") != _source(daemon):
        return []
    mine = entries(client)
    wrong = []
    for key, (seq, rev, _, body) in entries(daemon).items():
        if seq > at["seq"] or key[0] not in at["models"]:
            continue
        held = mine.get(key)
        if held is None:
            if body is not None:
                wrong.append(f"the cursor is at {at['seq']}, and {key} of {seq} is not there")
        elif held[2] != seq:
            wrong.append(f"the cursor is at {at['seq']}, {key} {rev} of {seq} is held as {held}")
    return wrong


def _source(path):
    with connected(path) as db:
        row = db.execute("SELECT value FROM syncline_meta WHERE name = 'source'").fetchone()
        return None if row is None else row[0]


def level_problems(client, daemon):
    """Return what differs between a client that says it is level and its daemon."""
    mine, theirs = records(client), records(daemon)
    wrong = [
        f"{key}: the client holds {mine.get(key)}, the daemon {theirs.get(key)}"
        for key in mine.keys() | theirs.keys()
        if mine.get(key) != theirs.get(key)
    ]
    for what, found in (("pending", pending(client)), ("stage", staged(client))):
        if found:
            wrong.append(f"{found} rows are left in the client's {what}")
    with connected(client) as db:
        sql = "SELECT model, entry FROM syncline_conflicts WHERE is_open OR model != 'shared'"
        wrong += [f"a conflict of {row}" for row in db.execute(sql)]
    twice = [
        f"{key} was written once and is at {row[1]}"
        for key, row in entries(daemon).items()
        if key[0] == "log"
        and "there" not in key[1]  # its writer may say it again, and that is another write
        and row[3] is not None
        and not row[1].startswith("1-")
    ]
    return wrong + twice
