"""The real LoopBack 3 in a process of its own, and a daemon beside it."""

import base64
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest


NODE = Path(__file__).parent / "node"
WAIT_S = 60


class LoopBackError(Exception):
    """What LoopBack failed with."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.status, self.code = error["status"], error["code"]


class Agent:
    """LoopBack in Node: each attribute is a verb of `node/agent.js`."""

    def __init__(self):
        self._process = subprocess.Popen(
            ["node", "agent.js"],
            cwd=NODE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "NODE_NO_WARNINGS": "1", "SUPPRESS_STDERR": "1"},
        )
        self._lines, self._errors = queue.SimpleQueue(), []
        self._threads = [
            threading.Thread(target=self._read_out, daemon=True),
            threading.Thread(target=self._read_err, daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        assert self._next() == {"ready": True}

    def _read_out(self):
        for line in self._process.stdout:
            if line.startswith("{"):
                self._lines.put(line)
        self._lines.put(None)

    def _read_err(self):
        self._errors.extend(self._process.stderr)

    def _next(self):
        line = self._lines.get(timeout=WAIT_S)
        assert line is not None, "".join(self._errors[-30:])
        return json.loads(line)

    def __getattr__(self, verb):
        if verb.startswith("_"):
            raise AttributeError(verb)

        def ask(name=None, **fields):
            if name is not None:
                fields["name"] = name
            self._process.stdin.write(json.dumps({"id": 1, "verb": verb, **fields}) + "\n")
            self._process.stdin.flush()
            answer = self._next()
            if "error" in answer:
                raise LoopBackError(answer["error"])
            return answer["value"]

        return ask

    def push(self, local, remote, **options):
        """Replicate from a local model to a remote one."""
        return self.replicate(**{"from": local, "to": remote}, **options)

    pull = push

    def close(self):
        self._process.stdin.close()
        self._process.kill()
        self._process.wait(WAIT_S)
        for thread in self._threads:
            thread.join(WAIT_S)
        self._process.stdout.close()
        self._process.stderr.close()


@pytest.fixture
def lb():
    if not (NODE / "node_modules").exists():
        pytest.skip("install LoopBack: npm ci --prefix tests/loopback/node")
    agent = Agent()
    yield agent
    agent.close()


class Answer:
    """An HTTP answer: `status`, `headers`, and `json` where there is a body."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Server:
    """A daemon in a process of its own, asked over plain HTTP."""

    def __init__(self, *args, env=None, store="memory:"):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "synclined", "serve", "--port", "0", "--store", store, *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
        )
        self.errors = []
        found = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._read, args=(found,), daemon=True),
            threading.Thread(target=lambda: self.errors.extend(self._process.stderr), daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self.url = found.get(timeout=WAIT_S)
        assert self.url, "".join(self.errors)
        self.api = f"{self.url}/api"

    def _read(self, found):
        for line in self._process.stdout:
            if match := re.search(r"http://\S+", line):
                found.put(match[0].rstrip("/"))
        found.put(None)

    def request(self, method, path, data=None, headers=None, query=None, raw=None):
        url = f"{self.api}{path}"
        if query:
            texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in query.items()}
            url += "?" + urllib.parse.urlencode(texts)
        body = raw if raw is not None else None if data is None else json.dumps(data).encode()
        asked = urllib.request.Request(url, data=body, method=method)
        if body is not None:
            asked.add_header("Content-Type", "application/json")
        for name, value in (headers or {}).items():
            asked.add_header(name, value)
        try:
            with urllib.request.urlopen(asked, timeout=WAIT_S) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, data=None, **options):
        return self.request("POST", path, data, **options)

    def put(self, path, data=None, **options):
        return self.request("PUT", path, data, **options)

    def patch(self, path, data=None, **options):
        return self.request("PATCH", path, data, **options)

    def delete(self, path, **options):
        return self.request("DELETE", path, **options)

    def end(self):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(WAIT_S)
        for thread in self._threads:
            thread.join(WAIT_S)
        self._process.stdout.close()
        self._process.stderr.close()
        return code


@pytest.fixture
def serve():
    """Start a daemon with these arguments; it must end well after the test."""
    servers = []

    def start(*args, **options):
        servers.append(Server(*args, **options))
        return servers[-1]

    yield start
    for server in servers:
        assert 0 == server.end(), "".join(server.errors)
        assert not [line for line in server.errors if "Traceback" in line], "".join(server.errors)


CARS = """
[models.Car]
strict = true
nulls = true
[models.Car.properties]
maker = "string"
model = "string"
year = "number"
price = "number"
sold = "boolean"
built = "date"
tags = "array"
details = "object"
"""


@pytest.fixture
def typed(serve, tmp_path):
    """A daemon whose `Car` is declared, every property present as null."""
    config = tmp_path / "synclined.toml"
    config.write_text(CARS)
    return serve("--config", str(config))


@pytest.fixture
def daemon(serve):
    """A daemon whose models are schemaless and made on first use."""
    return serve()


def bearer(token):
    """Return the header that LoopBack's own client sends."""
    return {"Authorization": "Bearer " + base64.b64encode(token.encode()).decode()}


class Pair:
    """
    A LoopBack client and the daemon.

    Attributes:
        lb: the client's process, its local model `local`, the daemon's `remote` beside it.
        server: the daemon. nulls: which profile: declared properties present as null, or absent.
    """

    def __init__(self, lb, server, *, nulls):
        self.lb, self.server, self.nulls = lb, server, nulls
        self.add("local", "remote")

    def add(self, local, remote, **options):
        """Add another client to the same process."""
        spec = {"nulls": True} if self.nulls else {}
        self.lb.local(local, model=f"{local.capitalize()}Car", **spec, **options)
        self.lb.remote(remote, model="Car", url=self.server.api, beside=local, **spec, **options)

    def push(self, local="local", remote="remote", **options):
        return self.lb.push(local, remote, **options)

    def pull(self, local="local", remote="remote", **options):
        return self.lb.push(remote, local, **options)

    def both(self, local="local", remote="remote", **options):
        """Push, then pull, as LoopBack's guide has it; return the conflicts of both."""
        found = self.push(local, remote, **options)["conflicts"]
        return found + self.pull(local, remote, **options)["conflicts"]

    def held(self, local="local"):
        """Return a client's records by id."""
        return {record["id"]: record for record in self.lb.find(local)}

    @property
    def served(self):
        """The daemon's records by id."""
        return {record["id"]: record for record in self.server.get("/Car").json}

    def third(self, method, path, data=None):
        """Return a write that a third party makes before the next bulk update."""
        return {"method": method, "url": f"{self.server.api}{path}", "data": data}


@pytest.fixture(params=["unset", "nulls"])
def pair(request, lb, serve, tmp_path):
    """A client and the daemon, in both of LoopBack's profiles."""
    if request.param == "nulls":
        config = tmp_path / "synclined.toml"
        config.write_text(CARS)
        return Pair(lb, serve("--config", str(config)), nulls=True)
    config = tmp_path / "synclined.toml"
    config.write_text('schemaless = ["Car"]\n')
    return Pair(lb, serve("--config", str(config)), nulls=False)
