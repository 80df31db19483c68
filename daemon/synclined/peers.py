"""What a door allows, and who stands before it."""

import time
from collections.abc import Iterable

import msgspec

from syncline.errors import Forbidden
from syncline.protocol import Hello
from synclined.access import Principal, Right, allows


WORDS_MISSED = 1.25
"""Whose last word is older than this many heartbeats is not known to be where it said."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the door allows; bytes and seconds."""

    heartbeat_s: float = 10.0
    send_timeout_s: float = 20.0
    poll_s: float = 15.0
    loop_lag_warn_s: float = 0.5
    absent_kept_s: float = 3600.0
    record_bytes_max: int = 1024 * 1024
    message_bytes_max: int = 8 * 1024 * 1024
    page_bytes_max: int = 512 * 1024
    window_bytes_max: int = 4 * 1024 * 1024
    push_items_max: int = 5000
    connections_max: int = 10_000
    connects_per_s: float = 400.0
    compression: bool = False
    origins: tuple[str, ...] = ("same",)


class Peer(msgspec.Struct):
    """
    One connection, and who is behind it.

    Attributes:
        since_ms: when it connected, in milliseconds of Unix time.
        cursor, pending, conflicts, is_stalled: as its last word said, a heartbeat mostly.
        behind: how many changes the list had beyond the cursor at that time.
        believed_until: until when, by the clock that only grows, it is taken to be no further
            behind.
    """

    sid: str
    principal: Principal
    is_bare: bool
    replica_id: str = ""
    models: tuple[str, ...] = ()
    since_ms: int = 0
    heard_at: float = 0.0
    cursor: int = 0
    behind: int = 0
    pending: int = 0
    conflicts: int = 0
    is_stalled: bool = False
    has_erred: bool = False
    believed_until: float = 0.0

    def note_hello(self, hello: Hello, models: Iterable[str], *, head: int, good: bool) -> None:
        """Take note of who it is, and of where it stands; a cursor that is no good is at 0."""
        self.replica_id = hello.replica
        self.models = tuple(sorted(models))
        self.is_bare = False
        # Until it has said more, what it has to read is what it was told to.
        self.cursor = hello.seq if good else 0
        self.behind = max(head - self.cursor, 0)
        self.believed_until = 0.0 if self.behind else time.monotonic() + 1.0

    def note_cursor(self, cursor: int, head: int, *, heartbeat_s: float) -> None:
        """Take its word for how far it has read, where the list reaches to `head`."""
        self.cursor, self.behind = cursor, max(head - cursor, 0)
        self.believed_until = time.monotonic() + heartbeat_s * WORDS_MISSED

    def behind_at(self, head: int) -> int:
        """
        Return how many changes it has yet to take, where the list reaches to `head` now.

        While its word is fresh that is what it said: compared with the head of now, a replica that
        is level would seem to lag by what was written since.
        """
        if time.monotonic() <= self.believed_until:
            return self.behind
        return max(head - self.cursor, self.behind)


def require(peer: Peer, right: Right, model: str) -> None:
    """Raise `Forbidden` unless the peer has the right on the model."""
    if not allows(peer.principal, right, model):
        raise Forbidden(f"{peer.principal.name} may not {right.value} {model!r}")
