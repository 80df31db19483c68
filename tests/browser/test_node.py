"""The package in Node: its pure floors, its stores, and a Node service as a replica."""

import asyncio
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
from pathlib import Path

import pytest

import syncline
from syncline.errors import RecordNotFound


NODE = Path(__file__).parent / "node"
PACKAGE = Path(__file__).resolve().parents[2] / "client" / "browser"
WAIT_S = 60


@pytest.mark.parametrize(
    "name", ["vectors", "session", "stores", "following", "reporting", "onlookers"]
)
def test_the_package_passes_its_own_tests_in_node(name, node):
    node("--test", "--test-reporter=spec", NODE / f"{name}.test.mjs")


def test_replicas_in_node_pass_against_a_daemon(node, new_daemon):
    env = {"SYNCLINE_TEST_URL": new_daemon().url}

    said = node("--test", "--test-reporter=spec", NODE / "live.test.mjs", env=env)

    assert "skipped 0" in said


def test_values_and_ids_are_kept_and_found(node, new_daemon):
    env = {"SYNCLINE_TEST_URL": new_daemon().url}

    said = node("--test", "--test-reporter=spec", NODE / "values.test.mjs", env=env)

    assert "skipped 0" in said


def test_closing_in_node_passes_against_a_daemon(node, new_daemon):
    env = {"SYNCLINE_TEST_URL": new_daemon().url}

    said = node("--test", "--test-reporter=spec", NODE / "closing.test.mjs", env=env)

    assert "skipped 0" in said


def test_daemon_that_asks_for_a_token_is_given_it(node, new_daemon, tmp_path, monkeypatch):
    digest = hashlib.sha256(b"sesame").hexdigest()
    settings = tmp_path / "synclined.toml"
    settings.write_text(
        'schemaless = ["todo"]\n[[tokens]]\nname = "phone"\n'
        f'sha256 = "{digest}"\nrights = {{ "*" = "write" }}\n'
    )
    monkeypatch.setenv("SYNCLINE_CONFIG", str(settings))
    env = {"SYNCLINE_TEST_URL": new_daemon().url}

    node("--test", "--test-reporter=spec", NODE / "token.test.mjs", env=env)


def test_a_refused_write_is_logged_with_whose_it_was_and_without_its_data(
    node, new_daemon, tmp_path, monkeypatch
):
    settings = tmp_path / "synclined.toml"
    settings.write_text('[models.car.properties]\nseats = "integer"\n')
    monkeypatch.setenv("SYNCLINE_CONFIG", str(settings))

    said = node(NODE / "refused.mjs", new_daemon().url)

    (line,) = json.loads(said)
    assert ("warning", "car", "1", "anyone") == tuple(
        line[name] for name in ("level", "model", "recordId", "principal")
    )
    assert "record_invalid: car.seats" in line["reason"]
    assert "secret" not in said


def test_types_of_the_package_hold(node):
    node(PACKAGE / "node_modules" / "typescript" / "bin" / "tsc", "--project", PACKAGE)


def test_shipped_types_say_what_the_package_takes_and_gives(node, tmp_path):
    compiler = PACKAGE / "node_modules" / "typescript" / "bin" / "tsc"
    options = ["--declaration", "--emitDeclarationOnly", "--noEmit", "false"]
    package = tmp_path / "node_modules" / "syncline"
    node(compiler, "--project", PACKAGE, *options, "--outDir", package / "types")
    shutil.copy(PACKAGE / "package.json", package)
    shutil.copy(NODE / "api.mts", tmp_path)
    modules = PACKAGE / "node_modules"

    options = ["--noEmit", "--strict", "--target", "es2022", "--lib", "es2023,dom"]
    options += ["--module", "nodenext", "--types", "node", "--typeRoots", modules / "@types"]
    # Its libraries' own types are theirs.
    node(compiler, *options, "--skipLibCheck", tmp_path / "api.mts")


def test_lock_file_names_no_registry():
    lock = json.loads((PACKAGE / "package-lock.json").read_text())

    assert not [name for name, one in lock["packages"].items() if "resolved" in one]


class Worker:
    """A Node service that edits at random as it is told."""

    def __init__(self, url, journal, seed):
        self._env = {"SYNCLINE_TEST_URL": url, "JOURNAL": str(journal), "SEED": str(seed)}

    async def start(self):
        self._process = await asyncio.create_subprocess_exec(
            "node",
            str(NODE / "worker.mjs"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **self._env},
        )

    def tell(self, line):
        self._process.stdin.write(f"{line}\n".encode())

    async def hear(self):
        async with asyncio.timeout(WAIT_S):
            return (await self._process.stdout.readline()).decode().strip()

    async def ask(self, line):
        self.tell(line)
        return await self.hear()

    async def kill(self):
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    async def end(self):
        if self._process.returncode is None:
            self.tell("end")
            await self._process.wait()


async def edit(replica, chance, count):
    todo = replica.model("todo")
    for _ in range(count):
        record_id = str(chance.randrange(20))
        if chance.random() < 0.15:
            with contextlib.suppress(RecordNotFound):
                await todo.delete(record_id)
        else:
            await todo.put(record_id, {"by": "python", "n": chance.random()})
        await asyncio.sleep(0)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_node_and_python_agree_through_kills_of_all(seed, node, new_daemon, tmp_path):
    daemon = new_daemon()
    chance = random.Random(seed)
    workers = [Worker(daemon.url, tmp_path / f"node{i}", seed * 10 + i) for i in range(2)]
    for worker in workers:
        await worker.start()
    opening = syncline.connect(
        daemon.url, store=str(tmp_path / "python.db"), models=["todo"], strategies="latest"
    )
    async with opening as replica:
        for _ in range(4):
            for worker in workers:
                worker.tell("edit 40")
            await edit(replica, chance, 40)
            for worker in workers:
                assert "edited" == await worker.hear()
            victim = chance.choice([*workers, daemon, None])
            if victim is daemon:
                daemon.end(signal.SIGKILL)
                daemon.start()
            elif victim is not None:
                await victim.kill()
                await victim.start()
        for worker in workers:
            assert "live" == await worker.ask("live")
        await replica.link.wait_live(WAIT_S)
        # What one resolved last, the others have yet to hear.
        for _ in range(2):
            for worker in workers:
                await worker.ask("live")
            await replica.link.wait_live(WAIT_S)
        await replica.barrier(WAIT_S)
        expected = await replica.model("todo").find()
        held = [json.loads(await worker.ask("level")) for worker in workers]

    for worker in workers:
        await worker.end()
    assert expected
    for one in held:
        assert expected == one["records"]
        assert 0 == one["conflicts"]
