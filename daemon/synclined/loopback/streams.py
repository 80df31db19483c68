"""LoopBack's change streams: server-sent events, and the line protocol of its own client."""

import asyncio
import contextlib
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from syncline.filters import matches, parse_where
from syncline.models import ChangeKind, Update
from syncline.observers import Watch
from syncline.replica import Replica
from synclined.loopback.filters import Fields, read_fields, read_where
from synclined.loopback.wire import read_object


HEARTBEAT_S = 20.0
"""A comment after so long a silence, so that proxies keep the stream open."""
STREAMS_MAX = 1000
_UNGATHERED = {"X-Accel-Buffering": "no"}
"""Tells nginx, and who follows it, to hand on each event as it comes."""
_TYPES = {
    ChangeKind.CREATE: "create",
    ChangeKind.UPDATE: "update",
    ChangeKind.DELETE: "remove",
}


class Streams:
    """Serves a replica's changes as they happen, until it closes."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._watches: set[Watch] = set()

    @property
    def is_full(self) -> bool:
        """Whether no further stream is served."""
        return len(self._watches) >= STREAMS_MAX

    def close(self) -> None:
        """End all streams."""
        for watch in tuple(self._watches):
            watch.close()

    async def serve(self, request: web.Request, model: str, options: Any) -> web.StreamResponse:
        """Send a model's changes until either side ends the stream."""
        asked = read_object({} if options is None else options, "options")
        condition = parse_where(read_where(asked.get("where")))
        fields = read_fields(asked.get("fields"))
        form: _Events | _Lines = _Events() if wants_events(request) else _Lines()
        response = web.StreamResponse(headers=form.headers)
        watch = self._replica.model(model).watch()
        self._watches.add(watch)
        try:
            await response.prepare(request)
            await response.write(form.opening())
            while True:
                update = await _next_of(watch)
                if update is None:
                    await response.write(form.silence())
                    continue
                data = update.data
                if data is None or matches(condition, data):
                    await response.write(form.event(event_of(update, fields), update.seq))
        except StopAsyncIteration:
            with contextlib.suppress(ConnectionError):
                await response.write(form.ending())
        except ConnectionError:
            pass  # the listener went away
        finally:
            self._watches.discard(watch)
            watch.close()
        return response


async def _next_of(watch: Watch) -> Update | None:
    try:
        async with asyncio.timeout(HEARTBEAT_S):
            return await anext(watch)
    except TimeoutError:
        return None


def wants_events(request: web.Request) -> bool:
    """Tell whether a request asks for server-sent events, as LoopBack decides it."""
    if request.query.get("_format") == "event-stream":
        return True
    accepts = request.headers.get("Accept", "*/*")
    kinds = [one.partition(";")[0].strip().lower() for one in accepts.split(",")]
    return any(kind in ("text/event-stream", "text/*", "*/*") for kind in kinds)


def event_of(update: Update, fields: Fields) -> dict[str, Any]:
    """Return a change as LoopBack's streams tell it."""
    data = update.data
    if data is None:
        target = {"target": update.record_id, "where": {"id": update.record_id}}
        return {**target, "type": "remove"}
    return {"target": update.record_id, "data": fields.of(data), "type": _TYPES[update.kind]}


class _Events:
    """Server-sent events."""

    headers: Mapping[str, str] = {  # noqa: RUF012 - never written to
        "Content-Type": "text/event-stream",
        "Cache-Control": "no-cache, no-transform",
        "Content-Encoding": "x-no-compression",
        **_UNGATHERED,
    }

    def opening(self) -> bytes:
        return b":ok\n\n"

    def event(self, event: Mapping[str, Any], seq: int) -> bytes:
        return b"id: %d\nevent: data\ndata: %s\n\n" % (seq, msgspec.json.encode(event))

    def silence(self) -> bytes:
        return b":\n\n"

    def ending(self) -> bytes:
        return b"event: end\ndata: null\n\n"


class _Lines:
    """LoopBack's own client: an array a line, the channel's name first (mux-demux)."""

    headers: Mapping[str, str] = {  # noqa: RUF012 - never written to
        "Content-Type": "application/json; boundary=NL",
        "Cache-Control": "no-cache, no-transform",
        **_UNGATHERED,
    }

    def __init__(self) -> None:
        self._channel = secrets.token_hex(13)

    def _line(self, *parts: Any) -> bytes:
        return msgspec.json.encode([self._channel, *parts]) + b"\n"

    def opening(self) -> bytes:
        return self._line("new", {"opts": {"writable": False, "readable": True}})

    def event(self, event: Mapping[str, Any], _seq: int) -> bytes:
        return self._line("data", event)

    def silence(self) -> bytes:
        return b"\n"

    def ending(self) -> bytes:
        return self._line("end")
