"""The types that users see: the public API passes the strict checker, and misuse does not."""

import subprocess
import sys
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]
API = ROOT / "tests" / "typing" / "api.py"


def checked(path, cache):
    """Run the type checker as a user's project would: strictly, on their file alone."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--no-error-summary"),
            *("--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(cache), str(path)),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("mypy")


def test_the_public_api_is_typed_for_its_users(cache):
    done = checked(API, cache)

    assert (0, "") == (done.returncode, done.stdout + done.stderr)


MISUSE = """
import syncline


async def misuse(replica: syncline.Replica) -> None:
    await replica.model("todo").put("1", "milk")
    await replica.model("todo").patch({"title": "milk"})
    number: int = await replica.model("todo").get("1")
    syncline.connect("http://127.0.0.1:8765")
    print(number, syncline.no_such_name)
"""


def test_misuse_is_found(cache, tmp_path):
    """The types are not all `Any`: each line that is wrong is told."""
    path = tmp_path / "misuse.py"
    path.write_text(MISUSE)
    done = checked(path, cache)
    lines = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}

    assert {6, 7, 8, 9} <= lines
