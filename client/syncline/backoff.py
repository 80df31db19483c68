"""
Reconnect delays: full jitter under a growing cap.

Source: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

FIRST_S = 0.25
CAP_S = 30.0
EXPONENT_MAX = 32


def backoff_delay(
    attempt: int, chance: float, *, first_s: float = FIRST_S, cap_s: float = CAP_S
) -> float:
    """
    Return how long to wait before the next attempt, in seconds.

    Args:
        attempt: failed attempts so far, 1 or more.
        chance: a random number in [0, 1), passed in.
    """
    return chance * min(cap_s, first_s * 2.0 ** min(attempt, EXPONENT_MAX))
