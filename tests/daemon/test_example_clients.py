"""The clients in other languages: each follows, writes, and comes back after a restart."""

import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest


CLIENTS = Path(__file__).resolve().parents[2] / "client" / "examples" / "clients"
NODE_MODULES = Path(__file__).resolve().parent / "node" / "node_modules"
WAIT_S = 60
BUILD_S = 600


class Client:
    """A running example, its lines read as they come."""

    def __init__(self, command):
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines, self._seen = queue.SimpleQueue(), []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def wait_for(self, pattern):
        """Return the first line from here on that matches."""
        while True:
            try:
                line = self._lines.get(timeout=WAIT_S)
            except queue.Empty:
                line = None
            assert line is not None, f"no {pattern!r} in {self._seen}"
            self._seen.append(line)
            if re.search(pattern, line):
                return line

    def end(self):
        self._process.kill()
        self._process.wait(WAIT_S)
        self._thread.join(WAIT_S)


def needs(program, package):
    if shutil.which(program) is None:
        pytest.skip(f"install {program}: {package}")


def built(folder, into, *command):
    """Copy an example to a folder of its own, and build it there."""
    shutil.copytree(folder, into, dirs_exist_ok=True)
    done = subprocess.run(
        command, cwd=into, capture_output=True, text=True, timeout=BUILD_S, check=False
    )
    assert 0 == done.returncode, done.stdout[-3000:] + done.stderr[-3000:]


def python_client(_into):
    return [sys.executable, CLIENTS / "python" / "follow.py"]


def node_client(into):
    needs("node", "apt install nodejs npm")
    if not NODE_MODULES.exists():
        pytest.skip("install the stock client: npm ci --prefix tests/daemon/node")
    shutil.copy(CLIENTS / "node" / "follow.mjs", into)
    (into / "node_modules").symlink_to(NODE_MODULES)
    return ["node", into / "follow.mjs"]


def go_client(into):
    needs("go", "https://go.dev/dl, 1.26 or newer")
    # It writes the sums itself: what it fetches is checked by the public log of sums.
    built(CLIENTS / "go", into, "go", "build", "-mod=mod", "-o", "follow", ".")
    return [into / "follow"]


def java_client(into):
    needs("mvn", "apt install maven default-jdk-headless")
    needs("java", "apt install default-jdk-headless")
    built(CLIENTS / "java", into, "mvn", "-q", "-B", "package")
    return ["java", "-cp", f"{into}/target/classes:{into}/target/lib/*", "Follow"]


def rust_client(into):
    needs("cargo", "https://rustup.rs, 1.85 or newer")
    # The libraries take the most of a minute, so they are kept where the next run finds them.
    target = Path(tempfile.gettempdir()) / "syncline-example-client-rust"
    built(CLIENTS / "rust", into, "cargo", "build", "-q", "--target-dir", str(target))
    return [shutil.copy(target / "debug" / "follow", into)]


MAKERS = {
    "python": python_client,
    "node": node_client,
    "go": go_client,
    "java": java_client,
    "rust": rust_client,
}


@pytest.fixture(scope="module")
def command_of(tmp_path_factory):
    """Return the command that runs an example, built once."""
    commands = {}

    def command(language):
        if language not in commands:
            commands[language] = MAKERS[language](tmp_path_factory.mktemp(language))
        return commands[language]

    return command


@pytest.fixture
def run():
    """Start an example; it is ended after the test."""
    clients = []

    def start(command, *args):
        clients.append(Client([*command, *args]))
        return clients[-1]

    yield start
    for client in clients:
        client.end()


@pytest.mark.timeout(BUILD_S + 5 * WAIT_S)
@pytest.mark.parametrize("language", MAKERS)
def test_an_example_follows_writes_and_survives_restarts(
    serve, syncline, run, command_of, tmp_path, free_port, language
):
    """A follower comes back by hand after a `bye`, a bare listener by its library's own ways."""
    command = command_of(language)
    store = f"sqlite:///{tmp_path}/daemon.db"
    daemon = serve(store, "--model", "todo", port=free_port)
    syncline("put", daemon.url, "todo", "early", "title=bread")
    follower = run(command, daemon.url, "todo")
    follower.wait_for("^record early .*bread")
    follower.wait_for("^wrote applied")
    assert f"from {language}" in syncline("get", daemon.url, "todo", language).stdout
    bare = run(command, daemon.url, "todo", "bare")
    bare.wait_for("^connected")
    syncline("put", daemon.url, "todo", "live", "title=milk")
    follower.wait_for("^record live .*milk")
    bare.wait_for("^changed todo")

    assert 0 == daemon.end()
    serve(store, "--model", "todo", port=free_port)
    bare.wait_for("^connected")
    syncline("put", daemon.url, "todo", "late", "title=salt")
    bare.wait_for("^changed todo")
    follower.wait_for("^record late .*salt")
