#!/usr/bin/env bash
# What opening a SQLite database "read only" leaves on the disk.
#
# Versions:    SQLite 3.40.1 (Debian 12) by Python's sqlite3; 3.54.1 by apsw 3.54.1.0.
# Expected:    `file:…?mode=ro` changes nothing beside a database that is at rest in WAL mode.
# What it does: one SELECT makes a log and an index, -wal and -shm, and they are left behind when the
#              connection is closed: removing them is a writer's job. `immutable=1` leaves nothing,
#              and says that the journal mode is "delete".
# Output:      3.40.1  mode=ro: wal, leaves -shm -wal    immutable=1: delete, leaves nothing
#              3.54.1  mode=ro: wal, leaves -shm -wal    immutable=1: delete, leaves nothing
#
# The first line is left out where Python's own SQLite is another version.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet apsw==3.54.1.0

cat >"$folder/try.py" <<'PROGRAM'
import sqlite3
import sys
from pathlib import Path

import apsw


def try_it(version, open_uri, folder):
    said = []
    for number, how in enumerate(("mode=ro", "immutable=1")):
        place = folder / str(number)
        place.mkdir(parents=True)
        path = place / "a.db"
        made = sqlite3.connect(path)
        made.executescript("PRAGMA journal_mode = wal; CREATE TABLE t (x)")
        made.close()
        assert [path] == list(place.iterdir()), "it is at rest"
        connection = open_uri(f"file:{path}?{how}")
        list(connection.execute("SELECT * FROM t"))
        ((mode,),) = list(connection.execute("PRAGMA journal_mode"))
        connection.close()
        left = sorted(each.name.removeprefix("a.db") for each in place.iterdir() if each != path)
        said.append(f"{how}: {mode}, leaves {' '.join(left) or 'nothing'}")
    print(f"{version}  " + "    ".join(said))


folder = Path(sys.argv[1])
if sqlite3.sqlite_version == "3.40.1":
    try_it(sqlite3.sqlite_version, lambda uri: sqlite3.connect(uri, uri=True), folder / "one")
FLAGS = apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READONLY
try_it(apsw.sqlite_lib_version(), lambda uri: apsw.Connection(uri, flags=FLAGS), folder / "two")
PROGRAM
said=$("$folder/venv/bin/python" "$folder/try.py" "$folder")
echo "$said"
what="mode=ro: wal, leaves -shm -wal    immutable=1: delete, leaves nothing"
case "$said" in
  "3.54.1  $what" | "3.40.1  $what
3.54.1  $what") ;;
  *) echo "this has changed" >&2; exit 1 ;;
esac
