"""
Random histories, at the daemon and at stock LoopBack beside it, step for step.

A seed that failed is in the test's name; ``python -m tests.loopback.histories --seed N`` replays it
alone, and plays as many as one likes. Those that failed once stay here.
"""

import pytest
from tests.loopback.conftest import NODE
from tests.loopback.ends import Ends
from tests.loopback.histories import run, wrong


FAILED_ONCE = [1, 2, 4, 5, 6, 21]
STEPS = 100


@pytest.fixture
def ends():
    if not (NODE / "node_modules").exists():
        pytest.skip("install LoopBack: npm ci --prefix tests/loopback/node")
    with Ends() as opened:
        yield opened


@pytest.mark.parametrize("seed", [*FAILED_ONCE, *range(22, 26)])
def test_a_history_loses_nothing_rests_and_meets_no_conflict_that_stock_would_not(seed, ends):
    played = run(ends.agent, ends.stock, ends.daemon, seed, STEPS)

    assert [] == wrong(played), played["syncline"].log
