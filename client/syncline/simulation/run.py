"""Run a seed: workload and faults, then healing, settling, and the last checks."""

import re
import sys

import msgspec

from syncline.models import Conflict, Verdict
from syncline.payloads import decode_pushed
from syncline.simulation.checks import Broken
from syncline.simulation.ending import check_end, is_level, why_not_level
from syncline.simulation.listener import POLL_S
from syncline.simulation.network import Parts, Place, Stuck
from syncline.simulation.node import Node, followers_of
from syncline.simulation.options import Options, expand
from syncline.simulation.world import World
from syncline.verdicts import offer


CONVERGE_S = 60.0
QUIET_S = 15.0
SETTLE_ROUNDS_MAX = 40
TRACE_SHOWN = 60
QUIET_EVENTS = {"heartbeat", "answer"}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """
    What came of a run.

    Attributes:
        writes: made by the workload. messages: sent. conflicts: logged anywhere.
        virtual_s: the time that passed. crashes: of processes.
        failure: what was broken; empty when all held.
        trace: what happened before a failure, of the record concerned.
    """

    seed: int
    options: Options
    writes: int = 0
    messages: int = 0
    conflicts: int = 0
    crashes: int = 0
    virtual_s: float = 0.0
    failure: str = ""
    trace: tuple[str, ...] = ()


def simulate(
    seed: int,
    *,
    steps: int | None = None,
    replicas: int | None = None,
    levels: int | None = None,
    ancestors_max: int | None = None,
    profile: str | None = None,
    purges: bool = False,
    restores: bool = False,
    verbose: bool = False,
    quiet: bool = False,
) -> Report:
    """
    Run a whole network in this process under one seed.

    What is not given is derived from the seed; on failure the options and a short trace are
    printed.

    Args:
        steps: what workload and faults do together. replicas: leaves. levels: 1 or 2.
        profile: `"calm"`, `"lossy"`, `"broken"`, `"crashing"` or `"everything"`.
        purges: daemons drop old tombstones. restores: the root gets an older snapshot back.
        verbose: print the options of a good run too. quiet: print nothing.
    """
    options = expand(
        seed,
        steps=steps,
        replicas=replicas,
        levels=levels,
        ancestors_max=ancestors_max,
        profile=profile,
        purges=purges,
        restores=restores,
    )
    report = run(options)
    if (report.failure and not quiet) or verbose:
        out = sys.stderr if report.failure else sys.stdout
        print(describe(report), file=out)  # noqa: T201 - the run's result
    return report


def run(options: Options) -> Report:
    """Run what the options spell out."""
    world = World(options)
    failure = ""
    try:
        world.run()
        world.heal()
        _settle(world)
        check_end(world, world.nodes, world.checks)
        _check_quiet(world)
        _check_repeats(world)
    except (Broken, Stuck) as broken:
        failure = str(broken)
    return Report(
        seed=options.seed,
        options=options,
        writes=len(world.ledger.works),
        messages=sum(world.network.sent.values()),
        conflicts=world.checks.conflicts,
        crashes=sum(node.starts - 1 for node in world.nodes),
        virtual_s=round(world.timeline.now, 3),
        failure=failure,
        trace=_trace_of(world, failure) if failure else (),
    )


def describe(report: Report) -> str:
    """Return a report in words."""
    verdict = f"FAILED: {report.failure}" if report.failure else "held"
    return "\n".join(
        [
            f"seed {report.seed} {verdict}",
            (
                f"  {report.writes} writes, {report.messages} messages, "
                f"{report.conflicts} conflicts, {report.crashes} crashes, {report.virtual_s} s"
            ),
            f"  {report.options}",
            *(f"  | {line}" for line in report.trace),
        ]
    )


