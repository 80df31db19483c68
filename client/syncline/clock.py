"""
Hybrid logical clock: stamps that order writes for last-write-wins, and for nothing else.

A stamp is one integer, ``milliseconds since 1970 * 2048 + counter``, below 2^53 until the year
2109, so that JavaScript carries it.
Source: Kulkarni et al., "Logical Physical Clocks", 2014.
Now is passed in; correctness never depends on it.
"""

COUNTER_MAX = 2048
MAX_SKEW_MS = 60_000


def stamp_at(now_ms: int) -> int:
    """Return the least stamp of that millisecond."""
    return max(now_ms, 0) * COUNTER_MAX


def milliseconds_of(stamp: int) -> int:
    """Return when a stamp was made, milliseconds since 1970; 0 for none."""
    return stamp // COUNTER_MAX


def next_stamp(last: int, now_ms: int) -> int:
    """Return a stamp later than `last` and not earlier than now."""
    return max(last + 1, now_ms * COUNTER_MAX)


def observe(last: int, seen: int, now_ms: int) -> int:
    """Return the clock after seeing a peer's stamp; one beyond `MAX_SKEW_MS` ahead is ignored."""
    if seen > (now_ms + MAX_SKEW_MS) * COUNTER_MAX:
        return last
    return max(last, seen)


def bounded(stamp: int, now_ms: int) -> int:
    """Return the stamp, or now when it claims a future beyond `MAX_SKEW_MS`."""
    limit = (now_ms + MAX_SKEW_MS) * COUNTER_MAX
    return stamp if stamp <= limit else now_ms * COUNTER_MAX
