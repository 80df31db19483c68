#!/usr/bin/env bash
# What SQLite's JSON functions do to values on their way through.
#
# Versions:    SQLite 3.40.1 (Debian 12, package libsqlite3-0, by Python's sqlite3), 3.51.1 (by
#              pysqlite3-binary 0.5.4.post2) and 3.54.1 (by apsw 3.54.1.0).
# Expected:    a double or a text that goes through json_set or json_each comes out as it was.
# What it does: up to 3.51.1 at least json_set and json_array write doubles with 15 digits, so
#              0.30000000000000004 comes out as 0.3 (json() alone leaves the text as it is, and
#              json_extract gives the number whole). In 3.40.1 a text ends at U+0000 for json_each
#              and json_extract: a look-up of two keys by `IN (SELECT value FROM json_each(?))`
#              finds one of them under the other's name. 3.54.1 does neither.
# Output:      3.40.1  {"x":0.3}  keys ['a', 'a']  'a\0b' = 'a': 1
#              3.51.1  {"x":0.3}  keys ['a\x00b', 'a']  'a\0b' = 'a': 0
#              3.54.1  {"x":0.30000000000000004}  keys ['a\x00b', 'a']  'a\0b' = 'a': 0
#
# The first line is left out where Python's own SQLite is another version.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pysqlite3-binary==0.5.4.post2 apsw==3.54.1.0

cat >"$folder/try.py" <<'PROGRAM'
import json
import sqlite3

import apsw
import pysqlite3

KEYS = json.dumps(["a\0b", "a"])
RECORD = json.dumps({"v": "a\0b"})


def show(version, ask):
    ((doubles,),) = ask("SELECT json_set('{}', '$.x', 0.30000000000000004)", ())
    keys = [key for (key,) in ask("SELECT value FROM json_each(?)", (KEYS,))]
    ((equal,),) = ask("SELECT json_extract(?, '$.v') = 'a'", (RECORD,))
    print(f"{version}  {doubles}  keys {keys}  'a\\0b' = 'a': {equal}")


def asker(connection):
    return lambda text, values: list(connection.execute(text, values))


if sqlite3.sqlite_version == "3.40.1":
    show(sqlite3.sqlite_version, asker(sqlite3.connect(":memory:")))
show(pysqlite3.sqlite_version, asker(pysqlite3.connect(":memory:")))
show(apsw.sqlite_lib_version(), asker(apsw.Connection(":memory:")))
PROGRAM
said=$("$folder/venv/bin/python" "$folder/try.py")
echo "$said"
newer="3.51.1  {\"x\":0.3}  keys ['a\\x00b', 'a']  'a\\0b' = 'a': 0
3.54.1  {\"x\":0.30000000000000004}  keys ['a\\x00b', 'a']  'a\\0b' = 'a': 0"
older="3.40.1  {\"x\":0.3}  keys ['a', 'a']  'a\\0b' = 'a': 1"
case "$said" in
  "$newer" | "$older
$newer") ;;
  *) echo "this has changed" >&2; exit 1 ;;
esac
