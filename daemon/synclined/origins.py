"""Which pages are let in: by the origin that a browser names with each request."""

from collections.abc import Collection

from aiohttp import web

from synclined.access import allows_origin


class Origins:
    """
    The browser origins that are let in; all doors of a daemon share one.

    Attributes:
        allowed: origins, `"same"` for the daemon's own pages, `"*"` for all; may be replaced while
            it serves.
    """

    def __init__(self, allowed: Collection[str]) -> None:
        self.allowed = allowed

    def allow(self, request: web.BaseRequest, origin: str | None) -> bool:
        """Tell whether a page of that origin may make the request; None is no browser."""
        return allows_origin(self.allowed, origin, own_origin_of(request))


def own_origin_of(request: web.BaseRequest) -> str:
    """Return the origin under which the daemon was asked; a proxy says which that was."""
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
    host = request.headers.get("X-Forwarded-Host", request.host)
    return f"{scheme}://{host}"
