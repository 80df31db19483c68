"""
Turn a token into a principal: the static tokens of the settings.

Only the hash of a token is kept. A token is 256 random bits, so a plain SHA-256 suffices: there is
nothing to guess, and salts and slow hashes protect what can be guessed.
"""

import hashlib
import hmac
import secrets
from types import MappingProxyType

from syncline.errors import Unauthenticated
from synclined.access import ANYONE, Principal, Right, needs_token
from synclined.settings import Settings


TOKEN_BYTES = 32
TOKEN_CHARS_MAX = 512
"""A longer text is no token of ours and is not hashed."""


def new_token() -> str:
    """Return a new random token, to be shown once and kept by its bearer."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def hash_token(token: str) -> str:
    """Return what the settings keep of a token: its SHA-256 in hex."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class Tokens:
    """
    Turns tokens into principals, by the settings as they are now.

    Attributes:
        settings: may be replaced while the daemon runs.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __call__(self, token: object) -> Principal:
        """Return who bears the token, as `authenticate` does."""
        return authenticate(self.settings, token)


def revoked(before: Settings, after: Settings) -> frozenset[str]:
    """
    Return the names of the principals whose standing connections are no longer as they were.

    Their token is no more, or another, or has other rights; or they had none, and one is needed.
    """
    kept = {token.name: token for token in after.tokens}
    names = {token.name for token in before.tokens if kept.get(token.name) != token}
    if after.tokens and not before.tokens:
        names.add(ANYONE.name)
    return frozenset(names)


def authenticate(settings: Settings, token: object) -> Principal:
    """
    Return who bears the token.

    Args:
        settings: with the hashes of the tokens that are known.
        token: what the peer sent, of whatever type; None for nothing.

    Raises:
        Unauthenticated: a token is needed, and this is none that is known.
    """
    if not needs_token(settings.listen.host, has_tokens=bool(settings.tokens)):
        return ANYONE
    if not isinstance(token, str) or not token:
        raise Unauthenticated(hint="send a token: auth={'token': ...}, or a bearer header")
    if len(token) > TOKEN_CHARS_MAX:
        raise Unauthenticated("the token is not known")
    offered = hash_token(token)
    bearer = None
    for known in settings.tokens:
        # All are compared, each in constant time: how long it takes tells nothing.
        if hmac.compare_digest(known.sha256, offered):
            bearer = known
    if bearer is None:
        raise Unauthenticated("the token is not known")
    rights = {model: Right(right) for model, right in bearer.rights.items()}
    return Principal(name=bearer.name, rights=MappingProxyType(rights))
