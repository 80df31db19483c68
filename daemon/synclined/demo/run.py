"""Run the demo, smoke or show, and turn how it ended into an exit code."""

import json
import sys
from pathlib import Path

from syncline.errors import SynclineError
from synclined.demo.cast import Cast, Stopped, raised, stage, stopped_by_signals
from synclined.demo.smoke import SmokeFailed, smoke
from synclined.pages.serving import PAGES


OK = 0
FAILED = 1
DIFFERENT = 3
SIGNALLED = 128


async def run(*, store: str, keep: str | None, smoke_seconds: float | None) -> int:
    """
    Run the demo and return the exit code.

    Args:
        store: `"sqlite"` or `"memory:"`. keep: a folder for the databases, or None.
        smoke_seconds: how long a smoke run writes; None for the show.
    """
    try:
        async with stopped_by_signals():
            with stage(store, keep) as folder:
                return await _run(folder, smoke_seconds)
    except Stopped as stopped:
        return SIGNALLED + stopped.number
    except (SynclineError, SmokeFailed, OSError) as error:
        _say(str(error))
        return FAILED


async def _run(folder: Path | None, smoke_seconds: float | None) -> int:
    async with raised(folder, "show" if smoke_seconds is None else "smoke") as cast:
        _say(f"the daemon is at {cast.url}")
        _say("its pages: " + "  ".join(f"{cast.url}{path}" for path in PAGES))
        if smoke_seconds is not None:
            return await _smoke(cast, smoke_seconds)
        from synclined.demo.show import show  # noqa: PLC0415 - rich takes a while to import

        _say(await cast.watch_over(show(cast)))
        return OK


async def _smoke(cast: Cast, seconds: float) -> int:
    verdict = await cast.watch_over(smoke(cast, seconds))
    sys.stdout.write(json.dumps(verdict) + "\n")
    for fault in verdict.faults:
        _say(fault)
    return DIFFERENT if verdict.faults else OK


def _say(sentence: str) -> None:
    sys.stderr.write(f"syncline demo: {sentence}\n")
