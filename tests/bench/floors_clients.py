"""The floors' clients: A and B over python-socketio, with a raw SQLite file each."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import orjson
import socketio
from floors_server import Codec
from floors_store import FloorStore, digest_of
from load import Sustained, paced
from records import make_records


PAGE_ITEMS = 5000


async def first_sync(url: str, store: str | None, count: int) -> float:
    """Pull everything into an empty SQLite file, or into a dict; return the seconds."""
    started = time.perf_counter()
    client = await _connected(url)
    table = FloorStore(store) if store else None
    held: dict[str, tuple[dict[str, Any], str]] = {}
    last, head, page = await client.call("page", (0, PAGE_ITEMS), timeout=60)
    while True:
        # The next page is on its way while this one is stored.
        following = None
        if last < head:
            following = asyncio.ensure_future(client.call("page", (last, PAGE_ITEMS), timeout=60))
            await asyncio.sleep(0)
        records = orjson.loads(page)
        if table is not None:
            table.write(records)
        else:
            for record in records:
                held[record["id"]] = (record, digest_of(orjson.dumps(record)))
        if following is None:
            break
        last, head, page = await following
    took_s = time.perf_counter() - started
    got = table.head if table is not None else len(held)
    assert got == count, f"{got} of {count} records arrived"
    await client.disconnect()
    return took_s


async def push(url: str, store: str, count: int) -> dict[str, float]:
    """Write records locally, then push them all from the file; return the seconds of both."""
    table = FloorStore(store)
    records = make_records(count)
    started = time.perf_counter()
    for start in range(0, count, 1000):
        table.write(records[start : start + 1000])
    written_s = time.perf_counter() - started
    started = time.perf_counter()
    client = await _connected(url)
    since = 0
    while since < table.head:
        since, page = table.page(since, PAGE_ITEMS)
        head = await client.call("push", page, timeout=60)
    took_s = time.perf_counter() - started
    assert head == count, f"{head} of {count} records arrived"
    await client.disconnect()
    return {"write_s": written_s, "push_s": took_s}


async def live(url: str, folder: str, count: int, gap_s: float) -> list[float]:
    """Relay single writes from A to B, a commit each at A, the server and B; return the ms."""
    ours, theirs = FloorStore(f"{folder}/floor-a.db"), FloorStore(f"{folder}/floor-b.db")
    a = await _connected(url)
    got = asyncio.Event()

    def told(record: dict[str, Any]) -> None:
        theirs.write([record])
        got.set()

    b = await _reader(url, told)

    async def write(record: dict[str, Any]) -> None:
        got.clear()
        ours.write([record])
        await a.emit("relay", record)
        await got.wait()

    took = await paced(write, make_records(count), gap_s)
    await asyncio.gather(a.disconnect(), b.disconnect())
    return took


async def sustained(url: str, folder: str, seconds: float, unseen_max: int) -> float:
    """Write as fast as B is seen to follow, pushes coalesced; return the updates a second."""
    ours, theirs = FloorStore(f"{folder}/floor-a.db"), FloorStore(f"{folder}/floor-b.db")
    a = await _connected(url)
    waiting: list[dict[str, Any]] = []
    wake = asyncio.Event()
    is_over = False
    load = Sustained(unseen_max)

    def told(payload: bytes) -> None:
        records = orjson.loads(payload)
        theirs.write(records)
        load.seen(len(records))

    b = await _reader(url, told)

    async def pusher() -> None:
        while not is_over:
            await wake.wait()
            wake.clear()
            while waiting:
                batch = orjson.dumps(waiting)
                waiting.clear()
                await a.call("push", batch, timeout=60)

    async def put(record: dict[str, Any]) -> None:
        ours.write([record])
        waiting.append(record)
        wake.set()

    task = asyncio.create_task(pusher())
    rate = await load.run(put, seconds)
    # Told, not cancelled: before Python 3.12 the `wait_for` in a call can swallow a cancellation.
    is_over = True
    wake.set()
    await task
    await asyncio.gather(a.disconnect(), b.disconnect())
    return rate


async def _connected(url: str) -> socketio.AsyncClient:
    client = socketio.AsyncClient(
        reconnection=False,
        json=Codec,
        handle_sigint=False,
        websocket_extra_options={"max_msg_size": 0},
    )
    await client.connect(url, transports=["websocket"])
    return client


async def _reader(url: str, told: Callable[[Any], None]) -> socketio.AsyncClient:
    client = await _connected(url)
    client.on("told", told)
    await client.call("read")
    return client
