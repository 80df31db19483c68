"""The page of promises names tests that exist, and no promise goes without a word on them."""

import ast
import re
from pathlib import Path


TESTS = Path(__file__).resolve().parent
PAGE = (TESTS.parent / "client" / "GUARANTEES.md").read_text()


def names_of_tests():
    """Return the names of all test functions."""
    names = set()
    for path in TESTS.rglob("test_*.py"):
        tree = ast.parse(path.read_text())
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        names |= {node.name for node in ast.walk(tree) if isinstance(node, kinds)}
    return names


def test_every_test_that_the_page_names_exists():
    named = set(re.findall(r"`(test_\w+)`", PAGE))

    assert set() == named - names_of_tests()
    assert len(named) > 30


def test_every_promise_names_a_test_or_says_that_there_is_none():
    rows = re.findall(r"^\| (P\d+) \|.*\| (.*?) \|$", PAGE, re.MULTILINE)

    assert [f"P{number}" for number in range(1, 16)] == [name for name, _ in rows]
    for name, tests in rows:
        assert "`test_" in tests or tests == "no test", name
