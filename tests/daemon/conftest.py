"""Real processes for the tests of the command line."""

import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest


WAIT_S = 30


class Program:
    """`syncline` in a process of its own, its lines read as they come."""

    def __init__(self, *args, cwd=None, env=None):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "synclined", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", **(env or {})},
        )
        self.out, self.err = queue.SimpleQueue(), queue.SimpleQueue()
        self.seen = []
        self._threads = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self._process.stdout, self.out), (self._process.stderr, self.err))
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream, lines):
        with stream:
            for line in stream:
                lines.put(line.rstrip("\n"))
        lines.put(None)

    def wait_for(self, pattern, lines=None):
        """Return the match of the first line, of stdout unless told otherwise, that matches."""
        while True:
            line = (lines or self.out).get(timeout=WAIT_S)
            assert line is not None, f"ended without {pattern!r}: {self.seen}"
            self.seen.append(line)
            if found := re.search(pattern, line):
                return found

    def end(self, number=signal.SIGTERM):
        """Send a signal and return the exit code."""
        if self._process.poll() is None:
            os.kill(self._process.pid, number)
        return self.wait()

    def wait(self):
        """Return the exit code, once it has ended; one that does not says what it is at."""
        try:
            code = self._process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            os.kill(self._process.pid, signal.SIGABRT)
            self._process.wait(WAIT_S)
            code = None
        for thread in self._threads:
            thread.join(WAIT_S)
        assert code is not None, "it does not end:\n" + "\n".join(iter(self.err.get, None))
        return code


@pytest.fixture
def start():
    """Start `syncline` with these arguments; it is ended after the test."""
    yield from starting()


@pytest.fixture(scope="module")
def start_once():
    """Start `syncline` with these arguments; it is ended after the file's tests."""
    yield from starting()


def starting():
    """Yield what starts programs, and end them."""
    programs = []

    def start_program(*args, **options):
        programs.append(Program(*args, **options))
        return programs[-1]

    yield start_program
    for program in programs:
        program.end(signal.SIGKILL)


@pytest.fixture
def serve(start):
    """Start a daemon and return it, its address as `url`."""

    def start_daemon(store="memory:", *more, port=0, **options):
        args = ["serve", "--port", str(port), "--store", str(store), *more]
        daemon = start(*args, **options)
        daemon.url = daemon.wait_for(r"http://\S+")[0]
        return daemon

    return start_daemon


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def syncline(tmp_path):
    """Run `syncline` to its end in a process of its own, in the test's own folder."""

    def run(*args, code=0, env=None, **options):
        done = subprocess.run(
            [sys.executable, "-m", "synclined", *map(str, args)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=WAIT_S,
            check=False,
            env={**os.environ, **(env or {})},
            **options,
        )
        assert code == done.returncode, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def cli(tmp_path, monkeypatch):
    """Run `syncline` in this process, in the test's own folder."""
    import socketio.packet
    from click.testing import CliRunner

    from synclined.cli import group

    for name in list(os.environ):
        if name.startswith("SYNCLINE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    # A socketio client sets its JSON codec for the whole process.
    monkeypatch.setattr(socketio.packet.Packet, "json", socketio.packet.Packet.json)

    def run(*args, code=0, stdin=None):
        result = CliRunner().invoke(group, [str(arg) for arg in args], input=stdin)
        assert code == result.exit_code, result.output
        return result

    return run


@pytest.fixture
def in_thread():
    """Run a function that has an event loop of its own, from a test that has one too."""
    import asyncio

    return asyncio.to_thread
