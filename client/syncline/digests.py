"""
What LoopBack's digests stand for: decide on a LoopBack change by the revisions that it means.

LoopBack names a state of a record by the digest of its content, and remembers one `prev`.
A door keeps, for each record that it serves, the last digests that crossed it and the revisions
that they stand for.
So an echo of what was once served is known by its ancestry, and a `prev` finds its revision.
No decision between syncline replicas reads any of this.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from syncline.models import Update
from syncline.revision import Revision, generation_of, short_of


KNOWN_MAX = 32
"""Digests kept a record."""
NAMES_MAX = 256
"""Properties remembered of a state; of a record with more, a removal is not told to LoopBack."""
GONE = ""
"""Stands for LoopBack's `null`: the record does not exist."""


class Known(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """
    A digest and the revision that it stands for.

    Attributes:
        digest: in hex, or `GONE`.
        rev: the revision.
        seq: where the list held it when it was served or taken; 0 while it was only shown.
        base: of one only shown, the revision that it is based on.
        names: the record's properties, so that one that was taken away can be told as null.
        told: how a client showed it, see `told_of`; it shows the state so again as an echo.
    """

    digest: str
    rev: Revision
    seq: int = 0
    base: Revision | None = None
    names: tuple[str, ...] = ()
    told: str | None = None


class Digests(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """
    What is known of one record's digests.

    Attributes:
        known: the last that crossed the door, in the order in which they last did.
        rebased: (revision, digest): this revision was declared to be based on that digest.
    """

    known: tuple[Known, ...] = ()
    rebased: tuple[Revision, str] | None = None


NOTHING = Digests()
_decoder = msgspec.json.Decoder(type=Digests)


def decode_digests(stored: bytes | None) -> Digests:
    """Return what is stored of a record."""
    return NOTHING if stored is None else _decoder.decode(stored)


def encode_digests(digests: Digests) -> bytes:
    """Return what is to be stored."""
    return msgspec.json.encode(digests)


def note(digests: Digests, known: Known) -> Digests:
    """Return the digests with this one as the last that crossed the door."""
    if digests.known and digests.known[-1] == known:
        return digests
    kept = tuple(one for one in digests.known if _name_of(one) != _name_of(known))
    return msgspec.structs.replace(digests, known=(*kept, known)[-KNOWN_MAX:])


def _name_of(known: Known) -> tuple[str, Revision, str | None]:
    return known.digest, known.rev, known.told


class Place(StrEnum):
    """How a LoopBack change meets what is held."""

    SAME = "same"
    KNOWN = "known"
    FORWARD = "forward"
    CONFLICT = "conflict"


def place_of(
    current: Update | None,
    now: str,
    digests: Digests,
    rev: str,
    prev: str | None,
    checkpoint: int | None = None,
) -> Place:
    """
    Decide on a change that a LoopBack client shows or sends.

    Args:
        current: what is held, its tombstone included; None for nothing.
        now: its digest; `GONE` for a tombstone or nothing.
        digests: what is known of the record.
        rev: the change's digest, or `GONE`.
        prev: the digest that it names as its base, or `GONE`; None when it names none.
        checkpoint: the client's own, at which it made the change.

    Returns:
        SAME (it is held), KNOWN (it was held and moved on: an echo), FORWARD (take it), CONFLICT.
    """
    if rev == now:
        return Place.SAME
    if current is None:
        return Place.FORWARD
    if any(one.digest == rev and one.rev == current.rev for one in digests.known):
        return Place.SAME
    told = told_of(prev, checkpoint)
    if told is not None and any(
        one.digest == rev and one.told == told and was_held(one, current) for one in digests.known
    ):
        # Not a thing has changed at the client since this was held here.
        return Place.KNOWN
    if prev is not None and _is_upon(current, now, digests, prev):
        return Place.FORWARD
    return Place.KNOWN if _is_echo(current, digests, rev, prev) else Place.CONFLICT


def _is_upon(current: Update, now: str, digests: Digests, prev: str) -> bool:
    if prev == now:
        return True
    return any(
        one.digest == prev and (one.rev == current.rev or _is_shown_upon(one, current))
        for one in digests.known
    )


def _is_shown_upon(known: Known, current: Update) -> bool:
    # The client told us of an edit that it never managed to send; what follows is based on it.
    return not known.seq and known.base == current.rev


def was_held(known: Known, current: Update) -> bool:
    """Tell whether the record was in that state here, or is."""
    return bool(known.seq) or known.rev == current.rev or short_of(known.rev) in current.ancestors


def _is_echo(current: Update, digests: Digests, rev: str, prev: str | None) -> bool:
    # A client that took a state from here has it as its own last change. If it names a later state
    # as the one before, it went back by an edit of its own, which is no echo.
    held = [one for one in digests.known if was_held(one, current)]
    last = max((generation_of(one.rev) for one in held if one.digest == rev), default=0)
    if not last:
        return False
    if prev is None:
        return True
    before = [generation_of(one.rev) for one in held if one.digest == prev]
    return bool(before) and min(before) < last


def told_of(prev: str | None, checkpoint: int | None) -> str | None:
    """Return how a client shows a state: what it names as its base, and when it made the change."""
    return None if prev is None else f"{prev}@{checkpoint}"


def level_with(
    current: Update,
    digests: Digests,
    rev: str,
    prev: str | None,
    checkpoint: int | None,
    names: Iterable[str],
) -> Known | None:
    """
    Return what to remember of a client that shows what is held; None when its echo is known anyway.

    Its `prev` may be an edit of its own that lost a conflict, of which nothing is known here.
    """
    if prev is None:
        return None
    if prev != GONE and any(one.digest == prev and was_held(one, current) for one in digests.known):
        return None
    told = told_of(prev, checkpoint)
    return Known(rev, current.rev, current.seq, None, tuple(names), told)


def shown_revision(digests: Digests, current: Update | None, rev: str) -> Revision | None:
    """Return the revision that a digest got when it was shown upon this state."""
    for one in reversed(digests.known):
        if one.digest == rev and current is not None and _is_shown_upon(one, current):
            return one.rev
    return None


def based_revision(digests: Digests, current: Update, prev: str | None) -> Revision | None:
    """Return the held revision that a digest stands for."""
    for one in reversed(digests.known):
        if one.digest == prev and was_held(one, current):
            return one.rev
    return None


def told_prev(
    current: Update, now: str, digests: Digests, *, since: int, hint: str | None
) -> str | None:
    """
    Return the `prev` to list a change with: the state that the asker most likely holds.

    LoopBack's client takes a change that names what it holds. Every state that was held here is an
    ancestor, so whichever is named is true; only one helps.

    Args:
        since: the seq from which the asker lists; less than 1 when it does not say.
        hint: the digest that this asker was last seen to hold.
    """
    if digests.rebased is not None and digests.rebased[0] == current.rev:
        return digests.rebased[1]
    held = [one for one in digests.known if one.digest != now and was_held(one, current)]
    if since > 0:
        older = [one for one in held if 0 < one.seq < since]
        if older:
            return max(older, key=lambda one: one.seq).digest
    if hint is not None and any(one.digest == hint for one in held):
        return hint
    return held[-1].digest if held else None


def names_at(digests: Digests, digest: str | None) -> Iterable[str]:
    """Return the properties that the record had in the state of a digest, as far as known."""
    for one in reversed(digests.known):
        if one.digest == digest:
            return one.names
    return ()
