"""
Serve the pages, and the browser replica that they are made with.

They are files of this package, without any asset from elsewhere, and hold no data of the daemon:
what they show comes over the socket, by the rights of whoever looks.
Their links are relative, so that they work below any path.
They go out compressed where the browser accepts it: packed once, not for each that asks.
"""

import functools
import gzip
import hashlib
import mimetypes
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from synclined.pages.own import INDEX, OwnPages


FIRST = "dashboard.html"
PAGES = {"/dashboard": FIRST, "/demo": "demo.html", "/conflicts": "conflicts.html"}
BUNDLE = "syncline.js"
CLONE = Path(__file__).resolve().parents[3] / "client" / "browser"
"""The browser's package, where the daemon runs from a clone."""
PLACES = (
    CLONE / "dist" / BUNDLE,
    Path(__file__).resolve().parents[1] / "static" / BUNDLE,
)
"""Where a checkout keeps the bundle that it built, and where a wheel does."""
MISSING_IN_CLONE = (
    "The browser replica is not built yet.\n"
    "Install Node.js 20 or newer with npm; then, in the folder of the clone:\n"
    "  npm ci --prefix client/browser && npm run --prefix client/browser bundle\n"
)
MISSING = (
    "This syncline was installed without the browser replica, so it has no pages.\n"
    "Install it from a wheel or an sdist that carries it: each made where npm is has it.\n"
)
PACKED = "gzip"
PACKED_MIN = 1024
"""Less is not worth it."""
HEADERS = {
    "Vary": "Accept-Encoding",
    # Whatever may be kept is asked for again, and answered with 304 while it is the same.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Asset(NamedTuple):
    """
    A file as it is served.

    Attributes:
        packed: compressed; None where that is not worth it.
    """

    body: bytes
    content_type: str
    etag: str
    packed: bytes | None


def add_pages(
    app: web.Application, *, own: OwnPages | None = None, are_ours_shown: bool = True
) -> None:
    """
    Add the pages, their assets and `/syncline.js`.

    Args:
        own: pages of somebody's own, served where the daemon has nothing of that name; the root is
            theirs if they have a page for it.
        are_ours_shown: whether the daemon's pages are there too.
    """
    folder = files("synclined.pages") / "static"
    assets = {
        entry.name: _asset(entry.name, entry.read_bytes())
        for entry in folder.iterdir()
        if entry.is_file()
    }

    def page(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def show_page(request: web.Request) -> web.Response:
            return _answer(request, assets[name])

        return show_page

    async def show_asset(request: web.Request) -> web.Response:
        asset = assets.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound(text=f"there is no page or file {request.path}\n")
        return _answer(request, asset)

    async def show_bundle(request: web.Request) -> web.Response:
        bundle = _built()
        if bundle is None:
            is_clone = (CLONE / "package.json").is_file()
            raise web.HTTPServiceUnavailable(text=MISSING_IN_CLONE if is_clone else MISSING)
        return _answer(request, bundle)

    async def show_root(request: web.Request) -> web.StreamResponse:
        index = None if own is None else await own.index()
        if index is None and not are_ours_shown:
            raise web.HTTPNotFound(text=f"there is no {INDEX} in the folder of pages\n")
        return index or _answer(request, assets[FIRST])

    app.router.add_get("/", show_root)
    app.router.add_get(f"/{BUNDLE}", show_bundle)
    if are_ours_shown:
        for path, name in PAGES.items():
            app.router.add_get(path, page(name))
        app.router.add_get("/pages/{name}", show_asset)
    if own is not None:
        app.router.add_get("/{path:.*}", own.show)


def _built() -> Asset | None:
    """Return the bundle as it is now: a checkout may build it again while the daemon runs."""
    place = next((place for place in PLACES if place.is_file()), None)
    if place is None:
        return None
    stat = place.stat()
    return _read(place, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=1)
def _read(place: Path, _mtime_ns: int, _size: int) -> Asset:
    """Return a file as it is served, until it is another."""
    return _asset(BUNDLE, place.read_bytes())


def _asset(name: str, body: bytes) -> Asset:
    guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
    content_type = "text/javascript" if name.endswith(".js") else guessed
    # The same file gives the same bytes, and so the same tag, at every start.
    packed = gzip.compress(body, 9, mtime=0) if len(body) >= PACKED_MIN else None
    return Asset(body, content_type, hashlib.sha256(body).hexdigest()[:32], packed)


def _answer(request: web.Request, asset: Asset) -> web.Response:
    body, etag, headers = asset.body, asset.etag, HEADERS
    if asset.packed is not None and _accepts_packed(request.headers.get("Accept-Encoding", "")):
        # Another representation has another tag.
        body, etag = asset.packed, f"{asset.etag}-{PACKED}"
        headers = {**HEADERS, "Content-Encoding": PACKED}
    seen = request.if_none_match or ()
    if any(one.value == etag for one in seen):
        return web.Response(status=304, headers={**HEADERS, "ETag": f'"{etag}"'})
    response = web.Response(
        body=body, content_type=asset.content_type, charset="utf-8", headers=headers
    )
    response.etag = etag
    return response


def _accepts_packed(accepted: str) -> bool:
    """Tell whether a browser takes gzip (RFC 9110, section 12.5.3)."""
    weights: dict[str, str] = {}
    for part in accepted.lower().split(","):
        name, _, parameters = part.partition(";")
        weights[name.strip()] = parameters.partition("q=")[2].strip()
    weight = weights.get(PACKED, weights.get("*", "0"))
    return not weight or weight.strip("0.") != ""
