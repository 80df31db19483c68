"""The demo as a person runs it: its own processes, real pipes, real sockets."""

import asyncio
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from synclined.demo.equality import differences
from synclined.demo.lag import Lags


DEMO = [sys.executable, "-c", "from synclined.cli.demo import command; command()"]
RUN_TIMEOUT_S = 90
END_TIMEOUT_S = 15
STYLE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def env(tmp_path):
    """An environment whose temporary folder can be looked at afterwards."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return {**os.environ, "TMPDIR": str(folder), "TERM": "xterm"}


def started(env, *options, **pipes):
    return subprocess.Popen([*DEMO, *options], env=env, text=True, **pipes)


def first_address(stream):
    line = stream.readline()
    found = re.search(r"http://\S+", line)
    assert found, line
    return found[0]


def children_when(process, count):
    """Wait until a process has so many children, and return them."""
    deadline = time.monotonic() + 30
    parent = psutil.Process(process.pid)
    while len(children := parent.children()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return children


def assert_nothing_is_left(env, children):
    _, alive = psutil.wait_procs(children, timeout=END_TIMEOUT_S)
    assert [] == alive
    assert [] == list(Path(env["TMPDIR"]).iterdir())


@pytest.mark.parametrize("store", ["sqlite", "memory:"])
def test_smoke_ends_equal(env, store):
    run = subprocess.run(
        [*DEMO, "--smoke", "--seconds", "4", "--store", store],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_TIMEOUT_S,
    )

    assert 0 == run.returncode, run.stderr
    address, pages = run.stderr.splitlines()[:2]
    url = address.split()[-1]
    assert [f"{url}/dashboard", f"{url}/demo", f"{url}/conflicts"] == pages.split()[-3:]
    assert 1 == len(run.stdout.splitlines())
    verdict = json.loads(run.stdout)
    assert verdict["equal"]
    assert verdict["writes"] >= 10 * verdict["seconds"]
    assert verdict["replications"] > 0
    assert 0 < verdict["lag_ms"]["p50"] <= verdict["lag_ms"]["p99"]
    assert {"made": 3, "resolved": 3} == verdict["conflicts"]
    assert verdict["refused"] == verdict["rolled_back"] >= 2
    assert verdict["stale"] >= 1
    assert [] == list(Path(env["TMPDIR"]).iterdir())


def test_kept_databases_are_gone_on_from(env, tmp_path):
    options = ["--smoke", "--seconds", "2", "--keep", str(tmp_path / "kept")]
    runs = [
        subprocess.run(
            [*DEMO, *options],
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_TIMEOUT_S,
        )
        for _ in range(2)
    ]

    assert [0, 0] == [run.returncode for run in runs], [run.stderr for run in runs]
    kept = {path.name for path in (tmp_path / "kept").iterdir()}
    assert {"daemon.db", "replica-1.db", "replica-2.db"} <= kept


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_all_and_leaves_nothing(env, number):
    with started(env, "--smoke", "--seconds", "60", stderr=subprocess.PIPE) as run:
        first_address(run.stderr)
        children = children_when(run, 3)
        run.send_signal(number)

        assert 128 + number == run.wait(END_TIMEOUT_S)
    assert_nothing_is_left(env, children)


def test_children_do_not_outlive_a_parent_that_was_killed(env):
    with started(env, "--smoke", "--seconds", "60", stderr=subprocess.PIPE) as run:
        first_address(run.stderr)
        children = children_when(run, 3)
        run.kill()

    _, alive = psutil.wait_procs(children, timeout=END_TIMEOUT_S)
    assert [] == alive


@pytest.mark.parametrize(
    ("mark", "name"),
    [("daemon_process", "daemon"), ("red", "replica 1"), ("yellow", "replica 2")],
)
def test_child_that_dies_is_reported_by_name(env, mark, name):
    with started(env, "--smoke", "--seconds", "60", stderr=subprocess.PIPE) as run:
        first_address(run.stderr)
        children = children_when(run, 3)
        next(c for c in children if any(word.endswith(mark) for word in c.cmdline())).kill()

        assert 1 == run.wait(END_TIMEOUT_S)
        assert f"{name} ended (signal 9)" in run.stderr.read()
    assert_nothing_is_left(env, children)


def test_without_a_terminal_it_says_so_in_one_line(env):
    run = subprocess.run(
        DEMO,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_TIMEOUT_S,
    )

    assert 2 == run.returncode
    assert "" == run.stdout
    assert ["syncline demo: it needs a terminal; without one, use --smoke"] == (
        run.stderr.splitlines()
    )


def test_memory_can_not_be_kept(env):
    run = subprocess.run(
        [*DEMO, "--smoke", "--store", "memory:", "--keep", "x"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_TIMEOUT_S,
    )

    assert 2 == run.returncode
    assert "--keep" in run.stderr


class Terminal:
    """A terminal that a person could sit at: keys in, all that was shown out."""

    def __init__(self, env):
        self.shown = ""
        self.inner, outer = pty.openpty()
        import fcntl
        import struct
        import termios

        fcntl.ioctl(outer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.settings = termios.tcgetattr(outer)
        self.outer = outer
        self.process = subprocess.Popen(
            [*DEMO, "--store", "memory:"], env=env, stdin=outer, stdout=outer, stderr=outer
        )

    def settings_now(self):
        import termios

        return termios.tcgetattr(self.outer)

    async def until(self, text):
        """Read on until `text` has been shown after what was read before."""
        loop = asyncio.get_running_loop()
        seen = len(self.shown)
        # Not in a thread: a read that nothing answers would hold up the end of the loop for ever.
        readable = asyncio.Event()
        loop.add_reader(self.inner, readable.set)
        try:
            async with asyncio.timeout(30):
                while text not in STYLE.sub("", self.shown[seen:]):
                    await readable.wait()
                    readable.clear()
                    self.shown += os.read(self.inner, 65536).decode(errors="replace")
        finally:
            loop.remove_reader(self.inner)

    def press(self, key):
        os.write(self.inner, key.encode())

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.inner)
        os.close(self.outer)


async def test_show_obeys_its_keys_and_restores_the_terminal(env):
    terminal = Terminal({**env, "NO_COLOR": "1", "COLUMNS": "80", "LINES": "24"})
    try:
        await terminal.until("plays ")
        children = children_when(terminal.process, 3)
        terminal.press("2")
        await terminal.until("is cut off, and goes on writing")
        await terminal.until("[2] connect 2")
        terminal.press("c")
        await terminal.until("reconnect to see them collide")
        terminal.press("2")
        await terminal.until("conflicts 1")
        terminal.press("r")
        await terminal.until("[o]urs")
        terminal.press("t")
        await terminal.until("theirs of replica 2 stands")
        assert terminal.settings != terminal.settings_now()
        terminal.press("q")
        await terminal.until("replications, lag p50")

        assert 0 == terminal.process.wait(END_TIMEOUT_S)
        assert terminal.settings == terminal.settings_now()
        assert "\x1b[?1049l" in terminal.shown
        assert "\x1b[?25h" in terminal.shown.rpartition("\x1b[?25l")[2]
        assert_nothing_is_left(env, children)
    finally:
        terminal.close()


@pytest.mark.parametrize(
    ("other", "found"),
    [
        pytest.param({"note": {"a": ("1-x", {"n": 1})}}, [], id="equal"),
        pytest.param(
            {"note": {}}, ["note/a: held by one only, at daemon and replica"], id="missing"
        ),
        pytest.param(
            {"note": {"a": ("1-x", {"n": 1})}, "game": {"b": ("1-z", {})}},
            ["game/b: held by one only, at daemon and replica"],
            id="more",
        ),
        pytest.param(
            {"note": {"a": ("1-y", {"n": 1})}},
            ["note/a: revisions 1-x and 1-y, at daemon and replica"],
            id="another revision",
        ),
        pytest.param(
            {"note": {"a": ("1-x", {"n": 2})}},
            ["note/a: other data under one revision, at daemon and replica"],
            id="other data",
        ),
    ],
)
def test_differences_are_named(other, found):
    daemon = {"note": {"a": ("1-x", {"n": 1})}}

    assert found == differences({"daemon": daemon, "replica": other})


def test_lags_leave_out_what_waited_for_a_link():
    lags = Lags()
    lags.add([(50, 9000), (100, 2000), (200, 4000)], [100, 60])
    lags.add([(300, 8000)], [100, 0])

    assert 2 == len(lags)
    assert (2.0, 4.0) == (lags.percentile_ms(0), lags.percentile_ms(99))


def test_lags_without_a_sample_have_no_percentile():
    assert None is Lags().percentile_ms(50)
