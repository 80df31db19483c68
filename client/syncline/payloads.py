"""
What the wire's messages carry: lists of updates, changes and results, and live events.

A list travels as one encoded JSON array in one binary attachment, or within its message when it is
small; a live event travels as plain JSON.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import orjson

from syncline.errors import MessageInvalid, NumberNotAllowed, RecordInvalid
from syncline.models import NO_BODY, Change, Interval, ItemResult, Update
from syncline.news import Told
from syncline.protocol import Message, ReportedConflict
from syncline.ranges import Summary
from syncline.revision import DELETED, FORM, is_revision


ANCESTORS_ON_WIRE_MAX = 1024

_T = TypeVar("_T")

_REVISIONS = re.compile(rf"(?:{FORM}\n)*(?:{FORM})?")
_told_decoder = msgspec.json.Decoder(type=tuple[Told, ...])
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
    """
    Decode a pushed body strictly: UTF-8, no number beyond a double.

    Integers of more than 64 bits come as the nearest double; see `doubles.loads`.
    """
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


def encode_news(interval: Interval, told: Sequence[Told], *, epoch: str = "") -> str:
    """
    Return the JSON text of a `news` event's argument.

    Args:
        told: its updates, as they are told.
        epoch: named where its hearers may have been welcomed in another.
    """
    named = f'"epoch":"{epoch}",' if epoch else ""
    updates = _encoder.encode(told).decode()
    return (
        f'{{{named}"since":{interval.since},"checkpoint":{interval.checkpoint},'
        f'"updates":{updates}}}'
    )


class News(Message, frozen=True, kw_only=True):
    """
    A `news` event's argument: a whole interval, told to who holds what came before.

    Attributes:
        epoch: empty for that of the welcome.
        updates: still encoded, as in `Live`.
    """

    epoch: str = ""
    since: int
    checkpoint: int
    updates: msgspec.Raw = NO_BODY

    def interval(self, epoch: str, model: str, *, carries: bool) -> Interval:
        """
        Return the interval, with what is the same for all of it filled in.

        Args:
            epoch: of the welcome. model: the only one that is followed, empty when several are.
            carries: whether the updates are decoded.
        """
        told = _heard(_told_decoder, bytes(self.updates)) if carries else ()
        return Interval(
            epoch=self.epoch or epoch,
            since=self.since,
            checkpoint=self.checkpoint,
            head=self.checkpoint,
            updates=tuple([one.placed_in(model, self.checkpoint) for one in told]),
        )


_news_decoder = msgspec.json.Decoder(type=News)


def decode_news(payload: object) -> News:
    """Return the argument of a `news` event, from its encoded text or the object it makes."""
    return _heard(_news_decoder, payload if isinstance(payload, bytes) else orjson.dumps(payload))


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
        except TypeError:
            return _with_long_integers(payload)
    raise MessageInvalid("a list of updates is expected, or its encoded bytes")


def _with_long_integers(payload: object) -> bytes:
    # Those over 64 bits, which `orjson` does not write: each is its own record's mistake.
    try:
        return _encoder.encode(payload)
    except (TypeError, ValueError, RecursionError) as error:
        raise MessageInvalid(str(error)) from None


def _decoded(decoder: "msgspec.json.Decoder[_T]", payload: bytes) -> "_T":
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageInvalid(f"the list can't be read: {error}") from None
