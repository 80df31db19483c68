"""The tables of a replica and the SQL text of its hot statements, for SQLite."""

from functools import cache


SCHEMA_VERSION = 4

# What LoopBack's digests stand for; the LoopBack doors' own.
DIGESTS_TABLE = """
    CREATE TABLE IF NOT EXISTS syncline_digests (
        model TEXT NOT NULL,
        record_id TEXT NOT NULL,
        known TEXT NOT NULL,
        PRIMARY KEY (model, record_id)
    ) WITHOUT ROWID
    """

CREATE = (
    """
    CREATE TABLE IF NOT EXISTS syncline_changes (
        seq INTEGER PRIMARY KEY,
        model TEXT NOT NULL,
        record_id TEXT NOT NULL,
        rev TEXT NOT NULL,
        prev TEXT,
        ancestors TEXT NOT NULL,
        origin TEXT NOT NULL,
        grp TEXT,
        stamp INTEGER NOT NULL,
        amended_for TEXT,
        base_seq INTEGER,
        body TEXT,
        base_rev TEXT,
        base_body TEXT,
        hold TEXT,
        reason TEXT,
        sent TEXT,
        UNIQUE (model, record_id)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS syncline_conflicts (
        position INTEGER PRIMARY KEY,
        conflict_id TEXT NOT NULL UNIQUE,
        model TEXT NOT NULL,
        record_id TEXT NOT NULL,
        is_open INTEGER NOT NULL,
        side TEXT NOT NULL,
        entry TEXT NOT NULL
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS syncline_conflicts_open
        ON syncline_conflicts (model, record_id) WHERE is_open
    """,
    "CREATE TABLE IF NOT EXISTS syncline_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS syncline_head (one INTEGER PRIMARY KEY, seq INTEGER NOT NULL)",
    "INSERT OR IGNORE INTO syncline_head (one, seq) VALUES (1, 0)",
    DIGESTS_TABLE,
    """
    CREATE TABLE IF NOT EXISTS syncline_stage (
        position INTEGER PRIMARY KEY,
        page BLOB NOT NULL
    )
    """,
)

# A record is pending while its `hold` is not null; both indexes hold pending records only, so a
# first sync never touches them.
PENDING_INDEXES = (
    """
    CREATE INDEX IF NOT EXISTS syncline_outbox
        ON syncline_changes (hold, seq) WHERE hold IS NOT NULL
    """,
    """
    CREATE INDEX IF NOT EXISTS syncline_groups
        ON syncline_changes (grp) WHERE hold IS NOT NULL AND grp IS NOT NULL
    """,
)

# By the version that they lead to.
MIGRATIONS = {
    2: (
        "ALTER TABLE syncline_changes ADD COLUMN base_rev TEXT",
        "ALTER TABLE syncline_changes ADD COLUMN base_body TEXT",
        "ALTER TABLE syncline_changes ADD COLUMN hold TEXT",
        "ALTER TABLE syncline_changes ADD COLUMN reason TEXT",
        """
        UPDATE syncline_changes SET (base_rev, base_body, hold, reason) = (
            SELECT p.base_rev, p.base_body, p.hold, p.reason FROM syncline_pending p
            WHERE p.model = syncline_changes.model AND p.record_id = syncline_changes.record_id)
        """,
        "DROP TABLE syncline_pending",
        *PENDING_INDEXES,
    ),
    3: (DIGESTS_TABLE,),
    4: ("ALTER TABLE syncline_changes ADD COLUMN sent TEXT",),
}

UPDATE_COLUMNS = (
    "c.model, c.record_id, c.seq, c.rev, c.prev, c.ancestors, c.origin, c.grp, c.stamp, "
    "c.body, c.amended_for"
)
SENT = "sent"
"""The column that a database of version 3 has not; a damaged one is read without it."""
SENT_COLUMN = f"c.{SENT}"
_PENDING_COLUMNS = f"c.base_rev, c.base_body, c.hold, c.reason, {SENT_COLUMN}"
_ENTRY_COLUMNS = f"{UPDATE_COLUMNS}, c.base_seq, {_PENDING_COLUMNS}"

