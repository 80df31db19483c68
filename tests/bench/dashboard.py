"""
A live dashboard: three metrics at 10 Hz, and whoever watches them.

``python tests/bench/dashboard.py`` tells how many bytes a second one viewer costs, headers and
all, and how stale a viewer is whose link carries less than that, with what its status says.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from processes import Server

import syncline


sys.path.insert(0, str(Path(__file__).parent.parent / "faults"))
from proxy import OUT, FaultProxy


METRICS = ("cpu", "load", "memory")
MODEL = "metric"
PERIOD_S = 0.1
WARM_WRITES = 80
"""Each metric is written so often first: by then a record has all the ancestors that are kept."""
SLOW_BYTES_PER_S = (24_000, 3_000)
"""Links that carry half of what a viewer took when each state went out whole, and a good part of
what it takes now."""
LOOK_S = 0.05
OPEN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """
    A viewer on a slow link.

    Attributes:
        stale_s: how old the newest sample that it showed was; the median and the worst.
        worst_live_s: the worst while its status said `live`. untold_s: the worst that it was staler
            than its status said.
    """

    bytes_per_s: int
    stale_s: float
    worst_s: float
    worst_live_s: float
    untold_s: float


async def feed(metrics: syncline.Model, *, seconds: float) -> None:
    """Write each metric, ten times a second, at its own time."""
    started = time.monotonic()
    for turn in range(round(seconds / PERIOD_S)):
        for name in METRICS:
            await metrics.put(name, {"value": turn % 100, "at": round(time.time(), 3)})
        await asyncio.sleep(max(started + (turn + 1) * PERIOD_S - time.monotonic(), 0))


async def viewer_bytes(url: str, metrics: syncline.Model, *, seconds: float) -> float:
    """Return the bytes a second of one viewer that is level."""
    async with (
        FaultProxy(int(url.rpartition(":")[2])) as proxy,
        syncline.connect(proxy.url, models=[MODEL]) as viewer,
    ):
        await viewer.link.wait_live(OPEN_S)
        before = proxy.ways[OUT].passed
        await feed(metrics, seconds=seconds)
        await viewer.barrier(OPEN_S)
        return (proxy.ways[OUT].passed - before) / seconds


async def slow_viewer(
    url: str, metrics: syncline.Model, *, seconds: float, bytes_per_s: int
) -> Slow:
    """Return how stale a viewer on a slow link is."""
    async with FaultProxy(int(url.rpartition(":")[2])) as proxy:
        proxy.throttle(bytes_per_s, OUT)
        async with syncline.connect(proxy.url, models=[MODEL]) as viewer:
            await viewer.link.wait_live(OPEN_S)
            feeding = asyncio.create_task(feed(metrics, seconds=seconds))
            await asyncio.sleep(1.0)
            stale, stale_live, untold = [0.0], [0.0], [0.0]
            while not feeding.done():
                shown = await viewer.model(MODEL).get(METRICS[0])
                status = viewer.status
                age = time.time() - (shown or {"at": 0})["at"]
                stale.append(age)
                if status.state == "live":
                    stale_live.append(age)
                untold.append(age - getattr(status, "behind_s", 0.0))
                await asyncio.sleep(LOOK_S)
            await feeding
            return Slow(
                bytes_per_s=bytes_per_s,
                stale_s=statistics.median(stale),
                worst_s=max(stale),
                worst_live_s=max(stale_live),
                untold_s=max(untold),
            )


async def measure(*, seconds: float) -> tuple[float, list[Slow]]:
    """Return the bytes a second of a viewer, and what viewers on slow links see."""
    with tempfile.TemporaryDirectory(prefix="syncline-bench-dashboard-") as place:
        folder = Path(place)
        config = folder / "daemon.toml"
        config.write_text(f'schemaless = ["{MODEL}"]\n')
        with Server.syncline(folder, folder / "server.db", config=config) as server:
            async with syncline.connect(server.url, models=[MODEL]) as feeder:
                metrics = feeder.model(MODEL)
                for turn in range(WARM_WRITES):
                    for name in METRICS:
                        await metrics.put(name, {"value": turn, "at": 0})
                    await feeder.link.wait_live(OPEN_S)
                level = await viewer_bytes(server.url, metrics, seconds=seconds)
                slow = [
                    await slow_viewer(server.url, metrics, seconds=seconds, bytes_per_s=rate)
                    for rate in SLOW_BYTES_PER_S
                ]
                return level, slow


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a live dashboard.")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each is watched")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    level, slow = asyncio.run(measure(seconds=given.seconds))
    if given.json:
        print(json.dumps({"bytes_per_s": level, "slow": [asdict(one) for one in slow]}))
        return
    print(f"three metrics at 10 Hz: {level:,.0f} bytes a second a viewer")
    for one in slow:
        print(
            f"a link of {one.bytes_per_s:,} bytes a second: {one.stale_s:.1f} s stale, "
            f"{one.worst_s:.1f} s at worst, {one.worst_live_s:.1f} s while live, "
            f"{one.untold_s:.1f} s more than told"
        )


if __name__ == "__main__":
    main()
