"""
Rounds of `kill -9`: at a failpoint, or at any moment; each returns what was wrong after it.

Goes red when: a commit is cut in two, a cursor is stored before its records, an acknowledgement
is sent before the commit, or a push that came twice is applied twice (`test_crashes.py` plants
one of each kind).
"""

import random
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import stores
import workload
from harness import FAILPOINT, PURGING, TOML, Child, Daemon, Hearing


CLIENT, DAEMON, RESET, PURGE = "client", "daemon", "reset", "purge"
SIDES = (CLIENT, DAEMON, RESET, PURGE)
"""Who is killed, and during what: both at work, a client at a reset, a daemon that purges."""

KILL_AFTER_S_MAX = 0.4


@dataclass
class Outcome:
    """
    What came of a round.

    Attributes:
        failpoint: where the process was killed; None when it was not.
        problems: what was wrong, a sentence each.
        level_s: how long it took to be level after the restart.
    """

    failpoint: str | None = None
    problems: list = field(default_factory=list)
    level_s: float = 0.0
    acknowledged: int = 0


class Pair:
    """A daemon and a client with a database each, and the oracle of what was written."""

    def __init__(self, folder, *, toml=TOML):
        self.folder = Path(folder)
        self.daemon = Daemon(self.folder, toml=toml)
        self.client = self.folder / "client.db"
        self.oracle = workload.Oracle()
        self._children = []

    def start_client(self, function, *args, failpoint=None):
        """Start a client process."""
        env = {FAILPOINT: failpoint} if failpoint else {}
        log = self.folder / f"client-{len(self._children)}.log"
        child = Child(log, function, self.daemon.url, str(self.client), *args, env=env)
        self._children.append(child)
        return child

    def hear(self, child):
        """Read all that a client says until it ends."""
        for line in child.lines():
            self.oracle.hear(line)

    def left_as(self):
        """Return what is wrong with the files as they are."""
        return [
            *stores.problems(self.client),
            *stores.problems(self.daemon.store),
            *stores.cursor_problems(self.client, self.daemon.store),
        ]

    def finish(self, outcome):
        """Bring both back, wait until they are level, and judge."""
        if not self.daemon.child.is_alive:
            self.daemon.start()
        started = time.monotonic()
        child = self.start_client(workload.finish)
        self.hear(child)
        outcome.level_s = time.monotonic() - started
        if child.wait() != 0:
            outcome.problems.append(f"the client did not get level: {child.log[-2000:]}")
        self.daemon.stop()
        outcome.problems += self.left_as()
        outcome.problems += stores.level_problems(self.client, self.daemon.store)
        outcome.problems += self.oracle.problems(stores.records(self.daemon.store))
        outcome.acknowledged = self.oracle.acknowledged

    def close(self):
        """End all processes."""
        for child in self._children:
            child.close()
        self.daemon.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()


def failpoint_round(side, seed, failpoint):
    """Kill one side at a failpoint in the middle of a workload, and let it come back."""
    folder = tempfile.mkdtemp(prefix="syncline-crash-")
    outcome = Outcome()
    with Pair(folder, toml=TOML + PURGING if side == PURGE else TOML) as pair:
        killed = _ROUNDS[side](pair, seed, failpoint, outcome)
        outcome.failpoint = killed.failpoint if killed is not None else None
        pair.finish(outcome)
    if not outcome.problems:
        shutil.rmtree(folder)
    return outcome


def _kill_client(pair, seed, failpoint, outcome):
    pair.daemon.start()
    child = pair.start_client(workload.act, seed, 0, failpoint=failpoint)
    pair.hear(child)
    _judge_end(child, outcome)
    outcome.problems += pair.left_as()
    return child


def _kill_daemon(pair, seed, failpoint, outcome, *, work=workload.act):
    daemon = pair.daemon
    serves = daemon.start(failpoint=failpoint)
    killed = daemon.child
    client = pair.start_client(work, seed, 0)
    hearing = Hearing(client, pair.oracle.hear)
    if not serves:
        killed.wait()
    while killed.is_alive and hearing.goes_on:
        time.sleep(0.005)
    if not killed.is_alive:
        _judge_end(killed, outcome)
        outcome.problems += stores.problems(daemon.store)
        point = killed.failpoint
        daemon.start()
        killed = _Killed(point)
    hearing.end()
    if client.wait() != 0:
        outcome.problems.append(f"the client broke: {client.log[-2000:]}")
    return killed


def _kill_purging(pair, seed, failpoint, outcome):
    """Kill a daemon that purges whatever is deleted, and that serves a LoopBack client too."""
    return _kill_daemon(pair, seed, failpoint, outcome, work=workload.act_among_purges)


def _kill_in_reset(pair, seed, failpoint, outcome):
    """Have the daemon lose its database, and kill the client while it takes the list again."""
    pair.daemon.start()
    pair.hear(pair.start_client(workload.act, seed, 0))
    pair.daemon.child.kill()
    for path in pair.folder.glob("daemon.db*"):
        path.unlink()
    pair.daemon.start()
    child = pair.start_client(workload.finish, failpoint=failpoint)
    child.lines()
    _judge_end(child, outcome)
    outcome.problems += pair.left_as()
    return child


class _Killed:
    def __init__(self, failpoint):
        self.failpoint = failpoint


_ROUNDS = {CLIENT: _kill_client, DAEMON: _kill_daemon, RESET: _kill_in_reset, PURGE: _kill_purging}


def _judge_end(child, outcome):
    code = child.wait()
    if code not in (0, -signal.SIGKILL):
        outcome.problems.append(f"it ended with {code}: {child.log[-2000:]}")


class Kills:
    """
    Rounds of kills at random moments, all on the same two databases.

    Args:
        seed: draws who is killed and when.
    """

    def __init__(self, folder, seed):
        self.pair = Pair(folder)
        self._chance = random.Random(seed)
        self._seed = seed

    def round(self, turn):
        """Let the client work, and kill one of the two, or both, in the middle."""
        pair, outcome = self.pair, Outcome()
        daemon = pair.daemon
        if daemon.child is None or not daemon.child.is_alive:
            daemon.start()
        who = self._chance.choice((CLIENT, DAEMON, "both"))
        after_s = self._chance.random() * KILL_AFTER_S_MAX
        client = pair.start_client(workload.act, self._seed, turn)
        hearing = Hearing(client, pair.oracle.hear)
        time.sleep(after_s)
        if who != DAEMON:
            client.kill()
        if who != CLIENT:
            daemon.child.kill()
            outcome.problems += stores.problems(daemon.store)
            daemon.start()
        hearing.end()
        if client.wait() not in (0, -signal.SIGKILL):
            outcome.problems.append(f"the client broke: {client.log[-2000:]}")
        outcome.problems += pair.left_as()
        outcome.failpoint = who
        return outcome

    def finish(self):
        """Let all come back, and judge."""
        outcome = Outcome()
        if not self.pair.daemon.child.is_alive:
            self.pair.daemon.start()
        self.pair.finish(outcome)
        return outcome

    def close(self):
        """End all processes."""
        self.pair.close()
