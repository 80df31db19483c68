"""
A soak: mixed load under faults and restarts, ``python tests/bench/soak.py --minutes N [--seed S]``.

Clients in processes of their own write several models, transactions, deletes and collisions
through a proxy that cuts, holds, delays and throttles. In the first part of the time the daemon is
stopped and killed and one client is killed, again and again; in the second only the network is bad,
and the memory of all is watched. At the end all must hold the same, with nothing left to push.

The records are few and fixed, and the daemon's log of settled conflicts is full from the start, so
that nothing has a reason to grow but what fills once: what a record remembers of its past, the
clients' logs, and SQLite's cache of all these.
Memory may grow by `FILL_KIB_MAX` for that, and by `LEAK_KIB_A_MINUTE_MAX` beyond: in a few minutes
the first decides, in an hour the second.

Prints figures, writes the memory's curve as a PNG, and exits with 1 when anything is wrong.
``--plant lose`` loses a record of a client at the end, ``--plant leak`` has the clients leak: both
must go red.
"""

import argparse
import asyncio
import contextlib
import itertools
import random
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple


sys.path.insert(0, str(Path(__file__).parent.parent / "faults"))
import curve
import harness
import stores
import workload
from proxy import IN, OUT, FaultProxy

import syncline
from syncline.conflict_log import SETTLED_KEPT
from syncline.models import ANCESTORS_MAX, Update, encode_body
from syncline.revision import new_revision


CLIENTS = 3
KEYS = 12
"""Few, so that what the records remember of their past is full before memory is watched."""
RESTARTS_PART = 0.4
WARM_PART = 0.45
"""So much of the watched time is not counted: caches fill."""
SAMPLE_S = 0.5
PARTS = 8
"""The counted time is cut into so many."""
FILL_KIB_MAX = 4608
LEAK_KIB_A_MINUTE_MAX = 64
"""Resident memory may grow by so much over the counted time, and by so much for each minute."""
END_S = 90
TEXT = "x" * 200
LEAK_BYTES = 4096
STRATEGIES = {"shared": "theirs", "counter": "latest", "log": "merge", "*": "ours"}


def main():
    parser = argparse.ArgumentParser(description="Load, faults and restarts, for a while.")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--png", type=Path, help="where the memory's curve goes")
    parser.add_argument("--plant", choices=("lose", "leak"), help="a bug that must be found")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="syncline-soak-") as folder:
        soak = Soak(Path(folder), args.minutes * 60, args.seed, plant=args.plant)
        wrong = asyncio.run(soak.run())
        soak.print_figures()
        if args.png:
            args.png.write_bytes(curve.png(soak.picture()))
            print(f"the curve of memory is in {args.png}")
    for sentence in wrong[:20]:
        print(f"  {sentence}")
    print(f"{len(wrong)} problems")
    return 1 if wrong else 0


# ---- the clients ------------------------------------------------------------------------


def client(url, store, name, seed, plant):
    """Write until told to stop, get level, stay until told again, and end; in a child."""
    asyncio.run(_client(url, store, name, random.Random(f"{seed}-{name}"), plant))


async def _client(url, store, name, chance, plant):
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    replica = await syncline.connect(
        url, store=store, models=workload.MODELS, strategies=STRATEGIES, settings=workload.QUICK
    )
    written, leaked = 0, []
    while not told.is_set():
        await _write(replica, name, chance)
        written += 1
        if plant == "leak":
            leaked.append(bytes(LEAK_BYTES))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(told.wait(), chance.random() * 0.03)
    told.clear()
    await replica.link.wait_live(END_S)
    print(f"quiet after {written} writes", flush=True)
    await told.wait()
    await replica.link.wait_live(END_S)
    await replica.barrier(END_S)
    await replica.link.wait_live(END_S)
    print("level", flush=True)
    await replica.close()


async def _write(replica, name, chance):
    key = str(chance.randrange(KEYS))
    match chance.randrange(6):
        case 0:
            await replica.model("shared").put(key, {"by": name, "text": TEXT})
        case 1:
            await replica.model("counter").put(key, {"by": name, "n": chance.random()})
        case 2:
            await replica.model("log").put(f"{name}-{key}", {"text": TEXT})
        case 3:
            with contextlib.suppress(syncline.errors.RecordNotFound):
                await replica.model("log").delete(f"{name}-{key}")
        case 4:
            n = chance.random()
            async with replica.transaction() as tx:
                tx.model("left").put(f"{name}-{key}", {"n": n})
                tx.model("right").put(f"{name}-{key}", {"n": n})
        case 5:
            await replica.model("task").put(f"{name}-{key}", {"title": f"{chance.random()}"})


# ---- the soak ---------------------------------------------------------------------------


