"""
A daemon's address, taken apart, and told from a file's name.

``https://host/sync`` is a daemon that lies below a path, as behind a proxy; ``https://host/sync/state``
is another data source of that daemon, its own state, which is a Socket.IO namespace.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from syncline.errors import ConfigError


SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
"""What may stand before an address, and what that is to HTTP."""
NAMESPACES = ("/state",)
"""The data sources that a daemon serves beside the application's; no base path ends with one."""
EXAMPLE = "http://127.0.0.1:8765"
DEFAULT_PORT = 8765

# `http:/host`, `https:host:443`: a slash or two were lost.
_BROKEN = re.compile(r"(https?|wss?):/{0,2}([^/].*)", re.IGNORECASE)
_BARE = re.compile(
    r"""
    (?://)?
    (?:
        (?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]):\d{1,5}
        | localhost | \d{1,3}(?:\.\d{1,3}){3}
    )
    (?:/.*)?
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """
    Where a daemon is, and which of its data sources is meant.

    Attributes:
        origin: ``http://host:port``.
        base: the path that the daemon lies below, as ``/sync``; empty for none.
        namespace: of Socket.IO: ``/``, or that of another data source.
    """

    origin: str
    base: str
    namespace: str

    @property
    def socketio_path(self) -> str:
        """Where Socket.IO is spoken, without the slash before it."""
        return f"{self.base}/socket.io".lstrip("/")

    def door(self, name: str) -> str:
        """Return the address of one of the daemon's HTTP doors, as ``version``."""
        return f"{self.origin}{self.base}/{name}"


def read_address(url: str) -> Address:
    """
    Take a daemon's address apart.

    Raises:
        ConfigError: it is none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except (ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f"{url!r} is no daemon's address: {error}", hint=EXAMPLE) from None
    if parts.scheme not in SCHEMES or "://" not in url:
        meant = address_meant(url) if isinstance(url, str) else None
        raise ConfigError(f"{url!r} is no daemon's address", hint=meant or EXAMPLE)
    if not parts.hostname or any(each.isspace() for each in url):
        raise ConfigError(f"{url!r} names no host", hint=EXAMPLE)
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            f"the address of {parts.hostname} holds a password",
            hint="a daemon asks for a token; for a gateway in front of it, give headers",
        )
    if parts.query or parts.fragment:
        raise ConfigError(f"{url!r} has more than a path behind the host", hint=EXAMPLE)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = host if port is None else f"{host}:{port}"
    base, namespace = parts.path.rstrip("/"), "/"
    for known in NAMESPACES:
        if base.endswith(known):
            base, namespace = base.removesuffix(known), known
    return Address(
        origin=f"{SCHEMES[parts.scheme]}://{place}", base=base.rstrip("/"), namespace=namespace
    )


def is_address(text: str) -> bool:
    """Tell whether a text begins as a daemon's address does."""
    scheme, colon, _ = text.partition("://")
    return bool(colon) and scheme.lower() in SCHEMES


def address_meant(text: str) -> str | None:
    """Return the address that a text means which names one without its scheme; else None."""
    if is_address(text):
        return None
    if (broken := _BROKEN.fullmatch(text)) is not None:
        return f"{broken[1].lower()}://{broken[2]}"
    if _BARE.fullmatch(text) is None:
        return None
    host, slash, path = text.removeprefix("//").partition("/")
    has_port = re.search(r":\d+$", host) is not None
    return f"http://{host}{'' if has_port else f':{DEFAULT_PORT}'}{slash}{path}"
