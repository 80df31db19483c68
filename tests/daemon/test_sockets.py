"""What bad input gets at the socket door: a name, and nothing else is disturbed."""

import asyncio

import msgspec
import pytest
import socketio
import structlog
from aiohttp import web

import syncline
from syncline.connection import Connection
from syncline.errors import Busy, ConfigError, SynclineError, VersionNotSupported
from syncline.payloads import decode_live
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
        pytest.param("summaries", ({"model": "todo"},), "message_invalid", id="no ranges"),
        pytest.param(
            "summaries", ({"model": "todo", "ranges": []},), "message_invalid", id="empty ranges"
        ),
        pytest.param(
            "summaries",
            ({"model": "todo", "ranges": [{}] * 2001},),
            "message_invalid",
            id="too many ranges",
        ),
        pytest.param(
            "summaries",
            ({"model": "todo", "ranges": [{"upto": "5"}, {"after": "4"}]},),
            "message_invalid",
            id="ranges out of order",
        ),
        pytest.param(
            "summaries",
            ({"model": "todo", "ranges": [{}], "every": 0},),
            "message_invalid",
            id="a summary for every nothing",
        ),
        pytest.param(
            "summaries", ({"model": "x", "ranges": [{}]},), "model_unknown", id="summaries of none"
        ),
        pytest.param("report_conflicts", ({},), "message_invalid", id="report without a hello"),
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
        pytest.param(b"null", "record_invalid", id="null"),
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


@pytest.mark.parametrize("auth", [{"protocol": 2}, {"protocol": "2"}, {"protocol": True}])
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


async def test_a_bare_listener_that_renews_hears_no_more_than_the_new_token_may(site):
    heard = asyncio.Queue()
    listener = socketio.AsyncClient()
    listener.on("changed", heard.put_nowait)
    await listener.connect(site.url, auth={"token": "writer"})
    await site[DAEMON].replica.model("other").put("1", {"n": 1})
    before = await asyncio.wait_for(heard.get(), WAIT_S)
    await listener.call("renew", {"token": "reader"}, timeout=WAIT_S)
    for model in ("other", "todo"):
        await site[DAEMON].replica.model(model).put("2", {"n": 1})
    after = await asyncio.wait_for(heard.get(), WAIT_S)
    await listener.disconnect()

    assert ("other", "todo", True) == (before, after, heard.empty())


async def test_a_newer_hello_ends_an_older_connection_that_polls(site):
    ended = asyncio.Event()
    older = socketio.AsyncClient(reconnection=False)
    older.on("disconnect", lambda *_: ended.set())
    await older.connect(site.url, auth={"protocol": 1}, transports=["polling"])
    hello = {"replica": "same", "models": ["todo"]}
    await older.call("hello", hello, timeout=WAIT_S)
    newer = Connection(site.url)
    await newer.open()
    await newer.request("hello", hello)

    await asyncio.wait_for(ended.wait(), WAIT_S)

    assert (False, True) == (older.connected, newer.is_open)
    assert 1 == len(site[DAEMON].sockets.peers)
    await newer.close()


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
        live = decode_live(await asyncio.wait_for(events.get(), WAIT_S))
        assert position == live.since
        position = live.checkpoint
    await connection.close()

    assert await replica.head() == position


def noting(events):
    """Return what notes the events that it hears, but for the questions."""
    return lambda event, payload: event == "beat" or events.put_nowait((event, payload))


async def heard_of_an_edited_record(site, *, news):
    """Return what a follower hears of the third edit of a record, and how the update stands."""
    events = asyncio.Queue()
    connection = Connection(site.url, on_event=noting(events))
    await connection.open()
    await connection.request("hello", {"replica": "r", "models": ["todo"], "news": news})
    replica = site[DAEMON].replica
    for number in range(3):
        await replica.model("todo").put("1", {"n": number})
        event, payload = await asyncio.wait_for(events.get(), WAIT_S)
    (got,) = await connection.request("get", {"model": "todo", "id": "1"})
    await connection.close()
    return event, msgspec.json.decode(payload), got["change"]