# The last row is the head, unless it was removed: then, and only then, the counter row says more.
# BEGIN IMMEDIATE is the lock that makes the order of commits the order of seqs.
READ_HEAD = (
    "SELECT max(seq, coalesce((SELECT max(seq) FROM syncline_changes), 0)) FROM syncline_head"
)
KEEP_HEAD = "UPDATE syncline_head SET seq = ?"
READ_ENTRY = (
    f"SELECT {_ENTRY_COLUMNS} FROM syncline_changes c WHERE c.model = ? AND c.record_id = ?"
)
# What a write looks up first, in one statement.
READ_HEAD_AND_ENTRY = (
    f"SELECT ({READ_HEAD}), {_ENTRY_COLUMNS} FROM (SELECT 1) "
    "LEFT JOIN syncline_changes c ON c.model = ? AND c.record_id = ?"
)
# CROSS JOIN fixes the order: look each key up, never scan the list.
# `json_each` hands all names over as one value; one with U+0000 is looked up by the statement for a
# single one instead, see `sql_reader`.
READ_ENTRIES = (
    f"SELECT {_ENTRY_COLUMNS} FROM json_each(?) k "
    "CROSS JOIN syncline_changes c ON c.model = ? AND c.record_id = k.value"
)
READ_CHANGES = (
    f"SELECT {UPDATE_COLUMNS} FROM syncline_changes c "
    "WHERE c.seq > ? AND c.seq <= ? ORDER BY c.seq LIMIT ?"
)


@cache
def read_changes_of(models: int) -> str:
    """Return the statement that reads the changes of so many models."""
    # The plus keeps the planner to the order of seq: by model it would sort the whole list.
    return (
        f"SELECT {UPDATE_COLUMNS} FROM syncline_changes c WHERE c.seq > ? AND c.seq <= ? "
        f"AND +c.model IN ({', '.join('?' * models)}) ORDER BY c.seq LIMIT ?"
    )


@cache
def read_keys_of(models: int) -> str:
    """Return the statement that reads the keys of so many models."""
    marks = ", ".join("?" * models)
    return f"SELECT model, record_id FROM syncline_changes WHERE model IN ({marks})"


# The columns of a change, and what is written of them: see `write_change`.
_KEPT_COLUMNS = ("model", "record_id", "seq", "rev", "ancestors", "origin", "stamp")
NULLABLE_COLUMNS = ("body", "prev", "grp", "amended_for", "base_seq")
_PENDING_KEPT = ("base_body", "hold", "reason")
WITH_PENDING = 1 << len(NULLABLE_COLUMNS)
WITH_BASE_REV = WITH_PENDING << 1
WITH_SENT = WITH_PENDING << 2


ROWS_AT_ONCE = 8
"""How many rows the widest `write_change` writes: a sixth cheaper each; many more are dearer."""


@cache
def write_change(shape: int, rows: int = 1) -> str:
    """
    Return the statement that writes so many entries of that shape.

    Only what is not null is bound, as the driver spends more on each null than on all the text:
    the seven columns that always are, then, by the bits of `shape` from the lowest, the
    `NULLABLE_COLUMNS`, then base body, hold and reason, then base revision, then what was sent.
    Without `WITH_PENDING` what is pending of a record that is held stays as it was.
    """
    present = [name for bit, name in enumerate(NULLABLE_COLUMNS) if shape & 1 << bit]
    names = [*_KEPT_COLUMNS, *present]
    written = [*_KEPT_COLUMNS[2:], *NULLABLE_COLUMNS]
    if shape & WITH_PENDING:
        names += [*_PENDING_KEPT, *(("base_rev",) if shape & WITH_BASE_REV else ())]
        names += ["sent"] if shape & WITH_SENT else []
        written += [*_PENDING_KEPT, "base_rev", "sent"]
    settings = ", ".join(f"{name} = excluded.{name}" for name in written)
    row = f"({', '.join('?' * len(names))})"
    return (
        f"INSERT INTO syncline_changes ({', '.join(names)}) VALUES {', '.join([row] * rows)} "
        f"ON CONFLICT (model, record_id) DO UPDATE SET {settings}"
    )


