"""The loop's lag: what held it is seen, counted and said."""

import asyncio
import time

import pytest
from structlog.testing import capture_logs

from synclined.loop_lag import RING_S, WINDOW_S, LoopLag


@pytest.fixture
async def lag():
    measured = LoopLag(warn_s=0.05)
    measured.start()
    yield measured
    measured.stop()


async def rung(measured):
    """Return once it has rung after now."""
    timer = measured._timer
    async with asyncio.timeout(20):
        while measured._timer is timer:
            await asyncio.sleep(RING_S / 10)


async def test_a_loop_that_turns_is_not_blocked(lag):
    await rung(lag)

    assert lag.lag.last_ms >= 0


async def test_what_holds_the_loop_is_counted_and_said(lag):
    with capture_logs() as logs:
        time.sleep(RING_S + 0.2)  # noqa: ASYNC251 - this is what is to be found
        await rung(lag)

    said = [line for line in logs if line["event"] == "loop.blocked"]
    assert [True] == [line["duration_ms"] >= 190 for line in said[:1]]
    assert lag.lag.blocked >= 1
    assert lag.lag.worst_ms >= 190


def test_the_worst_is_forgotten_after_two_windows():
    measured = LoopLag(warn_s=10)
    measured._window_ends = 100
    measured._note(99, 2.0)
    worst = [measured.lag.worst_ms]
    for now in (100, 100 + WINDOW_S - 1, 100 + WINDOW_S):
        measured._note(now, 0.0)
        worst.append(measured.lag.worst_ms)

    assert [2000, 2000, 2000, 0] == worst


async def test_stopped_it_rings_no_more(lag):
    lag.stop()

    assert lag._timer is None
