"""The daemon carried by another program, and how it starts and ends."""

import asyncio
import json
import socket
from importlib.metadata import version

import aiohttp
import engineio
import pytest
import socketio
from aiohttp import web

import syncline
from syncline.connection import Connection
from syncline.errors import ConfigError
from syncline.hooks import Hooks, Refuse
from syncline.models import Answer, Update, encode_body
from syncline.protocol import PROTOCOL_VERSION
from syncline.store.memory import MemoryStore
from synclined import state
from synclined.access import ANYONE, Principal, Right
from synclined.app import DAEMON, Daemon, build_app, load_hooks
from synclined.notify import Notifier
from synclined.peers import Limits
from synclined.running import serve


WAIT_S = 20


class Site:
    """An application on a free port."""

    def __init__(self, app):
        self.app = app
        self._runner = web.AppRunner(app, access_log=None)

    async def open(self):
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    @property
    def replica(self):
        return self.app[DAEMON].replica

    async def close(self):
        await self._runner.cleanup()


@pytest.fixture
async def carry():
    """Serve applications; they are closed after the test."""
    sites = []

    async def open_site(app):
        sites.append(await Site(app).open())
        return sites[-1]

    yield open_site
    for site in sites:
        await site.close()


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def asked(http, url):
    """Return the status and the JSON that a door answers."""
    async with http.get(url) as answer:
        return answer.status, await answer.json()


def of(app):
    return app[DAEMON]


async def test_what_a_route_of_the_program_writes_reaches_a_follower(carry, http):
    async def add(request):
        update = await request.app[DAEMON].replica.model("todo").put("1", await request.json())
        return web.json_response({"seq": update.seq})

    app = build_app(access="anyone", store="memory:", models=["todo"])
    app.router.add_post("/add", add)
    site = await carry(app)
    async with (
        syncline.connect(site.url, models=["todo"]) as replica,
        replica.model("todo").watch() as watch,
    ):
        await replica.link.wait_live(WAIT_S)
        async with http.post(f"{site.url}/add", json={"title": "milk"}) as answer:
            assert {"seq": 1} == await answer.json()
        heard = await asyncio.wait_for(anext(watch), WAIT_S)

    assert {"id": "1", "title": "milk"} == heard.data


async def test_the_program_reads_what_a_client_wrote(carry):
    site = await carry(build_app(access="anyone", store="memory:", models=["todo"]))
    async with syncline.connect(site.url, models=["todo"]) as replica:
        await replica.model("todo").put("1", {"title": "milk"})
        await replica.link.wait_live(WAIT_S)

        assert {"id": "1", "title": "milk"} == await site.replica.model("todo").get("1")


def test_who_may_do_what_must_be_said():
    with pytest.raises(TypeError, match="access"):
        build_app(store="memory:")


@pytest.mark.parametrize("access", [None, "everyone", "", "ANYONE", Right.WRITE])
def test_access_is_a_function_or_the_one_word(access):
    with pytest.raises(ConfigError, match="access") as raised:
        build_app(access=access, store="memory:")

    assert "'anyone'" in raised.value.hint


async def test_an_access_function_is_asked_for_each_connection(carry):
    asked_for = []

    def access(token):
        asked_for.append(token)
        return Principal(name="reader", rights={"todo": Right.READ})

    site = await carry(build_app(access=access, store="memory:", models=["todo"]))
    async with syncline.connect(site.url, models=["todo"], token="secret") as replica:
        await replica.link.wait_live(WAIT_S)

        assert {"todo": "read"} == replica.link.welcome.models
    assert ["secret"] == asked_for


async def test_two_daemons_in_one_process_know_nothing_of_each_other(carry):
    one = await carry(build_app(access="anyone", store="memory:", models=["todo"]))
    other = await carry(build_app(access="anyone", store="memory:", models=["todo"]))
    async with (
        syncline.connect(one.url, models=["todo"]) as a,
        syncline.connect(other.url, models=["todo"]) as b,
    ):
        await a.model("todo").put("1", {"of": "one"})
        await b.model("todo").put("1", {"of": "other"})
        await a.link.wait_live(WAIT_S)
        await b.link.wait_live(WAIT_S)

    assert "one" == (await one.replica.model("todo").get("1"))["of"]
    assert "other" == (await other.replica.model("todo").get("1"))["of"]


