"""
What a live update leaves out, since whoever hears it holds what it was made upon.

A follower that has read the list up to where an interval begins holds each record as the list had
it there, ancestors and all. So of the ancestors of an update only those are told that came after
that state, its anchor, which is named; and other things that its hearer can tell by itself::

    the list    A1 … A62  A63 │ U1  U2          an interval of U1 and U2, which tells of U2
    held here   A1 … A62  A63 │
    told                      │ U1      U2 on A63
    completed   A1 … A62  A63   U1      U2

The anchor is looked for in what is held. Where it is not found nothing is guessed: the interval is
read as a page, which leaves nothing out.
"""

from typing import NamedTuple, Self

import msgspec

from syncline.models import ANCESTORS_MAX, NO_BODY, Entry, Name, Update
from syncline.revision import NONCE_DIGITS, Revision, is_deletion, nonce_of, short_of


class Held(NamedTuple):
    """What the list held of a record: its revision and, as they were told, its ancestors."""

    rev: Revision
    ancestors: tuple[str, ...]


class _Named(msgspec.Struct):
    id: str


_named_decoder = msgspec.json.Decoder(type=_Named)


class Told(
    Update,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    gc=False,
    rename={"record_id": "id", "anchor": "on"},
):
    """
    A live update, as it is told to who holds what it was made upon.

    Attributes:
        model: empty for the only one that is followed.
        record_id: empty where it is the record's `id`.
        seq: 0 for the end of the interval.
        prev: None for the anchor, where there is one.
        ancestors: those that the anchor does not have, which is not among them.
        anchor: the nonce of what the list held where the interval begins; empty when nothing is
            left out.
    """

    model: Name = ""
    record_id: str = ""
    anchor: str = ""

    @classmethod
    def of(cls, update: Update, *, model: str, seq: int, held: Held | None) -> Self:
        """
        Return what is told of an update.

        Args:
            model, seq: as they are told.
            held: what the list held where the interval begins; None when that is not known.
        """
        prev, ancestors, anchor = update.prev, update.ancestors, ""
        if held is not None and _place_of(nonce_of(held.rev), ancestors) is not None:
            # Where two histories met, not all that stands before the anchor is behind it.
            known = {*held.ancestors, short_of(held.rev)}
            ancestors = tuple([short for short in ancestors if short not in known])
            anchor = nonce_of(held.rev)
            # The ancestors do not say whether one was a deletion.
            if held.rev == prev and not is_deletion(held.rev):
                prev = None
        return cls(
            model=model,
            record_id="" if _id_of(update) == update.record_id else update.record_id,
            seq=seq,
            rev=update.rev,
            prev=prev,
            ancestors=ancestors,
            origin=update.origin,
            group=update.group,
            stamp=update.stamp,
            body=update.body,
            amended_for=update.amended_for,
            anchor=anchor,
        )

    def placed_in(self, model: str, checkpoint: int) -> Self:
        """Return it with its model, its id and its seq, where it left them out."""
        return msgspec.structs.replace(
            self,
            model=self.model or model,
            record_id=self.record_id or _id_of(self),
            seq=self.seq or checkpoint,
        )

    def whole(self, prev: Revision | None, ancestors: tuple[str, ...]) -> Update:
        """Return the update with what it was made upon."""
        return Update(
            model=self.model,
            record_id=self.record_id,
            seq=self.seq,
            rev=self.rev,
            prev=prev,
            ancestors=ancestors,
            origin=self.origin,
            group=self.group,
            stamp=self.stamp,
            body=self.body,
            amended_for=self.amended_for,
        )


def completed(
    told: Told, entry: Entry | None, theirs: Update | None, *, ancestors_max: int = ANCESTORS_MAX
) -> Update | None:
    """
    Return an update with what was left out of it; None when that is not held here.

    Args:
        entry: what is held of the record. theirs: what it collided with and waits for, if it does.
    """
    if not told.anchor:
        return told.whole(told.prev, told.ancestors)
    if entry is None:
        return None
    line = _line_to(told.anchor, entry, theirs)
    if line is None:
        return None
    ancestors = (*line, *told.ancestors)
    if len(ancestors) > ancestors_max:
        ancestors = ancestors[len(ancestors) - ancestors_max :]
    return told.whole(told.prev or Revision(line[-1]), ancestors)


def _line_to(nonce: str, entry: Entry, theirs: Update | None) -> tuple[str, ...] | None:
    """Return a revision's ancestors and itself, as far as they are held; None when it is not."""
    for holder in (entry.update, theirs):
        if holder is None:
            continue
        if nonce_of(holder.rev) == nonce:
            return (*holder.ancestors, short_of(holder.rev))
        place = _place_of(nonce, holder.ancestors)
        if place is not None:
            return holder.ancestors[: place + 1]
    base_rev = None if entry.pending is None else entry.pending.base_rev
    if base_rev is not None and nonce_of(base_rev) == nonce:
        # So much was edited here since then that the base is no longer among the ancestors.
        return (short_of(base_rev),)
    return None


def _place_of(nonce: str, ancestors: tuple[str, ...]) -> int | None:
    # From the newest, where it mostly is.
    for place in range(len(ancestors) - 1, -1, -1):
        if ancestors[place][-NONCE_DIGITS:] == nonce:
            return place
    return None


def _id_of(update: Update) -> str:
    """Return the `id` of an update's record, where that is a text; else nothing."""
    if update.body is NO_BODY:
        return ""
    try:
        return _named_decoder.decode(update.body).id
    except msgspec.DecodeError:
        return ""
