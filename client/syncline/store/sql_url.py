"""Which database is meant: by a path, in which nothing has a meaning, or by a URL."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa

from syncline.errors import ConfigError


IN_MEMORY = ":memory:"


def url_of(path: str) -> sa.URL:
    """Return the URL of a database by its path, in which no character means anything."""
    name = path if path == IN_MEMORY else str(Path(path).absolute())
    return sa.URL.create("sqlite", database=name)


def parse_url(url: str | sa.URL) -> sa.URL:
    """Return a URL, parsed; raise `ConfigError` for one of no store of ours."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise ConfigError(
            f"{url!r} is no database URL", hint="memory:, sqlite:///file.db, or a path like file.db"
        ) from None
    if parsed.get_backend_name() != "sqlite":
        raise ConfigError(
            f"{parsed.get_backend_name()!r} is not a store yet", hint="sqlite:///file.db or memory:"
        )
    return parsed


def path_of(url: sa.URL) -> Path | None:
    """Return the absolute path of a database's file; None in memory."""
    name = url.database or IN_MEMORY
    if url.query.get("uri") in ("true", "1", "yes", "on") and name.startswith("file:"):
        # Only then SQLite reads it as a URI of its own; else it is a file of that very name.
        uri = urlsplit(name)
        is_in_memory = uri.path == IN_MEMORY or "memory" in url.query.get("mode", "")
        name = IN_MEMORY if is_in_memory else unquote(uri.path)
    # The working directory may change under an open store.
    return None if name == IN_MEMORY else Path(name).absolute()
