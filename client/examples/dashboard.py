"""
Feed what this machine is doing into a daemon, to be watched live.

::

    syncline serve --model host
    python client/examples/dashboard.py                       # in a second terminal
    syncline watch http://127.0.0.1:8765 host                 # or open http://127.0.0.1:8765/
"""

import argparse
import asyncio
from typing import Any

import psutil

import syncline


def sample() -> list[dict[str, Any]]:
    """Return a record a metric, as they are now."""
    memory, disk = psutil.virtual_memory(), psutil.disk_usage("/")
    one, five, fifteen = psutil.getloadavg()
    return [
        {"id": "cpu", "percent": psutil.cpu_percent()},
        {"id": "memory", "percent": memory.percent, "used_mib": memory.used >> 20},
        {"id": "disk", "percent": disk.percent, "free_mib": disk.free >> 20},
        {"id": "load", "one": round(one, 2), "five": round(five, 2), "fifteen": round(fifteen, 2)},
    ]


async def feed(url: str, *, interval_s: float, count: int) -> None:
    """Write samples; what is as it was makes no change, and no daemon is no reason to stop."""
    async with syncline.connect(url, models=["host"]) as replica:
        host = replica.model("host")
        written = 0
        while count == 0 or written < count:
            await host.put_many(sample())
            written += 1
            print(f"{written} samples, {replica.status.state}", end="\r", flush=True)
            await asyncio.sleep(interval_s)
        await replica.wait_live()
    print()


def main() -> None:
    """Read the arguments, and feed until interrupted."""
    parser = argparse.ArgumentParser(description="Feed metrics into a daemon.")
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8765")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between samples")
    parser.add_argument("--count", type=int, default=0, help="how many samples; 0: for ever")
    given = parser.parse_args()
    try:
        asyncio.run(feed(given.url, interval_s=given.interval, count=given.count))
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main()
