"""Every snippet of the README runs, as it stands there."""

import asyncio
import re
import textwrap
from pathlib import Path

import pytest

import syncline


ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text()


def snippets(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def find(text):
    return next(code for code in snippets("python") if text in code)


async def run(code, **names):
    """Run a snippet that awaits, and return the names that it left."""
    body = textwrap.indent(code, "    ")
    scope = {}
    exec(f"async def snippet({', '.join(names)}):\n{body}\n    return locals()", scope)
    return await scope["snippet"](**names)


async def held_by(daemon):
    """Return what the daemon itself holds: an echo from the replica's own store proves nothing."""
    async with await syncline.connect_remote(daemon.url) as remote:
        return await remote.model("todo").find()


@pytest.fixture
async def replica(daemon, tmp_path):
    async with syncline.connect(
        daemon.url, store=str(tmp_path / "todos.db"), models=["todo", "account"]
    ) as replica:
        yield replica


@pytest.fixture
async def todo(replica):
    model = replica.model("todo")
    await model.put("1", {"title": "milk"})
    return model


def test_the_first_program_delivers(daemon, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = find('store="my.db"').replace("http://127.0.0.1:8765", daemon.url)

    exec(code, {"__name__": "__main__"})

    assert [{"id": "2", "title": "bread"}] == asyncio.run(held_by(daemon))


async def test_the_transaction(replica):
    await run(find("replica.transaction()"), replica=replica)

    assert {"id": "b", "balance": 110} == await replica.model("account").get("b")


async def test_the_filter_and_the_live_query(todo, capsys):
    await run(find("todo.find("), todo=todo)
    left = await run(find("todo.subscribe("), todo=todo)
    left["end"]()

    assert "1 open\n" == capsys.readouterr().out


async def test_the_conflict_loop(daemon, replica, todo, capsys):
    await replica.link.wait_live(10)
    await replica.link.pause()
    await todo.put("1", {"title": "ours"})
    remote = await syncline.connect_remote(daemon.url)
    await remote.model("todo").put("1", {"title": "theirs"})
    await remote.close()
    replica.link.resume()
    await replica.barrier(10)

    await run(find("replica.conflicts()"), replica=replica)

    assert "'title': 'ours'} {'id': '1', 'title': 'theirs'}" in capsys.readouterr().out
    assert [] == await replica.conflicts()


async def test_the_hook():
    left = await run(find("from syncline import Hooks, Refuse"))

    with pytest.raises(syncline.Refuse):
        left["validate"](None, None, {"title": ""})
    assert left["hooks"].validate["todo"] is left["validate"]


async def test_replicating_once(daemon, replica, capsys):
    code = find("connect_remote").replace("http://127.0.0.1:8765", daemon.url)

    await run(code, replica=replica, syncline=syncline)

    assert "() Checkpoints(" in capsys.readouterr().out


def test_the_blocking_lines(daemon):
    code = find("from syncline import blocking").replace("http://127.0.0.1:8765", daemon.url)

    exec(code, {})

    assert [{"id": "2", "title": "bread"}] == asyncio.run(held_by(daemon))


def test_the_strategies_named_there_exist():
    named = re.search(r"strategies=(\{.*?\})", README)[1]

    assert {"todo": "merge", "move": "theirs"} == eval(named)
