"""Decide what a principal may do: pure, and asked by every door before it acts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from synclined.settings import FILE_ORIGINS, is_loopback


EVERY_MODEL = "*"


class Right(StrEnum):
    """What may be done with a model's records; each right holds the ones before it."""

    NONE = "none"
    READ = "read"
    REPLICATE = "replicate"
    WRITE = "write"


_RANK = {right: rank for rank, right in enumerate(Right)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """
    Who speaks on a link.

    Attributes:
        name: what logs call it; several links may share it.
        rights: by model; ``"*"`` stands for the models that are not named.
    """

    name: str
    rights: Mapping[str, Right] = field(default_factory=lambda: MappingProxyType({}))


ANYONE = Principal(name="anyone", rights=MappingProxyType({EVERY_MODEL: Right.WRITE}))
"""Who speaks on a link that needs no token: may do all, so it exists on loopback only."""


def allows(principal: Principal, right: Right, model: str) -> bool:
    """Tell whether the principal has the right, or a greater one, on the model."""
    granted = principal.rights.get(model, principal.rights.get(EVERY_MODEL, Right.NONE))
    return _RANK[granted] >= _RANK[right]


def may_watch(principal: Principal) -> bool:
    """Tell whether the principal may see the daemon's state: who may read every model."""
    rights = {EVERY_MODEL: Right.NONE, **principal.rights}
    return all(_RANK[right] >= _RANK[Right.READ] for right in rights.values())


def watcher(principal: Principal) -> Principal:
    """Return the principal with the right to read, and no other."""
    return Principal(name=principal.name, rights=MappingProxyType({EVERY_MODEL: Right.READ}))


def allows_origin(origins: Collection[str], origin: str | None, own: str) -> bool:
    """
    Tell whether a browser page of that origin may connect.

    Args:
        origins: the setting: origins, `"same"` for the daemon's own pages, `"file"` for those
            that are opened as files, `"*"` for all.
        origin: what the browser says; None for a client that is no browser.
        own: the origin under which the daemon was asked.
    """
    if origin is None or "*" in origins or origin in origins:
        return True
    if origin in FILE_ORIGINS:
        return not FILE_ORIGINS.isdisjoint(origins)
    return "same" in origins and origin == own


def needs_token(host: str, *, has_tokens: bool) -> bool:
    """
    Tell whether a link must name a token.

    Args:
        host: the address that the daemon listens on.
        has_tokens: whether any token is configured. Then loopback needs one as well.
    """
    return has_tokens or not is_loopback(host)