class Growth(NamedTuple):
    """
    How a process's memory grew over the counted time.

    Attributes:
        kib_a_minute: from each part of the time to the next, the median of all. So a burst that
            takes what it needs and leaves the process with it makes no slope, and a leak does.
        start_kib, end_kib: what it had in the first part and in the last.
    """

    name: str
    kib_a_minute: float
    minutes: float
    start_kib: float
    end_kib: float

    @property
    def kib(self):
        """By how much it grew."""
        return self.kib_a_minute * self.minutes

    @property
    def kib_max(self):
        """By how much it may."""
        return FILL_KIB_MAX + LEAK_KIB_A_MINUTE_MAX * self.minutes


class Soak:
    """
    One run.

    Args:
        plant: a bug to be found; see the module.

    Attributes:
        samples: resident KiB by name, as (seconds, KiB). faults: how many of each there were.
    """

    def __init__(self, folder, seconds, seed, *, plant=None):
        self.folder = folder
        self.samples = {}
        self.faults = {}
        self.writes = 0
        self.end_s = 0.0
        self._seconds = seconds
        self._seed = seed
        self._plant = plant
        self._chance = random.Random(seed)
        self._daemon = harness.Daemon(folder)
        self._children = {}
        self._started = 0
        self._watched_from = 0.0
        self._is_over = False

    async def run(self):
        """Run; return what was wrong, a sentence each."""
        self._daemon.start()
        try:
            await fill_log(self._daemon.url)
            async with FaultProxy(self._daemon.port) as proxy, asyncio.TaskGroup() as group:
                for index in range(CLIENTS):
                    self._start_client(proxy, f"client-{index}")
                self._begun = time.monotonic()
                network = group.create_task(self._bad_network(proxy))
                watch = group.create_task(self._watch())
                await self._restarts(proxy)
                self._watched_from = time.monotonic() - self._begun
                await asyncio.sleep(max(self._seconds - self._watched_from, 0))
                self._is_over = True
                await network
                proxy.heal()
                watch.cancel()
                return await asyncio.to_thread(self._end)
        finally:
            for child in self._children.values():
                child.close()
            self._daemon.close()

    def _start_client(self, proxy, name):
        self._started += 1
        store = str(self.folder / f"{name}.db")
        seed = f"{self._seed}-{self._started}"
        log = self.folder / f"{name}-{self._started}.log"
        old = self._children.get(name)
        if old is not None:
            old.close()
        self._children[name] = harness.Child(log, client, proxy.url, store, name, seed, self._plant)

    async def _restarts(self, proxy):
        """Stop and kill the daemon, and kill a client, until their time is over."""
        daemon = self._daemon
        while time.monotonic() - self._begun < self._seconds * RESTARTS_PART:
            await asyncio.sleep(self._chance.random() * 4)
            what = self._chance.choice(("daemon stopped", "daemon killed", "client killed"))
            match what:
                case "daemon stopped":
                    await asyncio.to_thread(daemon.stop)
                case "daemon killed":
                    await asyncio.to_thread(daemon.child.kill)
                case _:
                    await asyncio.to_thread(self._children["client-0"].kill)
                    self._start_client(proxy, "client-0")
            if what != "client killed":
                await asyncio.to_thread(daemon.start)
            self._note(what)

    async def _bad_network(self, proxy):
        """Be bad for a while, heal for a while."""
        faults = {
            "cut": proxy.cut,
            "refused": proxy.refuse,
            "held in": lambda: proxy.black_hole(IN),
            "held out": lambda: proxy.black_hole(OUT),
            "held": proxy.black_hole,
            "delayed": lambda: proxy.delay(0.03),
            "throttled": lambda: proxy.throttle(30_000),
        }
        while not self._is_over:
            name = self._chance.choice(list(faults))
            faults[name]()
            self._note(name)
            await asyncio.sleep(self._chance.random() * 1.5)
            proxy.heal()
            await asyncio.sleep(self._chance.random() * 3)

    def _note(self, fault):
        self.faults[fault] = self.faults.get(fault, 0) + 1

    async def _watch(self):
        while True:
            seconds = time.monotonic() - self._begun
            for name, child in {**self._children, "daemon": self._daemon.child}.items():
                with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
                    kib = harness.rss_kib(child.pid)
                    self.samples.setdefault(name, []).append((seconds, kib))
            await asyncio.sleep(SAMPLE_S)

    def _end(self):
        """Let all get level, and judge."""
        started = time.monotonic()
        wrong = []
        for word in ("quiet", "level"):
            for child in self._children.values():
                child.send(signal.SIGTERM)
            for name, child in self._children.items():
                line = child.wait_line(word)
                if line is None:
                    wrong.append(f"{name} never was {word}: {child.log[-1000:]}")
                elif word == "quiet":
                    self.writes += int(line.split()[2])
        self.end_s = time.monotonic() - started
        self._daemon.stop()
        for child in self._children.values():
            child.wait()
        if self._plant == "lose":
            lose(self.folder / "client-1.db")
        return wrong + differences(self.folder, self._daemon.store) + self._growths()

    def _growths(self):
        return [
            f"{grown.name} grew by {grown.kib:.0f} KiB in {grown.minutes:.1f} minutes, "
            f"{grown.kib_max:.0f} are allowed"
            for grown in self.growths()
            if grown.kib > grown.kib_max
        ]

    def growths(self):
        """Return how memory grew over the counted time, a `Growth` a process."""
        first = self._counted_from()
        found = []
        for name, samples in sorted(self.samples.items()):
            counted = [sample for sample in samples if sample[0] >= first]
            if len(counted) >= PARTS:
                found.append(growth(name, counted))
        return found

    def _counted_from(self):
        return self._watched_from + WARM_PART * (self._seconds - self._watched_from)

    def picture(self):
        """Return the curves of memory as an SVG."""
        slopes = {grown.name: f"{grown.kib_a_minute:+.1f} KiB/min" for grown in self.growths()}
        counted_from = self._counted_from() / 60
        return curve.svg(
            f"Resident memory in a soak of {self._seconds / 60:g} minutes, seed {self._seed}",
            [
                (name, slopes.get(name, ""), [(t / 60, kib / 1024) for t, kib in samples])
                for name, samples in sorted(self.samples.items())
            ],
            x_name="minutes",
            y_name="MiB",
            spans=(
                ("restarts and a bad network", 0, self._watched_from / 60),
                ("a bad network; counted", counted_from, self._seconds / 60),
            ),
        )

    def print_figures(self):
        """Say what happened."""
        print(f"{self.writes} writes by the last lives of {CLIENTS} clients, seed {self._seed}")
        print("faults: " + ", ".join(f"{n} {what}" for what, n in sorted(self.faults.items())))
        print(f"all level {self.end_s:.2f} s after the last write")
        for grown in self.growths():
            print(
                f"{grown.name}: {grown.start_kib:.0f} to {grown.end_kib:.0f} KiB, "
                f"{grown.kib_a_minute:+.1f} KiB a minute, {grown.kib:+.0f} in "
                f"{grown.minutes:.1f} minutes of {grown.kib_max:.0f} allowed"
            )


