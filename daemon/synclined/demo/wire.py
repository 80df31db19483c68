"""
What the demo's processes say to each other: JSON lines on their pipes.

The parent sends a `Command` and gets a `Done`; a replica also sends a `Snapshot` of itself, some
times a second and unasked.
"""

from typing import Any

import msgspec


LINE_BYTES_MAX = 16 * 1024 * 1024


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    What a child is told to do.

    Attributes:
        number: of the command; its `Done` carries the same.
        verb: `cut`, `heal`, `edit`, `resolve`, `cheat`, `rest`, `settle` or `contents`.
        note: the note's id, for `edit` and `resolve`. text: for `edit`.
        side: `ours` or `theirs`, for `resolve`.
        on_turn: cut off only when it is this player's turn.
    """

    number: int
    verb: str
    note: str = ""
    text: str = ""
    side: str = ""
    on_turn: bool = False


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """
    Something that happened at a replica, for a person to read.

    Attributes:
        at_us: when, in microseconds since 1970.
        kind: `move`, `refused`, `stale`, `conflict`, `settled`, `link` or `note`.
    """

    at_us: int
    kind: str
    text: str


class OpenNote(msgspec.Struct, frozen=True, kw_only=True):
    """A note with an open conflict; a side without text is deleted."""

    note: str
    ours: str | None
    theirs: str | None


class Tally(msgspec.Struct, kw_only=True):
    """
    What a replica has counted since it started.

    Attributes:
        writes: made here. replications: changes of others that arrived here.
        made, resolved: conflicts. refused: own writes that the daemon refused.
        rolled_back: those of them that are gone from here. stale: own writes that gave way.
    """

    writes: int = 0
    replications: int = 0
    made: int = 0
    resolved: int = 0
    refused: int = 0
    rolled_back: int = 0
    stale: int = 0


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, tag="snapshot", tag_field="report"):
    """
    What a replica is and holds.

    Attributes:
        state, reason, pending, conflicts, behind_ms: its status; see `syncline.Status`.
        unbroken_since_us: since when it has been connected and level; 0 while it is not.
        lags_us: (put at, arrived after) of the changes that arrived since the last snapshot.
        game: the newest game; empty before the first. score: games won, by player.
        host: the records of `host` by id. processes: of `process`, the busiest first.
        notes: texts by id, the last written first. events: the last ones, oldest first.
    """

    state: str = "offline"
    reason: str = ""
    pending: int = 0
    conflicts: int = 0
    behind_ms: float = 0.0
    unbroken_since_us: int = 0
    lags_us: list[tuple[int, int]] = []
    tally: Tally = msgspec.field(default_factory=Tally)
    game: dict[str, Any] = {}
    score: dict[str, int] = {}
    host: dict[str, dict[str, Any]] = {}
    processes: list[dict[str, Any]] = []
    notes: dict[str, str] = {}
    open_notes: list[OpenNote] = []
    events: list[Event] = []


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done", tag_field="report"):
    """
    The answer to a command.

    Attributes:
        error: why it could not be done; empty when it was.
        contents: for `contents`: by model and id, the revision and the record.
    """

    number: int
    error: str = ""
    contents: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {}


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready", tag_field="report"):
    """The child is open; the daemon names its address."""

    url: str = ""


Report = Snapshot | Done | Ready

encode_line = msgspec.json.Encoder().encode
decode_command = msgspec.json.Decoder(Command).decode
decode_report: "msgspec.json.Decoder[Report]" = msgspec.json.Decoder(Report)
