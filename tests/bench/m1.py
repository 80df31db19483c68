"""M1, first sync: everything on the server into a new, empty replica; records a second."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import replicas
from floors_store import FloorStore
from processes import Server, run_client
from records import make_records
from report import Result, median


COUNT = 100_000
QUICK_COUNT = 10_000


def measure(options: Any) -> list[Result]:
    count = QUICK_COUNT if options.is_quick else COUNT
    folder = options.folder
    seeds = _seed(folder, count)
    config = folder / "typed.toml"
    config.write_text(replicas.TYPED_TOML)
    rates: dict[str, list[float]] = {}
    grown: list[float] = []
    for index in range(options.rounds):
        place = folder / f"round-{index}"
        place.mkdir()
        with Server.floor(place, _copy(seeds["floor"], place)) as server:
            for kind in ("sqlite", "memory"):
                store = str(place / "floor-client.db") if kind == "sqlite" else None
                took_s = run_client(
                    "floors_clients", "first_sync", url=server.url, store=store, count=count
                )
                rates.setdefault(f"floor {kind}", []).append(count / took_s)
        for kind in ("sqlite", "memory", "typed"):
            is_typed = kind == "typed"
            seeded = _copy(seeds["typed" if is_typed else "plain"], place)
            with Server.syncline(place, seeded, config=config if is_typed else None) as server:
                before = server.rss_kib()
                store = None if kind == "memory" else str(place / f"client-{kind}.db")
                took_s = run_client(
                    "replicas",
                    "first_sync",
                    url=server.url,
                    store=store,
                    count=count,
                    typed=is_typed,
                )
                rates.setdefault(kind, []).append(count / took_s)
                if kind == "sqlite":
                    grown.append((server.peak_rss_kib() - before) / 1024)
        shutil.rmtree(place)
    rate = {kind: median(values) for kind, values in rates.items()}
    in_sqlite, in_memory = rate["floor sqlite"], rate["floor memory"]
    name = f"first sync of {count:,}"

    def line(kind: str, floor: float, target: float | None) -> Result:
        return Result(
            measure="M1",
            label=f"{name}, {kind}",
            unit="rec/s",
            figure=rate[kind],
            floor=floor,
            target=target,
            is_least=True,
        )

    return [
        line("sqlite", in_sqlite, 0.5),
        line("typed", in_sqlite, None),
        line("memory", in_memory, 0.4),
        Result(
            measure="M1",
            label="daemon's RSS growth",
            unit="MiB",
            figure=median(grown),
            target=50,
            is_absolute=True,
        ),
    ]


def _seed(folder: Path, count: int) -> dict[str, Path]:
    """Return filled databases, to be copied for each server."""
    seeds = {kind: folder / f"seed-{kind}.db" for kind in ("floor", "plain", "typed")}
    store = FloorStore(str(seeds["floor"]))
    store.write(make_records(count))
    store.close()
    asyncio.run(replicas.seed(str(seeds["plain"]), count))
    asyncio.run(replicas.seed(str(seeds["typed"]), count, typed=True))
    return seeds


def _copy(seed: Path, place: Path) -> Path:
    return Path(shutil.copy(seed, place / f"server-{seed.name}"))
