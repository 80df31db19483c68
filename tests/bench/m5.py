"""M5, one changed record with many synced, against few; the first write after the sync included."""

import asyncio
import shutil
from typing import Any

import replicas
from processes import Server, run_client
from report import Result, median


HELD = (1_000, 100_000)
QUICK_HELD = (1_000, 10_000)
COUNT = 50
GAP_S = 0.02
TARGET = 1.15


def measure(options: Any) -> list[Result]:
    few, many = QUICK_HELD if options.is_quick else HELD
    for held in (few, many):
        asyncio.run(replicas.seed(str(options.folder / f"seed-{held}.db"), held))
    found: dict[int, list[list[float]]] = {few: [], many: []}
    for index in range(options.rounds):
        for held, took in found.items():
            place = options.folder / f"{held}-{index}"
            place.mkdir()
            store = shutil.copy(options.folder / f"seed-{held}.db", place / "server.db")
            with Server.syncline(place, store) as server:
                took.append(
                    run_client(
                        "replicas",
                        "change",
                        url=server.url,
                        folder=str(place),
                        held=held,
                        count=COUNT,
                        gap_s=GAP_S,
                    )
                )
            shutil.rmtree(place)
    return [
        Result(
            measure="M5",
            label=f"one change, {many:,} held to {few:,}, {name}",
            unit="ms",
            figure=median(figure_of(ms) for ms in found[many]),
            floor=median(figure_of(ms) for ms in found[few]),
            target=TARGET,
        )
        for name, figure_of in (("p50", median), ("first after sync", lambda ms: ms[0]))
    ]