async def test_who_hears_news_is_not_told_what_it_holds(site):
    event, news, stands = await heard_of_an_edited_record(site, news=True)

    assert "news" == event
    assert {"since": 2, "checkpoint": 3} == {name: news[name] for name in ("since", "checkpoint")}
    assert ["since", "checkpoint", "updates"] == list(news)
    assert [{"rev", "on", "origin", "stamp", "data"}] == [set(one) for one in news["updates"]]
    assert stands["prev"].endswith(news["updates"][0]["on"])


async def test_who_does_not_ask_for_news_is_told_all(site):
    event, changed, stands = await heard_of_an_edited_record(site, news=False)

    assert "changed" == event
    assert [stands] == changed["updates"]
    assert 2 == len(stands["ancestors"])


async def test_an_epoch_that_opened_since_the_welcome_is_named_in_news(site):
    events = asyncio.Queue()
    connection = Connection(site.url, on_event=noting(events))
    await connection.open()
    hello = {"replica": "r", "models": ["todo"], "news": True}
    (welcome,) = await connection.request("hello", hello)
    replica = site[DAEMON].replica
    await replica.model("todo").put("1", {"n": 1})
    await replica.model("todo").delete("1")
    await replica.model("todo").put("2", {"n": 2})
    while not (await replica.compact(0)).purged:
        pass  # Within the millisecond it is too young.
    await replica.model("todo").put("3", {"n": 3})
    (head,) = await connection.request("barrier", {})
    told = [await asyncio.wait_for(events.get(), WAIT_S) for _ in range(4)]
    await connection.close()

    assert welcome["epoch"] != head["epoch"]
    assert [None, None, None, head["epoch"]] == [
        msgspec.json.decode(payload).get("epoch") for _event, payload in told
    ]


class Slow:
    """A follower that hears news, and says heartbeats only when it is told to."""

    def __init__(self, site):
        self.events = asyncio.Queue()
        self._wire = Connection(site.url, on_event=lambda *event: self.events.put_nowait(event))
        self.cursor = 0
        self.beats = []
        self.answers = False

    async def join(self):
        await self._wire.open()
        await self._wire.request("hello", {"replica": "slow", "models": ["todo"], "news": True})

    async def news(self):
        """Return the next live event, beats noted."""
        while True:
            event, payload = await asyncio.wait_for(self.events.get(), WAIT_S)
            if event == "beat":
                self.beats.append(payload["number"])
                if self.answers:
                    await self.beat(self.beats.pop())
                continue
            live = msgspec.json.decode(payload)
            assert live["since"] <= self.cursor
            self.cursor = live["checkpoint"]
            return live

    async def beat(self, heard):
        (head,) = await self._wire.request("heartbeat", {"cursor": self.cursor, "heard": heard})
        return head["head"]

    async def close(self):
        await self._wire.close()


@pytest.fixture
async def slow(site):
    follower = Slow(site)
    await follower.join()
    yield follower
    await follower.close()


async def test_a_slow_viewer_is_told_the_latest_state_of_each_record(site, slow):
    todo = site[DAEMON].replica.model("todo")
    for number in range(60):
        await todo.put(str(number % 3), {"n": number, "text": "x" * 300})
    # A heartbeat of its own brings nothing, and is told of nothing that it would fetch.
    held_from = await slow.beat(0)
    while slow.cursor < held_from:
        await slow.news()
    assert 0 < held_from < 30

    slow.answers = True
    await slow.beat(slow.beats.pop())
    told = await slow.news()

    assert (held_from, 60) == (told["since"], told["checkpoint"])
    assert [57, 58, 59] == [update["data"]["n"] for update in told["updates"]]
    assert all("on" in update for update in told["updates"])


async def test_a_viewer_that_answers_is_told_each_state(site, slow):
    todo = site[DAEMON].replica.model("todo")
    numbers = []
    for number in range(60):
        await todo.put("1", {"n": number, "text": "x" * 300})
        numbers += [update["data"]["n"] for update in (await slow.news())["updates"]]
        if slow.beats:
            await slow.beat(slow.beats.pop())

    assert list(range(60)) == numbers


