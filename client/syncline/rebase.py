"""Set a record upon the revision that it collided with."""

import msgspec

from syncline.models import (
    ANCESTORS_MAX,
    NO_BODY,
    Entry,
    Pending,
    Update,
    join_ancestors,
    raw_body,
)
from syncline.revision import Revision, new_revision, next_generation, short_of


def rebase(
    ours: Update,
    theirs: Update,
    *,
    body: msgspec.Raw | None,
    nonce: str,
    origin: str,
    stamp: int,
    ancestors_max: int = ANCESTORS_MAX,
) -> Update:
    """
    Return a new revision on top of both sides.

    Its generation is above both, its ancestors are both sides and theirs, its `prev` is `theirs`.

    Args:
        body: the encoded record that is to stand; None to delete it.
    """
    ancestors = join_ancestors(
        theirs.ancestors,
        (short_of(theirs.rev),),
        ours.ancestors,
        (short_of(ours.rev),),
        limit=ancestors_max,
    )
    generation = next_generation(ours.rev, theirs.rev, ancestors=ancestors)
    return Update(
        model=ours.model,
        record_id=ours.record_id,
        rev=new_revision(generation, nonce, deleted=body is None),
        prev=theirs.rev,
        ancestors=ancestors,
        origin=origin,
        group=ours.group,
        stamp=stamp,
        body=NO_BODY if body is None else raw_body(body),
    )


def keep_greater(ours: Update, theirs: Update, *, ancestors_max: int = ANCESTORS_MAX) -> Update:
    """Return what stands when both hold equal data: the greater revision, ancestors of both."""
    ours_key = (ours.generation, ours.rev.partition("-")[2])
    theirs_key = (theirs.generation, theirs.rev.partition("-")[2])
    kept, lesser = (ours, theirs) if ours_key > theirs_key else (theirs, ours)
    ancestors = join_ancestors(
        lesser.ancestors, kept.ancestors, (short_of(lesser.rev),), limit=ancestors_max
    )
    return msgspec.structs.replace(kept, ancestors=ancestors)


def adopt(theirs: Update, ours: Update, *, ancestors_max: int = ANCESTORS_MAX) -> Update:
    """
    Return theirs as it is, with ours and its ancestors added: what a listening replica keeps.

    Also when theirs was made over ours: ours may have joined ancestors since its maker saw it.
    """
    ancestors = join_ancestors(
        ours.ancestors, (short_of(ours.rev),), theirs.ancestors, limit=ancestors_max
    )
    if set(ancestors) == set(theirs.ancestors):
        return theirs
    return msgspec.structs.replace(theirs, ancestors=ancestors)


def restore_base(
    entry: Entry, pending: Pending, *, ancestors_max: int = ANCESTORS_MAX
) -> Update | None:
    """
    Return the record as its upstream holds it, after the upstream refused the local revision.

    The refused revision stays among the ancestors.
    None when the upstream holds nothing: a refused create.
    """
    refused = entry.update
    base_rev: Revision | None = pending.base_rev
    if base_rev is None:
        return None
    ancestors = tuple(a for a in refused.ancestors if a != short_of(base_rev))
    return msgspec.structs.replace(
        refused,
        rev=base_rev,
        prev=None,
        ancestors=join_ancestors(ancestors, (short_of(refused.rev),), limit=ancestors_max),
        group=None,
        body=raw_body(pending.base_body),
    )
