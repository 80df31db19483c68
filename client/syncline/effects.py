"""What a session asks of whoever drives it; carried out in order, before the next input."""

from enum import StrEnum

import msgspec

from syncline.models import BulkResult, Cursor, Interval
from syncline.protocol import Hello


class Mode(StrEnum):
    """How an interval is applied."""

    DIRECT = "direct"
    STAGE = "stage"
    WHOLE = "whole"
    BACKFILL = "backfill"


class Connect(msgspec.Struct, frozen=True):
    """Open a connection."""


class Disconnect(msgspec.Struct, frozen=True):
    """Close the connection."""

    reason: str


class SendHello(msgspec.Struct, frozen=True):
    """Say hello; answer with `welcomed`."""

    hello: Hello


class RequestChanges(msgspec.Struct, frozen=True):
    """Ask for a page; answer with `page`. `models` only for a back-fill."""

    since: int
    models: tuple[str, ...] | None = None


class ApplyUpdates(msgspec.Struct, frozen=True):
    """
    Apply an interval and store the cursor, in one transaction.

    STAGE keeps it unseen; WHOLE makes it visible together with the stage.
    """

    interval: Interval
    mode: Mode
    cursor: Cursor
    with_stage: bool = False


class BeginReset(msgspec.Struct, frozen=True):
    """
    Void the bases beyond the shared history, and store the cursor.

    Attributes:
        offers_back: what the upstream lost is offered to it again; else only what was pending is,
            and for all else the upstream's word stands.
    """

    cursor: Cursor
    shared: int
    offers_back: bool = True


class SaveCursor(msgspec.Struct, frozen=True):
    """Store the cursor."""

    cursor: Cursor


class DropStage(msgspec.Struct, frozen=True):
    """Empty the stage."""


class SendUpdates(msgspec.Struct, frozen=True):
    """Push what is pending; say `collected` then `answered`, or `nothing_to_push`."""

    push_id: int


class Acknowledge(msgspec.Struct, frozen=True):
    """Take the upstream's word on a push."""

    push_id: int
    answer: BulkResult
    cursor: Cursor


class SendHeartbeat(msgspec.Struct, frozen=True):
    """
    Say that we are here, and how far; answer with `heard_head`.

    Attributes:
        heard: the number that the upstream asked for it by; 0 for one of our own.
    """

    cursor: int
    heard: int = 0


Effect = (
    Connect
    | Disconnect
    | SendHello
    | RequestChanges
    | ApplyUpdates
    | BeginReset
    | SaveCursor
    | DropStage
    | SendUpdates
    | Acknowledge
    | SendHeartbeat
)
