"""Who asks: a token in any of LoopBack's forms, and what it may do."""

import base64
import binascii
from collections.abc import Callable, Iterator

from aiohttp import web

from syncline.errors import Forbidden, Unauthenticated
from synclined.access import Principal, Right, allows


TOKEN_HEADER_CHARS_MAX = 2048


def tokens_of(request: web.Request) -> Iterator[str]:
    """
    Return the texts that may be a request's token, likeliest first.

    LoopBack takes `?access_token=`, `X-Access-Token` and `Authorization`, there raw, as a bearer's
    in base64 as its own client sends it or plain, and as user or password of `Basic`.
    """
    query = request.query.get("access_token")
    if query is not None:
        yield query
    for header in ("X-Access-Token", "Authorization"):
        value = request.headers.get(header, "")
        if not value or len(value) > TOKEN_HEADER_CHARS_MAX:
            continue
        scheme, _, rest = value.partition(" ")
        match scheme.lower():
            case "bearer" if rest:
                decoded = _from_base64(rest)
                if decoded is not None:
                    yield decoded
                yield rest.strip()
            case "basic" if rest:
                user, _, password = (_from_base64(rest) or "").partition(":")
                yield from filter(None, (password, user))
            case _:
                yield value


def _from_base64(text: str) -> str | None:
    try:
        return base64.b64decode(
            text.strip() + "=" * (-len(text.strip()) % 4), validate=True
        ).decode()
    except (binascii.Error, ValueError):
        return None


def principal_of(
    request: web.Request, authenticate: Callable[[str | None], Principal]
) -> Principal:
    """
    Return who asks.

    Raises:
        Unauthenticated: none of the request's tokens is known, and one is needed.
    """
    refusal: Unauthenticated | None = None
    candidates: list[str | None] = list(tokens_of(request))
    for token in candidates or [None]:
        try:
            return authenticate(token)
        except Unauthenticated as error:
            refusal = error
    assert refusal is not None
    raise refusal


def require(principal: Principal, right: Right, model: str) -> None:
    """Raise `Forbidden` unless the principal has the right on the model."""
    if not allows(principal, right, model):
        raise Forbidden(f"{principal.name} may not {right.value} {model!r}")
