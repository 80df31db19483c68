"""
The wire's messages, and its version; the lists that they carry are in `payloads`.

`PROTOCOL.md` is normative; this file is its Python.
"""

from typing import Any, Self, TypeVar

import msgspec

from syncline.errors import MessageInvalid, VersionNotSupported
from syncline.models import NO_BODY, Change, Diff, Interval, Key, Name, Update
from syncline.ranges import Range
from syncline.revision import Revision


PROTOCOL_VERSION = 1
MESSAGE_BYTES_MAX = 8 * 1024 * 1024
PAGE_BYTES_MAX = 512 * 1024
RECORD_BYTES_MAX = 1024 * 1024
GROUP_BYTES_MAX = 4 * 1024 * 1024
PUSH_ITEMS_MAX = 5000
INLINE_BYTES_MAX = 16 * 1024
"""A list of at most so many bytes travels within its message; a longer one as its attachment."""

_S = TypeVar("_S", bound=msgspec.Struct)


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all messages; unknown fields are ignored, so that minor versions get along."""


class Hello(Message, frozen=True, kw_only=True):
    """
    A replica introduces itself and asks to follow.

    Attributes:
        replica: its id; a newer hello of the same id ends the older connection.
        models: what it follows.
        source, epoch, seq: its cursor; source is empty at first contact.
        reach: the greatest seq that it knows of this list.
        news: it hears live changes as `news`, which leave out what it holds.
    """

    replica: str
    models: list[str] = []
    source: str = ""
    epoch: str = ""
    seq: int = 0
    reach: int = 0
    news: bool = False


class Welcome(Message, frozen=True, kw_only=True):
    """
    The answer to a hello.

    Attributes:
        standing: `"good"`: go on from the cursor; `"reset"`: take the whole list again.
        shared: at a reset, the seq up to which both histories agree.
        models: the rights on each followed model, `"read"` or `"write"`.
        conflicts_max: how many conflicts that wait at a follower are listed here; 0 when none are.
        conflicts: how many are listed as waiting at this one.
        principal: whom the daemon takes the follower for; empty when it does not say.
        transient: the list lasts as long as the daemon runs, and nothing of an earlier one counts.
    """

    source: str
    epoch: str
    head: int
    standing: str = "good"
    shared: int = 0
    reason: str = ""
    heartbeat_s: float = 10.0
    record_bytes_max: int = RECORD_BYTES_MAX
    message_bytes_max: int = MESSAGE_BYTES_MAX
    push_items_max: int = PUSH_ITEMS_MAX
    models: dict[str, str] = {}
    conflicts_max: int = 0
    conflicts: int = 0
    principal: str = ""
    transient: bool = False


class ChangesRequest(Message, frozen=True, kw_only=True):
    """Ask for the changes after `since`; `models` only outside a hello, or to back-fill."""

    since: int = 0
    models: list[str] | None = None
    limit: int | None = None


class PageHeader(Message, frozen=True, kw_only=True):
    """What precedes a page's attachment."""

    epoch: str
    since: int
    checkpoint: int
    head: int
    count: int = 0

    @classmethod
    def of(cls, interval: Interval) -> Self:
        """Return the header of an interval's page."""
        return cls(
            epoch=interval.epoch,
            since=interval.since,
            checkpoint=interval.checkpoint,
            head=interval.head,
            count=len(interval.updates),
        )

    def interval(self, updates: tuple[Update, ...]) -> Interval:
        """Return the interval of a page with these updates."""
        return Interval(
            epoch=self.epoch,
            since=self.since,
            checkpoint=self.checkpoint,
            head=self.head,
            updates=updates,
        )


class Push(Message, frozen=True, kw_only=True):
    """
    What precedes a pushed list of updates.

    Attributes:
        epoch, cursor: how far the pusher has followed; empty for one that does not follow.
    """

    epoch: str = ""
    cursor: int = 0


class PushAnswer(Message, frozen=True, kw_only=True):
    """What precedes the list of results."""

    epoch: str
    checkpoint: int


class DiffRequest(Message, frozen=True, kw_only=True):
    """What precedes a list of changes to be compared."""

    since: int = 0


class FindRequest(Message, frozen=True, kw_only=True):
    """Ask for records."""

    model: str
    where: dict[str, Any] | None = None
    order: list[str] | str | None = None
    limit: int | None = None
    after: str | None = None


class GetRequest(Message, frozen=True, kw_only=True):
    """Ask for one record with its change."""

    model: str
    id: str