async def test_one_daemon_may_follow_another(carry):
    upper = await carry(build_app(access="anyone", store="memory:", models=["todo"]))
    async with syncline.connect(upper.url, models=["todo"]) as middle:
        await middle.link.wait_live(WAIT_S)
        await upper.replica.model("todo").put("1", {"n": 1})
        await middle.barrier(WAIT_S)

        assert {"id": "1", "n": 1} == await middle.model("todo").get("1")


async def test_the_doors_of_health(carry, http):
    site = await carry(build_app(access="anyone", store="memory:"))

    assert (200, {"status": "ok"}) == await asked(http, f"{site.url}/healthz")
    status, said = await asked(http, f"{site.url}/readyz")
    assert (200, "ready") == (status, said["status"])
    assert {"last_ms", "worst_ms", "blocked"} == set(said["loop_lag"])
    said = {"syncline": version("syncline"), "protocol": PROTOCOL_VERSION}
    assert (200, said) == await asked(http, f"{site.url}/version")


async def test_a_store_that_does_not_answer_is_not_ready_but_alive(carry, http, monkeypatch):
    site = await carry(build_app(access="anyone", store="memory:"))

    async def head():
        raise syncline.errors.StoreUnavailable

    monkeypatch.setattr(site.replica, "head", head)

    status, said = await asked(http, f"{site.url}/readyz")
    assert (503, "store does not answer") == (status, said["status"])
    assert (200, {"status": "ok"}) == await asked(http, f"{site.url}/healthz")


async def test_a_store_that_breaks_is_not_ready_either(carry, http, monkeypatch):
    site = await carry(build_app(access="anyone", store="memory:"))

    async def head():
        raise RuntimeError("disk on fire")

    monkeypatch.setattr(site.replica, "head", head)

    assert 503 == (await asked(http, f"{site.url}/readyz"))[0]


async def test_a_draining_daemon_is_not_ready_and_takes_nobody_in(carry, http):
    site = await carry(build_app(access="anyone", store="memory:"))
    await of(site.app).sockets.drain(delay_ms=1, reason="stopping", deadline_s=1.0)
    connection = Connection(site.url)

    with pytest.raises(syncline.SynclineError, match="stopping") as raised:
        await connection.open()

    assert raised.value.retryable


async def test_ending_the_program_says_bye_and_does_not_wait_for_its_clients(carry):
    site = await carry(build_app(access="anyone", store="memory:", models=["todo"]))
    byes, gone = [], asyncio.Event()

    def hear(event, payload):
        if event == "bye":
            byes.append(payload)

    connection = Connection(site.url, on_event=hear, on_close=lambda _reason: gone.set())
    await connection.open()
    await connection.request("hello", {"replica": "r", "models": ["todo"]})
    await asyncio.wait_for(site.close(), 5)
    await asyncio.wait_for(gone.wait(), WAIT_S)
    await connection.close()

    (bye,) = byes
    assert "stopping" == bye["reason"]
    assert 1000 <= bye["delay_ms"] <= 3000


async def test_a_route_may_still_write_while_the_program_ends(carry, http):
    """The store is closed last: after the requests that were begun."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def add(request):
        begun.set()
        await go_on.wait()
        await request.app[DAEMON].replica.model("todo").put("1", {"n": 1})
        return web.json_response({"status": "written"})

    app = build_app(access="anyone", store="memory:", models=["todo"])
    app.router.add_get("/add", add)
    site = await carry(app)
    asking = asyncio.ensure_future(asked(http, f"{site.url}/add"))
    await asyncio.wait_for(begun.wait(), WAIT_S)
    closing = asyncio.ensure_future(site.close())
    while not of(app).is_draining:
        await asyncio.sleep(0)
    go_on.set()

    assert (200, {"status": "written"}) == await asyncio.wait_for(asking, WAIT_S)
    await asyncio.wait_for(closing, WAIT_S)


async def test_hooks_of_the_program_rule_on_what_is_pushed(carry):
    def validate(principal, before, after):
        if principal.name != "ada":
            raise Refuse(f"not you, {principal.name}")

    site = await carry(
        build_app(
            access=lambda token: Principal(name=token, rights={"*": Right.WRITE}),
            store="memory:",
            models=["todo"],
            hooks=Hooks(validate={"todo": validate}),
        )
    )
    answers = []
    for name in ("ada", "bob"):
        remote = await syncline.connect_remote(site.url, token=name)
        update = Update(
            model="todo",
            record_id=name,
            rev="1-00000000000000aa",
            body=encode_body({"id": name}),
        )
        answers += (await remote.model("todo").bulk_update([update])).results
        await remote.close()

    assert [Answer.APPLIED, Answer.REFUSED] == [one.answer for one in answers]
    assert "not you, bob" == answers[1].reason


RULES = """
from syncline import Hooks

