"""Public means exported and documented."""

import ast
import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import syncline


DESIGNED = set(
    """
    Revision new_revision digest_of canonical_json Change ChangeKind Checkpoint Cursor Update
    Diff Conflict BulkResult Resolution Verdict offer take diff plan_bulk_update rebase merge
    settle Message encode decode PROTOCOL_VERSION Session SessionState SendUpdates
    ApplyUpdates RequestChanges backoff_delay Store Transaction ChangeLog
    ConflictLog Replica Model Link connect replicate
    """.split()  # noqa: SIM905 - a list of words reads best as words
)


@pytest.mark.parametrize("name", syncline.__all__)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(syncline, name)

    if inspect.isroutine(value):
        assert value.__doc__
    elif inspect.isclass(value):
        # Its own words: not a parent's, nor the signature that a dataclass writes for itself.
        words = vars(value).get("__doc__")
        assert words
        assert not (dataclasses.is_dataclass(value) and words.startswith(f"{name}("))


def test_what_is_exported_is_what_a_type_checker_sees():
    """The table serves programs, the imports beside it serve mypy: they must say the same."""
    tree = ast.parse(Path(syncline.__file__).read_text())
    seen = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("syncline.")
        for alias in node.names
    }
    lazy = {name: f"syncline.{module}" for name, module in syncline._EXPORTS.items()}

    assert set(seen) == set(syncline.__all__)
    assert lazy == {name: module for name, module in seen.items() if name in lazy}


def test_the_names_of_the_design_are_public():
    assert set() == DESIGNED - set(syncline.__all__)


def test_importing_the_library_loads_no_heavy_one():
    code = (
        "import sys, syncline; "
        "print([m for m in ('socketio', 'aiohttp', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        _ = syncline.nothing
