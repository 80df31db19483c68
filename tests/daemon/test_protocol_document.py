"""PROTOCOL.md is normative: its examples are replayed, and its printed client runs in Node."""

import asyncio
import json
import queue
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import socketio
from aiohttp import web

import syncline
from syncline.conflict_log import SETTLED_KEPT
from syncline.connection import CONNECT_TIMEOUT_S, error_of
from syncline.digest import DEPTH_MAX
from syncline.errors import SynclineError
from syncline.models import ANCESTORS_MAX, NAME_CHARS_MAX
from syncline.payloads import ANCESTORS_ON_WIRE_MAX
from syncline.session import SessionSettings
from syncline.status import SessionState
from synclined.admission import WINDOW_S
from synclined.asking import FIND_LIMIT_MAX
from synclined.fanout import LIVE_BYTES_MAX
from synclined.frames import POST_PACKETS_MAX
from synclined.packets import ATTACHMENTS_MAX
from synclined.peers import Limits
from synclined.sockets import HEARTBEATS_MISSED_MAX
from synclined.waiting import CONNECT_WITHIN_S


ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = (ROOT / "client" / "PROTOCOL.md").read_text()
NODE = Path(__file__).resolve().parent / "node"
WAIT_S = 20


class Example(NamedTuple):
    kind: str
    event: str
    variant: str
    value: object


def examples():
    for words, body in re.findall(r"```json ([^\n]+)\n(.*?)```", DOCUMENT, re.DOTALL):
        kind, event, variant = [*words.split(), "", ""][:3]
        yield Example(kind, event, variant, json.loads(body))


EXAMPLES = list(examples())


def shown(kind, event, variant=""):
    """Return the value of one example."""
    (found,) = [example.value for example in EXAMPLES if example[:3] == (kind, event, variant)]
    return found


def attached_to(index):
    """Return what is attached to an example, encoded, in a list of one; empty without."""
    following = EXAMPLES[index + 1] if index + 1 < len(EXAMPLES) else None
    is_attached = following is not None and following.kind == "attached"
    return [json.dumps(following.value).encode()] if is_attached else []


def place_of(kind, event, variant):
    return [example[:3] for example in EXAMPLES].index((kind, event, variant))


def named(answer, names):
    """Return an answer with the names of this run replaced by the document's."""
    text = json.dumps(answer)
    for name, value in names.items():
        text = text.replace(f'"{value}"', f'"{name}"')
    return json.loads(text)


ASKED = [
    pytest.param(e.event, e.variant, id=f"{e.event} {e.variant}") for e in EXAMPLES if e[0] == "ask"
]


@pytest.fixture
async def stock():
    client = socketio.AsyncClient(reconnection=False)
    yield client
    await client.disconnect()


async def test_every_example_is_answered_as_the_document_says(serve, stock):
    """Both the daemon's answers and its own events, from the first line to its bye."""
    daemon = serve("memory:", "--model", "todo")
    heard = asyncio.Queue()
    stock.on("*", lambda event, *args: heard.put_nowait([event, *args]))
    await stock.connect(daemon.url, auth={"protocol": 1})
    names = {}
    for index, example in enumerate(EXAMPLES):
        if example.kind != "ask":
            continue
        _, event, variant, request = example
        got = await stock.call(event, (request, *attached_to(index)), timeout=WAIT_S)
        header, *lists = got if isinstance(got, list | tuple) else (got,)
        if not names:
            names = {"SOURCE": header["source"], "EPOCH": header["epoch"]}
        expected = [json.loads(body) for body in attached_to(place_of("answer", event, variant))]

        assert shown("answer", event, variant) == named(header, names), f"{event} {variant}"
        assert expected == [json.loads(body) for body in lists], f"{event} {variant}"
    daemon.end(signal.SIGTERM)
    while (last := await asyncio.wait_for(heard.get(), WAIT_S))[0] != "bye":
        if last[1]["since"] == 0:
            assert ["changed", shown("hear", "changed")] == named(last, names)

    delay_ms = last[1].pop("delay_ms")
    assert {**shown("hear", "bye"), "delay_ms": delay_ms} == {**last[1], "delay_ms": delay_ms}
    assert 0 < delay_ms <= 2 * shown("hear", "bye")["delay_ms"]


async def test_a_refusal_at_the_door_is_the_documents(serve, stock):
    daemon = serve("memory:", "--model", "todo")
    said = asyncio.Queue()
    stock.on("connect_error", said.put_nowait)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await stock.connect(daemon.url, auth=shown("connect", "version"))

    refusal = await asyncio.wait_for(said.get(), WAIT_S)
    assert shown("refused", "version") == refusal["data"]


