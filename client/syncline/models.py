"""
The frozen records that everything is said in.

Bodies are kept as the encoded JSON that they travel and are stored as; `Update.data` decodes.
The small ones that come by the thousand are no business of the garbage collector (``gc=False``):
they hold texts and numbers and one another, and can't be part of a cycle.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, NewType

import msgspec

from syncline.revision import Revision, generation_of, is_deletion, short_of


Checkpoint = NewType("Checkpoint", int)
Key = tuple[str, str]
"""(model, record id): what names a record in a data source."""

Record = dict[str, Any]

NAME_CHARS_MAX = 255
"""The longest name of a model, a replica or a group that an update may carry."""

Name = Annotated[str, msgspec.Meta(max_length=NAME_CHARS_MAX)]
NO_BODY = msgspec.Raw(b"")
ANCESTORS_MAX = 64
VOID = -1
"""The base seq of a record whose base an upstream lost."""

_decode = msgspec.json.Decoder(type=dict[str, Any]).decode


class ChangeKind(StrEnum):
    """What a change did, as LoopBack names it."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Change(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    gc=False,
    rename={"record_id": "id"},
):
    """
    The change list's entry for one record.

    Attributes:
        model: the model's name.
        record_id: the record's id, as text.
        seq: its place in the change list that it was read from; 0 while it has none.
        rev: the revision of the state that the record is in.
        prev: what the upstream held when this was made, or none.
        ancestors: earlier revisions in their short form, oldest first, bounded.
        origin: the replica that made the revision.
        group: the transaction that it was written in, or none.
        stamp: hybrid logical clock, for last-write-wins only.
    """

    model: Name
    record_id: str
    seq: int = 0
    rev: Revision
    prev: Revision | None = None
    ancestors: tuple[str, ...] = ()
    origin: Name = ""
    group: Name | None = None
    stamp: Annotated[int, msgspec.Meta(ge=0)] = 0

    @property
    def key(self) -> Key:
        """Model and record id."""
        return self.model, self.record_id

    @property
    def is_deletion(self) -> bool:
        """Whether the record is deleted."""
        return is_deletion(self.rev)

    @property
    def generation(self) -> int:
        """The generation of the revision."""
        return generation_of(self.rev)

    @property
    def kind(self) -> ChangeKind:
        """What this change did, seen from its `prev`."""
        if self.is_deletion:
            return ChangeKind.DELETE
        if self.prev is None or is_deletion(self.prev):
            return ChangeKind.CREATE
        return ChangeKind.UPDATE

    def descends_from(self, rev: Revision) -> bool:
        """Tell whether `rev` is this one's `prev` or among its ancestors."""
        return self.prev == rev or short_of(rev) in self.ancestors


class Update(
    Change, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename={"body": "data"}
):
    """
    A change with the record's data: what travels.

    Attributes:
        body: the record as encoded JSON; empty for a deletion.
        amended_for: the replica whose push a hook amended into this.
    """

    body: msgspec.Raw = NO_BODY
    amended_for: Name | None = None

    def placed(self, seq: int, *, stamp: int, group: str | None) -> "Update":
        """Return the update at its place in a list; spelled out, since it is a hot line."""
        return Update(
            model=self.model,
            record_id=self.record_id,
            seq=seq,
            rev=self.rev,
            prev=self.prev,
            ancestors=self.ancestors,
            origin=self.origin,
            group=group,
            stamp=stamp,
            body=self.body,
            amended_for=self.amended_for,
        )

    @property
    def data(self) -> Record | None:
        """The record, decoded anew at each call; None when deleted."""
        return None if self.is_deletion else _decode(self.body)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """
    What a replica's store holds of one record.

    Attributes:
        update: the record and its change; `seq` is its place in this replica's own list.
        base_seq: where the upstream's list held the base; None when it never did; `VOID` when
            the upstream lost it.
        pending: what it has to tell upstream; None when there is nothing.
    """

    update: Update
    base_seq: int | None = None
    pending: "Pending | None" = None

    @property
    def base(self) -> "Base":
        """What the upstream is known to hold of this record."""
        if self.pending is None:
            return Base(rev=self.update.rev, seq=self.base_seq)
        return Base(rev=self.pending.base_rev, seq=self.base_seq, body=self.pending.base_body)

    def base_of(self, theirs: "Update") -> "Base":
        """Return what both this and theirs were made from: what was sent, where theirs knows it."""
        base = self.base
        for sent in reversed(self.pending.sent if self.pending is not None else ()):
            if theirs.descends_from(sent.rev):
                return Base(rev=sent.rev, seq=base.seq, body=bytes(sent.body))
        return base


