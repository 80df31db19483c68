"""The tables of a replica and the SQL text of its hot statements, for SQLite."""

SCHEMA_VERSION = 1

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
        UNIQUE (model, record_id)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS syncline_pending (
        model TEXT NOT NULL,
        record_id TEXT NOT NULL,
        base_rev TEXT,
        base_body TEXT NOT NULL,
        hold TEXT NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (model, record_id)
    ) WITHOUT ROWID
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
    """
    CREATE TABLE IF NOT EXISTS syncline_stage (
        position INTEGER PRIMARY KEY,
        page BLOB NOT NULL
    )
    """,
)

UPDATE_COLUMNS = (
    "c.model, c.record_id, c.seq, c.rev, c.prev, c.ancestors, c.origin, c.grp, c.stamp, "
    "c.body, c.amended_for"
)
_PENDING_COLUMNS = "p.base_rev, p.base_body, p.hold, p.reason"
_JOIN_PENDING = "LEFT JOIN syncline_pending p ON p.model = c.model AND p.record_id = c.record_id"

# The last row is the head, unless it was removed: then, and only then, the counter row says more.
# BEGIN IMMEDIATE is the lock that makes the order of commits the order of seqs.
READ_HEAD = (
    "SELECT max(seq, coalesce((SELECT max(seq) FROM syncline_changes), 0)) FROM syncline_head"
)
KEEP_HEAD = "UPDATE syncline_head SET seq = ?"
READ_ENTRY = (
    f"SELECT {UPDATE_COLUMNS}, c.base_seq, {_PENDING_COLUMNS} FROM syncline_changes c "
    f"{_JOIN_PENDING} WHERE c.model = ? AND c.record_id = ?"
)
# CROSS JOIN fixes the order: look each key up, never scan the list.
READ_ENTRIES = (
    f"SELECT {UPDATE_COLUMNS}, c.base_seq, {_PENDING_COLUMNS} FROM json_each(?) k "
    "CROSS JOIN syncline_changes c ON c.model = ? AND c.record_id = k.value "
    f"{_JOIN_PENDING}"
)
READ_BASES = (
    "SELECT c.record_id FROM json_each(?) k "
    "CROSS JOIN syncline_changes c ON c.model = ? AND c.record_id = k.value LIMIT 1"
)
READ_CHANGES = (
    f"SELECT {UPDATE_COLUMNS} FROM syncline_changes c "
    "WHERE c.seq > ? AND c.seq <= ? ORDER BY c.seq LIMIT ?"
)
# The plus keeps the planner to the order of seq: by model it would sort the whole list each time.
READ_CHANGES_OF = (
    f"SELECT {UPDATE_COLUMNS} FROM syncline_changes c "
    "WHERE c.seq > ? AND c.seq <= ? AND +c.model IN (SELECT value FROM json_each(?)) "
    "ORDER BY c.seq LIMIT ?"
)
WRITE_CHANGE = (
    "INSERT INTO syncline_changes (model, record_id, seq, rev, prev, ancestors, origin, grp, "
    "stamp, body, amended_for, base_seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (model, record_id) DO UPDATE SET seq = excluded.seq, rev = excluded.rev, "
    "prev = excluded.prev, ancestors = excluded.ancestors, origin = excluded.origin, "
    "grp = excluded.grp, stamp = excluded.stamp, body = excluded.body, "
    "amended_for = excluded.amended_for, base_seq = excluded.base_seq"
)
SET_BASE_SEQ = "UPDATE syncline_changes SET base_seq = ? WHERE model = ? AND record_id = ?"
REMOVE_CHANGE = "DELETE FROM syncline_changes WHERE model = ? AND record_id = ?"
WRITE_PENDING = (
    "INSERT INTO syncline_pending (model, record_id, base_rev, base_body, hold, reason) "
    "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (model, record_id) DO UPDATE SET "
    "base_rev = excluded.base_rev, base_body = excluded.base_body, hold = excluded.hold, "
    "reason = excluded.reason"
)
CLEAR_PENDING = "DELETE FROM syncline_pending WHERE model = ? AND record_id = ?"
# From the pending table outward: it is small however long the list is.
_PENDING_ENTRIES = (
    f"SELECT {UPDATE_COLUMNS}, c.base_seq, {_PENDING_COLUMNS} FROM syncline_pending p "
    "CROSS JOIN syncline_changes c ON c.model = p.model AND c.record_id = p.record_id"
)
# A group with a held member is held as a whole.
READ_OUTBOX = (
    f"{_PENDING_ENTRIES} WHERE p.hold = '' AND (c.grp IS NULL OR c.grp NOT IN ("
    "SELECT h.grp FROM syncline_pending q CROSS JOIN syncline_changes h "
    "ON h.model = q.model AND h.record_id = q.record_id "
    "WHERE q.hold <> '' AND h.grp IS NOT NULL)) ORDER BY c.seq LIMIT ?"
)
READ_GROUPED = f"{_PENDING_ENTRIES} WHERE c.grp IN (SELECT value FROM json_each(?)) ORDER BY c.seq"
READ_HELD = f"{_PENDING_ENTRIES} WHERE p.hold = ? ORDER BY c.seq"
COUNT_PENDING = "SELECT hold, count(*) FROM syncline_pending GROUP BY hold"
OFFER_ALL = (
    "INSERT OR IGNORE INTO syncline_pending (model, record_id, base_rev, base_body, hold, reason) "
    "SELECT model, record_id, NULL, '', '', '' FROM syncline_changes "
    "WHERE base_seq IS NULL AND body IS NOT NULL"
)
SET_GROUP = (
    "UPDATE syncline_changes SET grp = ? WHERE seq IN (SELECT c.seq FROM syncline_pending p "
    "CROSS JOIN syncline_changes c ON c.model = p.model AND c.record_id = p.record_id "
    "WHERE c.grp = ?)"
)
VOID_PENDING = (
    "UPDATE syncline_pending SET base_rev = NULL, base_body = '' WHERE EXISTS (SELECT 1 FROM "
    "syncline_changes c WHERE c.model = syncline_pending.model AND "
    "c.record_id = syncline_pending.record_id AND c.base_seq > ?)"
)
VOID_BASES = "UPDATE syncline_changes SET base_seq = -1 WHERE base_seq > ?"
READ_PURGEABLE = (
    "SELECT model, record_id FROM syncline_changes c WHERE body IS NULL AND seq <= ? AND NOT "
    "EXISTS (SELECT 1 FROM syncline_pending p WHERE p.model = c.model "
    "AND p.record_id = c.record_id)"
)
WRITE_CONFLICT = (
    "INSERT INTO syncline_conflicts (conflict_id, model, record_id, is_open, side, entry) "
    "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (conflict_id) DO UPDATE SET "
    "is_open = excluded.is_open, side = excluded.side, entry = excluded.entry"
)
TRIM_CONFLICTS = (
    "DELETE FROM syncline_conflicts WHERE position IN (SELECT position FROM syncline_conflicts "
    "WHERE NOT is_open OR side <> 'ours' ORDER BY position DESC LIMIT -1 OFFSET ?)"
)