async def test_who_can_not_be_asked_is_told_each_state(site):
    events = asyncio.Queue()
    connection = Connection(site.url, on_event=lambda *event: events.put_nowait(event))
    await connection.open()
    await connection.request("hello", {"replica": "old", "models": ["todo"]})
    todo = site[DAEMON].replica.model("todo")
    for number in range(60):
        await todo.put("1", {"n": number, "text": "x" * 300})
    heard = [await asyncio.wait_for(events.get(), WAIT_S) for _ in range(60)]
    await connection.close()

    assert {"changed"} == {event for event, _ in heard}


async def test_how_far_behind_a_follower_is_is_known_before_it_says_so_and_when_it_is_gone(site):
    sockets = site[DAEMON].sockets
    todo = site[DAEMON].replica.model("todo")
    for number in range(5):
        await todo.put(str(number), {"n": number})
    reader, mute = Connection(site.url), Connection(site.url)
    for name, connection in (("reader", reader), ("mute", mute)):
        await connection.open()
        await connection.request("hello", {"replica": name, "models": ["todo"]})
    await reader.request("changes", {"since": 0})
    peers = {peer.replica_id: peer for peer in sockets.peers.values()}
    behind = {name: peer.behind_at(5) for name, peer in peers.items()}
    await mute.request("heartbeat", {"cursor": 2, "pending": 4})
    gone = asyncio.Event()
    left = sockets.absent.left

    def note(peer):
        left(peer)
        gone.set()

    sockets.absent.left = note
    await mute.close()
    await asyncio.wait_for(gone.wait(), WAIT_S)
    (absent,) = sockets.absent.known({"reader"})
    await reader.close()

    assert {"reader": 0, "mute": 5} == behind
    assert ("mute", 3, 4) == (absent.peer.replica_id, absent.peer.behind, absent.peer.pending)


def test_an_application_must_say_who_may_do_what():
    with pytest.raises(ConfigError, match="access"):
        build_app(access="everybody")


@pytest.mark.parametrize(
    ("event", "args", "code"),
    [
        pytest.param("hello", (None,), "message_invalid", id="hello of nothing"),
        pytest.param("hello", ({"replica": ""},), "message_invalid", id="hello of nobody"),
        pytest.param("hello", ({"replica": "x" * 65},), "message_invalid", id="too long a name"),
        pytest.param("hello", ({"replica": 5},), "message_invalid", id="hello by number"),
        pytest.param(
            "hello", ({"replica": "r", "models": "todo"},), "message_invalid", id="models of text"
        ),
        pytest.param(
            "hello", ({"replica": "r", "seq": 1.5},), "message_invalid", id="half a position"
        ),
        pytest.param("changes", ([],), "message_invalid", id="changes of a list"),
        pytest.param("changes", ({"models": ["x"]},), "model_unknown", id="changes of no model"),
        pytest.param(
            "changes", ({"since": 0, "models": [5]},), "message_invalid", id="a model by number"
        ),
        pytest.param("bulk_update", (None,), "message_invalid", id="push of null"),
        pytest.param("bulk_update", ([],), "message_invalid", id="push of a list"),
        pytest.param("bulk_update", ({"cursor": "x"},), "message_invalid", id="cursor of text"),
        pytest.param("bulk_update", ({}, b"null"), "message_invalid", id="attached null"),
        pytest.param("bulk_update", ({}, b"{}"), "message_invalid", id="attached object"),
        pytest.param("bulk_update", ({}, b""), "message_invalid", id="attached nothing"),
        pytest.param("bulk_update", ({}, b"[1]"), "message_invalid", id="attached number"),
        pytest.param("bulk_update", ({}, "[]"), "message_invalid", id="attached text"),
        pytest.param("bulk_update", ({}, b"\xff\xfe"), "message_invalid", id="no UTF-8"),
        pytest.param("bulk_update", ({"updates": [5]},), "message_invalid", id="item of number"),
        pytest.param(
            "bulk_update",
            ({"updates": [pushed(rev=f"{REV}-deleted")]},),
            "message_invalid",
            id="a deletion with data",
        ),
        pytest.param("diff", (5,), "message_invalid", id="diff of a number"),
        pytest.param("diff", ({}, b"{"), "message_invalid", id="diff of a broken list"),
        pytest.param("diff", ({},), "message_invalid", id="diff of nothing"),
        pytest.param("get", (["todo", "1"],), "message_invalid", id="get by list"),
        pytest.param("get", ({"model": "x", "id": "1"},), "model_unknown", id="get of no model"),
        pytest.param("get", ({"model": "todo", "id": ""},), "key_invalid", id="get of no id"),
        pytest.param("find", ({},), "message_invalid", id="find of nothing"),
        pytest.param("find", ({"model": "x"},), "model_unknown", id="find of no model"),
        pytest.param(
            "find", ({"model": "todo", "where": []},), "message_invalid", id="where of a list"
        ),
        pytest.param(
            "find", ({"model": "todo", "order": 5},), "message_invalid", id="order of a number"
        ),
        pytest.param("count", ({"model": 5},), "message_invalid", id="count of a number"),
        pytest.param("renew", ({"token": 5},), "message_invalid", id="renew by number"),
        pytest.param("renew", ("token",), "message_invalid", id="renew by text"),
        pytest.param("heartbeat", ({}, {}, {}), "message_invalid", id="heartbeat of too many"),
        pytest.param("models", (1, 2, 3), "message_invalid", id="models of too many"),
        pytest.param("constructor", (), "event_unknown", id="a name of another language"),
    ],
)
async def test_every_event_names_what_it_was_wrongly_asked(wire, event, args, code):
    with pytest.raises(SynclineError) as raised:
        await wire.request(event, *args)

    assert code == raised.value.code
    assert 0 == (await wire.request("barrier", {}))[0]["head"]


