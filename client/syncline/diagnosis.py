"""
Why a connection could not be made: named, with what to do.

A WebSocket that is refused says little. What answers at the daemon's address over plain HTTP tells
a daemon that is not there from one behind a gateway, and that from a proxy that passes on no
WebSocket.
"""

import asyncio
import os
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from syncline.address import Address
from syncline.errors import (
    Busy,
    CertificateInvalid,
    GatewayRefused,
    LinkError,
    NoDaemon,
    OriginRefused,
    ProxyFailed,
    Unreachable,
    WebSocketRefused,
)
from syncline.http_options import HttpOptions


REFUSAL_HEADER = "Syncline-Refusal"
"""Where a daemon that has no room for a WebSocket says so: its client sees no body."""
PROBE_TIMEOUT_S = 5.0
PROBE_BYTES_MAX = 4096


async def diagnose(address: Address, error: BaseException, http: HttpOptions) -> LinkError:
    """
    Return what kept a connection from being made, as an error to be raised.

    Args:
        error: with which it failed; those that led to it are looked at too.
    """
    for cause in _causes(error):
        if type(cause).__module__.startswith(("python_socks", "aiohttp_socks")):
            return ProxyFailed(
                f"the proxy on the way to {address.origin} fails: {_words(cause)}",
                hint='proxy= names another one; "environment" means http_proxy and https_proxy',
            )
        match cause:
            case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
                return CertificateInvalid(
                    f"the certificate of {address.origin} is not trusted: {_words(cause)}",
                    hint="for an authority of your own give a session, "
                    "aiohttp.TCPConnector(ssl=…), or set SSL_CERT_FILE",
                )
            case aiohttp.ClientSSLError() | ssl.SSLError():
                return Unreachable(
                    f"{address.origin} speaks no TLS that is understood: {_words(cause)}",
                    hint=f"is it http://{address.origin.partition('://')[2]}?",
                )
            case aiohttp.ClientConnectorError() if cause.host != _host_of(address):
                # It was redirected there, as to a page where people log in.
                return await _refusal(address, 0, http)
            case aiohttp.ClientConnectorError():
                return Unreachable(
                    f"no syncline daemon answers at {address.origin}: {_words(cause)}",
                    hint=_START_HINT,
                )
            case aiohttp.WSServerHandshakeError(headers=headers) if headers and (
                said := headers.get(REFUSAL_HEADER)
            ):
                return Busy(said, hint="it is tried again")
            case aiohttp.WSServerHandshakeError():
                return await _refusal(address, cause.status, http)
            case _:
                pass
    return await _refusal(address, 0, http)


_START_HINT = "start one with `syncline serve`, or mend the address"


async def _refusal(address: Address, status: int, http: HttpOptions) -> LinkError:
    """Name what answered, but not as a daemon does; `status` is 0 when that is not known."""
    where = address.door("")
    try:
        seen, told = await _ask(address, http)
    except http.errors:
        if not status:
            return Unreachable(f"no syncline daemon answers at {where}", hint=_START_HINT)
        seen, told = status, {}
    if "protocol" in told:
        if told.get("origin_allowed") is False:
            return OriginRefused(
                f"the daemon at {where} refuses pages of the origin {told.get('origin')}",
                hint=f"start it with --origin {told.get('origin')}",
            )
        return WebSocketRefused(
            f"the daemon at {where} answers, but a WebSocket is refused"
            + (f" with {status}" if status else ""),
            hint="a proxy between must pass on WebSockets: for nginx, proxy_http_version 1.1, "
            "proxy_set_header Upgrade $http_upgrade and Connection upgrade",
        )
    code = status if status >= 300 else seen
    if code in (401, 403, 407) or 300 <= code < 400:
        return GatewayRefused(
            f"what stands before the daemon at {where} refuses with {code}",
            hint="headers=, or session=, carry what it asks for; a token is only for the daemon",
        )
    if code in (502, 503, 504):
        return Unreachable(
            f"a proxy answers at {where}, but reaches no daemon: {code}", hint=_START_HINT
        )
    return NoDaemon(
        f"what answers at {where} is no syncline daemon" + (f": {code}" if code else ""),
        hint="is there a path missing, or one too many, in the address?",
    )


async def _ask(address: Address, http: HttpOptions) -> tuple[int, dict[str, Any]]:
    """Return the status, and what a daemon says of itself; nothing when it is none."""
    url = address.door("version")
    async with asyncio.timeout(PROBE_TIMEOUT_S):
        session = http.session or http.new_session(url)
        headers = http.headers_now()
        try:
            async with session.get(url, allow_redirects=False, headers=headers) as answer:
                body = await answer.content.read(PROBE_BYTES_MAX)
                status = answer.status
        finally:
            if session is not http.session:
                await session.close()
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        told = None
    return status, told if isinstance(told, dict) else {}


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and those that led to it."""
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _host_of(address: Address) -> str | None:
    return urlsplit(address.origin).hostname


def _words(error: BaseException) -> str:
    """Return an error's own words: of the operating system where it has some."""
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    number = getattr(inner, "errno", None)
    system = os.strerror(number) if isinstance(number, int) and number > 0 else ""
    # A resolver's number is below zero, and TLS has texts of its own.
    said = getattr(inner, "verify_message", "") or getattr(inner, "strerror", "") or str(inner)
    if system and not isinstance(inner, ssl.SSLError):
        said = system
    return " ".join(str(said).split())[:200]