SET_BASE_SEQ = "UPDATE syncline_changes SET base_seq = ? WHERE model = ? AND record_id = ?"
REMOVE_CHANGE = "DELETE FROM syncline_changes WHERE model = ? AND record_id = ?"
WRITE_PENDING = (
    "UPDATE syncline_changes SET base_rev = ?, base_body = ?, hold = ?, reason = ?, sent = ? "
    "WHERE model = ? AND record_id = ?"
)
_NOT_PENDING = "base_rev = NULL, base_body = NULL, hold = NULL, reason = NULL, sent = NULL"
CLEAR_PENDING = f"UPDATE syncline_changes SET {_NOT_PENDING} WHERE model = ? AND record_id = ?"
# By place alone; the plus keeps the planner from an index that the statement itself changes.
SETTLE_APPLIED = (
    f"UPDATE syncline_changes SET base_seq = seq + ?, {_NOT_PENDING} "
    "WHERE seq BETWEEN ? AND ? AND +hold = '' AND (base_seq IS NULL OR base_seq <= seq + ?)"
)
# `prev` as it is pushed: what the upstream is known to hold.
_PUSHED_COLUMNS = UPDATE_COLUMNS.replace("c.prev", "c.base_rev")
READ_HELD_GROUPS = "SELECT 1 FROM syncline_changes WHERE hold > '' AND grp IS NOT NULL LIMIT 1"
_READ_OUTBOX = (
    f"SELECT {_PUSHED_COLUMNS} FROM syncline_changes c INDEXED BY syncline_outbox "
    "WHERE c.hold = '' AND c.seq > ?"
)
READ_OUTBOX = f"{_READ_OUTBOX} ORDER BY c.seq LIMIT ?"
# A group with a held member is held as a whole.
READ_OUTBOX_FREE = (
    f"{_READ_OUTBOX} AND (c.grp IS NULL OR c.grp NOT IN ("
    "SELECT h.grp FROM syncline_changes h WHERE h.hold > '' AND h.grp IS NOT NULL)) "
    "ORDER BY c.seq LIMIT ?"
)

