"""The house has floors: a file imports from below, and on its own floor from its left."""

import ast
from pathlib import Path

import pytest


ROOT = Path(__file__).resolve().parent.parent

CLIENT = {
    "F0": "errors revision doubles digest clock address",
    "F1": "models schema",
    "F2": "verdicts news merge rebase diff conflicts bulk lineage filters ordering ranges brake "
    "digests",
    "F3": "protocol payloads",
    "F4": "limits backoff stall unsent pulse status effects pulling pushing session",
    "F5": "store.query store.contract store.memory_content store.memory_reader "
    "store.memory_transaction store.memory store.tables store.statements store.find_sql "
    "store.files store.damage store.sql_errors store.looks store.stray_sql store.rows "
    "store.declaring store.sql_reader store.sql_transaction store.own_tables store.sql_url "
    "store.place store.ownership store.migrating store.folding store.backup store.salvage "
    "store.sql_connecting store.sql store.failpoints store",
    "F6": "logs place steps author facts parking pending conflict_log reported grouping change_log "
    "outcome rectifying settling following acknowledging resetting",
    "F7": "engine quarantine hooks writer observers telling core beside ending linked receiving "
    "resolving replicate subscription model foreign opening transaction replica verify reasons "
    "explain",
    "F8": "http_options diagnosis transport connection ends reporting heard outgoing onlookers "
    "line holding driver sending link connecting loop_thread blocking loopback.javascript "
    "loopback.requests loopback.shadow loopback.end loopback.following loopback",
    "F9": "simulation __main__",
}
DAEMON = {
    "D0": "settings setting_values config config_example log loop http_log",
    "D1": "access window pace tail admission strangers waiting",
    "D2": "auth origins notify packets intake websocket frames doorway loop_lag",
    "D3": "compacting rooms fanout",
    "D4": "peers absent fencing refusals asking following checking pushing inbox reporting "
    "arriving sockets loopback.names loopback.wire loopback.tokens loopback.filters "
    "loopback.serving loopback.telling loopback.replicating loopback.records loopback.streams "
    "loopback.openapi loopback.asked loopback.door loopback state metrics health pages",
    "D5": "hook_loading app running reloading",
    "D6": "demo cli __main__",
}
PURE_FLOORS = ("F0", "F1", "F2", "F3", "F4")
IMPURE = {
    "asyncio", "socket", "sqlalchemy", "sqlite3", "time", "random", "secrets", "logging",
    "structlog", "os", "threading", "aiohttp", "socketio",
}  # fmt: skip
ONLY_IN = {
    "sqlalchemy": ("syncline.store",),
    "sqlite3": ("syncline.store",),
    "socketio": ("syncline.connection", "synclined.sockets", "synclined.packets",
                 "synclined.websocket", "synclined.frames", "synclined.app"),
    "engineio": ("syncline.transport", "synclined.websocket", "synclined.frames",
                 "synclined.doorway"),
}  # fmt: skip
LATE_IS_FINE = ("synclined.cli", "synclined.demo")
LATE_IMPORTS = {
    ("syncline.opening", "syncline.store.sql"),
    ("syncline.opening", "syncline.store.sql_url"),
    ("syncline.opening", "syncline.store.failpoints"),
}


def places(floors):
    """Return each room's (floor, place on it), by name."""
    return {
        name: (index, place, floor)
        for index, (floor, names) in enumerate(floors.items())
        for place, name in enumerate(names.split())
    }


def room_of(module, package, rooms):
    """Return the room that a module of a package is in, or None."""
    inner = module.removeprefix(f"{package}.") if module != package else ""
    while inner:
        if inner in rooms:
            return inner
        inner = inner.rpartition(".")[0]
    return None


def room_of_file(module, package, rooms):
    """Return the room of a file: a folder whose files have rooms of their own takes in no other."""
    room = room_of(module, package, rooms)
    is_shared = any(name.startswith(f"{room}.") for name in rooms)
    return None if is_shared and module != f"{package}.{room}" else room