class Stage:
    """A stock server that says what the document lets a daemon say, and notes what it is asked."""

    def __init__(self):
        self.asked = asyncio.Queue()
        self.answers = {}
        self.sio = socketio.AsyncServer(async_mode="aiohttp")
        for event in ("hello", "changes", "bulk_update", "heartbeat"):
            self.sio.on(event, self._answering(event))
        app = web.Application()
        self.sio.attach(app)
        self._runner = web.AppRunner(app, access_log=None)

    def _answering(self, event):
        async def answer(_sid, *args):
            if event != "heartbeat":
                self.asked.put_nowait((event, *args))
            said = self.answers[event]
            return said(*args) if callable(said) else said

        return answer

    async def open(self):
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def next_asked(self):
        return await asyncio.wait_for(self.asked.get(), WAIT_S)

    async def close(self):
        await self.sio.shutdown()
        await self._runner.cleanup()


@pytest.fixture
async def stage():
    stage = Stage()
    yield stage
    await stage.close()


async def until_status(replica, condition):
    """Wait until the replica's status is so."""
    reached = asyncio.Event()

    def look(status):
        if condition(status):
            reached.set()

    end = replica.link.on_status(look)
    look(replica.status)
    await asyncio.wait_for(reached.wait(), WAIT_S)
    end()


async def test_a_replica_asks_and_understands_what_the_document_shows(stage):
    """The other direction: our client before a server that knows only the document."""
    empty = (shown("answer", "changes"), b"[]")
    hint = shown("hear", "changed", "hint")
    stage.answers = {
        "hello": shown("answer", "hello"),
        "changes": empty,
        "heartbeat": shown("answer", "heartbeat"),
    }
    url = await stage.open()
    settings = SessionSettings(first_delay_s=60.0)
    async with syncline.connect(url, models=["todo"], settings=settings) as replica:
        hello = await stage.next_asked()
        changes = await stage.next_asked()
        async with replica.model("todo").watch() as watch:
            await stage.sio.emit("changed", shown("hear", "changed"))
            seen = await asyncio.wait_for(anext(watch), WAIT_S)

        def results(push):
            (update,) = push["updates"]
            answered = {**shown("answer", "bulk_update"), "checkpoint": 2}
            return {**answered, "results": [{**answered["results"][0], "rev": update["rev"]}]}

        stage.answers["bulk_update"] = results
        await replica.model("todo").put("1", {"title": "bread"})
        push = await stage.next_asked()
        stage.answers["changes"] = (hint, b"[]")
        await stage.sio.emit("changed", hint)
        fetched = await stage.next_asked()
        await stage.sio.emit("behind", shown("hear", "behind"))
        again = await stage.next_asked()
        await stage.sio.emit("bye", shown("hear", "bye"))
        await until_status(replica, lambda status: status.state is SessionState.OFFLINE)

        # What holds its default may be left out.
        assert "hello" == hello[0]
        assert {"replica", "models"} <= set(hello[1]) <= set(shown("ask", "hello"))
        assert ("changes", shown("ask", "changes")) == (changes[0], {"since": 0, **changes[1]})
        assert {"id": "1", "title": "milk"} == seen.data
        assert ("bulk_update", {"epoch", "cursor", "updates"}) == (push[0], set(push[1]))
        assert [("EPOCH", 1)] == [(push[1]["epoch"], push[1]["cursor"])]
        assert set(push[1]["updates"][0]) <= documented("3. An update")
        assert shown("hear", "changed")["updates"][0]["rev"] == push[1]["updates"][0]["prev"]
        assert [("changes", {"since": 1}), ("changes", {"since": 900})] == [fetched, again]
        assert shown("hear", "bye")["reason"] == replica.status.reason


async def test_a_replica_fills_in_what_news_leave_out(stage):
    stage.answers = {
        "hello": shown("answer", "hello"),
        "changes": (shown("answer", "changes"), b"[]"),
    }
    url = await stage.open()
    async with syncline.connect(url, models=["todo"]) as replica:
        await until_status(replica, lambda status: status.state is SessionState.LIVE)
        async with replica.model("todo").watch() as watch:
            await stage.sio.emit("changed", shown("hear", "changed"))
            await asyncio.wait_for(anext(watch), WAIT_S)
            await stage.sio.emit("news", shown("hear", "news"))
            seen = await asyncio.wait_for(anext(watch), WAIT_S)
        change = await replica.core.read(lambda reader: reader.entry("todo", "1"))

    first, second = shown("hear", "changed")["updates"][0], shown("hear", "news")["updates"][0]
    assert second["data"] == seen.data
    assert second["rev"] == change.update.rev
    assert (first["rev"], (first["rev"],), 2) == (
        change.update.prev,
        change.update.ancestors,
        change.base_seq,
    )


