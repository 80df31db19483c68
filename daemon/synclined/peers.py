"""What a door allows, and who stands before it."""

import msgspec

from syncline.errors import Forbidden
from synclined.access import Principal, Right, allows


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the door allows; bytes and seconds."""

    heartbeat_s: float = 10.0
    send_timeout_s: float = 20.0
    poll_s: float = 15.0
    loop_lag_warn_s: float = 0.5
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
        cursor, pending, conflicts, is_stalled: as its last heartbeat said.
        behind: how many changes the list had beyond the cursor at that time. Compared with the head
            of now, a replica that is level would seem to lag by what was written since.
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


def require(peer: Peer, right: Right, model: str) -> None:
    """Raise `Forbidden` unless the peer has the right on the model."""
    if not allows(peer.principal, right, model):
        raise Forbidden(f"{peer.principal.name} may not {right.value} {model!r}")
