"""A real daemon in a process of its own, for the stories."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


WAIT_S = 20


class LiveDaemon:
    """`syncline serve` on a free port, to be killed and started again on the same one."""

    def __init__(self, folder, store=None, extra=()):
        self._folder = folder
        self._extra = list(extra)
        self.store = store or str(folder / "daemon.db")
        self._process = None
        self.port = 0
        self.start()

    def start(self):
        command = [sys.executable, "-m", "synclined", "serve", "--store", self.store]
        command += ["--port", str(self.port), "--log-level", "warning", *self._extra]
        self._log = (self._folder / "daemon.log").open("ab")
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._log, text=True, cwd=self._folder
        )
        for line in self._process.stdout:
            if "serving at" in line:
                self.url = next(word for word in line.split() if word.startswith("http"))
                break
        else:
            self.stop()
            raise AssertionError((self._folder / "daemon.log").read_text())
        self.port = int(self.url.rpartition(":")[2])

    def restart_with(self, toml):
        """Stop, and start again on the same store with other settings."""
        self.stop()
        (self._folder / "synclined.toml").write_text(toml)
        self.start()

    def log(self):
        return (self._folder / "daemon.log").read_text()

    def signal(self, number):
        if self._process.poll() is None:
            os.kill(self._process.pid, number)

    def end(self, number):
        self.signal(number)
        self.wait()

    def wait(self):
        self._process.wait(WAIT_S)
        self._process.stdout.close()
        self._log.close()

    def lose_store(self):
        for path in Path(self.store).parent.glob(Path(self.store).name + "*"):
            path.unlink()

    def kill(self):
        self.end(signal.SIGKILL)

    def stop(self):
        self.end(signal.SIGTERM)


@pytest.fixture
def daemon(tmp_path):
    folder = tmp_path / "daemon"
    folder.mkdir()
    live = LiveDaemon(folder)
    yield live
    live.stop()


@pytest.fixture
def new_daemon(tmp_path):
    """Start daemons with settings of the test's own."""
    made = []

    def start(toml="", *, store=None):
        folder = tmp_path / f"daemon{len(made)}"
        folder.mkdir()
        extra = []
        if toml:
            (folder / "synclined.toml").write_text(toml)
            extra = ["--config", str(folder / "synclined.toml")]
        made.append(LiveDaemon(folder, store, extra))
        return made[-1]

    yield start
    for live in made:
        live.stop()
