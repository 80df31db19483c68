"""
Serve a folder of somebody's own pages beside the daemon's, so that one process is enough.

A folder that is named in a hurry may hold more than pages, the daemon's database and a file of
tokens before all; so only what a page is made of goes out, and nothing whose name begins with a
dot, nor what a link leads to elsewhere.
"""

import asyncio
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from syncline.errors import ConfigError


KINDS = frozenset(
    {
        *(".html", ".htm", ".css", ".js", ".mjs", ".map", ".wasm", ".json", ".webmanifest"),
        *(".txt", ".csv", ".svg", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".ico"),
        *(".woff", ".woff2", ".ttf", ".otf", ".mp3", ".ogg", ".wav", ".mp4", ".webm", ".pdf"),
    }
)
"""What a page is made of, by the end of its name."""
INDEX = "index.html"
HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


class OwnPages:
    """
    A folder of somebody's own pages.

    Raises:
        ConfigError: there is no such folder.
    """

    def __init__(self, folder: str) -> None:
        self._root = Path(folder).expanduser().resolve()
        if not self._root.is_dir():
            raise ConfigError(
                f"there is no folder {folder} to serve pages from",
                hint="make it, or name another with --pages or listen.pages_folder",
            )

    async def index(self) -> web.FileResponse | None:
        """Return the folder's own first page, if it has one."""
        found = await asyncio.to_thread(_find, self._root, "")
        return None if found is None else web.FileResponse(found, headers=HEADERS)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Answer with the file of a path."""
        asked = request.match_info["path"]
        found = await asyncio.to_thread(_find, self._root, asked)
        if found is None:
            raise web.HTTPNotFound(text=_missing(asked))
        if found.is_dir():
            # Else what its page names would be sought beside the folder. By its last name alone,
            # since what stands before that is the affair of whoever hands requests on.
            raise web.HTTPFound(f"./{quote(found.name)}/")
        return web.FileResponse(found, headers=HEADERS)


def _find(root: Path, asked: str) -> Path | None:
    """Return the file that is asked for; the folder itself where its slash is missing."""
    parts = [part for part in asked.split("/") if part]
    # Of a name with a zero in it the system knows nothing, and says so loudly.
    if "\0" in asked or any(part.startswith(".") for part in parts):
        return None
    path = root.joinpath(*parts)
    if path.is_dir():
        if parts and not asked.endswith("/"):
            return path if _find(root, f"{asked}/") else None
        path = path / INDEX
    resolved = path.resolve()
    is_ours = resolved.is_file() and resolved.is_relative_to(root)
    return resolved if is_ours and resolved.suffix.lower() in KINDS else None


def _missing(asked: str) -> str:
    return (
        f"There is no page /{asked} here; the daemon's own are at /dashboard.\n"
        "Of a folder of pages only what a page is made of is served, by the end of its name: "
        f"{' '.join(sorted(KINDS))}\n"
    )
