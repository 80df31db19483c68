"""How a replica stands to its upstream, as its users see it."""

from enum import StrEnum
from typing import assert_never

import msgspec

from syncline.pulse import LIVE_LATE_MAX_S


class SessionState(StrEnum):
    """Where the conversation is."""

    OFFLINE = "offline"
    CONNECTING = "connecting"
    CATCHING_UP = "catching_up"
    LIVE = "live"
    BLOCKED = "blocked"
    AUTH_REQUIRED = "auth_required"
    STALLED = "stalled"


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """
    How a replica stands to its upstream.

    Attributes:
        state: `live` only when the cursor is at the known head, nothing is pending, and what is
            known is no older than three seconds; `stalled`
            when the link is up, has something to do, and has got nowhere for a while.
        reason: why it is blocked, stalled or offline. hint: what to do about it, or empty.
        pending: records with something to tell upstream. conflicts: those that wait to be settled.
        parked: those that the upstream could not rule on, or that are larger than it takes.
        behind: changes of the upstream that are known to be missing here.
        done, total: progress of catching up, in changes.
        lag_ms: how long ago this replica last knew that it was level, 0 when live.
        behind_s: how old, in seconds, what this replica shows of its upstream may be, judged by how
            long that takes to answer; 0 when that is less than a second, or while not connected.
    """

    state: SessionState = SessionState.OFFLINE
    reason: str = ""
    hint: str = ""
    pending: int = 0
    conflicts: int = 0
    parked: int = 0
    behind: int = 0
    done: int = 0
    total: int = 0
    lag_ms: float = 0.0
    behind_s: float = 0.0


def state_shown(
    state: SessionState, *, is_level: bool, pending: int, behind_s: float = 0.0
) -> SessionState:
    """Return the state to report: never live while the outbox, the cursor or time disagrees."""
    match state:
        case SessionState.LIVE | SessionState.CATCHING_UP:
            level = is_level and not pending and behind_s < LIVE_LATE_MAX_S
            return SessionState.LIVE if level else SessionState.CATCHING_UP
        case (
            SessionState.OFFLINE
            | SessionState.CONNECTING
            | SessionState.BLOCKED
            | SessionState.AUTH_REQUIRED
            | SessionState.STALLED
        ):
            return state
        case _:
            assert_never(state)
