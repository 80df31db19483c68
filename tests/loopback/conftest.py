"""The real LoopBack 3 in a process of its own, and a daemon beside it."""

import base64
import itertools
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


def doubles(text):
    """Return decoded JSON as JavaScript has it: a number is a double, however it was written."""
    return json.loads(text, parse_int=lambda digits: int(float(digits)))


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
        return doubles(line)

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
        return doubles(self.body)


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


CAR_PROPERTIES = """
strict = true
nulls = true
properties.maker = "string"
properties.model = "string"
properties.year = "number"
properties.price = "number"
properties.sold = "boolean"
properties.built = "date"
properties.tags = "array"
properties.details = "object"
"""
CARS = f"[models.Car]\n{CAR_PROPERTIES}"
MODELS_MAX = 600
"""So many tests share a daemon; each has a model of its own."""


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


class Named:
    """Calls through to an agent, its models' names made a test's own."""

    def __init__(self, agent, tag):
        self._agent, self._tag = agent, tag

    def __getattr__(self, verb):
        def ask(name=None, **fields):
            for key in ("name", "from", "to", "beside"):
                if key in fields:
                    fields[key] += self._tag
            return getattr(self._agent, verb)(name and name + self._tag, **fields)

        return ask


class Own:
    """Calls through to a server, `/Cars` and `/Car` being a test's own model."""

    def __init__(self, server, model):
        self._server, self._model = server, model
        self.url, self.api = server.url, server.api

    def own(self, path):
        return re.sub(r"^/Car(s?)\b", rf"/{self._model}\1", path)

    def __getattr__(self, method):
        call = getattr(self._server, method)

        def ask(*args, **options):
            return call(*(self.own(a) if isinstance(a, str) else a for a in args), **options)

        return ask


class Pair:
    """
    A LoopBack client and the daemon.

    Attributes:
        lb: the client's process, its local model `local`, the daemon's `remote` beside it.
        server: the daemon. nulls: which profile: declared properties present as null, or absent.
    """

    def __init__(self, agent, server, number, *, nulls):
        self.model = f"Car{number}"
        self.agent, self.tag = agent, f"-{number}-{'nulls' if nulls else 'unset'}"
        self.lb, self.server, self.nulls = Named(agent, self.tag), Own(server, self.model), nulls
        self.add("local", "remote")

    def add(self, local, remote, **options):
        """Add another client to the same process."""
        spec = {"nulls": True} if self.nulls else {}
        self.lb.local(local, model=f"{local.capitalize()}{self.model}", **spec, **options)
        self.lb.remote(
            remote, model=self.model, url=self.server.api, beside=local, **spec, **options
        )

    def push(self, local="local", remote="remote", **options):
        return self.lb.replicate(**{"from": local, "to": remote}, **options)

    def pull(self, local="local", remote="remote", **options):
        return self.push(remote, local, **options)

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
        return {"method": method, "url": self.server.api + self.server.own(path), "data": data}


@pytest.fixture(scope="session")
def shared_agent():
    if not (NODE / "node_modules").exists():
        pytest.skip("install LoopBack: npm ci --prefix tests/loopback/node")
    agent = Agent()
    yield agent
    agent.close()


@pytest.fixture(scope="session")
def shared_servers(tmp_path_factory):
    """A daemon for each profile, by whether properties are present as null."""
    folder = tmp_path_factory.mktemp("loopback")
    configs = {
        True: "".join(f"[models.Car{i}]\n{CAR_PROPERTIES}" for i in range(MODELS_MAX)),
        False: "schemaless = [" + ", ".join(f'"Car{i}"' for i in range(MODELS_MAX)) + "]\n",
    }
    servers = {}
    for nulls, text in configs.items():
        config = folder / f"{nulls}.toml"
        config.write_text(text)
        servers[nulls] = Server("--config", str(config))
    yield servers
    for server in servers.values():
        assert 0 == server.end(), "".join(server.errors)
        assert not [line for line in server.errors if "Traceback" in line], "".join(server.errors)


_numbers = itertools.count()


@pytest.fixture(params=["unset", "nulls"])
def pair(request, shared_agent, shared_servers):
    """A client and the daemon, in both of LoopBack's profiles."""
    nulls = request.param == "nulls"
    return Pair(shared_agent, shared_servers[nulls], next(_numbers), nulls=nulls)