def section(heading):
    """Return the text below a heading."""
    return DOCUMENT.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def documented(heading):
    """Return the names in the first column of the tables below a heading."""
    rows = re.findall(r"^\| (`.+?) \|", section(heading), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_every_event_is_shown_and_every_error_code_exists():
    nonsense = shown("answer", "nonsense")["error"]["hint"]
    known = nonsense.removeprefix("known: ").split(", ")
    kinds = {"code", "message", "hint", "retryable", "delay_ms", "ticket"}
    codes = documented("8. Errors") - kinds
    answered = {e.value["error"]["code"] for e in EXAMPLES if "error" in e.value}

    assert set(known) == {event for kind, event, *_ in EXAMPLES if kind == "ask"} - {"nonsense"}
    assert answered <= codes
    for code in codes:
        error = error_of({"code": code, "message": "m", "hint": "h", "retryable": True})
        assert isinstance(error, SynclineError)
        assert (code, "h", True) == (error.code, error.hint, error.retryable)


@pytest.mark.parametrize(
    "kind",
    [
        *("Hello", "Welcome", "ChangesRequest", "PageHeader", "Push", "PushAnswer", "FindRequest"),
        *("GetRequest", "Head", "Heartbeat", "Bye", "WireError", "Update", "ItemResult", "Diff"),
        *("News", "Told", "Beat"),
        *("ConflictReport", "ConflictName", "ReportedConflict", "ReportAnswer"),
    ],
)
def test_every_field_is_documented(kind):
    from syncline import models, news, payloads, protocol

    places = (protocol, payloads, news, models)
    struct = next(getattr(place, kind) for place in places if hasattr(place, kind))
    fields = set(struct.__struct_encode_fields__)

    assert {name for name in fields if f"`{name}`" not in DOCUMENT} == set()


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("1. Connecting", f"is ended after {CONNECT_WITHIN_S:.0f} seconds"),
        ("1. Connecting", f"within {WINDOW_S:.0f} seconds"),
        ("3. An update", f"at most {NAME_CHARS_MAX} characters"),
        ("3. An update", f"{ANCESTORS_MAX} are kept by default, {ANCESTORS_ON_WIRE_MAX} accepted"),
        ("3. An update", f"nested at most {DEPTH_MAX} deep"),
        ("4. Following", f"unasked, {LIVE_BYTES_MAX // 1024} KiB"),
        ("4. Following", f"after {Limits().send_timeout_s:.0f} seconds by default"),
        ("7. Heartbeat and barrier", f"heard for {HEARTBEATS_MISSED_MAX} of them is cut"),
        ("7. Heartbeat and barrier", f"{CONNECT_TIMEOUT_S:.0f} seconds for a connection"),
        ("7. Heartbeat and barrier", f"{SessionSettings().ack_timeout_s:.0f} for each answer"),
        ("8. Errors", f"{POST_PACKETS_MAX:,} packets"),
        ("8. Errors", f"more than {ATTACHMENTS_MAX} attachments"),
        ("9. Asking without following", f"{FIND_LIMIT_MAX:,} are given at most"),
        ("14. Conflicts that wait", f"keeps {SETTLED_KEPT:,} entries"),
    ],
)
def test_a_number_in_the_document_is_the_codes(heading, words):
    assert words in section(heading)


# ---- the printed client, in Node ------------------------------------------------------------