class SummariesRequest(Message, frozen=True, kw_only=True):
    """
    Ask for the summaries of ranges of record ids, to compare two ends without their records.

    Attributes:
        ranges: in order, none overlapping another.
        every: a summary for each so many entries; one a range without it.
    """

    model: str
    ranges: list[Range]
    every: int | None = None


class Head(Message, frozen=True, kw_only=True):
    """Where the list stands: the answer to a barrier, a heartbeat, a checkpoint."""

    epoch: str
    head: int
    source: str = ""


class Heartbeat(Message, frozen=True, kw_only=True):
    """
    A follower is there.

    Attributes:
        cursor: how far it has followed. pending: records that it has to tell. conflicts: those
            that wait there to be settled. stalled: it gets nowhere, though it is connected.
        heard: the number of the last `beat` that it was asked for; 0 for none.
    """

    cursor: int = 0
    pending: int = 0
    conflicts: int = 0
    stalled: bool = False
    heard: int = 0


class Beat(Message, frozen=True, kw_only=True):
    """The server asks for a heartbeat, behind all that it has sent."""

    number: int = 0


class ConflictName(Message, frozen=True, kw_only=True, rename={"record_id": "id"}):
    """
    The name of a conflict that waits at a follower.

    Attributes:
        rev: the follower's own revision, which collided.
    """

    model: Name
    record_id: str
    rev: Revision

    @property
    def key(self) -> Key:
        """Model and record id."""
        return self.model, self.record_id


class ConflictReport(Message, frozen=True, kw_only=True):
    """
    Which conflicts wait at a follower; what is not named was settled there.

    Attributes:
        open: their names, oldest first.
        more: there are more, beyond the daemon's `conflicts_max`.
    """

    open: list[ConflictName] = []
    more: bool = False


class ReportedConflict(Message, frozen=True, kw_only=True):
    """
    A conflict that waits at a follower, with what the daemon can't know of it.

    Attributes:
        update: the follower's own update, which collided.
        base_rev: the revision that it was made upon; None when it was made upon nothing.
        base: the record of that revision, encoded; empty for a deletion or for nothing.
        opened_ms: when it was met, milliseconds since 1970.
    """

    update: Update
    base_rev: Revision | None = None
    base: msgspec.Raw = NO_BODY
    opened_ms: int = 0

    @property
    def name(self) -> ConflictName:
        """What it is named by in a report."""
        update = self.update
        return ConflictName(model=update.model, record_id=update.record_id, rev=update.rev)


class ReportAnswer(Message, frozen=True, kw_only=True):
    """
    The answer to a report.

    Attributes:
        count: how many of those named are listed now.
        wanted: the places, in the report, of those that are to be told in full.
    """

    count: int = 0
    wanted: list[int] = []


class Bye(Message, frozen=True, kw_only=True):
    """The server closes the connection; come back after the delay, milliseconds."""

    delay_ms: int = 0
    reason: str = ""


class WireError(Message, frozen=True, kw_only=True):
    """
    An error, as every acknowledgement may carry it under `error`.

    Attributes:
        delay_ms, ticket: of `busy`: when to come back, and what to show then.
    """

    code: str
    message: str
    hint: str = ""
    retryable: bool = False
    delay_ms: int = 0
    ticket: str = ""


def encode(message: Message | Change | Diff) -> dict[str, Any]:
    """Return the JSON object of a message."""
    built: dict[str, Any] = msgspec.to_builtins(message)
    return built


def decode(kind: type[_S], payload: object) -> _S:
    """Return the message of a JSON object, or raise `MessageInvalid` saying what is wrong."""
    try:
        return msgspec.convert(payload, kind)
    except msgspec.ValidationError as error:
        raise MessageInvalid(f"{kind.__name__.lower()}: {error}") from None


def check_version(protocol: object) -> int | None:
    """Return the peer's version; None for a bare listener, which names none."""
    if protocol is None:
        return None
    # As text too: the auth of some clients carries nothing else.
    if protocol in (PROTOCOL_VERSION, str(PROTOCOL_VERSION)) and not isinstance(protocol, bool):
        return PROTOCOL_VERSION
    is_short = isinstance(protocol, int | float | str)
    said = repr(protocol)[:40] if is_short else f"of type {type(protocol).__name__}"
    raise VersionNotSupported(
        f"protocol {said} is not spoken here, only {PROTOCOL_VERSION}",
        hint="install the same minor version of syncline on both ends",
    )
