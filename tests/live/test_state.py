"""The daemon's own state, followed as any other list."""

import asyncio
import hashlib
from importlib.metadata import version

import aiohttp
import pytest
import socketio

import syncline
from syncline.errors import Forbidden


WAIT_S = 20


async def until(replica, model, condition):
    """Wait until some record of a model of the state is so; return it."""
    async with asyncio.timeout(WAIT_S), replica.model(model).watch() as watch:
        while True:
            for record in await replica.model(model).find():
                if condition(record):
                    return record
            await anext(watch)


async def test_state_tells_of_models_replicas_and_samples(daemon):
    async with (
        syncline.connect(daemon.url, models=["todo"]) as phone,
        syncline.connect(
            f"{daemon.url}/state", models=["daemon", "models", "replicas", "samples"]
        ) as eye,
    ):
        await phone.model("todo").put("1", {"title": "milk"})
        todo = await until(eye, "models", lambda record: record["id"] == "todo")
        seen = await until(eye, "replicas", lambda record: record["id"] == phone.replica_id)
        sample = await until(eye, "samples", lambda record: record["connections"] >= 1)
        (about,) = await eye.model("daemon").find()

    assert 1 == todo["records"]
    assert (["todo"], "anyone") == (seen["models"], seen["principal"])
    assert sample["rss_mib"] > 1
    assert about["version"] == version("syncline")


async def test_a_replica_that_leaves_is_shown_as_away_and_back(daemon, tmp_path):
    path = str(tmp_path / "phone.db")
    async with syncline.connect(f"{daemon.url}/state", models=["replicas"]) as eye:
        async with syncline.connect(daemon.url, store=path, models=["todo"]) as phone:
            await until(eye, "replicas", lambda record: record["id"] == phone.replica_id)
        away = await until(eye, "replicas", lambda record: record["away_ms"])
        assert (phone.replica_id, ["todo"]) == (away["id"], away["models"])
        assert away["since_ms"] <= away["away_ms"]

        async with syncline.connect(daemon.url, store=path, models=["todo"]):
            await until(eye, "replicas", lambda record: not record["away_ms"])


async def test_a_replica_that_left_is_gone_from_the_state_in_time(new_daemon):
    daemon = new_daemon('schemaless = ["todo"]\n[timings]\nabsent_kept_s = 0\n')
    async with syncline.connect(f"{daemon.url}/state", models=["replicas"]) as eye:
        async with syncline.connect(daemon.url, models=["todo"]) as phone:
            await until(eye, "replicas", lambda record: record["id"] == phone.replica_id)
        async with asyncio.timeout(WAIT_S), eye.model("replicas").watch() as watch:
            while await eye.model("replicas").count():
                await anext(watch)


async def test_state_moves_no_cursor_of_the_application(daemon):
    async with (
        syncline.connect(daemon.url, models=["todo"]) as phone,
        syncline.connect(f"{daemon.url}/state", models=["samples"]) as eye,
    ):
        await until(eye, "samples", lambda _record: True)
        await until(eye, "samples", lambda record: record["connections"] >= 1)
        await phone.barrier(WAIT_S)
        assert 0 == phone.link.welcome.head


async def test_state_of_a_daemon_that_starts_anew_takes_the_place_of_the_old_one(daemon, tmp_path):
    store = str(tmp_path / "eye.db")
    async with syncline.connect(f"{daemon.url}/state", store=store, models=["errors"]) as eye:
        eye.core.engine.brake.count_max = 10
        socket = socketio.AsyncSimpleClient()
        await socket.connect(daemon.url, auth={"protocol": 1}, transports=["websocket"])
        for _ in range(30):
            await socket.call("nonsense", {})
        await socket.disconnect()
        async with asyncio.timeout(WAIT_S), eye.model("errors").watch() as watch:
            while await eye.model("errors").count() < 30:
                await anext(watch)
        daemon.kill()
        daemon.start()

        await eye.link.wait_live(WAIT_S)
        await eye.barrier(WAIT_S)

        assert 0 == await eye.model("errors").count()
        assert 0 == eye.status.pending
    assert [] == list(tmp_path.glob("*quarantined*"))