HUGE = 2**63 - 1


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        pytest.param("changes", {"since": HUGE, "models": ["todo"]}, id="changes beyond all"),
        pytest.param("changes", {"since": -5, "models": ["todo"]}, id="changes before all"),
        pytest.param("changes", {"models": ["todo"], "limit": 0}, id="changes of no rows"),
        pytest.param("changes", {"models": ["todo"], "limit": -1}, id="changes of minus one row"),
        pytest.param("changes", {"since": 1e19, "models": ["todo"]}, id="changes off the scale"),
        pytest.param("hello", {"replica": "r", "models": [], "seq": -1}, id="hello before all"),
        pytest.param("hello", {"replica": "r", "models": [], "seq": 1e19}, id="hello off it"),
        pytest.param("find", {"model": "todo", "limit": 0}, id="find none"),
        pytest.param("find", {"model": "todo", "limit": -1}, id="find minus one"),
        pytest.param("find", {"model": "todo", "limit": 1e19}, id="find more than there can be"),
        pytest.param("find", {"model": "todo", "after": "x" * 5000}, id="find after a long name"),
        pytest.param("heartbeat", {"cursor": 1e19}, id="heartbeat off the scale"),
        pytest.param("bulk_update", {"cursor": HUGE, "updates": []}, id="a cursor beyond all"),
    ],
)
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_no_number_breaks_the_daemon(tmp_path, event, payload, kind):
    store = "memory:" if kind == "memory" else str(tmp_path / "a.db")
    app = build_app(access="anyone", store=store, models=["todo"])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await app[DAEMON].replica.model("todo").put_many([{"id": str(n)} for n in range(3)])
    connection = Connection(f"http://127.0.0.1:{runner.addresses[0][1]}")
    await connection.open()
    with structlog.testing.capture_logs() as logs:
        try:
            await connection.request(event, payload)
        except SynclineError as error:
            named = ("message_invalid", "filter_invalid", "key_invalid")
            assert error.code in named  # noqa: PT017 - or taken
    head = (await connection.request("barrier", {}))[0]["head"]
    await connection.close()
    await runner.cleanup()

    assert 3 == head
    assert [] == [line for line in logs if line["event"] == "event.broke"]


