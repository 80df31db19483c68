"""
Revisions: names for the states of a record.

A revision is ``"<generation>-<nonce>"``, and ``"<generation>-<nonce>-deleted"`` for the state of
being deleted.
The nonce is 64 random bits in hex, passed in, so that a simulation is reproducible.
It is no hash of the content: two replicas that make the same edit make two revisions.
"""

import re
from collections.abc import Iterable
from typing import NewType


Revision = NewType("Revision", str)

NONCE_DIGITS = 16
DELETED = "-deleted"
"""How the revision of a deleted record ends."""
FORM = rf"[1-9][0-9]{{0,9}}-[0-9a-f]{{{NONCE_DIGITS}}}(?:{DELETED})?"
"""The form of a revision, as a regular expression."""
_form = re.compile(FORM)


def new_revision(generation: int, nonce: str, *, deleted: bool = False) -> Revision:
    """Return the revision of that generation and nonce."""
    return Revision(f"{generation}-{nonce}{DELETED}" if deleted else f"{generation}-{nonce}")


def generation_of(rev: str) -> int:
    """Return the generation: one more than the greatest that its maker knew of the record."""
    return int(rev[: rev.index("-")])


def short_of(rev: str) -> str:
    """
    Return the short form in which ancestors are kept: generation and nonce.

    The generation stays, because a refused revision lives on as an ancestor of a lower one, and
    the next edit must rise above it.
    """
    return rev.removesuffix(DELETED)


def nonce_of(rev: str) -> str:
    """Return the nonce."""
    return short_of(rev).partition("-")[2]


def next_generation(*revs: str | None, ancestors: Iterable[str] = ()) -> int:
    """Return one more than the greatest generation among revisions and ancestors."""
    known = [generation_of(rev) for rev in revs if rev is not None]
    known.extend(generation_of(short) for short in ancestors)
    return 1 + max(known, default=0)


def is_deletion(rev: str) -> bool:
    """Tell whether this is the revision of a deleted record."""
    return rev.endswith(DELETED)


def order_of(rev: str) -> tuple[int, str]:
    """Return what equal data are ordered by: the greater (generation, nonce) is kept."""
    return generation_of(rev), nonce_of(rev)


def is_revision(text: object) -> bool:
    """Tell whether a peer's text is a well-formed revision."""
    return isinstance(text, str) and _form.fullmatch(text) is not None
