"""Updates records of a daemon at a steady rate until ended: ``python steady.py URL PER_SECOND``."""

import asyncio
import sys
import time

from records import MODEL, make_records

import syncline


WRITTEN = 40
"""Of the records; so few that each is written again within a second or so."""
LIVE_TIMEOUT_S = 60.0


async def update(url: str, per_s: float) -> None:
    """Update one record after the other, each at its time however long the one before took."""
    records = make_records(WRITTEN)
    async with await syncline.connect(url, models=[MODEL]) as replica:
        await replica.link.wait_live(LIVE_TIMEOUT_S)
        model = replica.model(MODEL)
        started, turn = time.monotonic(), 0
        while True:
            await model.put({**records[turn % WRITTEN], "turn": turn})
            turn += 1
            await asyncio.sleep(max(started + turn / per_s - time.monotonic(), 0))


if __name__ == "__main__":
    asyncio.run(update(sys.argv[1], float(sys.argv[2])))