@pytest.mark.parametrize("auth", ["text", ["protocol"], True], ids=repr)
async def test_an_auth_that_is_no_object_is_refused(site, auth):
    connection = Connection(site.url)
    connection._auth = auth

    with pytest.raises(SynclineError) as raised:
        await connection.open()
    assert "message_invalid" == raised.value.code


@pytest.mark.parametrize("token", [5, [], {"a": 1}, True], ids=repr)
async def test_a_token_that_is_no_text_is_refused(site, token):
    connection = Connection(site.url, token=token)

    with pytest.raises(SynclineError) as raised:
        await connection.open()
    assert "message_invalid" == raised.value.code


@pytest.mark.parametrize("is_attached", [False, True], ids=["within", "attached"])
async def test_of_a_repeated_key_one_value_is_kept_everywhere(site, wire, is_attached):
    """What is stored is what was checked: one form, whatever was pushed."""
    body = b'{"id":"1","n":1,"n":2}'
    item = b'{"model":"todo","id":"1","rev":"' + REV.encode() + b'","data":' + body + b"}"
    args = (
        ({}, b"[" + item + b"]")
        if is_attached
        else ({"updates": msgspec.json.decode(b"[" + item + b"]")},)
    )
    await wire.request("bulk_update", *args)
    change = await site[DAEMON].replica.model("todo").get_change("1")

    assert b'{"id":"1","n":2}' == bytes(change.body)


async def test_keys_are_texts_and_no_other_id_slips_in(wire):
    long = pushed(id="x" * 256, data={})
    number = pushed(id="2", data={"id": 2})
    other = pushed(id="3", data={"id": ["3"]})

    answer = (await wire.request("bulk_update", {"updates": [long, number, other]}))[0]

    assert ["refused", "applied", "refused"] == [one["answer"] for one in answer["results"]]
    assert all("key_invalid" in answer["results"][n]["reason"] for n in (0, 2))
    with pytest.raises(SynclineError, match="can't be read"):
        await wire.request("bulk_update", {"updates": [pushed(id=5)]})


async def test_an_unknown_model_is_refused_item_by_item(wire):
    answer = (await wire.request("bulk_update", {"updates": [pushed(model="x"), pushed()]}))[0]

    assert ["refused", "applied"] == [one["answer"] for one in answer["results"]]
    assert answer["results"][0]["reason"].startswith("model_unknown")


async def test_a_deletion_of_an_unknown_model_is_refused_too(wire):
    gone = {"model": "x", "id": "1", "rev": f"{REV}-deleted"}
    answer = (await wire.request("bulk_update", {"updates": [gone]}))[0]

    assert "refused" == answer["results"][0]["answer"]


async def test_a_bad_member_holds_its_group_back(wire):
    items = [pushed(id="1", data={"id": "other"}, group="g"), pushed(id="2", data={}, group="g")]
    answer = (await wire.request("bulk_update", {"updates": [*items, pushed(id="3", data={})]}))[0]

    assert ["refused", "held", "applied"] == [one["answer"] for one in answer["results"]]


async def test_a_stale_epoch_may_come_back_after_a_hello(wire):
    welcome = (await wire.request("hello", {"replica": "r", "models": ["todo"]}))[0]
    push = {"updates": [pushed()], "cursor": 0}
    with pytest.raises(SynclineError) as raised:
        await wire.request("bulk_update", {**push, "epoch": "former"})
    answer = (await wire.request("bulk_update", {**push, "epoch": welcome["epoch"]}))[0]

    assert ("cursor_stale", True) == (raised.value.code, raised.value.retryable)
    assert "applied" == answer["results"][0]["answer"]


