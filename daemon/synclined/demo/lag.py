"""How long writes take to arrive, over the last of them."""

from collections import deque
from collections.abc import Iterable, Sequence


SAMPLES_MAX = 20_000
US_PER_MS = 1e3


class Lags:
    """
    The lags of the writes that were made while nothing was cut off.

    What waited for a link to come back says how long the link was gone, so it isn't counted.
    """

    def __init__(self, samples_max: int = SAMPLES_MAX) -> None:
        self._lags_us: deque[int] = deque(maxlen=samples_max)

    def add(self, samples: Iterable[tuple[int, int]], unbroken_since_us: Sequence[int]) -> None:
        """
        Add samples, (put at, arrived after), in microseconds.

        Args:
            unbroken_since_us: since when each replica has been level; 0 for one that is not.
        """
        if not all(unbroken_since_us):
            return
        since = max(unbroken_since_us)
        self._lags_us.extend(lag for put_at, lag in samples if put_at >= since)

    def __len__(self) -> int:
        return len(self._lags_us)

    def percentile_ms(self, percent: float, last: int | None = None) -> float | None:
        """Return the lag that `percent` of the (last) writes did not exceed; None without any."""
        lags = list(self._lags_us)
        lags = sorted(lags if last is None else lags[-last:])
        if not lags:
            return None
        place = min(int(len(lags) * percent / 100), len(lags) - 1)
        return round(lags[place] / US_PER_MS, 2)
