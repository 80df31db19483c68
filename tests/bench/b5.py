"""
B5, the dashboard's memory under 50 updates a second, with the record browser open on them.

The heap is read after a forced collection, with the DOM's nodes and listeners beside it. The
updates go to few of the records, so that what these remember of their past is full soon; what
grows in the first part of the time fills something, and is not counted.
"""

import asyncio
import json
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import curve
import replicas
from chromium import open_browser
from processes import BenchFailed, Server
from records import MODEL
from report import Result, median


HERE = Path(__file__).parent
COUNT = 10_000
PER_S = 50
MINUTES = 5.0
QUICK_MINUTES = 0.5
SAMPLES_MIN = 20
SAMPLE_S_MAX = 10.0
WARM_PART = 0.5
WARM_S_MAX = 200.0
"""The daemon's state holds three minutes of samples; from then on each takes another's place."""
ROW = f"#models tr[data-key='{MODEL}']"
GROWTH_KIB_MAX = 5.0
"""A minute: what an hour adds would be a third of a MiB."""


def measure(options: Any) -> list[Result]:
    seeded = options.folder / "server.db"
    asyncio.run(replicas.seed(str(seeded), COUNT))
    minutes = options.minutes or (QUICK_MINUTES if options.is_quick else MINUTES)
    with (
        Server.syncline(options.folder, seeded) as server,
        open_browser(options.folder / "profile") as context,
    ):
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(server.url)
        page.locator(ROW).press("Enter")
        page.wait_for_selector("#browser-status[data-state=live]")
        load = subprocess.Popen([sys.executable, str(HERE / "steady.py"), server.url, str(PER_S)])
        try:
            samples = _watch(page, minutes * 60, options.out)
        finally:
            load.send_signal(signal.SIGTERM)
            load.wait()
        if load.returncode not in (0, -signal.SIGTERM):
            raise BenchFailed(f"the load ended with {load.returncode}")
    if complaints:
        raise BenchFailed(f"the page complained: {complaints[:3]}")
    return _results(samples, minutes)


def _watch(page: Any, seconds: float, out: Path | None) -> list[dict[str, float]]:
    """Sample the page until the time is over; keep what was found in files."""
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable")
    samples: list[dict[str, float]] = []
    started = time.monotonic()
    while (at_s := time.monotonic() - started) < seconds:
        samples.append({"at_s": at_s, **_sample(cdp)})
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            (out / "samples.json").write_text(json.dumps(samples))
        page.wait_for_timeout(1000 * min(SAMPLE_S_MAX, seconds / SAMPLES_MIN))
    if out is not None:
        points = [(each["at_s"] / 60, each["heap_kib"] / 1024) for each in samples]
        title = f"The dashboard's heap at {PER_S} updates a second"
        picture = curve.svg(title, [("heap", "", points)], x_name="minutes", y_name="MiB")
        (out / "heap.svg").write_text(picture)
    return samples


def _sample(cdp: Any) -> dict[str, float]:
    # An element's wrapper goes in one collection, and what it held in the next.
    for _ in range(2):
        cdp.send("HeapProfiler.collectGarbage")
    heap = cdp.send("Runtime.getHeapUsage")
    named = {each["name"]: each["value"] for each in cdp.send("Performance.getMetrics")["metrics"]}
    return {
        "heap_kib": heap["usedSize"] / 1024,
        "nodes": named["Nodes"],
        "listeners": named["JSEventListeners"],
        "task_s": named["TaskDuration"],
    }


def _results(samples: list[dict[str, float]], minutes: float) -> list[Result]:
    last_s = samples[-1]["at_s"]
    first_s = min(WARM_PART * last_s, WARM_S_MAX)
    counted = [sample for sample in samples if sample["at_s"] >= first_s]
    where = f"dashboard at {PER_S}/s, {minutes:g} min"

    def a_minute(name: str) -> float:
        at_min = [sample["at_s"] / 60 for sample in counted]
        return statistics.linear_regression(at_min, [sample[name] for sample in counted]).slope

    def line(label: str, unit: str, figure: float, target: float | None = None) -> Result:
        return Result(
            measure="B5",
            label=f"{where}: {label}",
            unit=unit,
            figure=figure,
            target=target,
            is_absolute=True,
        )

    heaps = [sample["heap_kib"] for sample in counted]
    busy_s = counted[-1]["task_s"] - counted[0]["task_s"]
    return [
        line("heap", "MiB", median(heaps) / 1024),
        line("heap's growth", "KiB/min", a_minute("heap_kib"), GROWTH_KIB_MAX),
        line("DOM nodes", "", median(sample["nodes"] for sample in counted)),
        line("DOM nodes' growth", "1/min", a_minute("nodes"), 1),
        line("listeners' growth", "1/min", a_minute("listeners"), 1),
        line("of a processor", "%", 100 * busy_s / (last_s - counted[0]["at_s"])),
    ]
