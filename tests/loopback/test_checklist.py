"""
LoopBack's own test suite, behaviour by behaviour: which of our tests holds each.

LoopBack 3.28.0 has 140 cases in five files, of which it skips 4; `checklist.json` lists them.
A behaviour is held over the wire by the test that is named, or `different` on purpose, or of
LoopBack's `inside` and seen by no one over the wire; the last two with the reason.
``python tests/loopback/test_checklist.py`` counts them.
"""

import ast
import json
from collections import Counter
from pathlib import Path

import pytest


FOLDER = Path(__file__).parent
FILES = json.loads((FOLDER / "checklist.json").read_text())
BEHAVIOURS = [one for file in FILES.values() for one in file["behaviours"]]


def names_here():
    """Return the names of all tests of this folder."""
    return {
        node.name
        for path in FOLDER.glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def counts():
    """Return how many cases are held by a test, differ on purpose, and are of the inside."""
    found = Counter()
    for one in BEHAVIOURS:
        (kind,) = {"test", "different", "inside"} & set(one)
        found[kind] += one["cases"]
    return found


@pytest.mark.parametrize("name", FILES)
def test_every_case_of_loopbacks_suite_is_listed(name):
    assert FILES[name]["cases"] == sum(one["cases"] for one in FILES[name]["behaviours"])


def test_every_behaviour_has_its_test_or_its_reason():
    names = names_here()

    assert [] == [one for one in BEHAVIOURS if "test" in one and one["test"] not in names]
    assert all(one.get("different", one.get("inside", "-")) for one in BEHAVIOURS)
    assert 140 == sum(counts().values())


if __name__ == "__main__":
    print(dict(counts()), "of", sum(counts().values()))
