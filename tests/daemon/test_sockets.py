"""What bad input gets at the socket door: a name, and nothing else is disturbed."""

import asyncio

import msgspec
import pytest
import socketio
import structlog
from aiohttp import web

import syncline
from syncline.connection import Connection
from syncline.errors import ConfigError, SynclineError, VersionNotSupported
from synclined.access import Principal, Right
from synclined.app import DAEMON, build_app
from synclined.peers import Limits


WAIT_S = 20
REV = "1-00000000000000aa"
LIMITS = Limits(record_bytes_max=1000, message_bytes_max=20_000, push_items_max=3)


def access(token):
    if token == "reader":
        return Principal(name="reader", rights={"todo": Right.READ})
    return Principal(name="writer", rights={"*": Right.WRITE})


@pytest.fixture
async def site():
    app = build_app(access=access, store="memory:", models=["todo", "other"], limits=LIMITS)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    app.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield app
    await runner.cleanup()


@pytest.fixture
async def wire(site):
    connection = Connection(site.url)
    await connection.open()
    yield connection
    await connection.close()


def pushed(**fields):
    return {"model": "todo", "id": "1", "rev": REV, "data": {"id": "1"}, **fields}


@pytest.mark.parametrize(
    ("event", "args", "code"),
    [
        pytest.param("nonsense", ({},), "event_unknown", id="unknown event"),
        pytest.param("hello", ({"models": []},), "message_invalid", id="hello without a replica"),
        pytest.param("hello", ("x",), "message_invalid", id="hello of no object"),
        pytest.param("hello", ({"replica": "r", "models": ["x"]},), "model_unknown", id="model"),
        pytest.param("changes", ({"since": "0"},), "message_invalid", id="since of no number"),
        pytest.param("changes", ({},), "message_invalid", id="changes of nothing"),
        pytest.param("bulk_update", ({},), "message_invalid", id="push of nothing"),
        pytest.param("bulk_update", ({"updates": 5},), "message_invalid", id="push of a number"),
        pytest.param("bulk_update", ({}, b"{"), "message_invalid", id="broken attachment"),
        pytest.param("bulk_update", ({}, b"[]", b"x"), "message_invalid", id="too many arguments"),
        pytest.param(
            "bulk_update", ({"updates": [pushed(rev="1-x")]},), "message_invalid", id="revision"
        ),
        pytest.param(
            "bulk_update", ({"updates": [pushed(ancestors=["x"])]},), "message_invalid", id="kin"
        ),
        pytest.param(
            "bulk_update", ({"updates": [pushed()] * 4},), "message_too_large", id="too many items"
        ),
        pytest.param(
            "bulk_update", ({"epoch": "former", "updates": []},), "cursor_stale", id="epoch"
        ),
        pytest.param("bulk_update", ({}, b"x" * 30_000), "message_too_large", id="oversized"),
        pytest.param("find", ({"model": "todo", "where": {"a": {"x": 1}}},), "filter_invalid"),
        pytest.param("get", ({"model": "todo"},), "message_invalid", id="get without an id"),
        pytest.param("diff", ({"changes": [{}]},), "message_invalid", id="diff of no changes"),
    ],
)
async def test_what_is_wrong_with_a_message_is_named_and_the_link_stays(wire, event, args, code):
    with pytest.raises(SynclineError) as raised:
        await wire.request(event, *args)

    assert code == raised.value.code
    assert (await wire.request("barrier", {}))[0]["head"] == 0


@pytest.mark.parametrize(
    ("data", "word"),
    [
        pytest.param(b'{"id":"1","n":1e999}', "number_not_allowed", id="beyond a double"),
        pytest.param(b'{"id":"1","n":9007199254740993}', "number_not_allowed", id="no double"),
        pytest.param(b'{"id":"2"}', "key_invalid", id="another id"),
        pytest.param(b"[1]", "record_invalid", id="no object"),
        pytest.param(b'{"id":"1","s":"' + b"x" * 2000 + b'"}', "record_too_large", id="too large"),
    ],
)
async def test_a_bad_record_is_refused_by_name_and_the_good_one_beside_it_is_taken(
    wire, data, word
):
    bad = b'{"model":"todo","id":"1","rev":"' + REV.encode() + b'","data":' + data + b"}"
    good = msgspec.json.encode({**pushed(id="9"), "data": {"id": "9"}})

    _, page = await wire.request("bulk_update", {}, b"[" + bad + b"," + good + b"]")

    first, second = msgspec.json.decode(page)
    assert ("refused", "applied") == (first["answer"], second["answer"])
    assert word in first["reason"]