async def fill_log(url):
    """Push what collides, until a daemon's log of settled conflicts is full."""
    past = tuple(f"1-{number:016x}" for number in range(ANCESTORS_MAX))
    async with await syncline.connect_remote(url) as remote:
        shared = remote.model("shared")
        for key in range(KEYS):
            await shared.put(str(key), {"by": "nobody", "text": TEXT})
        for number in range(0, SETTLED_KEPT, KEYS):
            await shared.bulk_update(
                [
                    Update(
                        model="shared",
                        record_id=str(key),
                        rev=new_revision(2, f"{number + key:016x}"),
                        ancestors=past,
                        body=encode_body({"id": str(key), "by": "somebody", "text": TEXT}),
                    )
                    for key in range(KEYS)
                ]
            )


def differences(folder, daemon):
    """Return where clients and daemon do not hold the same, or have something left to say."""
    wrong = list(stores.problems(daemon))
    theirs = stores.records(daemon)
    for path in sorted(folder.glob("client-*.db")):
        wrong += stores.problems(path)
        mine = stores.records(path)
        wrong += [
            f"{path.name}: {key} is {mine.get(key)}, at the daemon {theirs.get(key)}"
            for key in sorted(mine.keys() | theirs.keys())
            if mine.get(key) != theirs.get(key)
        ]
        if stores.pending(path) or stores.staged(path):
            wrong.append(f"{path.name}: {stores.pending(path)} records are left to push")
    return wrong


def lose(path):
    """Lose a record of a store, as a bug would."""
    with sqlite3.connect(path) as db:
        db.execute(
            "DELETE FROM syncline_changes WHERE seq = (SELECT max(seq) FROM syncline_changes "
            "WHERE body IS NOT NULL AND model = 'shared')"
        )
    db.close()


def growth(name, samples):
    """Return how samples, (seconds, KiB), grew."""
    size = len(samples) // PARTS
    parts = [samples[index * size : (index + 1) * size] for index in range(PARTS)]
    levels = [statistics.median(kib for _, kib in part) for part in parts]
    minutes = (samples[-1][0] - samples[0][0]) / 60
    part_minutes = (parts[-1][0][0] - parts[0][0][0]) / 60 / (PARTS - 1)
    step = statistics.median(after - before for before, after in itertools.pairwise(levels))
    return Growth(name, step / part_minutes, minutes, levels[0], levels[-1])


if __name__ == "__main__":
    sys.exit(main())
