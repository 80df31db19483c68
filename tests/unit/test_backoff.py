"""Reconnect delays: they double under a cap, and chance spreads them."""

import pytest

from syncline.backoff import CAP_S, FIRST_S, backoff_delay


@pytest.mark.parametrize(
    ("attempt", "ceiling_s"),
    [
        pytest.param(1, 2 * FIRST_S, id="the first"),
        pytest.param(2, 4 * FIRST_S, id="twice as long"),
        pytest.param(6, 64 * FIRST_S, id="the last below the cap"),
        pytest.param(7, CAP_S, id="at the cap"),
        pytest.param(10**6, CAP_S, id="after days, without overflow"),
    ],
)
def test_the_ceiling_doubles_up_to_the_cap(attempt, ceiling_s):
    assert ceiling_s == backoff_delay(attempt, 1.0)


def test_chance_spreads_the_delay_over_the_whole_span():
    assert [0.0, 1.0, 2.0, 3.0] == [
        backoff_delay(2, chance, first_s=1.0) for chance in (0.0, 0.25, 0.5, 0.75)
    ]


def test_the_cap_is_the_callers():
    assert 2.5 == backoff_delay(20, 0.5, cap_s=5.0)