async def test_invalid_utf_8_and_not_a_number_are_no_message(wire):
    for data in (b'{"s":"\xff"}', b'{"n":NaN}', b'{"s":"\\ud800"}'):
        page = b'[{"model":"todo","id":"1","rev":"' + REV.encode() + b'","data":' + data + b"}]"
        try:
            _, results = await wire.request("bulk_update", {}, page)
        except SynclineError as error:
            answer = error.code
        else:
            answer = msgspec.json.decode(results)[0]["reason"].partition(":")[0]

        assert answer in ("message_invalid", "record_invalid")


@pytest.mark.parametrize("auth", [{"protocol": 2}, {"protocol": "1"}, {"protocol": True}])
async def test_another_protocol_is_refused_at_the_door(site, auth):
    connection = Connection(site.url)
    connection._auth = auth

    with pytest.raises(VersionNotSupported):
        await connection.open()


async def test_a_reader_may_read_and_not_write(site):
    remote = await syncline.connect_remote(site.url, token="reader")
    result = await remote.model("todo").bulk_update([syncline.Update(**_fields())])

    assert "refused" == result.results[0].answer
    with pytest.raises(SynclineError, match="may not read"):
        await remote.model("other").find()
    await remote.close()


def _fields():
    body = msgspec.Raw(b'{"id":"1"}')
    return {"model": "todo", "record_id": "1", "rev": REV, "body": body}


async def test_the_first_mistake_is_logged_once_and_others_hear_on(site, wire):
    async with syncline.connect(site.url, models=["todo"]) as other:
        with structlog.testing.capture_logs() as logs:
            for _ in range(5):
                with pytest.raises(SynclineError):
                    await wire.request("nonsense", {})
        await site[DAEMON].replica.model("todo").put("1", {"n": 1})
        await other.barrier(WAIT_S)

        assert 1 == len([line for line in logs if line["event"] == "event.refused"])
        assert {"id": "1", "n": 1} == await other.model("todo").get("1")


async def test_a_newer_hello_of_the_same_replica_ends_the_older_connection(site):
    closed = asyncio.Event()
    older = Connection(site.url, on_close=lambda _reason: closed.set())
    newer = Connection(site.url)
    for connection in (older, newer):
        await connection.open()
        await connection.request("hello", {"replica": "same", "models": ["todo"]})

    await asyncio.wait_for(closed.wait(), WAIT_S)

    assert (False, True) == (older.is_open, newer.is_open)
    await older.close()
    await newer.close()


async def test_a_bare_listener_hears_only_what_it_may_read(site):
    heard = asyncio.Queue()
    listener = socketio.AsyncClient()
    listener.on("changed", heard.put_nowait)
    await listener.connect(site.url, auth={"token": "reader"})
    for model in ("other", "todo"):
        await site[DAEMON].replica.model(model).put("1", {"n": 1})

    first = await asyncio.wait_for(heard.get(), WAIT_S)
    await listener.disconnect()

    assert ("todo", True) == (first, heard.empty())


async def test_intervals_follow_on_one_another(site):
    events = asyncio.Queue()
    connection = Connection(site.url, on_event=lambda _event, payload: events.put_nowait(payload))
    await connection.open()
    await connection.request("hello", {"replica": "r", "models": ["todo"]})
    replica = site[DAEMON].replica
    for number in range(5):
        await replica.model("other").put(str(number), {"n": number})
        await replica.model("todo").put(str(number), {"n": number})
    position = 0
    for _ in range(5):
        event = await asyncio.wait_for(events.get(), WAIT_S)
        assert position == event["since"]
        position = event["checkpoint"]
    await connection.close()

    assert await replica.head() == position


def test_an_application_must_say_who_may_do_what():
    with pytest.raises(ConfigError, match="access"):
        build_app(access="everybody")
