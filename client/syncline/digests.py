"""
What LoopBack's digests stand for: decide on a LoopBack change by the revisions that it means.

LoopBack names a state of a record by the digest of its content, and remembers one `prev`.
A door keeps, for each record that it serves, the last digests that crossed it and the revisions
that they stand for.
So an echo of what was once served is known by its ancestry, and a `prev` finds its revision.
No decision between syncline replicas reads any of this.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum

import msgspec

from syncline.models import Update
from syncline.revision import Revision, generation_of, short_of


KNOWN_MAX = 48
"""Digests kept a record: of each state, one for each client that showed it."""
COLLIDED_MAX = 8
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
        told: how a client showed or sent it, see `told_of`; it shows the state so again as an echo.
        by: which client did, see `told`.
        given: how often a client was given this state; -1 where nobody counted.
    """

    digest: str
    rev: Revision
    seq: int = 0
    base: Revision | None = None
    names: tuple[str, ...] = ()
    told: str | None = None
    by: str | None = None
    given: int = -1


class Collided(msgspec.Struct, frozen=True):
    """
    A client's edit collided.

    A state that was held here may have its digest: until it is held again, no listing may name it
    as what its asker is to give up.
    """

    digest: str


class Taken(msgspec.Struct, frozen=True):
    """A client that held this digest takes what is held."""

    digest: str


