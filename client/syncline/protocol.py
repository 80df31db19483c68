"""
The wire's messages: encode, decode, version.

`PROTOCOL.md` is normative; this file is its Python.
Pages of updates travel as one encoded JSON array in one binary attachment; small live events
travel as plain JSON.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import orjson

from syncline.errors import MessageInvalid, NumberNotAllowed, RecordInvalid, VersionNotSupported
from syncline.models import NO_BODY, Change, Diff, Interval, ItemResult, Key, Name, Update
from syncline.ranges import Range, Summary
from syncline.revision import DELETED, FORM, Revision, is_revision


PROTOCOL_VERSION = 1
MESSAGE_BYTES_MAX = 8 * 1024 * 1024
PAGE_BYTES_MAX = 512 * 1024
RECORD_BYTES_MAX = 1024 * 1024
GROUP_BYTES_MAX = 4 * 1024 * 1024
PUSH_ITEMS_MAX = 5000
INLINE_BYTES_MAX = 16 * 1024
"""A list of at most so many bytes travels within its message; a longer one as its attachment."""
ANCESTORS_ON_WIRE_MAX = 1024

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
    """

    replica: str
    models: list[str] = []
    source: str = ""
    epoch: str = ""
    seq: int = 0
    reach: int = 0


class Welcome(Message, frozen=True, kw_only=True):
    """
    The answer to a hello.

    Attributes:
        standing: `"good"`: go on from the cursor; `"reset"`: take the whole list again.
        shared: at a reset, the seq up to which both histories agree.
        models: the rights on each followed model, `"read"` or `"write"`.
        conflicts_max: how many conflicts that wait at a follower are listed here; 0 when none are.
        conflicts: how many are listed as waiting at this one.
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
    """

    cursor: int = 0
    pending: int = 0
    conflicts: int = 0
    stalled: bool = False


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
    if protocol == PROTOCOL_VERSION and not isinstance(protocol, bool):
        return PROTOCOL_VERSION
    raise VersionNotSupported(
        f"protocol {protocol!r} is not spoken here, only {PROTOCOL_VERSION}",
        hint="install the same minor version of syncline on both ends",
    )


_REVISIONS = re.compile(rf"(?:{FORM}\n)*(?:{FORM})?")
_updates_decoder = msgspec.json.Decoder(type=tuple[Update, ...])
_changes_decoder = msgspec.json.Decoder(type=tuple[Change, ...])
_summaries_decoder = msgspec.json.Decoder(type=tuple[Summary, ...])
_results_decoder = msgspec.json.Decoder(type=tuple[ItemResult, ...])
_reported_decoder = msgspec.json.Decoder(type=tuple[ReportedConflict, ...])
_encoder = msgspec.json.Encoder()


def encode_page(
    items: Sequence[Change] | Sequence[ItemResult] | Sequence[Summary] | Sequence[ReportedConflict],
) -> bytes:
    """Return the attachment of a list of updates, changes, results, summaries or conflicts."""
    return _encoder.encode(items)


def inline(page: bytes) -> orjson.Fragment:
    """Return an encoded list as a part of a JSON message, for lists of a few small items."""
    return orjson.Fragment(page)


def decode_page(payload: bytes) -> tuple[Update, ...]:
    """Return the updates of a pulled page, bodies undecoded: only from a server that is trusted."""
    return _decoded(_updates_decoder, payload)


def decode_changes(payload: object) -> tuple[Change, ...]:
    """Return the changes of a list, encoded or not."""
    return _decoded(_changes_decoder, _as_bytes(payload))


def decode_results(payload: object) -> tuple[ItemResult, ...]:
    """Return the results of a push."""
    return _decoded(_results_decoder, _as_bytes(payload))


def decode_summaries(payload: object) -> tuple[Summary, ...]:
    """Return the summaries of an answer."""
    return _decoded(_summaries_decoder, _as_bytes(payload))


def decode_pushed(payload: object) -> tuple[Update, ...]:
    """
    Return pushed updates, each checked for form.

    Their data are still to be checked, record by record, by whoever knows the models.
    """
    updates = _decoded(_updates_decoder, _as_bytes(payload))
    _check_form(updates)
    return updates


def decode_reported(payload: object) -> tuple[ReportedConflict, ...]:
    """Return the conflicts that a follower tells in full, each checked for form, as a push is."""
    conflicts = _decoded(_reported_decoder, _as_bytes(payload))
    _check_form([conflict.update for conflict in conflicts])
    for conflict in conflicts:
        if conflict.base_rev is not None and not is_revision(conflict.base_rev):
            raise MessageInvalid(f"{conflict.base_rev!r} is no revision")
    return conflicts