async def test_a_reader_may_renew_but_not_beyond_what_it_follows(site):
    connection = Connection(site.url)
    await connection.open()
    await connection.request("hello", {"replica": "r", "models": ["other"]})
    with pytest.raises(SynclineError) as raised:
        await connection.request("renew", {"token": "reader"})
    await connection.request("hello", {"replica": "r", "models": ["todo"]})
    renewed = (await connection.request("renew", {"token": "reader"}))[0]
    await connection.close()

    assert "forbidden" == raised.value.code
    assert {"principal": "reader"} == renewed


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("hello", {"replica": "r", "models": ["other"]}),
        ("changes", {"models": ["other"]}),
        ("get", {"model": "other", "id": "1"}),
        ("find", {"model": "other"}),
        ("count", {"model": "other"}),
        ("diff", {"changes": [{"model": "other", "id": "1", "rev": REV}]}),
    ],
)
async def test_what_may_not_be_read_is_forbidden_by_every_event(site, event, payload):
    connection = Connection(site.url, token="reader")
    await connection.open()
    with pytest.raises(SynclineError) as raised:
        await connection.request(event, payload)
    names = (await connection.request("models", {}))[0]["models"]
    await connection.close()

    assert "forbidden" == raised.value.code
    assert ["todo"] == names


async def test_a_connection_that_takes_another_name_frees_the_former(site):
    one, other = Connection(site.url), Connection(site.url)
    await one.open()
    await other.open()
    await one.request("hello", {"replica": "a", "models": ["todo"]})
    await one.request("hello", {"replica": "b", "models": ["todo"]})
    await other.request("hello", {"replica": "a", "models": ["todo"]})

    assert 0 == (await one.request("barrier", {}))[0]["head"]
    assert {"a", "b"} == set(site[DAEMON].sockets._fencing._sid_of)
    await one.close()
    await other.close()


async def test_a_daemon_takes_only_so_many_connections():
    app = build_app(access="anyone", store="memory:", limits=Limits(connections_max=1))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    first, second = Connection(url), Connection(url)
    await first.open()
    with pytest.raises(Busy, match="as many connections") as raised:
        await second.open()
    assert raised.value.retryable

    assert 0 == (await first.request("barrier", {}))[0]["head"]
    await first.close()
    await runner.cleanup()


async def test_summaries_need_the_right_to_read_the_model(site):
    connection = Connection(site.url, token="reader")
    await connection.open()

    header, page = await connection.request("summaries", {"model": "todo", "ranges": [{}]})
    with pytest.raises(SynclineError) as raised:
        await connection.request("summaries", {"model": "other", "ranges": [{}]})

    assert ({"count": 1}, "forbidden") == (header, raised.value.code)
    assert [{"after": "", "hash": "e3b0c44298fc1c149afbf4c8996fb924"}] == msgspec.json.decode(page)
    await connection.close()


# ---- conflicts that wait at followers ---------------------------------------------------------


def waits(**fields):
    return {"model": "todo", "id": "1", "rev": REV, **fields}


def in_full(**fields):
    return {"update": pushed(), "base_rev": REV, "base": {"id": "1", "n": 0}, **fields}


@pytest.fixture
async def follower(wire):
    await wire.request("hello", {"replica": "phone", "models": ["todo", "other"]})
    return wire


async def listed(site):
    """Return the daemon's conflict log."""
    return await site[DAEMON].replica.core.read(
        lambda reader: reader.conflicts(open_only=False, limit=1000)
    )


@pytest.mark.parametrize(
    ("args", "code"),
    [
        pytest.param(("x",), "message_invalid", id="no object"),
        pytest.param(({"open": 5},), "message_invalid", id="open is no list"),
        pytest.param(({"open": [{}]},), "message_invalid", id="nameless"),
        pytest.param(({"open": [waits(rev="x")]},), "message_invalid", id="no revision"),
        pytest.param(({"open": [waits()] * 201},), "message_too_large", id="too many names"),
        pytest.param(({"conflicts": 5},), "message_invalid", id="told is no list"),
        pytest.param(({"conflicts": [{}]},), "message_invalid", id="told without an update"),
        pytest.param(({}, b"["), "message_invalid", id="broken attachment"),
        pytest.param(
            ({"conflicts": [in_full(update=pushed(rev="x"))]},), "message_invalid", id="told rev"
        ),
        pytest.param(({"conflicts": [in_full(base_rev="x")]},), "message_invalid", id="told base"),
        pytest.param(
            ({"conflicts": [in_full(update=pushed(ancestors=["x"]))]},), "message_invalid", id="kin"
        ),
    ],
)
async def test_report_of_a_wrong_shape_is_named_and_nothing_is_listed(site, follower, args, code):
    with pytest.raises(SynclineError) as raised:
        await follower.request("report_conflicts", *args)

    assert code == raised.value.code
    assert [] == await listed(site)


