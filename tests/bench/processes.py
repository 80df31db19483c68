"""Starts servers and clients as processes of their own, ends them by id, and reads their use."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self


HERE = Path(__file__).parent
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
CLIENT_TIMEOUT_S = 300.0


class BenchFailed(Exception):
    """A process broke or took too long; says what it wrote."""


class Server:
    """
    A server process.

    Attributes:
        url: where it answers.
    """

    def __init__(self, command: list[str], folder: Path, env: Mapping[str, str]) -> None:
        self._log = folder / f"server-{time.monotonic_ns()}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                env={**os.environ, **env},
            )
        try:
            self.url = self._read_url()
        except BaseException:
            self.stop()
            raise

    @classmethod
    def syncline(cls, folder: Path, store: Path, *, config: Path | None = None, **env: str) -> Self:
        """Start the daemon on a database file."""
        command = [sys.executable, "-m", "synclined", "serve", "--port", "0"]
        command += ["--store", f"sqlite:///{store}", "--log-level", "warning"]
        if config is not None:
            command += ["--config", str(config)]
        return cls(command, folder, env)

    @classmethod
    def floor(cls, folder: Path, store: Path) -> Self:
        """Start the floors' server on a database file."""
        return cls([sys.executable, str(HERE / "floors_server.py"), str(store)], folder, {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def rss_kib(self) -> float:
        """Return its resident memory now."""
        return self._status("VmRSS")

    def reset_peak(self) -> None:
        """Forget the greatest resident memory so far."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    def peak_rss_kib(self) -> float:
        """Return its greatest resident memory since `reset_peak`."""
        return self._status("VmHWM")

    def cpu_s(self) -> float:
        """Return the processor time that its threads used; nanoseconds fine, unlike `times`."""
        tasks = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def _status(self, name: str) -> float:
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return float(line.split()[1])
        raise BenchFailed(f"the kernel names no {name}")

    def _read_url(self) -> str:
        stdout = self._process.stdout
        assert stdout is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if select.select([stdout], [], [], 0.2)[0]:
                line = stdout.readline().decode()
                if "http://" in line:
                    return line[line.index("http://") :].strip()
        raise BenchFailed(f"the server did not start:\n{self._log.read_text()[-2000:]}")


class Client:
    """A second process that runs one coroutine function of a module of this folder."""

    def __init__(self, module: str, function: str, **options: Any) -> None:
        command = [sys.executable, str(HERE / "worker.py"), module, function]
        self._name = f"{module}.{function}"
        self._process = subprocess.Popen(
            [*command, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def wait_line(self, text: str) -> None:
        """Wait until it prints a line with that text."""
        stdout = self._process.stdout
        assert stdout is not None
        for line in iter(stdout.readline, b""):
            if text in line.decode():
                return
        self.result()
        raise BenchFailed(f"{self._name} never said {text!r}")

    def result(self) -> Any:
        """Wait for what the function returns."""
        try:
            out, errors = self._process.communicate(timeout=CLIENT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            out, errors = self._process.communicate()
        if self._process.returncode != 0:
            raise BenchFailed(f"{self._name} broke:\n{errors.decode()[-3000:]}")
        # The lines before it are a library's talk.
        return json.loads(out.splitlines()[-1])


def run_client(module: str, function: str, **options: Any) -> Any:
    """Run one coroutine function in a second process and return what it returns."""
    return Client(module, function, **options).result()