def _check_form(updates: Sequence[Update]) -> None:
    _check_revisions([update.rev for update in updates])
    _check_revisions([update.prev for update in updates if update.prev is not None])
    for update in [u for u in updates if u.ancestors]:
        if len(update.ancestors) > ANCESTORS_ON_WIRE_MAX or not _are_revisions(update.ancestors):
            raise MessageInvalid(f"the ancestors of {update.model}/{update.record_id} are none")
    # Data that are left out are the default itself.
    wrong = [u for u in updates if u.rev.endswith(DELETED) is not (u.body is NO_BODY)]
    if wrong:
        raise MessageInvalid(
            f"{wrong[0].model}/{wrong[0].record_id}: a deletion has no data, all else has"
        )


def _check_revisions(texts: Sequence[str]) -> None:
    if not _are_revisions(texts):
        wrong = next(text for text in texts if not is_revision(text))
        raise MessageInvalid(f"{wrong!r} is no revision")


def _are_revisions(texts: Sequence[str]) -> bool:
    """Tell whether all are revisions, by one look at all of them together."""
    lines = "\n".join(texts)
    if not lines:
        return not texts
    return _REVISIONS.fullmatch(lines) is not None and lines.count("\n") == len(texts) - 1


def decode_record(body: bytes, model: str, record_id: str) -> Any:
    """Decode a pushed body strictly: UTF-8, no number beyond a double."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        where = f"{model}/{record_id}"
        if "number" in str(error):
            raise NumberNotAllowed(f"{where}: {error}") from None
        raise RecordInvalid(f"{where}: {error}") from None


def encode_live(interval: Interval, updates_json: bytes | None = None) -> str:
    """Return the JSON text of a `changed` event's argument."""
    updates = _encoder.encode(interval.updates) if updates_json is None else updates_json
    return (
        f'{{"epoch":"{interval.epoch}","since":{interval.since},'
        f'"checkpoint":{interval.checkpoint},"head":{interval.head},"updates":{updates.decode()}}}'
    )


def encode_hint(interval: Interval) -> str:
    """Return a `changed` that names an interval without carrying it: fetch it."""
    return (
        f'{{"epoch":"{interval.epoch}","since":{interval.since},'
        f'"checkpoint":{interval.checkpoint},"head":{interval.head}}}'
    )


class Live(Message, frozen=True, kw_only=True):
    """
    A `changed` event's argument: an interval, or where the list stands.

    Attributes:
        updates: still encoded, since much that is heard is known already; empty when the event
            carries none.
    """

    epoch: str
    since: int
    checkpoint: int
    head: int
    updates: msgspec.Raw = NO_BODY

    @property
    def carries(self) -> bool:
        """Whether it carries its updates; without them it only names where the list stands."""
        return self.updates is not NO_BODY

    def interval(self) -> Interval:
        """Return the interval, its updates decoded; raise `MessageInvalid`."""
        updates = _heard(_updates_decoder, bytes(self.updates)) if self.carries else ()
        return Interval(
            epoch=self.epoch,
            since=self.since,
            checkpoint=self.checkpoint,
            head=self.head,
            updates=updates,
        )


_live_decoder = msgspec.json.Decoder(type=Live)


def decode_live(payload: object) -> Live:
    """Return the argument of a `changed` event, from its encoded text or the object it makes."""
    return _heard(_live_decoder, payload if isinstance(payload, bytes) else orjson.dumps(payload))


def _heard(decoder: "msgspec.json.Decoder[_T]", payload: bytes) -> "_T":
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageInvalid(f"changed: {error}") from None


def update_of(item: Mapping[str, Any]) -> Update:
    """Return the update of a decoded JSON object."""
    data = item.get("data")
    return Update(
        model=item["model"],
        record_id=item["id"],
        seq=item.get("seq", 0),
        rev=item["rev"],
        prev=item.get("prev"),
        ancestors=tuple(item.get("ancestors", ())),
        origin=item.get("origin", ""),
        group=item.get("group"),
        stamp=item.get("stamp", 0),
        amended_for=item.get("amended_for"),
        body=NO_BODY if data is None else msgspec.Raw(_encoder.encode(data)),
    )


def size_of(update: Update) -> int:
    """Return about how many bytes an update takes on the wire."""
    return 160 + len(update.record_id) + 20 * len(update.ancestors) + len(memoryview(update.body))


def _as_bytes(payload: object) -> bytes:
    if isinstance(payload, bytes | bytearray):
        return bytes(payload)
    if isinstance(payload, list | tuple):
        try:
            return orjson.dumps(payload)
        except TypeError as error:
            raise MessageInvalid(str(error)) from None
    raise MessageInvalid("a list of updates is expected, or its encoded bytes")


def _decoded(decoder: "msgspec.json.Decoder[_T]", payload: bytes) -> "_T":
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageInvalid(f"the list can't be read: {error}") from None


_T = TypeVar("_T")