async def test_state_can_not_be_written(daemon):
    async with syncline.connect(f"{daemon.url}/state", models=["errors"]) as eye:
        refused = asyncio.Event()
        eye.core.hooks = syncline.Hooks(on_refused=lambda _update, _reason: refused.set())
        await eye.model("errors").put("mine", {"n": 1})
        await asyncio.wait_for(refused.wait(), WAIT_S)
        assert await eye.model("errors").get("mine") is None


async def test_a_collision_and_an_error_are_told(daemon, tmp_path):
    tablet_store = str(tmp_path / "tablet.db")
    async with (
        syncline.connect(daemon.url, models=["todo"]) as phone,
        syncline.connect(daemon.url, store=tablet_store, models=["todo"]) as tablet,
        syncline.connect(f"{daemon.url}/state", models=["conflicts", "errors"]) as eye,
    ):
        await phone.link.wait_live(WAIT_S)
        await tablet.link.pause()
        await phone.model("todo").put("1", {"title": "milk"})
        await phone.link.wait_live(WAIT_S)
        await tablet.model("todo").put("1", {"title": "bread"})
        push = await syncline.connect_remote(daemon.url)
        await push.model("todo").bulk_update([await tablet.model("todo").get_change("1")])
        await push.close()
        clash = await until(eye, "conflicts", lambda record: record["record_id"] == "1")
        stock = socketio.AsyncClient()
        await stock.connect(daemon.url, auth={"protocol": 1})
        await stock.call("nonsense", {})
        await stock.disconnect()
        error = await until(eye, "errors", lambda record: record["error"] == "event_unknown")

    assert ("received", "milk", "bread") == (
        clash["side"],
        clash["ours"]["title"],
        clash["theirs"]["title"],
    )
    assert "nonsense" in error["reason"]


TOKENS = """
schemaless = ["todo", "secret"]
[[tokens]]
name = "reader"
sha256 = "{reader}"
rights = {{ "*" = "read" }}
[[tokens]]
name = "half"
sha256 = "{half}"
rights = {{ "*" = "read", secret = "none" }}
"""


async def test_only_who_may_read_every_model_sees_the_state(new_daemon):
    hashes = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("reader", "half")}
    daemon = new_daemon(TOKENS.format(**hashes))
    async with syncline.connect(f"{daemon.url}/state", models=["models"], token="reader") as eye:
        await until(eye, "models", lambda record: record["id"] == "todo")

    with pytest.raises(Forbidden, match="may not see"):
        await syncline.connect_remote(f"{daemon.url}/state", token="half")


async def test_figures_are_there_for_who_may_see_them(new_daemon):
    hashes = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("reader", "half")}
    daemon = new_daemon(TOKENS.format(**hashes))
    async with aiohttp.ClientSession() as http:

        async def ask(token):
            headers = {"Authorization": f"Bearer {token}"}
            async with http.get(f"{daemon.url}/metrics", headers=headers) as answer:
                return answer.status, await answer.text()

        found = {token: await ask(token) for token in ("reader", "half", "nobody")}

    assert [200, 403, 401] == [status for status, _ in found.values()]
    assert "syncline_connections 0.0" in found["reader"][1]
    assert "syncline_loop_lag_seconds" in found["reader"][1]


async def test_pushes_and_errors_are_counted(daemon):
    async with syncline.connect(daemon.url, models=["todo"]) as phone:
        await phone.model("todo").put("1", {"title": "milk"})
        await phone.link.wait_live(WAIT_S)
        async with aiohttp.ClientSession() as http, http.get(f"{daemon.url}/metrics") as answer:
            text = await answer.text()

    assert 'syncline_pushed_updates_total{answer="applied"} 1.0' in text
    assert "syncline_followers 1.0" in text
