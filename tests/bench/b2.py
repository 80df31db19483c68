"""
B2, live: from a put in Python until the page's watcher has the record; milliseconds.

The record is kept in the page's IndexedDB by then. Both processes read the machine's clock; how
the browser's differs is measured at both ends of the load, to a part of a millisecond.
"""

import time
from typing import Any

from chromium import open_bare_page, open_browser
from processes import BenchFailed, Client, Server
from records import MODEL
from report import Result, median, percentile


WRITES = 400
QUICK_WRITES = 100
GAP_S = 0.02
CLOCK_LOOKS = 50
FOLLOW = """async (model) => {
  window.replica = await syncline.connect(location.origin, { models: [model] });
  await replica.link.waitLive(120000);
  window.heard = [];
  (async () => {
    for await (const { recordId } of replica.model(model).watch()) {
      heard.push([recordId, performance.timeOrigin + performance.now()]);
    }
  })();
}"""
HEARD = """async () => {
  await replica.barrier(120000);
  return heard;
}"""
CLOCK = "performance.timeOrigin + performance.now()"


def measure(options: Any) -> list[Result]:
    writes = QUICK_WRITES if options.is_quick else WRITES
    medians, tails = [], []
    for index in range(options.rounds):
        took = _round(options.folder / f"round-{index}", writes)
        medians.append(median(took))
        tails.append(percentile(took, 0.95))
    return [
        Result(
            measure="B2",
            label=f"Python to the page, {name}",
            unit="ms",
            figure=median(values),
            target=target,
            is_absolute=True,
        )
        for name, values, target in (("p50", medians, 5), ("p95", tails, None))
    ]


def _round(place: Any, writes: int) -> list[float]:
    place.mkdir()
    with (
        Server.syncline(place, place / "server.db") as server,
        open_browser(place / "profile") as context,
    ):
        page = open_bare_page(context, server.url)
        page.evaluate(FOLLOW, MODEL)
        before = _clock_offset_ms(page)
        client = Client("replicas", "write_paced", url=server.url, count=writes, gap_s=GAP_S)
        written = client.result()
        heard = dict(page.evaluate(HEARD))
        offset = (before + _clock_offset_ms(page)) / 2
    if len(heard) != writes:
        raise BenchFailed(f"the page heard {len(heard)} of {writes} writes")
    return [heard[name] - offset - at_ms for name, at_ms in written]


def _clock_offset_ms(page: Any) -> float:
    """Return how far the page's clock is ahead of ours, from the question answered soonest."""
    looks = []
    for _ in range(CLOCK_LOOKS):
        asked = time.time_ns() / 1e6
        theirs = page.evaluate(CLOCK)
        answered = time.time_ns() / 1e6
        looks.append((answered - asked, theirs - (asked + answered) / 2))
    return min(looks)[1]
