"""B1, first sync: everything on the daemon into an empty IndexedDB; records a second."""

import asyncio
import shutil
from typing import Any

import replicas
from chromium import open_bare_page, open_browser
from processes import BenchFailed, Server
from records import MODEL
from report import Result, median


COUNT = 10_000
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
    rates = {"first sync into": [], "opened again from": []}
    for index in range(options.rounds):
        place = options.folder / f"round-{index}"
        place.mkdir()
        with Server.syncline(place, shutil.copy(seeded, place / "server.db")) as server:
            for label, took in rates.items():
                # The second time the profile has everything, and only reads it.
                with open_browser(place / "profile") as context:
                    took.append(_sync(open_bare_page(context, server.url), label))
    return [
        Result(
            measure="B1",
            label=f"{label} IndexedDB, {COUNT:,} records",
            unit="rec/s",
            figure=median(took),
            target=COUNT if label.startswith("first") else None,
            is_least=True,
            is_absolute=True,
        )
        for label, took in rates.items()
    ]


def _sync(page: Any, label: str) -> float:
    done = page.evaluate(SYNC, MODEL)
    if (done["count"], done["storage"]) != (COUNT, "indexeddb"):
        raise BenchFailed(f"{label}: {done}")
    return COUNT / (done["tookMs"] / 1000)