class Digests(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """
    What is known of one record's digests.

    Attributes:
        known: the last that crossed the door, in the order in which they last did.
        rebased: (revision, digest): this revision was declared to be based on that digest.
        settled: likewise, of several clients; each stands until it takes what is held.
        collided: digests of the last edits that did, see `Collided`.
    """

    known: tuple[Known, ...] = ()
    rebased: tuple[Revision, str] | None = None
    collided: tuple[str, ...] = ()
    settled: tuple[tuple[Revision, str], ...] = ()


NOTHING = Digests()
_decoder = msgspec.json.Decoder(type=Digests)


def decode_digests(stored: bytes | None) -> Digests:
    """Return what is stored of a record."""
    return NOTHING if stored is None else _decoder.decode(stored)


def encode_digests(digests: Digests) -> bytes:
    """Return what is to be stored."""
    return msgspec.json.encode(digests)


def note(digests: Digests, known: Known | Collided | Taken) -> Digests:
    """Return the digests with this one as the last that crossed the door."""
    if isinstance(known, Collided):
        others = (one for one in digests.collided if one != known.digest)
        return msgspec.structs.replace(digests, collided=(*others, known.digest)[-COLLIDED_MAX:])
    if isinstance(known, Taken):
        left = tuple(one for one in digests.settled if one[1] != known.digest)
        is_settled = digests.rebased is not None and digests.rebased[1] == known.digest
        rebased = None if is_settled else digests.rebased
        return msgspec.structs.replace(digests, rebased=rebased, settled=left)
    if digests.known and digests.known[-1] == known and known.given <= 0:
        return digests
    before = next((one for one in digests.known if _name_of(one) == _name_of(known)), None)
    if before is not None and known.given >= 0:
        counted = max(0, before.given) + known.given
        known = msgspec.structs.replace(known, given=counted, names=known.names or before.names)
    kept = tuple(one for one in digests.known if one is not before)
    # What is held here again is nobody's own edit any more.
    collided = tuple(one for one in digests.collided if one != known.digest or not known.seq)
    return msgspec.structs.replace(digests, known=(*kept, known)[-KNOWN_MAX:], collided=collided)


def _name_of(known: Known) -> tuple[str, Revision, str | None, str | None]:
    return known.digest, known.rev, known.told, known.by


class Place(StrEnum):
    """How a LoopBack change meets what is held."""

    SAME = "same"
    KNOWN = "known"
    FORWARD = "forward"
    CONFLICT = "conflict"
    DOUBTFUL = "doubtful"


def place_of(
    current: Update | None,
    now: str,
    digests: Digests,
    rev: str,
    prev: str | None,
    checkpoint: int | None = None,
    *,
    by: str | None = None,
    reshows: bool = False,
    is_sent: bool = False,
) -> Place:
    """
    Decide on a change that a LoopBack client shows or sends.

    A digest may stand for several states: on, off, and on again. So what is remembered speaks of
    the client that it was told by; where two readings remain, LoopBack's own rule stands, unless it
    may undo a write by an echo.

    Args:
        current: what is held, its tombstone included; None for nothing.
        now: its digest; `GONE` for a tombstone or nothing.
        digests: what is known of the record.
        rev: the change's digest, or `GONE`.
        prev: the digest that it names as its base, or `GONE`; None when it names none.
        checkpoint: the client's own, at which it made the change.
        by: which client it is. reshows: whether it shows again what it has shown before.
        is_sent: whether it is sent to be stored: it was decided on when it was shown.

    Returns:
        SAME (it is held), KNOWN (it was held and moved on: an echo), FORWARD (take it), CONFLICT,
        DOUBTFUL (an edit of what is held, or an echo from the last time that it was).
    """
    if rev == now:
        return Place.SAME
    if current is None:
        return Place.FORWARD
    if any(one.digest == rev and one.rev == current.rev for one in digests.known):
        return Place.SAME
    is_based = prev is not None and prev == now
    own = [one for one in _told_so(digests, rev, prev, checkpoint, by) if was_held(one, current)]
    if own and (not is_based or (not is_sent and (reshows or any(map(_is_level, own))))):
        # Not a thing has changed at the client since this was held here.
        return Place.KNOWN
    if not is_sent and _is_given_up(current, digests, rev):
        # It was given up for what is held, or for what came before that.
        return Place.KNOWN
    if prev is not None and _is_upon(current, now, digests, prev, by):
        is_doubtful = (is_based and not is_sent) and (
            _is_echo(current, digests, rev, prev, by, least=1)
            or (prev == GONE and not _may_know(current, digests, by))
        )
        return Place.DOUBTFUL if is_doubtful else Place.FORWARD
    if not is_sent and (
        _is_echo(current, digests, rev, prev, by, least=-1)
        or _is_given_upon(current, digests, rev, prev)
    ):
        return Place.KNOWN
    return Place.CONFLICT


def rebase(digests: Digests, rev: Revision, prev: str) -> Digests:
    """Return the digests once this revision was declared to be based on that digest."""
    settled = (*(one for one in digests.settled if one[1] != prev), (rev, prev))
    return msgspec.structs.replace(digests, rebased=(rev, prev), settled=settled[-COLLIDED_MAX:])


def _is_given_up(current: Update, digests: Digests, digest: str) -> bool:
    # Not a deletion: all look alike.
    return digest != GONE and any(
        one == digest and (rev == current.rev or short_of(rev) in current.ancestors)
        for rev, one in digests.settled
    )


def _is_given_upon(current: Update, digests: Digests, rev: str, prev: str | None) -> bool:
    # It took the state upon an edit of its own that was never here.
    told = given_upon(prev or GONE)
    return any(
        one.digest == rev and one.told == told and one.by is None and was_held(one, current)
        for one in digests.known
    )


def _may_know(current: Update, digests: Digests, by: str | None) -> bool:
    # All deletions look alike: this one is news to a client that deleted another by itself.
    return by is None or any(
        one.rev == current.rev and (one.given != 0 or one.by == by) for one in digests.known
    )


def has_shown(
    digests: Digests, rev: str, prev: str | None, checkpoint: int | None, by: str
) -> bool:
    """Tell whether this client has shown or sent that very change before."""
    return any(one.by == by for one in _told_so(digests, rev, prev, checkpoint, by))


def _told_so(
    digests: Digests, rev: str, prev: str | None, checkpoint: int | None, by: str | None
) -> Iterator[Known]:
    # A create names nothing when it is shown, and null when it is sent.
    told = told_of(prev or GONE, checkpoint)
    return (one for one in digests.known if one.digest == rev and one.told == told and one.by == by)


def _is_level(known: Known) -> bool:
    # It was shown while it was held here already, not sent to be stored.
    return bool(known.seq) and known.given != 0


def _is_upon(current: Update, now: str, digests: Digests, prev: str, by: str | None) -> bool:
    if prev == now:
        return True
    return any(
        one.digest == prev and (one.rev == current.rev or _is_shown_upon(one, current, by))
        for one in digests.known
    )


def _is_shown_upon(known: Known, current: Update, by: str | None) -> bool:
    # The client told us of an edit that it never managed to send; what follows is based on it.
    return not known.seq and known.base == current.rev and known.by == by


def was_held(known: Known, current: Update) -> bool:
    """Tell whether the record was in that state here, or is."""
    return bool(known.seq) or known.rev == current.rev or short_of(known.rev) in current.ancestors


def _is_echo(
    current: Update,
    digests: Digests,
    rev: str,
    prev: str | None,
    by: str | None,
    *,
    least: int,
) -> bool:
    # A client that took a state from here has it as its own last change. If it names a later state
    # as the one before, it went back by an edit of its own, which is no echo; nor is a change of
    # a client that has shown us that state, or a later one, as its own before.
    held = [one for one in digests.known if was_held(one, current)]
    own = max(
        (generation_of(one.rev) for one in held if by is not None and one.by == by), default=0
    )
    # One that was given it upon what it names is no other; of a doubt, any that was given it.
    told = given_upon(prev or GONE)
    given = [
        generation_of(one.rev)
        for one in held
        if one.digest == rev
        and one.by is None
        and (one.given >= 1 if least > 0 else one.given < 0 or one.told == told)
    ]
    last = max((one for one in given if one > own), default=0)
    if not last:
        return False
    if prev is None or (prev == GONE and least > 0):
        return True
    before = [generation_of(one.rev) for one in held if one.digest == prev]
    return bool(before) and min(before) < last


def told_of(prev: str | None, checkpoint: int | None) -> str | None:
    """Return how a client shows a state: what it names as its base, and when it made the change."""
    return None if prev is None else f"{prev}@{checkpoint}"


def given_upon(prev: str) -> str:
    """Return how a client will show a state that it was given upon one that was never here."""
    return f"{prev}@"


def level_with(
    current: Update,
    digests: Digests,
    rev: str,
    prev: str | None,
    checkpoint: int | None,
    names: Iterable[str],
    *,
    by: str | None = None,
) -> Known | None:
    """
    Return what to remember of a client that shows what is held; None when its echo is known anyway.

    Its `prev` may be an edit of its own that lost a conflict, of which nothing is known here.
    """
    if by is None:
        if prev is None:
            return None
        if prev != GONE and any(
            one.digest == prev and was_held(one, current) for one in digests.known
        ):
            return None
        return Known(rev, current.rev, current.seq, None, tuple(names), told_of(prev, checkpoint))
    if any(one.by == by and _is_level(one) for one in _told_so(digests, rev, prev, checkpoint, by)):
        return None
    return Known(rev, current.rev, current.seq, None, (), told_of(prev or GONE, checkpoint), by)


def shown_revision(
    digests: Digests, current: Update | None, rev: str, by: str | None = None
) -> Revision | None:
    """Return the revision that a digest got when this client showed it upon this state."""
    for one in reversed(digests.known):
        if one.digest == rev and current is not None and _is_shown_upon(one, current, by):
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
    wrong = {now, *digests.collided}
    held = [one for one in digests.known if one.digest not in wrong and was_held(one, current)]
    clients = [one for one in held if one.by is not None or one.given != 0]
    if since > 0:
        # Who lists from there had all that was older. What a client has sent or taken since is
        # what it edits upon now, and whoever did nothing since takes any `prev`.
        moved = [
            one for one in clients if one.seq >= since and (one.by is not None or one.given > 0)
        ]
        if moved:
            hinted = [one for one in moved if one.digest == hint]
            return (hinted or moved)[-1].digest
        older = [one for one in held if 0 < one.seq < since]
        if older:
            return max(older, key=lambda one: one.seq).digest
    if hint is not None and any(one.digest == hint for one in held):
        return hint
    likely = clients or held
    return likely[-1].digest if likely else None


def settled_prev(current: Update, digests: Digests) -> str | None:
    """Return the digest that a client is to give up for what is held; None without one."""
    if digests.rebased is None:
        return None
    rev, prev = digests.rebased
    is_older = rev == current.rev or short_of(rev) in current.ancestors
    return prev if is_older else None


def names_at(digests: Digests, digest: str | None) -> Iterable[str]:
    """Return the properties that the record had in the state of a digest, as far as known."""
    for one in reversed(digests.known):
        if one.digest == digest and one.names:
            return one.names
    return ()