def imports_of(path, folder):
    """Return (module, line, is late) for each import of a file; those for types count too."""
    tree = ast.parse(path.read_text())
    around = path.relative_to(folder).parent.parts
    found = []

    def visit(node, *, late):
        for child in ast.iter_child_nodes(node):
            is_late = late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            if isinstance(child, ast.Import):
                found.extend((alias.name, child.lineno, late) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                start = around[: len(around) - child.level + 1] if child.level else ()
                source = ".".join([*start, *([child.module] if child.module else [])])
                found.extend(
                    (f"{source}.{alias.name}", child.lineno, late) for alias in child.names
                )
            visit(child, late=is_late)

    visit(tree, late=False)
    return found


def wrongs(folder, package, floors, *, lower=()):
    """Return a sentence for every import that goes against the floors."""
    rooms = places(floors)
    said = []
    for path in sorted((folder / package).rglob("*.py")):
        relative = path.relative_to(folder).with_suffix("")
        module = ".".join(relative.parts).removesuffix(".__init__")
        if module == package:
            continue
        room = room_of_file(module, package, rooms)
        if room is None:
            said.append(f"{relative}.py has no floor: give it one in tests/test_floors.py")
            continue
        said += _wrongs_of(imports_of(path, folder), module, package, room, rooms, lower)
    return said


def _wrongs_of(imports, module, package, room, rooms, lower):
    level, place, floor = rooms[room]
    for name, line, is_late in imports:
        where = f"{module}:{line}"
        top = name.partition(".")[0]
        if floor in PURE_FLOORS and top in IMPURE:
            yield f"{where} imports {top}: up to F4 there is no loop, socket, clock or chance"
        if top in ONLY_IN and not is_in(module, ONLY_IN[top]):
            yield f"{where} imports {top}, which is met in {', '.join(ONLY_IN[top])} only"
        if top != package:
            if top in ("syncline", "synclined") and top not in lower:
                yield f"{where} imports {top}: the library never imports the daemon"
            continue
        theirs = room_of(name, package, rooms)
        if theirs is None:
            yield (
                f"{where} ({floor}) imports {name} by the front door, above all floors: name the "
                "file that it lives in"
            )
            continue
        if theirs == room:
            continue
        other_level, other_place, other_floor = rooms[theirs]
        if (other_level, other_place) > (level, place):
            yield (
                f"{where} ({floor}) imports {theirs} ({other_floor}): a file imports from lower "
                "floors, and on its own floor from its left"
            )
        is_allowed = any(
            module == one and name.startswith(other) for one, other in LATE_IMPORTS
        ) or is_in(module, LATE_IS_FINE)
        if is_late and not is_allowed:
            yield f"{where} imports {name} late: a cycle in disguise"


def is_in(module, places):
    """Return whether a module is one of these, or inside one."""
    return any(module == place or module.startswith(f"{place}.") for place in places)


def test_the_library_keeps_to_its_floors():
    assert [] == wrongs(ROOT / "client", "syncline", CLIENT)


def test_the_daemon_keeps_to_its_floors():
    assert [] == wrongs(ROOT / "daemon", "synclined", DAEMON, lower=("syncline",))


@pytest.mark.parametrize(
    ("file", "text", "word"),
    [
        pytest.param("errors.py", "from syncline.models import Update", "lower", id="upward"),
        pytest.param("verdicts.py", "from syncline.bulk import x", "left", id="rightward"),
        pytest.param("session.py", "import asyncio", "no loop", id="impure"),
        pytest.param("replica.py", "import sqlalchemy", "met in", id="sql outside the store"),
        pytest.param("link.py", "import synclined.app", "never imports", id="the daemon"),
        pytest.param("unknown.py", "", "no floor", id="a room without a floor"),
        pytest.param("link.py", "def f():\n    from syncline.core import Core", "late", id="late"),
        pytest.param("errors.py", "from .models import Update", "lower", id="relative"),
        pytest.param("errors.py", "from . import models", "lower", id="relative to the folder"),
        pytest.param("store/query.py", "from ..link import Link", "lower", id="relative upward"),
        pytest.param("errors.py", "from syncline import Replica", "front door", id="front door"),
        pytest.param("errors.py", "import syncline", "front door", id="the package itself"),
        pytest.param("store/unknown.py", "", "no floor", id="no floor in a folder"),
        pytest.param(
            "errors.py",
            "if TYPE_CHECKING:\n    from syncline.models import Update",
            "lower",
            id="for types",
        ),
        pytest.param(
            "errors.py",
            "if TYPE_CHECKING:\n    pass\nelse:\n    import asyncio",
            "no loop",
            id="in a branch",
        ),
    ],
)
def test_a_planted_wrong_is_said_in_words(tmp_path, file, text, word):
    planted = tmp_path / "syncline" / file
    planted.parent.mkdir(parents=True)
    planted.write_text(text)

    said = wrongs(tmp_path, "syncline", CLIENT)

    assert [True] == [word in sentence for sentence in said]
