"""
Tell when a link that is up gets nowhere.

The best tested peers lose nothing and still get stuck; so being stuck has a name, is said aloud,
and is looked for by each link as long as it runs.
"""

from collections.abc import Hashable


class StallWatch:
    """
    Watches for progress while there is something to do.

    Args:
        limit_s: how long there may be none.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._progress: Hashable = None
        self._since: float | None = None
        self._told_at: float | None = None

    @property
    def is_stalled(self) -> bool:
        """Whether it was found, and nothing has moved since."""
        return self._told_at is not None

    def idle_s(self, now: float) -> float:
        """Return for how long nothing has moved though something was to do, in seconds."""
        return 0.0 if self._since is None else now - self._since

    def look(self, now: float, *, has_work: bool, progress: Hashable) -> bool:
        """
        Compare with the look before; answer whether to speak of a stall now.

        That is once when the limit is reached, and again after each further limit.

        Args:
            has_work: the link is up, and something is pending here or missing from the upstream.
            progress: anything that changes whenever the link gets somewhere.
        """
        if not has_work or self._since is None or progress != self._progress:
            self._since = now if has_work else None
            self._progress = progress
            self._told_at = None
            return False
        if now - (self._since if self._told_at is None else self._told_at) < self.limit_s:
            return False
        self._told_at = now
        return True