class Sent(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A revision of ours that was handed to a link, with its data; empty for a deletion."""

    rev: Revision
    body: msgspec.Raw = NO_BODY


SENT_MAX = 4
"""How many revisions that were sent and edited since are kept of a record that waits."""


class Pending(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    A record that has something to tell upstream.

    Attributes:
        base_rev: the revision that the upstream is known to hold; None when there is none.
        base_body: its data, encoded; empty when it is a deletion or there is none.
        hold: why it is not being pushed now: `""`, `"conflict"` or `"parked"`.
        reason: what the upstream said when it parked it.
        sent: what was sent and edited since, oldest first. Whether it arrived is unknown; what
            the upstream makes of it names it, and that is then the base of a merge.
    """

    model: str
    record_id: str
    base_rev: Revision | None = None
    base_body: bytes = b""
    hold: str = ""
    reason: str = ""
    sent: tuple[Sent, ...] = ()

    @property
    def key(self) -> Key:
        """Model and record id."""
        return self.model, self.record_id


class Base(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a replica knows its upstream to hold of a record."""

    rev: Revision | None = None
    seq: int | None = None
    body: bytes = b""

    @property
    def is_void(self) -> bool:
        """Whether the upstream lost what it held."""
        return self.seq == VOID

    @property
    def is_absent(self) -> bool:
        """Whether the upstream never held it, as far as this replica knows."""
        return self.seq is None


class Cursor(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    How far a replica has followed its upstream.

    Attributes:
        source: the upstream's data source.
        epoch: the upstream's epoch in which it was last confirmed.
        seq: everything up to and including it is held.
        reach: the greatest upstream seq known, from acknowledgements too.
        is_whole: whether a whole interval was ever taken; before that a first sync shows rows
            as they come.
        resetting: the list is being taken again from the start; the seq up to which the old
            lineage was shared, or None.
        models: the models followed, sorted.
    """

    source: str = ""
    epoch: str = ""
    seq: int = 0
    reach: int = 0
    is_whole: bool = False
    resetting: int | None = None
    models: tuple[str, ...] = ()


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """
    The changes of `(since, checkpoint]`, with the head of the list at the time of reading.

    An interval is whole when its checkpoint is that head.
    """

    epoch: str
    since: int
    checkpoint: int
    head: int
    updates: tuple[Update, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing beyond it existed when it was read."""
        return self.checkpoint >= self.head


class Verdict(StrEnum):
    """What `offer` and `take` answer, and what an upstream answers to a push."""

    SAME = "same"
    KNOWN = "known"
    FORWARD = "forward"
    EQUAL = "equal"
    REBASE = "rebase"
    AMENDED = "amended"
    CONFLICT = "conflict"


class Answer(StrEnum):
    """An upstream's word on one pushed item."""

    APPLIED = "applied"
    KNOWN = "known"
    CONFLICT = "conflict"
    REFUSED = "refused"
    PARKED = "parked"
    HELD = "held"


FORWARD, SAME, KNOWN = Verdict.FORWARD, Verdict.SAME, Verdict.KNOWN
APPLIED = Answer.APPLIED
"""
What each of many thousand records is compared with: before Python 3.12 it is a call to name a
member through its enumeration, and costs more than making an update.
"""


class ItemResult(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    gc=False,
    rename={"record_id": "id"},
):
    """
    The word on one pushed update.

    Attributes:
        rev: the revision that was pushed.
        answer: what became of it.
        seq: where the upstream's list holds it, when applied.
        current: what the upstream holds, when it is another revision than the pushed one.
        reason: why it was refused or parked.
    """

    model: str
    record_id: str
    rev: Revision
    answer: Answer
    seq: int = 0
    current: Update | None = None
    reason: str = ""

    @property
    def key(self) -> Key:
        """Model and record id."""
        return self.model, self.record_id


def result_of(
    update: Update,
    answer: Answer,
    *,
    seq: int = 0,
    current: Update | None = None,
    reason: str = "",
) -> ItemResult:
    """Return the word on a pushed update."""
    return ItemResult(
        model=update.model,
        record_id=update.record_id,
        rev=update.rev,
        answer=answer,
        seq=seq,
        current=current,
        reason=reason,
    )


class BulkResult(msgspec.Struct, frozen=True, kw_only=True):
    """
    What became of a bulk update: one result an item, in the order of the items.

    Attributes:
        checkpoint: the head of the list after it.
    """

    epoch: str = ""
    checkpoint: int = 0
    results: tuple[ItemResult, ...] = ()

    @property
    def others(self) -> list[ItemResult]:
        """The items that were not taken as they were pushed; mostly there are none."""
        return [r for r in self.results if r.answer is not APPLIED or r.current is not None]

    @property
    def conflicts(self) -> tuple[ItemResult, ...]:
        """The items that collided."""
        return tuple(r for r in self.others if r.answer is Answer.CONFLICT)


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a target answers when it is shown a source's changes.

    Attributes:
        deltas: the source's changes that the target lacks, `prev` set to what the target holds.
        conflicts: the target's own changes that the source's collide with.
    """

    deltas: tuple[Change, ...] = ()
    conflicts: tuple[Change, ...] = ()


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """
    Two edits of one record that knew nothing of each other.

    Attributes:
        conflict_id: names it in the conflict log.
        base: what both sides started from, when it is known; None for a create on both sides.
        ours: the record here. theirs: the record that it collided with.
        opened_ms: when it was found, milliseconds since 1970.
        resolution: empty while open; else how it was settled; `"returned"` while it waits at the
            replica that made theirs.
        side: `"ours"` when this replica met it; `"met"` when it was met in a replication of once,
            with an end that it does not follow; `"received"` when a client's push met it here;
            `"reported"` when a client told that it waits there, and with which base.
        holder: the replica that it waits at, when that is another.
    """

    conflict_id: str
    model: str
    record_id: str
    base_rev: Revision | None = None
    base_body: bytes = b""
    ours: Update
    theirs: Update
    opened_ms: int = 0
    resolution: str = ""
    settled_ms: int = 0
    side: str = "ours"
    reason: str = ""
    holder: str = ""

    @property
    def key(self) -> Key:
        """Model and record id."""
        return self.model, self.record_id

    @property
    def is_open(self) -> bool:
        """Whether it waits here to be settled."""
        return not self.resolution

    @property
    def is_waiting(self) -> bool:
        """Whether it waits to be settled, here or at another replica."""
        return self.is_open or (self.side != "ours" and self.resolution == "returned")

    @property
    def base(self) -> Record | None:
        """The data that both sides started from, or None."""
        return _decode(self.base_body) if self.base_body else None

    @property
    def kind(self) -> ChangeKind | None:
        """`update` when both are updates, `delete` when either deletes, else None, as LoopBack."""
        if self.ours.is_deletion or self.theirs.is_deletion:
            return ChangeKind.DELETE
        if self.base_rev is not None and not is_deletion(self.base_rev):
            return ChangeKind.UPDATE
        return None


class Resolution(StrEnum):
    """How a conflict is settled."""

    OURS = "ours"
    THEIRS = "theirs"
    MANUAL = "manual"
    MERGE = "merge"
    LATEST = "latest"


def join_ancestors(*groups: tuple[str, ...], limit: int = ANCESTORS_MAX) -> tuple[str, ...]:
    """
    Return the ancestors of all groups, each once, oldest first.

    When there are too many, those of the greatest generations are kept, whichever group they came
    from: of two histories that meet, the common past is what may be forgotten.
    """
    joined = tuple(dict.fromkeys(nonce for group in groups for nonce in group))
    if not limit:
        return ()
    if len(joined) <= limit:
        return joined
    return tuple(sorted(joined, key=_generation_of)[-limit:])


def _generation_of(short: str) -> int:
    return int(short[: short.index("-")])


def encode_body(data: Mapping[str, Any]) -> msgspec.Raw:
    """Return the encoded JSON of a record that was already found valid."""
    return msgspec.Raw(msgspec.json.encode(data))


def raw_body(body: bytes | msgspec.Raw) -> msgspec.Raw:
    """
    Return an encoded record as an update's body; `NO_BODY` itself for an empty one.

    An empty body that is another object would not count as the default, and be encoded as nothing.
    """
    return msgspec.Raw(bytes(body)) if bytes(body) else NO_BODY


def decode_body(body: bytes | msgspec.Raw) -> Record | None:
    """Return the record of an encoded body; None for an empty one."""
    return _decode(body) if bytes(body) else None
