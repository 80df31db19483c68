"""The house has floors: a file imports from below, and on its own floor from its left."""

import ast
from pathlib import Path

import pytest


ROOT = Path(__file__).resolve().parent.parent

CLIENT = {
    "F0": "errors revision digest clock",
    "F1": "models schema",
    "F2": "verdicts merge rebase diff conflicts bulk lineage filters",
    "F3": "protocol",
    "F4": "backoff session",
    "F5": "store.query store.contract store.memory store.tables store.statements store.find_sql "
    "store.sql_transaction store.sql store",
    "F6": "logs author pending conflict_log change_log following",
    "F7": "engine hooks writer observers core replicate model foreign replica",
    "F8": "connection ends link blocking",
    "F9": "simulation",
}
DAEMON = {
    "D0": "settings setting_values config config_example log",
    "D1": "access window tail",
    "D2": "auth notify frames",
    "D3": "fanout",
    "D4": "sockets health",
    "D5": "app",
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
    "socketio": ("syncline.connection", "syncline.link", "synclined.sockets", "synclined.frames",
                 "synclined.app"),
    "engineio": ("synclined.frames",),
}  # fmt: skip
LATE_IS_FINE = ("synclined.cli", "synclined.demo")
LATE_IMPORTS = {("syncline.replica", "syncline.store.sql")}


def places(floors):
    """Return each room's (floor, place on it), by name."""
    return {
        name: (index, place, floor)
        for index, (floor, names) in enumerate(floors.items())
        for place, name in enumerate(names.split())
    }


def room_of(module, package, rooms):
    """Return the room that a module of a package is in, or None."""
    inner = module.removeprefix(f"{package}.")
    while inner:
        if inner in rooms:
            return inner
        inner = inner.rpartition(".")[0]
    return None


def imports_of(path):
    """Return (module, line, is late) for each import of a file, type-checking ones left out."""
    tree = ast.parse(path.read_text())
    found = []

    def visit(node, *, late):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            is_late = late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            if isinstance(child, ast.Import):
                found.extend((alias.name, child.lineno, late) for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                for alias in child.names:
                    whole = f"{child.module}.{alias.name}"
                    found.append((whole, child.lineno, late))
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
        room = room_of(module, package, rooms)
        if room is None:
            said.append(f"{relative}.py has no floor: give it one in tests/test_floors.py")
            continue
        said += _wrongs_of(path, module, package, room, rooms, lower)
    return said


def _wrongs_of(path, module, package, room, rooms, lower):
    level, place, floor = rooms[room]
    for name, line, is_late in imports_of(path):
        where = f"{module}:{line}"
        top = name.partition(".")[0]
        if floor in PURE_FLOORS and top in IMPURE:
            yield f"{where} imports {top}: up to F4 there is no loop, socket, clock or chance"
        if top in ONLY_IN and not module.startswith(ONLY_IN[top]):
            yield f"{where} imports {top}, which is met in {', '.join(ONLY_IN[top])} only"
        if top != package:
            if top in ("syncline", "synclined") and top not in lower:
                yield f"{where} imports {top}: the library never imports the daemon"
            continue
        theirs = room_of(name, package, rooms)
        if theirs is None or theirs == room:
            continue
        other_level, other_place, other_floor = rooms[theirs]
        if (other_level, other_place) > (level, place):
            yield (
                f"{where} ({floor}) imports {theirs} ({other_floor}): a file imports from lower "
                "floors, and on its own floor from its left"
            )
        is_allowed = any(
            module == one and name.startswith(other) for one, other in LATE_IMPORTS
        ) or module.startswith(LATE_IS_FINE)
        if is_late and not is_allowed:
            yield f"{where} imports {name} late: a cycle in disguise"


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
    ],
)
def test_a_planted_wrong_is_said_in_words(tmp_path, file, text, word):
    package = tmp_path / "syncline"
    package.mkdir()
    (package / file).write_text(text)

    said = wrongs(tmp_path, "syncline", CLIENT)

    assert [True] == [word in sentence for sentence in said]
