"""`syncline demo --smoke`: the demo without a terminal, as a script that ends in a verdict."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from synclined.demo.cast import Cast
from synclined.demo.children import Child
from synclined.demo.equality import contents_of_daemon, differences
from synclined.demo.rules import MODELS
from synclined.demo.wire import Snapshot


STEP_TIMEOUT_S = 20.0
LOOK_EVERY_S = 0.02
CONFLICTING = ("groceries", "packing", "agenda")


class SmokeFailed(Exception):
    """The script could not be played to its end."""


class Verdict(dict[str, Any]):
    """What a smoke run found, as it is printed; `faults` says in words what was wrong."""

    faults: list[str]


async def smoke(cast: Cast, seconds: float) -> Verdict:
    """
    Play the script and return the verdict.

    Args:
        seconds: how long the replicas write; longer only if a step takes longer.
    """
    one, two = cast.replicas
    started = time.monotonic()

    async def until(part: float) -> None:
        await asyncio.sleep(max(started + seconds * part - time.monotonic(), 0.0))

    gathering = asyncio.create_task(_gather(cast), name="demo-lags")
    try:
        await _wait(one, lambda s: bool(s.unbroken_since_us), "replica 1 is not live")
        await _wait(two, lambda s: bool(s.unbroken_since_us and s.notes), "replica 2 is not live")
        await _settle_kept(cast)
        await until(0.1)
        await one.ask("cheat")
        await until(0.3)
        await _diverge(cast)
        await until(0.65)
        await two.ask("heal")
        made = len(CONFLICTING)
        await _wait(two, lambda s: s.conflicts == made, "the conflicts did not show")
        for number, note in enumerate(CONFLICTING):
            await two.ask("resolve", note=note, side=("ours", "theirs")[number % 2])
        await _wait(two, lambda s: s.tally.stale > 0, "no stale move gave way")
        await until(0.75)
        await two.ask("cheat")
        await until(1.0)
        for child in (one, two):
            await _wait(child, lambda s: s.tally.refused > 0, "no illegal move was refused")
        seconds_taken = time.monotonic() - started
        for child in (one, two):
            await child.ask("rest")
        faults = await _compare(cast)
    finally:
        gathering.cancel()
        await asyncio.gather(gathering, return_exceptions=True)
    return _verdict(cast, faults, seconds_taken)


async def _gather(cast: Cast) -> None:
    while True:
        cast.gather_lags()
        await asyncio.sleep(LOOK_EVERY_S)


async def _settle_kept(cast: Cast) -> None:
    """Settle what an earlier run left open in kept databases."""
    for child in cast.replicas:
        for waiting in child.snapshot.open_notes:
            await child.ask("resolve", note=waiting.note, side="ours")
        await _wait(child, lambda s: not s.conflicts, "an old conflict stays open")


async def _diverge(cast: Cast) -> None:
    """Cut replica 2 off at its turn, and let both edit the same notes and play on."""
    one, two = cast.replicas
    await cast.cut(two, on_turn=True)
    for note in CONFLICTING:
        await one.ask("edit", note=note, text=f"{note} as replica 1 wants it")
        await two.ask("edit", note=note, text=f"{note} as replica 2 wants it")
    await _wait(two, lambda s: _has_moved_on(s, one.snapshot), "no move was made offline")
    await _wait(one, lambda s: s.game["ended"] == "time", "replica 1 did not claim the game")


def _has_moved_on(there: Snapshot, here: Snapshot) -> bool:
    """Tell whether one replica holds a move of the same game that the other doesn't."""
    ours, theirs = there.game, here.game
    return ours["number"] == theirs["number"] and len(ours["moves"]) > len(theirs["moves"])


async def _wait(child: Child, condition: Callable[[Snapshot], bool], fault: str) -> None:
    try:
        async with asyncio.timeout(STEP_TIMEOUT_S):
            await child.until(condition)
    except TimeoutError:
        raise SmokeFailed(f"{child.name}: {fault} within {STEP_TIMEOUT_S:g} s") from None


async def _compare(cast: Cast) -> list[str]:
    """Let all settle, then compare all with all."""
    one, two = cast.replicas
    # Each pushes what it has; only then does the other's barrier reach all of it.
    for child in (one, two, one):
        await child.ask("settle")
    ends = {"daemon": await contents_of_daemon(cast.url, MODELS)}
    for child in (one, two):
        ends[child.name] = (await child.ask("contents")).contents
    faults = differences(ends)
    for child in (one, two):
        await _wait(child, lambda s: not s.pending and not s.conflicts, "something still waits")
    return faults


def _verdict(cast: Cast, faults: list[str], seconds: float) -> Verdict:
    tallies = [snapshot.tally for snapshot in cast.snapshots]

    def total(name: str) -> int:
        return sum(getattr(tally, name) for tally in tallies)

    verdict = Verdict(
        writes=total("writes"),
        replications=total("replications"),
        lag_ms={"p50": cast.lags.percentile_ms(50), "p99": cast.lags.percentile_ms(99)},
        conflicts={"made": total("made"), "resolved": total("resolved")},
        refused=total("refused"),
        rolled_back=total("rolled_back"),
        stale=total("stale"),
        seconds=round(seconds, 1),
        equal=not faults,
    )
    for name, other in (("made", "resolved"), ("refused", "rolled_back")):
        if total(name) != total(other):
            faults = [*faults, f"{total(name)} {name}, but {total(other)} {other}"]
    verdict.faults = faults
    return verdict