def validate(principal, before, after):
    return None

hooks = Hooks(validate={"todo": validate})

def made():
    return Hooks(validate={"car": validate}, on_change=print)

def broken():
    raise RuntimeError("boom")

nothing = None
"""


@pytest.fixture
def rules(tmp_path, monkeypatch):
    (tmp_path / "app_rules.py").write_text(RULES)
    monkeypatch.syspath_prepend(tmp_path)


def test_hooks_are_loaded_from_module_and_name(rules):
    assert ["todo"] == list(load_hooks(["app_rules:hooks"]).validate)
    assert ["car"] == list(load_hooks(["app_rules:made"]).validate)
    assert load_hooks([]) is None


def test_later_hooks_are_laid_over_earlier_ones(rules):
    joined = load_hooks(["app_rules:hooks", "app_rules:made"])

    assert ["todo", "car"] == list(joined.validate)
    assert print is joined.on_change
    assert print is load_hooks(["app_rules:made", "app_rules:hooks"]).on_change


@pytest.mark.parametrize(
    ("reference", "word"),
    [
        pytest.param("no_such_module:hooks", "ModuleNotFoundError", id="no module"),
        pytest.param("app_rules:absent", "AttributeError", id="no such name"),
        pytest.param("app_rules:broken", "boom", id="it raises"),
        pytest.param("app_rules:nothing", "can't be loaded", id="no function"),
        pytest.param("builtins:dict", "no syncline.Hooks", id="returns something else"),
        pytest.param("app_rules", "can't be loaded", id="no name at all"),
        pytest.param("", "can't be loaded", id="empty"),
    ],
)
def test_hooks_that_cannot_be_loaded_are_a_setting_that_is_wrong(rules, reference, word):
    with pytest.raises(ConfigError, match="hooks") as raised:
        load_hooks([reference])

    assert word in str(raised.value)
    assert repr(reference) in str(raised.value)


async def test_a_taken_port_is_said_in_one_line_and_the_store_is_closed(tmp_path):
    def never_ready(url):
        raise AssertionError(url)

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        daemon = Daemon(
            store=str(tmp_path / "a.db"), models=None, authenticate=lambda _token: ANYONE
        )
        with pytest.raises(ConfigError) as raised:
            await serve(
                daemon,
                host="127.0.0.1",
                port=port,
                drain_timeout_s=1.0,
                notifier=Notifier({}),
                on_ready=never_ready,
            )

    assert f"can't listen on 127.0.0.1:{port}: Address already in use" == str(raised.value)
    assert "--port" in raised.value.hint
    with pytest.raises(AssertionError):
        _ = daemon.replica


def test_a_taken_port_ends_the_program_with_a_line_and_no_traceback(start):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        program = start("serve", "--store", "memory:", "--port", str(other.getsockname()[1]))
        code = program.wait()

    lines = []
    while (line := program.err.get(timeout=WAIT_S)) is not None:
        lines.append(line)
    assert code != 0
    assert 1 == len([line for line in lines if "can't listen on" in line])
    assert not [line for line in lines if "Traceback" in line]


async def test_a_daemon_that_cannot_open_its_store_does_not_start(tmp_path):
    (tmp_path / "a.db").write_bytes(b"this is no database" * 100)
    app = build_app(access="anyone", store=str(tmp_path / "a.db"))
    runner = web.AppRunner(app, access_log=None)

    with pytest.raises(syncline.errors.StoreForeign):
        await runner.setup()
    await runner.cleanup()


async def test_what_was_written_before_is_served_after_a_restart(carry, tmp_path):
    store = str(tmp_path / "a.db")
    first = await carry(build_app(access="anyone", store=store, models=["todo"]))
    await first.replica.model("todo").put("1", {"n": 1})
    await first.close()
    second = await carry(build_app(access="anyone", store=store, models=["todo"]))
    remote = await syncline.connect_remote(second.url)
    held = await remote.model("todo").find()
    await remote.close()

    assert [{"id": "1", "n": 1}] == held


async def test_a_page_of_another_origin_is_kept_out(carry, http):
    site = await carry(build_app(access="anyone", store="memory:"))
    query = "/socket.io/?EIO=4&transport=polling"
    origins = {"http://evil.example": 400, site.url: 200}
    found = {}
    for origin in origins:
        async with http.get(site.url + query, headers={"Origin": origin}) as answer:
            found[origin] = answer.status
            text = await answer.text()

    assert origins == found
    assert "sid" in json.loads(text[1:])


async def test_the_codec_of_other_sockets_in_the_process_is_left_alone(carry):
    before = socketio.packet.Packet.json, engineio.packet.Packet.json
    site = await carry(build_app(access="anyone", store="memory:", models=["todo"]))
    async with syncline.connect(site.url, models=["todo"]) as replica:
        await replica.link.wait_live(WAIT_S)

    assert before == (socketio.packet.Packet.json, engineio.packet.Packet.json)


async def test_a_follower_of_the_state_goes_on_across_its_purges(carry, monkeypatch):
    monkeypatch.setattr(state, "TOMBSTONES_MAX", 1)
    monkeypatch.setattr(state, "INTERVAL_S", 0.01)
    limits = Limits(absent_kept_s=0)  # Else those that went would stay, and nothing be purged.
    app = build_app(access="anyone", store=MemoryStore(), models=["todo"], limits=limits)
    site = await carry(app)

    async def shows(eye, replica_id, *, is_there):
        async with asyncio.timeout(WAIT_S), eye.model("replicas").watch() as watch:
            while is_there is not (await eye.model("replicas").get(replica_id) is not None):
                await anext(watch)

    async with syncline.connect(f"{site.url}/state", models=["replicas", "daemon"]) as eye:
        await eye.link.wait_live(WAIT_S)
        first = eye.link.welcome.epoch
        for _ in range(5):
            async with syncline.connect(site.url, models=["todo"]) as phone:
                await shows(eye, phone.replica_id, is_there=True)
            await shows(eye, phone.replica_id, is_there=False)
        await eye.barrier(WAIT_S)
        assert first != eye.link.welcome.epoch
        assert [] == await eye.model("replicas").find()


async def test_a_follower_that_gets_nowhere_is_counted_and_shown(carry, http, monkeypatch):
    monkeypatch.setattr(state, "INTERVAL_S", 0.01)
    site = await carry(build_app(access="anyone", store=MemoryStore(), models=["todo"]))
    connection = Connection(site.url)
    await connection.open()
    await connection.request("hello", {"replica": "phone", "models": ["todo"]})
    await connection.request("heartbeat", {"pending": 2, "stalled": True})
    async with (
        syncline.connect(f"{site.url}/state", models=["replicas"]) as eye,
        asyncio.timeout(WAIT_S),
        eye.model("replicas").watch() as watch,
    ):
        while not ((shown := await eye.model("replicas").get("phone")) or {}).get("stalled"):
            await anext(watch)
    async with http.get(f"{site.url}/metrics") as answer:
        text = await answer.text()
    await connection.close()

    assert 2 == shown["pending"]
    assert "syncline_followers_stalled 1.0" in text
    assert "syncline_followers_pending_records 2.0" in text


async def test_who_went_away_is_counted(carry, http):
    site = await carry(build_app(access="anyone", store=MemoryStore(), models=["todo"]))
    for number in range(3):
        await site.replica.model("todo").put(str(number), {"n": number})
    connection = Connection(site.url)
    await connection.open()
    await connection.request("hello", {"replica": "phone", "models": ["todo"], "seq": 1})
    await connection.request("heartbeat", {"cursor": 1, "pending": 2})
    await connection.close()
    text = ""
    async with asyncio.timeout(WAIT_S):
        while "syncline_away 1.0" not in text:
            async with http.get(f"{site.url}/metrics") as answer:
                text = await answer.text()

    assert "syncline_followers 0.0" in text
    assert "syncline_away_behind_changes 2.0" in text
    assert "syncline_away_pending_records 2.0" in text
