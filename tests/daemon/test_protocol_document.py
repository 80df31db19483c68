"""PROTOCOL.md is normative: its examples are replayed, and its printed client runs in Node."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from syncline.connection import Connection


ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = (ROOT / "client" / "PROTOCOL.md").read_text()
NODE = Path(__file__).resolve().parent / "node"
WAIT_S = 20


def example(name):
    return json.loads(re.search(rf"```json {name}\n(.*?)```", DOCUMENT, re.DOTALL)[1])


def named(answer, welcome):
    """Return an answer with the names of this run replaced by the document's."""
    text = json.dumps(answer)
    for name in ("source", "epoch"):
        text = text.replace(f'"{welcome[name]}"', f'"{name.upper()}"')
    return json.loads(text)


@pytest.fixture
async def wire(serve):
    daemon = serve("memory:", "--model", "todo")
    events = []
    connection = Connection(daemon.url, on_event=lambda *event: events.append(event))
    await connection.open()
    connection.events = events
    yield connection
    await connection.close()


async def ask(wire, event, payload):
    """Return an acknowledgement as plain JSON; an error is an answer too."""
    got = []
    await wire.send(event, payload, answer=got.append)
    while not got:
        await wire._client.sleep(0.001)
    return got[0]


async def test_every_example_is_answered_as_the_document_says(wire):
    (welcome,) = await ask(wire, "hello", example("hello"))
    header, page = await ask(wire, "changes", example("changes"))
    (results,) = await ask(wire, "bulk_update", example("bulk_update"))
    (collided,) = await ask(wire, "bulk_update", example("bulk_update_conflict"))
    (got,) = await ask(wire, "get", example("get"))
    (error,) = await ask(wire, "get", example("unknown_model"))
    (head,) = await ask(wire, "heartbeat", example("heartbeat"))

    assert example("welcome") == named(welcome, welcome)
    assert (example("page"), b"[]") == (named(header, welcome), page)
    assert example("results") == named(results, welcome)
    assert example("results_conflict") == named(collided, welcome)
    assert example("got") == got
    assert example("error") == error
    assert {**example("head"), "head": 1} == named(head, welcome)
    assert [["changed", example("changed")]] == named(wire.events, welcome)


def test_the_printed_client_runs_in_node_with_the_stock_library(serve, tmp_path):
    if shutil.which("node") is None:
        pytest.skip("install node: apt install nodejs npm")
    if not (NODE / "node_modules").exists():
        pytest.skip("install the stock client: npm ci --prefix tests/daemon/node")
    printed = re.search(r"```js\n(.*?)```", DOCUMENT, re.DOTALL)[1]
    for name in ("package.json", "story.mjs"):
        shutil.copy(NODE / name, tmp_path)
    (tmp_path / "printed.mjs").write_text(printed)
    (tmp_path / "node_modules").symlink_to(NODE / "node_modules")
    daemon = serve("memory:", "--model", "todo")

    done = subprocess.run(
        ["node", str(tmp_path / "story.mjs"), daemon.url],
        capture_output=True,
        text=True,
        timeout=WAIT_S * 3,
        check=False,
    )

    assert "" == done.stderr
    assert {
        "models": {"todo": "write"},
        "held": 0,
        "first": "applied",
        "seen": {"title": "milk", "id": "1"},
        "edit": "applied",
        "collided": ["conflict", "butter"],
        "heard": ["todo"],
        "refused": "version_not_supported",
    } == json.loads(done.stdout)
