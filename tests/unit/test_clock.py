"""The hybrid logical clock: later than the last, not earlier than now, and not led astray."""

import pytest

from syncline.clock import COUNTER_MAX, MAX_SKEW_MS, bounded, next_stamp, observe


NOW_MS = 1_795_000_000_000
NOW = NOW_MS * COUNTER_MAX
LIMIT = (NOW_MS + MAX_SKEW_MS) * COUNTER_MAX


@pytest.mark.parametrize(
    ("last", "stamp"),
    [
        pytest.param(0, NOW, id="the first stamp is now"),
        pytest.param(NOW - 5, NOW, id="time went on"),
        pytest.param(NOW, NOW + 1, id="within one millisecond the counter goes on"),
        pytest.param(NOW + 9 * COUNTER_MAX, NOW + 9 * COUNTER_MAX + 1, id="the clock went back"),
    ],
)
def test_a_stamp_is_later_than_the_last_and_not_earlier_than_now(last, stamp):
    assert stamp == next_stamp(last, NOW_MS)


@pytest.mark.parametrize(
    ("seen", "after"),
    [
        pytest.param(NOW - 7, NOW, id="an older one moves nothing"),
        pytest.param(NOW + 7, NOW + 7, id="a newer one is taken over"),
        pytest.param(LIMIT, LIMIT, id="at the greatest skew"),
        pytest.param(LIMIT + 1, NOW, id="beyond it"),
    ],
)
def test_the_clock_follows_a_peer_within_the_skew(seen, after):
    assert after == observe(NOW, seen, NOW_MS)


@pytest.mark.parametrize(
    ("stamp", "kept"),
    [
        pytest.param(0, 0, id="the past stays"),
        pytest.param(LIMIT, LIMIT, id="at the greatest skew"),
        pytest.param(LIMIT + 1, NOW, id="a claim of the future falls back to now"),
    ],
)
def test_a_stamp_is_bounded(stamp, kept):
    assert kept == bounded(stamp, NOW_MS)


def test_stamps_are_exact_in_javascript_until_2109():
    year_2109_ms = 4_386_000_000_000

    assert next_stamp(0, year_2109_ms) < 2**53
