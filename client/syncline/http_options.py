"""How a daemon is reached over HTTP, where the plain way does not lead there."""

import importlib
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from syncline.errors import ConfigError


ENVIRONMENT = "environment"
PROXY_SCHEMES = ("http", "socks4", "socks5")

Headers = Mapping[str, str] | Callable[[], Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """
    What goes with each connection to a daemon.

    Attributes:
        proxy: a proxy's address, ``http://``, ``socks4://`` or ``socks5://``; `"environment"` for
            the one that the variables ``http_proxy``, ``https_proxy`` and ``no_proxy`` name; None
            for none. It needs the extra `proxy`.
        headers: more of the request's headers, as an access gateway asks for; or a function that
            gives them at each connection.
        session: an aiohttp session to connect by, with the connector (certificates, resolver),
            cookies and authentication that it has. It stays open.
    """

    proxy: str | None = None
    headers: Headers | None = None
    session: aiohttp.ClientSession | None = None

    def __post_init__(self) -> None:
        if self.proxy not in (None, ENVIRONMENT):
            parts = urlsplit(str(self.proxy))
            if parts.scheme not in PROXY_SCHEMES or not parts.hostname:
                raise ConfigError(
                    f"proxy: {self.proxy!r} is no proxy's address",
                    hint='http://proxy:3128, socks5://proxy:1080, or "environment"',
                )
        if self.proxy is not None:
            if self.session is not None:
                raise ConfigError("proxy: a session has a proxy of its own, or none")
            _sockets()
        if self.session is not None and not isinstance(self.session, aiohttp.ClientSession):
            raise ConfigError("session: an aiohttp.ClientSession is expected")
        if self.headers is not None and not callable(self.headers):
            _checked(self.headers)

    def headers_now(self) -> dict[str, str]:
        """Return the headers of a connection that is made now; raise `ConfigError`."""
        if self.headers is None:
            return {}
        return _checked(self.headers() if callable(self.headers) else self.headers)

    def new_session(self, url: str) -> aiohttp.ClientSession:
        """
        Return a session to an address; whoever asked closes it.

        Through a proxy all goes by a tunnel, which is what RFC 6455 asks for a WebSocket: aiohttp
        itself makes one for TLS only, and has the proxy ask for the rest, where upgrades end.
        """
        proxy = self._proxy_to(url)
        if proxy is None:
            return aiohttp.ClientSession()
        return aiohttp.ClientSession(connector=_sockets().ProxyConnector.from_url(proxy))

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What a session raises where the other end is not reached."""
        if self.proxy is None:
            return (aiohttp.ClientError, OSError)
        library = _sockets()
        by_proxy = (library.ProxyError, library.ProxyConnectionError, library.ProxyTimeoutError)
        return (aiohttp.ClientError, OSError, *by_proxy)

    def _proxy_to(self, url: str) -> str | None:
        """Return the proxy on the way to an address, or None."""
        if self.proxy != ENVIRONMENT:
            return self.proxy
        parts = urlsplit(url)
        if urllib.request.proxy_bypass(parts.netloc):
            return None
        return urllib.request.getproxies().get(parts.scheme)


PLAIN = HttpOptions()


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise ConfigError(f"headers: {name!r} and its value must be texts")
    return dict(headers)


def _sockets() -> Any:
    """Return the library that makes tunnels; raise `ConfigError` where it is not installed."""
    try:
        return importlib.import_module("aiohttp_socks")
    except ImportError:
        raise ConfigError(
            "proxy: a library is missing", hint="pip install 'syncline[proxy]'"
        ) from None
