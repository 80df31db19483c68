"""
Which connection each replica speaks through: a newer one ends the older.

Two of one name that end each other again and again are no replica that came back, but two stores of
one name, a copy and its original; that is said, since neither can be told from here.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

import structlog


log = structlog.get_logger("synclined")

FENCES_MAX = 10
"""So many times within the window a replica may come back beside itself."""
WINDOW_S = 60.0
KNOWN_MAX = 1000


@dataclass(slots=True)
class _Recent:
    """When the connections of a replica were ended last, and when that was said."""

    ended_at: deque[float] = field(default_factory=lambda: deque(maxlen=FENCES_MAX))
    said_at: float = -WINDOW_S


class Fencing:
    """The connection of each replica, by its name."""

    def __init__(self) -> None:
        self._sid_of: dict[str, str] = {}
        self._recent: OrderedDict[str, _Recent] = OrderedDict()

    def leave(self, replica_id: str, sid: str) -> None:
        """Forget a connection, if it still is its replica's."""
        if self._sid_of.get(replica_id) == sid:
            del self._sid_of[replica_id]

    def enter(self, replica_id: str, sid: str, *, was: str) -> str | None:
        """
        Take note that a replica speaks through a connection; return the older one, to be ended.

        Args:
            was: the name that the connection had before, or empty.
        """
        if was != replica_id:
            self.leave(was, sid)
        older = self._sid_of.get(replica_id)
        self._sid_of[replica_id] = sid
        return None if older == sid else older

    def ended(self, replica_id: str, sid: str, *, now_s: float) -> None:
        """Take note that an older connection was ended; say so, and what it may come of."""
        log.info("connection.fenced", sid=sid, replica_id=replica_id)
        recent = self._recent.pop(replica_id, None) or _Recent()
        self._recent[replica_id] = recent
        if len(self._recent) > KNOWN_MAX:
            self._recent.popitem(last=False)
        recent.ended_at.append(now_s)
        is_often = len(recent.ended_at) == FENCES_MAX and now_s - recent.ended_at[0] < WINDOW_S
        if is_often and now_s - recent.said_at >= WINDOW_S:
            recent.said_at = now_s
            log.error(
                "replica.contended",
                replica_id=replica_id,
                count=FENCES_MAX,
                hint="two stores have this name, one a copy of the other: copy one of them once "
                "more to another file, and open that; it takes a name of its own",
            )
