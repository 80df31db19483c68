"""B1, first sync: everything on the daemon into an empty IndexedDB; records a second."""

import asyncio
import shutil
from typing import Any

import replicas
from chromium import cpu_s, open_bare_page, open_browser
from processes import BenchFailed, Server
from records import MODEL
from report import Result, median


COUNT = 10_000
TARGET = 10_000
SYNC = """async (model) => {
  const started = performance.now();
  const replica = await syncline.connect(location.origin, { models: [model] });
  await replica.link.waitLive(120000);
  const tookMs = performance.now() - started;
  const { storage } = replica.status;
  const count = await replica.model(model).count();
  await replica.close();
  return { tookMs, count, storage };
}"""


def measure(options: Any) -> list[Result]:
    seeded = options.folder / "seed.db"
    asyncio.run(replicas.seed(str(seeded), COUNT))
    rates: dict[str, list[float]] = {"first sync into": [], "opened again from": []}
    used_ms: dict[str, list[float]] = {label: [] for label in rates}
    for index in range(options.rounds):
        place = options.folder / f"round-{index}"
        place.mkdir()
        profile = place / "profile"
        with Server.syncline(place, shutil.copy(seeded, place / "server.db")) as server:
            for label, rate in rates.items():
                # The second time the profile has everything, and only reads it.
                with open_browser(profile) as context:
                    page = open_bare_page(context, server.url)
                    before_s = cpu_s(profile)
                    rate.append(_sync(page, label))
                    used_ms[label].append(1000 * (cpu_s(profile) - before_s))
    results = []
    for label, rate in rates.items():
        is_first = label.startswith("first")
        results += [
            Result(
                measure="B1",
                label=f"{label} IndexedDB, {COUNT:,} records",
                unit="rec/s",
                figure=median(rate),
                target=TARGET if is_first else None,
                is_least=True,
                is_absolute=True,
            ),
            # What a busy machine hardly changes.
            Result(
                measure="B1",
                label="of that, the browser's processor time",
                unit="ms",
                figure=median(used_ms[label]),
            ),
        ]
    return results


def _sync(page: Any, label: str) -> float:
    done = page.evaluate(SYNC, MODEL)
    if (done["count"], done["storage"]) != (COUNT, "indexeddb"):
        raise BenchFailed(f"{label}: {done}")
    return COUNT / (done["tookMs"] / 1000)
