"""What is last known of the replicas that went away, for a while."""

import time
from collections.abc import Callable, Collection

import msgspec

from synclined.peers import Peer


ABSENT_MAX = 1000
"""Of more of them those are forgotten that went first."""


class Absent(msgspec.Struct, frozen=True):
    """
    A replica that went away.

    Attributes:
        peer: how it stood then. left_ms: when it went, in milliseconds of Unix time.
    """

    peer: Peer
    left_ms: int


class Absentees:
    """
    The replicas that went away from one door.

    Args:
        kept_s: how long each is remembered. clock: seconds since 1970.
    """

    def __init__(self, kept_s: float, clock: Callable[[], float] = time.time) -> None:
        self._kept_s = kept_s
        self._clock = clock
        self._left: dict[str, Absent] = {}

    def left(self, peer: Peer) -> None:
        """Remember who went; a connection that never said hello is nobody."""
        if not peer.replica_id:
            return
        self._left.pop(peer.replica_id, None)  # So that who went last comes last.
        self._left[peer.replica_id] = Absent(peer, int(self._clock() * 1000))
        if len(self._left) > ABSENT_MAX:
            del self._left[next(iter(self._left))]

    def known(self, here: Collection[str]) -> list[Absent]:
        """
        Return those that are remembered, who went first first.

        Args:
            here: the replicas that are connected, and so not away.
        """
        since_ms = (self._clock() - self._kept_s) * 1000
        for name, one in tuple(self._left.items()):
            if one.left_ms > since_ms and name not in here:
                continue
            del self._left[name]
        return list(self._left.values())