async def test_report_is_listed_in_either_form(site, follower):
    inline = await follower.request(
        "report_conflicts", {"open": [waits()], "conflicts": [in_full()]}
    )
    (one,) = await listed(site)
    await follower.request("report_conflicts", {"open": []})
    attached = await follower.request(
        "report_conflicts",
        {"open": [waits(id="2")]},
        msgspec.json.encode([in_full(update=pushed(id="2", data={"id": "2"}))]),
    )

    assert [{"count": 1}, {"count": 1}] == [inline[0], attached[0]]
    assert ({"id": "1", "n": 0}, "phone", True) == (one.base, one.holder, one.is_waiting)
    assert ["1", "2"] == [each.record_id for each in await listed(site)]


@pytest.mark.parametrize(
    ("name", "conflict"),
    [
        pytest.param(waits(model="nothing"), in_full(update=pushed(model="nothing")), id="model"),
        pytest.param(waits(id=""), in_full(update=pushed(id="")), id="no id"),
        pytest.param(
            waits(), in_full(update=pushed(data={"id": "1", "x": "x" * 2000})), id="too large"
        ),
        pytest.param(waits(), in_full(update=pushed(data={"id": "other"})), id="another id"),
        pytest.param(waits(), in_full(update=pushed(id="9", data={"id": "9"})), id="unnamed"),
    ],
)
async def test_what_could_not_be_pushed_is_not_listed_and_disturbs_nothing_else(
    site, follower, name, conflict
):
    good = waits(id="5")
    told = in_full(update=pushed(id="5", data={"id": "5"}))

    answer = await follower.request(
        "report_conflicts", {"open": [name, good], "conflicts": [conflict, told]}
    )

    assert 1 == answer[0]["count"]
    assert ["5"] == [each.record_id for each in await listed(site)]


async def test_base_that_can_not_be_kept_is_left_out(site, follower):
    too_large = {"id": "1", "x": "x" * 2000}
    await follower.request(
        "report_conflicts", {"open": [waits()], "conflicts": [in_full(base=too_large)]}
    )

    (one,) = await listed(site)
    assert (None, {"id": "1"}) == (one.base, one.theirs.data)


async def test_reader_can_have_nothing_listed(site):
    reader = Connection(site.url, token="reader")
    await reader.open()
    await reader.request("hello", {"replica": "tablet", "models": ["todo"]})

    answer = await reader.request("report_conflicts", {"open": [waits()], "conflicts": [in_full()]})
    await reader.close()

    assert {} == answer[0]
    assert [] == await listed(site)


async def test_welcome_tells_how_many_are_listed_of_a_replica(site, follower):
    await follower.request("report_conflicts", {"open": [waits()], "conflicts": [in_full()]})
    hello = {"replica": "phone", "models": ["todo"]}
    other = Connection(site.url)
    await other.open()

    welcomes = [
        (await other.request("hello", one))[0] for one in ({**hello, "replica": "tablet"}, hello)
    ]
    await other.close()

    assert [(200, 0), (200, 1)] == [
        (one["conflicts_max"], one.get("conflicts", 0)) for one in welcomes
    ]


async def test_the_state_lists_no_conflicts_of_its_own_followers(site):
    eye = Connection(f"{site.url}/state")
    await eye.open()

    welcome = (await eye.request("hello", {"replica": "eye", "models": ["daemon"]}))[0]
    with pytest.raises(SynclineError, match="no event"):
        await eye.request("report_conflicts", {"open": []})
    await eye.close()

    assert "conflicts_max" not in welcome
