"""
Faults by hand: ``python tests/faults/run.py --what failpoints|kills|links|slow``.

Prints figures, and what was wrong; exits with 1 when anything was.
"""

import argparse
import asyncio
import collections
import shutil
import sys
import tempfile
import time

import crashes
import slow
import stories
from harness import Daemon

from syncline.store.failpoints import POINTS


ROUNDS_A_SEED_MAX = 1000
WHAT = ("failpoints", "kills", "links", "slow")


def main():
    parser = argparse.ArgumentParser(description="Kill daemons and clients, and look what is left.")
    parser.add_argument("--what", choices=WHAT, required=True)
    parser.add_argument(
        "--side", choices=crashes.SIDES, action="append", help="failpoints of [all]"
    )
    parser.add_argument("--seeds", type=int, default=20, help="seeds, for failpoints [20]")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=200, help="rounds of the rest [200]")
    args = parser.parse_args()
    started = time.monotonic()
    if args.what == "failpoints":
        wrong = run_failpoints(args.side or crashes.SIDES, args.first_seed, args.seeds)
    elif args.what == "kills":
        wrong = run_kills(args.rounds, args.first_seed)
    elif args.what == "links":
        wrong = run_links(args.rounds)
    else:
        wrong = run_slow(args.rounds)
    print(f"{len(wrong)} problems, {time.monotonic() - started:.0f} s")
    for sentence in wrong:
        print(f"  {sentence}")
    return 1 if wrong else 0


def run_failpoints(sides, first_seed, seeds):
    """Kill at every point of every seed's workload; return what was wrong."""
    wrong = []
    met = set()
    for side in sides:
        covered = collections.Counter()
        slowest = 0.0
        for seed in range(first_seed, first_seed + seeds):
            for nth in range(1, ROUNDS_A_SEED_MAX):
                outcome = crashes.failpoint_round(side, seed, f"any:kill:{nth}")
                where = f"{side} seed {seed} any:kill:{nth} at {outcome.failpoint}"
                wrong += [f"{where}: {sentence}" for sentence in outcome.problems]
                slowest = max(slowest, outcome.level_s)
                if outcome.failpoint is None:
                    break
                covered[outcome.failpoint] += 1
            print(f"{side}: seed {seed}, {nth - 1} kills, {len(wrong)} problems", flush=True)
        met |= covered.keys()
        print(
            f"{side}: {sum(covered.values())} kills at {len(covered)} points, "
            f"slowest to be level again {slowest:.2f} s"
        )
        print("  " + ", ".join(f"{name} {count}" for name, count in covered.most_common()))
    missed = [point for point in POINTS if point not in met]
    print(
        f"failpoints covered / existing: {len(met)} / {len(POINTS)}; "
        f"not met: {' '.join(missed) or 'none'}"
    )
    return wrong


def run_links(rounds):
    """Tell every story of a bad network so many times; print the longest of each."""
    wrong = []
    with tempfile.TemporaryDirectory(prefix="syncline-links-") as folder:
        daemon = Daemon(folder, toml=stories.TOML)
        daemon.start()
        print(f"heartbeat {stories.HEARTBEAT_S} s; longest of {rounds}: found after, level after")
        for name, (story, *args) in stories.STORIES.items():
            seen = []
            for turn in range(rounds):
                try:
                    seen.append(asyncio.run(story(daemon, *args)))
                except (AssertionError, TimeoutError) as error:
                    wrong.append(f"{name}, round {turn}: {error!r}")
            found = max((each.get("found_s", 0) for each in seen), default=0)
            level = max((each["level_s"] for each in seen), default=0)
            print(f"  {name:18} {found:6.2f} s {level:6.2f} s", flush=True)
        daemon.close()
    return wrong


def run_slow(rounds, listeners=48, writes=500):
    """Time the others without slow readers and with them, in turns; print the ratios."""
    ratios = []
    for _ in range(rounds):
        seen = {}
        for with_slow in (False, True):
            with tempfile.TemporaryDirectory(prefix="syncline-slow-") as folder:
                daemon = Daemon(folder, toml=slow.TOML)
                daemon.start()
                seen[with_slow] = asyncio.run(
                    slow.told(daemon, listeners=listeners, writes=writes, with_slow=with_slow)
                )
                daemon.close()
        for with_slow, figures in seen.items():
            print(
                f"{'with' if with_slow else 'without'} slow ones: {len(figures.late)} heard of "
                f"{listeners * writes}, p50 {figures.quantile(0.5):.1f} ms, "
                f"p99 {figures.quantile(0.99):.1f} ms, daemon {figures.rss_kib[0]} to "
                f"{max(figures.rss_kib)} KiB, slow ones level after {figures.level_s:.2f} s",
                flush=True,
            )
        ratios.append(seen[True].quantile(0.99) / seen[False].quantile(0.99))
    print(f"p99 with to without: {sorted(round(ratio, 2) for ratio in ratios)}")
    return []


def run_kills(rounds, seed):
    """Kill at random moments; return what was wrong."""
    folder = tempfile.mkdtemp(prefix="syncline-kills-")
    kills = crashes.Kills(folder, seed)
    wrong = []
    killed = collections.Counter()
    try:
        for turn in range(rounds):
            outcome = kills.round(turn)
            killed[outcome.failpoint] += 1
            wrong += [f"round {turn}: {sentence}" for sentence in outcome.problems]
            if turn % 20 == 19:
                print(f"{turn + 1} rounds, {len(wrong)} problems", flush=True)
        outcome = kills.finish()
        wrong += outcome.problems
        print(
            f"{rounds} rounds {dict(killed)}, {outcome.acknowledged} acknowledged writes, "
            f"level again after {outcome.level_s:.2f} s"
        )
    finally:
        kills.close()
    if wrong:
        print(f"the databases are in {folder}")
    else:
        shutil.rmtree(folder)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