@pytest.fixture
def node(tmp_path):
    """Run a script beside the printed client, with the stock library and nothing else."""
    if shutil.which("node") is None:
        pytest.skip("install node: apt install nodejs npm")
    if not (NODE / "node_modules").exists():
        pytest.skip("install the stock client: npm ci --prefix tests/daemon/node")
    printed = re.search(r"```js\n(.*?)```", DOCUMENT, re.DOTALL)[1]
    for path in NODE.glob("*.*s*"):
        shutil.copy(path, tmp_path)
    (tmp_path / "printed.mjs").write_text(printed)
    (tmp_path / "node_modules").symlink_to(NODE / "node_modules")
    running = []

    def run(script, *args):
        process = subprocess.Popen(
            ["node", str(tmp_path / script), *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "transports", ["polling,websocket", "websocket", "polling"], ids=lambda names: names
)
def test_the_printed_client_tells_its_story(serve, node, transports):
    daemon = serve("memory:", "--model", "todo")

    # Less than a poll may last: the story also tells that a client's process can end.
    said, _ = node("story.mjs", daemon.url, transports).communicate(timeout=WAIT_S)

    assert {
        "models": {"todo": "write"},
        "held": 0,
        "first": "applied",
        "seen": {"title": "milk", "id": "1"},
        "edits": ["applied"] * 5,
        "collided": ["conflict", "butter"],
        "settled": "applied",
        "gone": [True, "applied"],
        "pulled": 700,
        "heard": ["todo"],
        "refused": "version_not_supported",
    } == json.loads(said)


def test_the_printed_client_comes_back_after_a_bye(serve, node, tmp_path):
    """To the same store: it goes on; to an empty one: it starts over."""
    store = f"sqlite:///{tmp_path}/daemon.db"
    daemon = serve(store, "--model", "todo")
    port = int(daemon.url.rpartition(":")[2])
    lines = queue.SimpleQueue()
    process = node("return.mjs", daemon.url)

    def next_line():
        line = process.stdout.readline()
        lines.put(line)
        return json.loads(line)

    first = next_line()
    daemon.end(signal.SIGTERM)
    daemon = serve(store, "--model", "todo", port=port)
    process.stdin.write("go on\n")
    process.stdin.flush()
    second = next_line()
    daemon.end(signal.SIGTERM)
    serve("memory:", "--model", "todo", port=port)
    process.stdin.write("go on\n")
    process.stdin.flush()
    third = next_line()

    assert {"held": ["1"], "standing": "good"} == first
    assert {"held": ["1", "2"], "standing": "good"} == second
    assert {"held": ["3"], "standing": "reset"} == third


async def test_the_printed_client_beats_without_an_interval(stage, node):
    """A page that is hidden for long gets no interval, and no timer that a timer set."""
    beats = asyncio.Queue()

    def beat(_request):
        beats.put_nowait(True)
        return shown("answer", "heartbeat")

    stage.answers = {
        "hello": {**shown("answer", "hello"), "heartbeat_s": 0.02},
        "changes": ({**shown("answer", "changes"), "checkpoint": 4, "head": 4}, b"[]"),
        "heartbeat": beat,
    }
    process = node("beats.mjs", await stage.open())
    for _ in range(5):
        await asyncio.wait_for(beats.get(), WAIT_S)

    assert process.poll() is None, "it set an interval"


def test_the_printed_client_waits_where_a_daemon_is_busy(serve, node, tmp_path):
    config = tmp_path / "slow.toml"
    config.write_text("[limits]\nconnects_per_s = 2\n")
    daemon = serve("memory:", "--model", "todo", "--config", str(config))

    said, _ = node("crowd.mjs", daemon.url, "6").communicate(timeout=WAIT_S * 3)

    told = json.loads(said)
    assert {"ready": 6} == {"ready": told["ready"]}
    assert told["refusals"] > 0


async def test_the_daemons_state_is_spoken_to_as_the_document_says(serve, stock):
    daemon = serve("memory:", "--model", "todo")
    await stock.connect(daemon.url, auth={"protocol": 1}, namespaces=["/", "/state"])
    hello = {"replica": "replica-a", "models": ["daemon"]}
    welcomes = [
        await stock.call("hello", one, namespace=place, timeout=WAIT_S)
        for place, one in (("/", {**hello, "models": ["todo"]}), ("/state", hello))
    ]
    change = {"model": "daemon", "id": "1", "rev": "1-00000000000000aa", "data": {}}
    pushed = await stock.call(
        "bulk_update", {"updates": [change]}, namespace="/state", timeout=WAIT_S
    )

    assert [{"todo": "write"}, {"daemon": "read"}] == [one["models"] for one in welcomes]
    assert welcomes[0]["source"] != welcomes[1]["source"]
    assert pushed["results"][0]["reason"].startswith("forbidden: ")


def test_the_examples_are_read_as_they_are_written():
    """The page's bytes are the document's, so that no other encoding hides behind an equality."""
    update = msgspec.convert(shown("hear", "changed")["updates"][0], dict)

    assert msgspec.json.decode(msgspec.json.encode([update]), type=list[syncline.Update])