def _converge(world: World) -> None:
    """P1: level within a bounded time, without a write to nudge it."""
    until = world.timeline.now + CONVERGE_S
    while not is_level(world.nodes):
        if world.timeline.now >= until:
            raise Stuck(f"P1: not level after {CONVERGE_S} s: {why_not_level(world.nodes)}")
        world.timeline.run_until(world.timeline.now + 0.25)
    world.timeline.run_until(world.timeline.now + 1.0)


def _settle(world: World) -> None:
    """Settle every open conflict, until none is left."""
    for _ in range(SETTLE_ROUNDS_MAX):
        _converge(world)
        for node in followers_of(world.nodes):
            node.retry_parked()
        if not is_level(world.nodes):
            continue
        found = [(node, conflict) for node in world.nodes for conflict in _open_conflicts(node)]
        if not found:
            return
        for node, conflict in found:
            world.workload.settle(node, conflict)
    raise Stuck("P1: conflicts never come to an end")


def _open_conflicts(node: Node) -> list[Conflict]:
    with node.store.read() as reader:
        return [c for c in reader.conflicts(open_only=True) if c.side == "ours"]


def _check_quiet(world: World) -> None:
    """Messages stop after the last edit; only heartbeats go on."""
    world.timeline.run_until(world.timeline.now + 2 * POLL_S)
    before = dict(world.network.sent)
    world.timeline.run_until(world.timeline.now + QUIET_S)
    for event, count in world.network.sent.items():
        if event not in QUIET_EVENTS and count != before.get(event, 0):
            raise Broken(f"messages go on after the last edit: {event}")


def _check_repeats(world: World) -> None:
    """P4: whatever was ever said may be said again, and nothing changes."""
    options = world.options
    if options.hooks or world.checks.may_forget:
        return  # A hook rules anew on an old push, a strategy on one that was forgotten.
    before = _all_shown(world)
    for wire, is_up, event, parts in world.network.kept:
        if wire.is_closed or event not in ("changed", "news", "bulk_update"):
            continue
        if event == "bulk_update" and _is_equal_by_now(wire.ends[is_up].process, parts):
            continue
        wire.ends[is_up].heard(wire, event, parts, 0)
    _settle(world)
    if options.purge or options.restore:
        return  # Who was sent back to the start may have forgotten.
    if any(name != "manual" for name in options.daemon_strategies):
        return  # A strategy of the daemon decides anew on an old push that collided.
    # Where a daemon gave a record up it stands where it once stood, and what was made over that
    # goes forward.
    gone_back = {str(key) for key in world.checks.gone_back}
    if [one for one in _all_shown(world) if one[1] not in gone_back] != [
        one for one in before if one[1] not in gone_back
    ]:
        raise Broken("P4: messages that were repeated late changed something")


def _is_equal_by_now(node: Place, parts: Parts) -> bool:
    """
    Tell whether a pushed revision that the daemon does not know holds what stands there now.

    One that collided, and was given up for theirs, is nothing that the daemon has heard of; should
    the same data stand there later, a repeat is an edit that both sides made.
    """
    updates = decode_pushed(parts[1])
    with node.store.read() as reader:
        held = reader.entries([update.key for update in updates])
    return any(
        update.key in held and offer(held[update.key].update, update) is Verdict.EQUAL
        for update in updates
    )


def _all_shown(world: World) -> list[tuple[str, str, str, bytes]]:
    return [
        (node.name, str(key), str(entry.update.rev), bytes(entry.update.body))
        for node in world.nodes
        for key, entry in node.held().items()
        if not entry.update.is_deletion
    ]


def _trace_of(world: World, failure: str) -> tuple[str, ...]:
    """Return the last lines about the record that the failure names, or of all."""
    named = re.search(r"\('(\w+)', '(\w+)'\)", failure)
    lines = list(world.trace)
    if named is not None:
        about = f"{named[1]}/{named[2]}"
        lives = ("died", "started", "welcomes", "resets", "restored", "purged")
        lines = [line for line in lines if about in line or any(word in line for word in lives)]
    return tuple(lines[-TRACE_SHOWN:])
