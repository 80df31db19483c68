"""A refused write is in the log, at the daemon and at the replica, without its data."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

import syncline
from syncline import Hooks, ModelSchema, Property, PropertyKind, Refuse
from syncline.errors import WriteRefused
from synclined.access import Principal, Right
from synclined.app import build_app
from synclined.refusals import LOGGED_MAX


WAIT_S = 20
SECRET = "a secret of somebody's"
CAR = ModelSchema(name="car", properties=(Property(name="seats", kind=PropertyKind.INTEGER),))


def access(token):
    rights = {"*": Right.WRITE, "read_only": Right.READ}
    return Principal(name=token or "nobody", rights=rights)


def rule(_principal, _before, after):
    if after is not None and "bad" in after:
        raise Refuse("that is not done")


@pytest.fixture
async def url():
    app = build_app(
        access=access,
        store="memory:",
        models=["todo", "read_only", CAR],
        hooks=Hooks(validate={"todo": rule}),
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def refused_in(logs):
    lines = [line for line in logs if line["event"] == "update.refused"]
    assert SECRET not in json.dumps(logs, default=repr)
    return lines


@pytest.mark.parametrize(
    ("model", "data", "word"),
    [
        pytest.param("todo", {"bad": SECRET}, "that is not done", id="a rule"),
        pytest.param("car", {"seats": SECRET}, "record_invalid: car.seats", id="a declaration"),
        pytest.param("car", {"id": {"x": SECRET}}, "key_invalid", id="an id"),
        pytest.param("read_only", {"v": SECRET}, "forbidden", id="a right"),
    ],
)
@pytest.mark.parametrize("door", ["socket", "rest"])
async def test_the_daemon_logs_what_why_and_whose(url, door, model, data, word):
    with capture_logs() as logs:
        if door == "socket":
            async with await syncline.connect_remote(url, token="ann") as remote:
                update = {"model": model, "id": "1", "rev": "1-00000000000000aa"}
                record = {"id": "1", **data}
                await remote.request("bulk_update", {"updates": [{**update, "data": record}]})
        else:
            async with aiohttp.ClientSession(headers={"Authorization": "ann"}) as session:
                path = f"{url}/api/{model}"
                body = {"id": "1", **data}
                async with session.post(path, json=body) as answer:
                    assert answer.status in (400, 401, 422), await answer.text()

    (line,) = refused_in(logs) or [None]
    assert ("warning", model, "ann") == (line["log_level"], line["model"], line["principal"])
    assert word in line["reason"]
    # Where the record may not be looked at, or names no id, there is none to tell.
    has_id = door == "socket" or word not in ("forbidden", "key_invalid")
    assert ("1" if has_id else "") == line["record_id"]


async def test_many_refusals_of_a_push_are_counted(url):
    with capture_logs() as logs:
        async with await syncline.connect_remote(url) as remote:
            updates = [
                {
                    "model": "todo",
                    "id": str(n),
                    "rev": f"1-{n:016x}",
                    "data": {"id": str(n), "bad": SECRET},
                }
                for n in range(LOGGED_MAX + 5)
            ]
            await remote.request("bulk_update", {"updates": updates})

    lines = refused_in(logs)
    assert LOGGED_MAX + 1 == len(lines)
    assert 5 == lines[-1]["count"]


async def test_the_replica_logs_it_too_and_whom_it_was_taken_for(url):
    refused = asyncio.Event()
    hooks = Hooks(on_refused=lambda _update, _reason: refused.set())
    with capture_logs() as logs:
        async with syncline.connect(url, models=["todo"], token="ann", hooks=hooks) as replica:
            await replica.link.wait_live(WAIT_S)
            await replica.model("todo").put("1", {"bad": SECRET})
            await asyncio.wait_for(refused.wait(), WAIT_S)

    lines = refused_in(logs)
    assert [("todo", "1", "that is not done", "ann")] * 2 == [
        (line["model"], line["record_id"], line["reason"], line["principal"]) for line in lines
    ]


async def test_what_is_put_by_a_tool_is_logged_as_any_push(url):
    with capture_logs() as logs:
        async with await syncline.connect_remote(url, token="ann") as remote:
            with pytest.raises(WriteRefused):
                await remote.model("todo").put("1", {"bad": SECRET})

    assert ["ann"] == [line["principal"] for line in refused_in(logs)]
