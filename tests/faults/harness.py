"""
Real processes to be killed at any moment: daemons and clients, each with its own log.

They are forked from a server that has imported everything, so that one starts in tens of
milliseconds and thousands can be killed; what runs in them is the real command and the real
library.
"""

import contextlib
import faulthandler
import multiprocessing
import os
import re
import resource
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path


WAIT_S = 60.0
STACKS_S = 0.5
"""How long a process that is stuck may take to write down where."""
FAILPOINT = "SYNCLINE_FAILPOINT"
TOML = """
schemaless = ["log", "counter", "left", "right", "shared"]

[models.task]
properties.title = "string"

[limits]
page_bytes_max = 4096
"""

PURGING = """
[list]
tombstones_kept_days = 0.000000001
compact_every_s = 0.1
"""
"""Has a daemon purge every tombstone at once, to be added to its settings."""

_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(
    ["__main__", "synclined.cli.serve", "synclined.running", "syncline.link", "syncline.store.sql"]
)


class Stuck(AssertionError):
    """Something did not come about in time: says what, and what the process wrote."""


class Child:
    """
    A function in a process of its own, its printed lines read as they come.

    Args:
        function: of a module, with arguments that can be pickled.
        env: what is set in its environment only.
    """

    def __init__(self, log, function, *args, env=None):
        self._log_path = log
        self._reading, writing = _forking.Pipe(duplex=False)
        self._out, self._buffer = self._reading.fileno(), b""
        self._process = _forking.Process(
            target=_run, args=(function, args, writing, str(log), dict(env or {}))
        )
        self._process.start()
        writing.close()

    @property
    def pid(self):
        """Its process id."""
        return self._process.pid

    @property
    def is_alive(self):
        """Whether it runs."""
        return self._process.is_alive()

    @property
    def log(self):
        """What it has written to stderr."""
        return self._log_path.read_text() if self._log_path.exists() else ""

    @property
    def failpoint(self):
        """The name of the failpoint that killed it, or None."""
        found = re.findall(r"^failpoint (\S+)$", self.log, re.MULTILINE)
        return found[-1] if found else None

    def line(self, timeout_s=WAIT_S):
        """Return its next line; None when it has ended."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._out], [], [], left)[0]:
                raise self._stuck(f"no line within {timeout_s} s")
            some = os.read(self._out, 65536)
            if not some:
                return None
            self._buffer += some
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()

    def lines(self):
        """Return all lines until it ends."""
        found = []
        while (line := self.line()) is not None:
            found.append(line)
        return found

    def wait_line(self, text):
        """Return the first line with that text; None when it ended without."""
        while (line := self.line()) is not None:
            if text in line:
                return line
        return None

    def send(self, number):
        """Send it a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, timeout_s=WAIT_S):
        """Wait for its end and return its exit code."""
        self._process.join(timeout_s)
        if self._process.is_alive():
            raise self._stuck(f"it did not end within {timeout_s} s")
        return self._process.exitcode

    def _stuck(self, what):
        """Have it write down where its threads are, and say that it is stuck."""
        self.send(signal.SIGUSR1)
        self._process.join(STACKS_S)
        return Stuck(f"{what}; it wrote:\n{self.log[-6000:]}")

    def kill(self):
        """End it at once, whatever it does."""
        self.send(signal.SIGKILL)
        return self.wait()

    def close(self):
        """End it and let go of its pipe."""
        if self._process.is_alive():
            self.kill()
        self._process.close()
        self._reading.close()


class Hearing:
    """
    Reads all that a process says, beside what else is done, until it ends.

    Args:
        hear: is called with each line.
    """

    def __init__(self, child, hear):
        self._child, self._hear = child, hear
        self._error = None
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    @property
    def goes_on(self):
        """Whether there may be more to hear."""
        return self._thread.is_alive()

    def end(self):
        """Wait until all was heard; raise what went wrong meanwhile."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _read(self):
        try:
            for line in self._child.lines():
                self._hear(line)
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            self._error = error


class Daemon:
    """
    `syncline serve` on a database file, always on the same port.

    Args:
        toml: its settings; by default the models of the workload, in small pages.
    """

    def __init__(self, folder, *, toml=TOML):
        self.folder = Path(folder)
        self.store = self.folder / "daemon.db"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.child = None
        self._starts = 0
        (self.folder / "synclined.toml").write_text(toml)

    def start(self, *, failpoint=None, env=None, wait=True):
        """Start it; with `wait`, return once it serves, or has ended: whether it serves."""
        self._starts += 1
        env = {**(env or {}), **({FAILPOINT: failpoint} if failpoint else {})}
        args = ["serve", "--quiet", "--config", str(self.folder / "synclined.toml")]
        args += ["--port", str(self.port), "--store", str(self.store), "--log-level", "warning"]
        log = self.folder / f"daemon-{self._starts}.log"
        self.close()
        self.child = Child(log, serve, args, env=env)
        serves = self.child.wait_line("serving at") is not None if wait else True
        if not serves and failpoint is None:
            raise Stuck(f"the daemon does not start:\n{self.child.log[-3000:]}")
        return serves

    def stop(self):
        """Let it drain; return its exit code."""
        self.child.send(signal.SIGTERM)
        return self.child.wait()

    def close(self):
        """End it, if it runs."""
        if self.child is not None:
            self.child.close()
            self.child = None

    def rss_kib(self):
        """Return its resident memory."""
        return rss_kib(self.child.pid)

    def sockets(self):
        """Return how many sockets it has open."""
        found = 0
        for entry in Path(f"/proc/{self.child.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found += str(entry.readlink()).startswith("socket:")
        return found


def serve(args):
    """Run the command line, in a child."""
    from synclined.cli import main

    sys.argv = ["syncline", *args]
    main(args)


def rss_kib(pid):
    """Return a process's resident memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


def raise_files(count):
    """Let this process, and those it starts, open so many files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def free_port():
    """Return a port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _run(function, args, out, log, env):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(env)
    sys.path[:0] = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(out.fileno(), 1)
    os.dup2(opened, 2)
    out.close()
    os.close(opened)
    faulthandler.register(signal.SIGUSR1, file=2)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    function(*args)
