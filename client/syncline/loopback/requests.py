"""Speak LoopBack's REST API to a server: requests, their errors by our names, its stream."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
import orjson

from syncline.errors import (
    AckTimeout,
    ConflictError,
    MessageInvalid,
    ProtocolError,
    RecordNotFound,
    Unauthenticated,
    Unreachable,
    WriteRefused,
)
from syncline.loopback.javascript import loads


TIMEOUT_S = 60.0
IDS_AT_ONCE = 50
"""Ids in one filter, which travels in the URL."""
ANSWER_BYTES_MAX = 256 * 1024 * 1024


class LoopBackRequests:
    """
    One connection pool to a LoopBack server.

    Args:
        url: the root of its REST API. token: an access token, or None.
    """

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Accept": "application/json"}
        if token is not None:
            self._headers["X-Access-Token"] = token
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Disconnect."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._headers)
        return self._session

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
    ) -> Any:
        """
        Send a request and return the decoded answer; None for an empty one.

        Raises:
            Unauthenticated: no or a wrong token, or no permission: LoopBack doesn't say which.
            RecordNotFound, ConflictError, WriteRefused, MessageInvalid: what it refused.
            Unreachable, AckTimeout: nothing answered.
        """
        content = None if body is None else msgspec.json.encode(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._opened().request(
                    method, self.url + path, data=content, headers=headers, params=query
                ) as answer,
            ):
                raw = await answer.read()
                status = answer.status
        except TimeoutError:
            raise AckTimeout(f"{self.url} did not answer within {TIMEOUT_S:g} s") from None
        except aiohttp.ClientError as error:
            raise Unreachable(f"{self.url}: {error}") from error
        value = _decoded(raw, f"{method} {path}") if raw else None
        if status >= 400:
            raise _error_of(status, value, f"{method} {self.url}{path}")
        return value

    async def find(self, model: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return those records that are there, by id."""
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(ids), IDS_AT_ONCE):
            where = {"where": {"id": {"inq": list(ids[start : start + IDS_AT_ONCE])}}}
            answer = await self.ask("GET", f"/{model}", query={"filter": json.dumps(where)})
            found.update((str(record["id"]), record) for record in answer)
        return found

    @asynccontextmanager
    async def stream(self, model: str) -> AsyncIterator[AsyncIterator[None]]:
        """Open a model's change stream; yields once for each event."""
        try:
            async with self._opened().get(
                f"{self.url}/{model}/change-stream",
                params={"_format": "event-stream"},
                headers={"Accept": "text/event-stream"},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_S),
            ) as answer:
                if answer.status >= 400:
                    raise _error_of(answer.status, None, f"{self.url}/{model}/change-stream")
                yield _events(answer)
        except aiohttp.ClientError as error:
            raise Unreachable(f"{self.url}: {error}") from error


async def _events(answer: aiohttp.ClientResponse) -> AsyncIterator[None]:
    tail = b""
    async for chunk in answer.content.iter_any():
        # Only that something came is of interest; an event's text is never trusted.
        if b"event:" in tail + chunk:
            yield None
        tail = chunk[-8:]


def path_of(record_id: str) -> str:
    """Return a record id as a path's segment."""
    return quote(record_id, safe="")


def _decoded(raw: bytes, what: str) -> Any:
    if len(raw) > ANSWER_BYTES_MAX:
        raise MessageInvalid(f"{what}: the answer has {len(raw)} bytes")
    try:
        return loads(raw)
    except orjson.JSONDecodeError:
        return None


class BulkConflicted(ConflictError):
    """
    LoopBack answered a bulk update with conflicts.

    Attributes:
        record_ids: whose.
    """

    def __init__(self, record_ids: Sequence[str]) -> None:
        super().__init__(f"{len(record_ids)} records collided")
        self.record_ids = tuple(record_ids)


def _error_of(status: int, value: Any, what: str) -> Exception:
    fields = value.get("error", {}) if isinstance(value, Mapping) else {}
    message = f"{what}: {status} {fields.get('message', '')}".strip()
    details = fields.get("details")
    match status:
        case 401 | 403:
            return Unauthenticated(message, hint="LoopBack asks for a token with more permissions")
        case 404:
            return RecordNotFound(message)
        case 409:
            listed = details.get("conflicts") if isinstance(details, Mapping) else None
            if isinstance(listed, list):
                return BulkConflicted([str(one.get("modelId")) for one in listed])
            return ConflictError(message)
        case 422:
            return WriteRefused(message)
        case _ if status >= 500:
            return Unreachable(message)
        case _:
            return ProtocolError(message)
