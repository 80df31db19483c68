"""The simulation is worth nothing unless it finds the rules that are broken on purpose."""

import pytest

from syncline.simulation.planted import BUGS, hunt


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_planted_bug_is_caught(bug):
    catch = hunt(bug)

    assert catch.failure, f"{bug.rule}: not found in {catch.seeds} seeds"
