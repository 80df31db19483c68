"""What the stories of faults share: a proxy, and real processes to end as one likes."""

import sys
from pathlib import Path

import pytest


# The programs beside this file import each other by name, and so do the tests.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def folder(tmp_path):
    """A folder for databases and logs."""
    return tmp_path
