"""The floors' server: python-socketio, orjson, raw sqlite3, and nothing else."""

import asyncio
import signal
import struct
import sys
from typing import Any

import orjson
import socketio
from aiohttp import web
from floors_store import FloorStore


class Codec:
    """orjson in the place of json."""

    @staticmethod
    def dumps(value: Any, **_: Any) -> str:
        return orjson.dumps(value).decode()

    @staticmethod
    def loads(text: str | bytes, **_: Any) -> Any:
        return orjson.loads(text)


async def serve(path: str) -> None:
    store = FloorStore(path)
    sio = socketio.AsyncServer(
        async_mode="aiohttp",
        async_handlers=False,
        json=Codec,
        max_http_buffer_size=64 * 1024 * 1024,
        http_compression=False,
    )
    app = web.Application()
    sio.attach(app)

    @sio.on("page")
    async def page(_sid: str, since: int, limit: int) -> Any:
        """M1: stored bodies as one attachment."""
        last, bodies = store.page(since, limit)
        return last, store.head, bodies

    @sio.on("push")
    async def push(sid: str, payload: bytes) -> Any:
        """M2, M7: one transaction, one event with all its records, one acknowledgement."""
        store.write(orjson.loads(payload))
        await sio.emit("told", payload, room="readers", skip_sid=sid)
        return store.head

    @sio.on("relay")
    async def relay(sid: str, record: dict[str, Any]) -> None:
        """M3, M5: one commit, one event."""
        store.write([record])
        await sio.emit("told", record, room="readers", skip_sid=sid)

    @sio.on("read")
    async def read(sid: str) -> bool:
        await sio.enter_room(sid, "readers")
        return True

    @sio.on("fire")
    async def fire(_sid: str, record: dict[str, Any]) -> None:
        """M4: one frame, encoded once, written straight to every socket."""
        wire = _frame(f'42["changed",{orjson.dumps(record).decode()}]'.encode())
        for socket in sio.eio.sockets.values():
            transport = transport_of.get(socket.sid)
            if transport is not None:
                transport.write(wire)

    transport_of = _note_transports(sio)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await stop.wait()
    store.close()


def _note_transports(sio: socketio.AsyncServer) -> dict[str, asyncio.WriteTransport]:
    """Return the TCP transport of each Engine.IO sid, filled in as clients connect."""
    transports: dict[str, asyncio.WriteTransport] = {}

    @sio.on("connect")
    async def connect(sid: str, environ: dict[str, Any], _auth: Any = None) -> None:
        transports[sio.manager.eio_sid_from_sid(sid, "/")] = environ["aiohttp.request"].transport

    return transports


def _frame(payload: bytes) -> bytes:
    """Return a WebSocket text frame (RFC 6455, section 5.2)."""
    if len(payload) < 126:
        return struct.pack("!BB", 0x81, len(payload)) + payload
    return struct.pack("!BBH", 0x81, 126, len(payload)) + payload


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
    # Connections that are still open are the clients' to mourn.
