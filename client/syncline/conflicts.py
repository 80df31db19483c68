"""
Conflict strategies: what a named strategy makes of two sides.

========== ===================================================================
manual     ours stays, the conflict waits in the conflict log (the default)
ours       ours, set upon theirs
theirs     theirs, as it is
latest     the side with the later stamp; equal stamps: the greater revision
merge      field by field; a field that collided waits (``merge``), or falls to
           a side (``merge:ours``, ``merge:theirs``, ``merge:latest``)
========== ===================================================================

Ours is what the replica holds that asks, theirs what its upstream does; at a daemon's own door ours
is the daemon's, theirs what is pushed.
A strategy may also be a function; it is not called here, but outside the write lock.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from syncline.errors import ConfigError
from syncline.merge import merge
from syncline.models import Conflict, Record, Resolution, Update, decode_body, encode_body
from syncline.revision import order_of


Resolver = Callable[[Conflict], Any]
"""Takes a conflict; returns `"ours"`, `"theirs"`, a record to stand, or None to leave it open."""

Strategy = str | Resolver

STRATEGIES = (
    "manual",
    "ours",
    "theirs",
    "latest",
    "merge",
    "merge:ours",
    "merge:theirs",
    "merge:latest",
)


class Settlement(NamedTuple):
    """
    How a conflict is settled.

    Attributes:
        resolution: the side that stands.
        body: the encoded record that stands, for `merge`.
        loser: the side of which something is lost, `"ours"` or `"theirs"`; empty where all that
            both wrote stands. A transaction is given up whole with a record of it that loses.
    """

    resolution: Resolution
    body: msgspec.Raw | None = None
    loser: str = ""


def check_strategy(strategy: Strategy) -> Strategy:
    """Return the strategy, or raise `ConfigError` when there is none of that name."""
    if callable(strategy) or strategy in STRATEGIES:
        return strategy
    raise ConfigError(
        f"no conflict strategy {strategy!r}", hint=f"one of {', '.join(STRATEGIES)}, or a function"
    )


def settle(
    strategy: Strategy, *, base_body: bytes, ours: Update, theirs: Update
) -> Settlement | None:
    """
    Return how the strategy settles a conflict; None when it stays open.

    Args:
        base_body: the encoded record that both sides started from; empty when it isn't known.
    """
    match strategy:
        case "ours":
            return _whole(Resolution.OURS)
        case "theirs":
            return _whole(Resolution.THEIRS)
        case "latest":
            return _whole(latest(ours, theirs))
        case "merge" | "merge:ours" | "merge:theirs" | "merge:latest":
            return _merge(strategy.partition(":")[2], base_body, ours, theirs)
        case _:
            return None


def latest(ours: Update, theirs: Update) -> Resolution:
    """
    Return the side with the later stamp; of equal stamps, that of the greater revision.

    Every replica says the same of the same two, whichever of them it calls ours.
    """
    is_ours = (ours.stamp, order_of(ours.rev)) > (theirs.stamp, order_of(theirs.rev))
    return Resolution.OURS if is_ours else Resolution.THEIRS


def _whole(side: Resolution) -> Settlement:
    return Settlement(side, loser=_OTHER[side])


_OTHER = {Resolution.OURS: "theirs", Resolution.THEIRS: "ours"}


def _merge(fallback: str, base_body: bytes, ours: Update, theirs: Update) -> Settlement | None:
    side = latest(ours, theirs).value if fallback == "latest" else fallback
    ours_data, theirs_data = ours.data, theirs.data
    if ours_data is None or theirs_data is None:
        return _whole(Resolution(side)) if side else None
    base: Record | None = decode_body(base_body)
    merged = merge(base, ours_data, theirs_data, prefer=side or "ours")
    if merged.collisions and not side:
        return None
    loser = _OTHER[Resolution(side)] if merged.collisions else ""
    if merged.data == theirs_data:
        return Settlement(Resolution.THEIRS, loser=loser)
    return Settlement(Resolution.MERGE, encode_body(merged.data), loser)
