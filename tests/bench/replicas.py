"""The syncline side of the loads: A and B are replicas, each with an SQLite file of its own."""

import asyncio
import time
from pathlib import Path
from typing import Any

from load import Sustained, paced
from records import MODEL, make_records

import syncline
import syncline.store.sql as _imported_early  # noqa: F401 - 0.2 s that no figure is about
from syncline.models import Update
from syncline.schema import ModelSchema, Property, PropertyKind


# The floors have imported socketio before their clocks start; a lazy name would be paid for inside.
_ = syncline.connect

SEED_CHUNK = 5000
LIVE_TIMEOUT_S = 120.0
TYPED = ModelSchema(
    name=MODEL,
    properties=(
        Property(name="name", kind=PropertyKind.STRING),
        Property(name="board", kind=PropertyKind.STRING),
        Property(name="turn", kind=PropertyKind.INTEGER),
        Property(name="score", kind=PropertyKind.NUMBER),
        Property(name="updated", kind=PropertyKind.STRING),
    ),
)
TYPED_TOML = f"""
[models.{MODEL}]
properties.name = "string"
properties.board = "string"
properties.turn = "integer"
properties.score = "number"
properties.updated = "string"
"""


async def seed(store: str, count: int, *, typed: bool = False) -> None:
    """Fill a daemon's database before the daemon opens it."""
    models = [TYPED] if typed else [MODEL]
    async with await syncline.Replica.open(f"sqlite:///{store}", models, listens=True) as replica:
        records = make_records(count)
        for start in range(0, count, SEED_CHUNK):
            await replica.model(MODEL).put_many(records[start : start + SEED_CHUNK])


async def first_sync(url: str, store: str | None, count: int, *, typed: bool = False) -> float:
    """Pull everything into an empty replica; return the seconds."""
    models = [TYPED] if typed else [MODEL]
    place = f"sqlite:///{store}" if store else "memory:"
    started = time.perf_counter()
    replica = await syncline.connect(url, store=place, models=models)
    await replica.link.wait_live(LIVE_TIMEOUT_S)
    took_s = time.perf_counter() - started
    got = await replica.model(MODEL).count()
    await replica.close()
    assert got == count, f"{got} of {count} records arrived"
    return took_s


async def push(url: str, store: str, count: int) -> dict[str, float]:
    """Cut the link, write records, link again; return the seconds of both."""
    replica = await syncline.connect(url, store=f"sqlite:///{store}", models=[MODEL])
    await replica.link.wait_live(LIVE_TIMEOUT_S)
    await replica.link.pause()
    written_s = await _write(replica, count)
    started = time.perf_counter()
    replica.link.resume()
    return {"write_s": written_s, "push_s": await _pushed(replica, count, started)}


async def push_reopened(url: str, store: str, count: int) -> dict[str, float]:
    """Write records before there ever was a link, close, connect; return the seconds of both."""
    place = f"sqlite:///{store}"
    async with await syncline.Replica.open(place, [MODEL], follows=True) as replica:
        written_s = await _write(replica, count)
    started = time.perf_counter()
    replica = await syncline.connect(url, store=place, models=[MODEL])
    return {"write_s": written_s, "push_s": await _pushed(replica, count, started)}


async def _write(replica: syncline.Replica, count: int) -> float:
    records = make_records(count)
    started = time.perf_counter()
    for start in range(0, count, 1000):
        await replica.model(MODEL).put_many(records[start : start + 1000])
    return time.perf_counter() - started


async def _pushed(replica: syncline.Replica, count: int, started: float) -> float:
    await replica.link.wait_live(LIVE_TIMEOUT_S)
    took_s = time.perf_counter() - started
    head = await replica.link._ask_head()
    await replica.close()
    assert head.head == count, f"{head.head} of {count} records arrived"
    return took_s


async def live(url: str, folder: str, count: int, gap_s: float) -> list[float]:
    """Write single records at A until B holds each; return the ms."""
    a, b = await _pair(url, folder)
    got = asyncio.Event()
    b.core.observers.listen(lambda _updates: got.set())
    model = a.model(MODEL)

    async def write(record: dict[str, Any]) -> None:
        got.clear()
        await model.put(record["id"], record)
        await got.wait()

    took = await paced(write, make_records(count, seed=2), gap_s)
    await asyncio.gather(a.close(), b.close())
    return took


async def change(url: str, folder: str, held: int, count: int, gap_s: float) -> list[float]:
    """Sync everything to A and B, then change single records at A; return the ms."""
    a, b = await _pair(url, folder)
    assert await b.model(MODEL).count() == held
    got = asyncio.Event()
    b.core.observers.listen(lambda _updates: got.set())
    model = a.model(MODEL)

    async def write(record: dict[str, Any]) -> None:
        got.clear()
        await model.put(record["id"], {**record, "turn": -1})
        await got.wait()

    step = max(held // count, 1)
    took = await paced(write, make_records(held)[::step][:count], gap_s)
    await asyncio.gather(a.close(), b.close())
    return took


async def sustained(url: str, folder: str, seconds: float, unseen_max: int) -> float:
    """Write as fast as B is seen to follow; return the updates a second."""
    a, b = await _pair(url, folder)
    load = Sustained(unseen_max)
    b.core.observers.listen(lambda updates: load.seen(len(updates)))
    model = a.model(MODEL)

    async def put(record: dict[str, Any]) -> Update:
        return await model.put(record["id"], record)

    rate = await load.run(put, seconds)
    await asyncio.gather(a.close(), b.close())
    return rate


async def write_paced(url: str, count: int, gap_s: float) -> list[tuple[str, float]]:
    """Write single records; return the id of each and when its put began, in ms of the epoch."""
    async with await syncline.connect(url, models=[MODEL]) as replica:
        await replica.link.wait_live(LIVE_TIMEOUT_S)
        model = replica.model(MODEL)
        began: list[tuple[str, float]] = []

        async def write(record: dict[str, Any]) -> None:
            began.append((record["id"], time.time_ns() / 1e6))
            await model.put(record["id"], record)

        await paced(write, make_records(count, seed=2), gap_s)
        await replica.link.wait_live(LIVE_TIMEOUT_S)
    return began


async def _pair(url: str, folder: str) -> tuple[syncline.Replica, syncline.Replica]:
    a = await _replica(url, Path(folder) / "a.db")
    b = await _replica(url, Path(folder) / "b.db")
    return a, b


async def _replica(url: str, path: Path) -> syncline.Replica:
    replica = await syncline.connect(url, store=f"sqlite:///{path}", models=[MODEL])
    await replica.link.wait_live(LIVE_TIMEOUT_S)
    return replica