_GROUPED = "syncline_changes c INDEXED BY syncline_groups"
READ_GROUPED = (
    f"SELECT {_PUSHED_COLUMNS} FROM json_each(?) k "
    f"CROSS JOIN {_GROUPED} ON c.grp = k.value AND c.hold IS NOT NULL ORDER BY c.seq"
)
READ_GROUPED_OF_ONE = (
    f"SELECT {_PUSHED_COLUMNS} FROM {_GROUPED} WHERE c.grp = ? AND c.hold IS NOT NULL"
)
# For a damaged database: no index is trusted.
SALVAGE_FORWARD = (
    f"SELECT {_ENTRY_COLUMNS} FROM syncline_changes c NOT INDEXED "
    "WHERE c.hold IS NOT NULL ORDER BY c.seq"
)
SALVAGE_BACKWARD = f"{SALVAGE_FORWARD} DESC"
READ_HELD = f"SELECT {_ENTRY_COLUMNS} FROM syncline_changes c WHERE c.hold = ? ORDER BY c.seq"
COUNT_PENDING = "SELECT hold, count(*) FROM syncline_changes WHERE hold IS NOT NULL GROUP BY hold"
COUNT_BARRED = (
    "SELECT count(*) FROM syncline_changes WHERE hold = '' AND grp IN ("
    "SELECT grp FROM syncline_changes WHERE hold = 'parked' AND grp IS NOT NULL)"
)
OFFER_ALL = (
    "UPDATE syncline_changes SET base_body = '', hold = '', reason = '' "
    "WHERE base_seq IS NULL AND body IS NOT NULL AND hold IS NULL"
)
SET_GROUP = "UPDATE syncline_changes SET grp = ? WHERE grp = ? AND hold IS NOT NULL"
YIELD_BASES = "UPDATE syncline_changes SET base_seq = 0 WHERE hold IS NULL AND base_seq > ?"
VOID_PENDING = (
    "UPDATE syncline_changes SET base_rev = NULL, base_body = '' "
    "WHERE hold IS NOT NULL AND base_seq > ?"
)
VOID_BASES = "UPDATE syncline_changes SET base_seq = -1 WHERE base_seq > ?"
RELEASE_CONFLICTS = "UPDATE syncline_changes SET hold = '' WHERE hold = 'conflict'"
PURGE = "DELETE FROM syncline_changes WHERE body IS NULL AND seq <= ? AND hold IS NULL"
READ_LAST_PURGEABLE = (
    "SELECT seq FROM syncline_changes WHERE body IS NULL AND seq <= ? AND hold IS NULL "
    "ORDER BY seq DESC LIMIT 1"
)
# In order of seq, so that it ends at the first; newer stamps are near the end of the list.
READ_FIRST_SINCE = "SELECT seq FROM syncline_changes WHERE stamp >= ? ORDER BY seq LIMIT 1"
# Down the unique index, which is in order of the ids' bytes, and so of their code points.
READ_RANGE = (
    "SELECT record_id, rev, body FROM syncline_changes "
    "WHERE model = ? AND record_id > ? AND record_id <= ? ORDER BY record_id"
)
READ_RANGE_ON = (
    "SELECT record_id, rev, body FROM syncline_changes "
    "WHERE model = ? AND record_id > ? ORDER BY record_id"
)
COUNT_DELETIONS = (
    "SELECT model, count(*) FROM syncline_changes WHERE hold = '' AND body IS NULL "
    "AND base_rev IS NOT NULL AND base_rev NOT LIKE '%-deleted' GROUP BY model"
)
PURGE_DIGESTS = (
    "DELETE FROM syncline_digests WHERE (model, record_id) IN (SELECT model, record_id "
    "FROM syncline_changes WHERE body IS NULL AND seq <= ? AND hold IS NULL)"
)
READ_DIGESTS = (
    "SELECT d.record_id, d.known FROM json_each(?) k "
    "CROSS JOIN syncline_digests d ON d.model = ? AND d.record_id = k.value"
)
READ_DIGESTS_OF_ONE = (
    "SELECT record_id, known FROM syncline_digests WHERE model = ? AND record_id = ?"
)
WRITE_DIGESTS = (
    "INSERT INTO syncline_digests (model, record_id, known) VALUES (?, ?, ?) "
    "ON CONFLICT (model, record_id) DO UPDATE SET known = excluded.known"
)
REMOVE_DIGESTS = "DELETE FROM syncline_digests WHERE model = ? AND record_id = ?"
READ_META = "SELECT value FROM syncline_meta WHERE name = ?"
WRITE_META = (
    "INSERT INTO syncline_meta (name, value) VALUES (?, ?) "
    "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
READ_RECORDS = (
    "SELECT record_id, body FROM syncline_changes WHERE model = ? AND body IS NOT NULL "
    "ORDER BY record_id"
)
COUNT_RECORDS = "SELECT count(*) FROM syncline_changes WHERE model = ? AND body IS NOT NULL"
READ_UNFIT = "SELECT value FROM syncline_meta WHERE name >= 'unfit:' AND name < 'unfit;'"
WRITE_CONFLICT = (
    "INSERT INTO syncline_conflicts (conflict_id, model, record_id, is_open, side, entry) "
    "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (conflict_id) DO UPDATE SET "
    "is_open = excluded.is_open, side = excluded.side, entry = excluded.entry"
)
TRIM_CONFLICTS = (
    "DELETE FROM syncline_conflicts WHERE position IN (SELECT position FROM syncline_conflicts "
    "WHERE NOT is_open OR side <> 'ours' ORDER BY position DESC LIMIT -1 OFFSET ?)"
)
