"""
B4, the dashboard with 10,000 records until it can be used; milliseconds from navigation start.

Counts: the table of models shows the right number of records.
Interactive: the record browser was opened on that model, holds all of its records, and a key that
was typed into its filter has changed the rows that are shown.
"""

import asyncio
import shutil
from typing import Any

import replicas
from chromium import open_browser
from processes import Server
from records import MODEL, make_records
from report import Result, median


COUNT = 10_000
SHOWS_COUNT = f"#models tr[data-key='{MODEL}'] td:nth-child(2):text-is('{COUNT:,}')"
ALL_ROWS = f"#browser-count:text-matches('^{COUNT:,} records')"
NOW = "new Promise((resolve) => requestAnimationFrame(() => resolve(performance.now())))"


def measure(options: Any) -> list[Result]:
    seeded = options.folder / "seed.db"
    asyncio.run(replicas.seed(str(seeded), COUNT))
    found: dict[str, list[float]] = {}
    for index in range(options.rounds):
        place = options.folder / f"round-{index}"
        place.mkdir()
        with (
            Server.syncline(place, shutil.copy(seeded, place / "server.db")) as server,
            open_browser(place / "profile") as context,
        ):
            for label, at_ms in _visit(context.new_page(), server.url).items():
                found.setdefault(label, []).append(at_ms)
    return [
        Result(measure="B4", label=f"dashboard, {label}", unit="ms", figure=median(values))
        for label, values in found.items()
    ]


def _visit(page: Any, url: str) -> dict[str, float]:
    # No record's text but this one's has such a key, so that one row is left.
    key = make_records(1)[0]["name"]
    page.goto(url, wait_until="commit")
    page.wait_for_selector(SHOWS_COUNT)
    counts_ms = page.evaluate(NOW)
    page.locator(f"#models tr[data-key='{MODEL}']").press("Enter")
    page.wait_for_selector(ALL_ROWS)
    page.locator("#filter").focus()
    records_ms = page.evaluate(NOW)
    page.keyboard.insert_text(key)
    page.wait_for_selector("#browser-count:text-matches('^1 record of')")
    return {
        f"{COUNT:,} counted": counts_ms,
        f"{COUNT:,} in the record browser": records_ms,
        "interactive: a key was taken": page.evaluate(NOW),
    }
