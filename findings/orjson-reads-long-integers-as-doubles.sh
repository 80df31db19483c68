#!/usr/bin/env bash
# Integers of more than 64 bits, as three JSON libraries of Python read them.
#
# Versions:    orjson 3.11.4, msgspec 0.20.0, Python's own json (3.11).
# Expected:    where orjson can't hold an integer it says so, as it does when it is asked to write
#              one ("Integer exceeds 64-bit range").
# What it does: it reads such an integer as the nearest double, without a word: 2^64 + 1 becomes
#              1.8446744073709552e19. msgspec and json read the integer. So a service that reads by
#              one and checks by the other judges two different numbers, and "read, then write" by
#              orjson alone changes the document.
# Output:      18446744073709551615   json int, msgspec int, orjson int
#              18446744073709551617   json int, msgspec int, orjson float
#              -9223372036854775809   json int, msgspec int, orjson float
#              read and written again by orjson: 18446744073709551617 -> 1.8446744073709552e19
#              written by orjson: TypeError Integer exceeds 64-bit range
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet orjson==3.11.4 msgspec==0.20.0

cat >"$folder/try.py" <<'PROGRAM'
import json

import msgspec
import orjson

for text in ("18446744073709551615", "18446744073709551617", "-9223372036854775809"):
    kinds = [
        f"{name} {type(read(text)).__name__}"
        for name, read in (
            ("json", json.loads),
            ("msgspec", msgspec.json.decode),
            ("orjson", orjson.loads),
        )
    ]
    print(f"{text:22}", ", ".join(kinds))
text = "18446744073709551617"
again = orjson.dumps(orjson.loads(text)).decode()
print(f"read and written again by orjson: {text} -> {again}")
try:
    orjson.dumps(int(text))
except TypeError as error:
    print("written by orjson:", type(error).__name__, error)
PROGRAM
said=$("$folder/venv/bin/python" "$folder/try.py")
echo "$said"
expected='18446744073709551615   json int, msgspec int, orjson int
18446744073709551617   json int, msgspec int, orjson float
-9223372036854775809   json int, msgspec int, orjson float
read and written again by orjson: 18446744073709551617 -> 1.8446744073709552e19
written by orjson: TypeError Integer exceeds 64-bit range'
[ "$said" = "$expected" ] || { echo "this has changed" >&2; exit 1; }
