"""The package has the floors of the Python replica: a file imports from below, or from its left."""

import re
from pathlib import Path

import pytest


SOURCE = Path(__file__).resolve().parents[2] / "client" / "browser" / "src"
FLOORS = {
    "F0": "errors revision clock digest recordDigest address",
    "F1": "models schema",
    "F2": "verdicts news merge rebase diff conflicts bulk lineage filters ordering brake",
    "F3": "protocol",
    "F4": "limits backoff pulse status effects deadlines pulling pushing contact session stall",
    "F5": "store/query store/journal store/rows store/tables store/reader store/transaction "
    "store/store store/indexeddb store/localStorage store/fileLock store/file",
    "F6": "logs random author parking pending conflictLog grouping changeLog outcome settling "
    "following acknowledging resetting",
    "F7": "engine hooks writer observers core ending linked replicate model transaction replica",
    "F8": "diagnosis connection ends reporting heard holding outgoing line driver onlookers "
    "sending link tabs claim sharedLink lifecycle connecting index node",
}
PURE = ("F0", "F1", "F2", "F3", "F4")
IMPURE = (
    r"\b(?:Date\.now|new Date\(\)|performance|Math\.random|crypto|setTimeout|setInterval)\b"
    r"|(?<![\w.])fetch\("
)
PACKAGES = {
    "@noble/hashes": ("recordDigest",),
    "socket.io-client": ("connection",),
    "idb": ("store/indexeddb",),
    "node:": ("store/file", "store/fileLock"),
}
PLACES = {
    room: (index, place, floor)
    for index, (floor, rooms) in enumerate(FLOORS.items())
    for place, room in enumerate(rooms.split())
}
FILES = sorted(SOURCE.rglob("*.js"))
PURE_ROOMS = [room for room, (_, _, floor) in PLACES.items() if floor in PURE]


def room_of(path):
    return path.relative_to(SOURCE).with_suffix("").as_posix()


def code_of(path):
    """Return a file without its comments."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.DOTALL)


def imports_of(path):
    return re.findall(r"\bfrom\s+\"([^\"]+)\"|\bimport\(\"([^\"]+)\"\)", code_of(path))


@pytest.mark.parametrize("path", FILES, ids=room_of)
def test_file_imports_from_below_or_from_its_left(path):
    room = room_of(path)
    assert room in PLACES, f"{room} has no floor: add it to FLOORS"
    here = PLACES[room]
    for direct, late in imports_of(path):
        name = direct or late
        if name.startswith("."):
            other = (path.parent / name).resolve().relative_to(SOURCE).with_suffix("").as_posix()
            there = PLACES[other]
            assert there[:2] < here[:2], f"{room} ({here[2]}) must not import {other} ({there[2]})"
        else:
            allowed = [rooms for start, rooms in PACKAGES.items() if name.startswith(start)]
            assert allowed, f"{room} imports the unknown package {name}"
            assert room in allowed[0], f"only {allowed[0]} may import {name}"


@pytest.mark.parametrize("room", PURE_ROOMS)
def test_pure_file_knows_no_clock_no_chance_and_no_network(room):
    assert not re.findall(IMPURE, code_of(SOURCE / f"{room}.js"))


def test_every_room_has_its_file():
    assert set(PLACES) == {room_of(path) for path in FILES}
