"""What was accepted leaves, is refused where it is written, or waits by name; nothing sticks."""

import asyncio

import pytest
import socketio
from aiohttp import web
from structlog.testing import capture_logs

import syncline
from syncline import blocking
from syncline.connection import wire_error
from syncline.errors import MessageTooLarge, RecordTooLarge
from syncline.explain import explain
from syncline.protocol import PUSH_ITEMS_MAX, Head, PushAnswer, Welcome, encode
from syncline.status import SessionState


WAIT_S = 20
MODELS = ["t", "u"]
SCHEMALESS = 'schemaless = ["t", "u"]\n'
SMALL = (
    SCHEMALESS + "[limits]\nmessage_bytes_max = 131072\nrecord_bytes_max = 65536\n"
    "page_bytes_max = 65536\npush_items_max = 100\n"
)


def follow(daemon, store="memory:", **options):
    return syncline.connect(daemon.url, store=store, models=MODELS, **options)


async def put_together(replica, count, size=1, *, model="t", start=0):
    async with replica.transaction() as tx:
        for number in range(start, start + count):
            tx.model(model).put(str(number), {"v": "x" * size})


async def count_at(daemon, model="t"):
    async with await syncline.connect_remote(daemon.url) as remote:
        return await remote.model(model).count()


async def offline_of(daemon, store):
    """A replica that has never met its daemon."""
    return await syncline.Replica.open(store, MODELS, follows=True)


async def test_transaction_over_the_push_limit_is_refused_where_it_is_made(daemon, tmp_path):
    async with await offline_of(daemon, str(tmp_path / "r.db")) as replica:
        with pytest.raises(RecordTooLarge, match="5001 records"):
            await put_together(replica, PUSH_ITEMS_MAX + 1)
        assert 0 == await replica.model("t").count()
        await put_together(replica, PUSH_ITEMS_MAX)


async def test_largest_transaction_travels_whole_with_others_beside_it(new_daemon, tmp_path):
    daemon = new_daemon(SCHEMALESS)
    store = str(tmp_path / "r.db")
    async with await offline_of(daemon, store) as replica:
        await replica.model("u").put_many([{"id": str(n)} for n in range(200)])
        await put_together(replica, PUSH_ITEMS_MAX)
        await replica.model("u").put("after", {})
        await put_together(replica, PUSH_ITEMS_MAX, start=PUSH_ITEMS_MAX)
    async with follow(daemon, store) as replica:
        await replica.link.wait_live(WAIT_S)

    assert (2 * PUSH_ITEMS_MAX, 201) == (await count_at(daemon), await count_at(daemon, "u"))


@pytest.mark.parametrize(
    ("count", "size"),
    [
        pytest.param(40, 10_000, id="bytes"),
        pytest.param(101, 1, id="records"),
        pytest.param(1, 70_000, id="a record"),
    ],
)
async def test_limits_that_a_replica_has_met_are_its_own(new_daemon, tmp_path, count, size):
    daemon, store = new_daemon(SMALL), str(tmp_path / "r.db")
    async with follow(daemon, store) as replica:
        await replica.link.wait_live(WAIT_S)
        with pytest.raises(RecordTooLarge):
            await put_together(replica, count, size)
        await replica.model("u").put("later", {})
        await replica.link.wait_live(WAIT_S)
    async with await offline_of(daemon, store) as replica:
        with pytest.raises(RecordTooLarge):
            await put_together(replica, count, size)

    assert (0, 1) == (await count_at(daemon), await count_at(daemon, "u"))


@pytest.mark.parametrize(
    ("count", "size"),
    [
        pytest.param(40, 10_000, id="bytes"),
        pytest.param(101, 1, id="records"),
        pytest.param(1, 70_000, id="a record"),
        pytest.param(2, 70_000, id="records that are too large, together"),
    ],
)
async def test_what_turns_out_too_large_is_parked_by_name_until_the_limit_is_raised(
    new_daemon, tmp_path, count, size
):
    daemon, store = new_daemon(SMALL), str(tmp_path / "r.db")
    async with await offline_of(daemon, store) as replica:
        await replica.model("u").put("before", {})
        await put_together(replica, count, size)
        await replica.model("u").put("after", {"v": "x" * 1000})

    with capture_logs() as logs:
        async with follow(daemon, store) as replica:
            await replica.link.wait_live(WAIT_S)
            await replica.model("u").put("later", {})
            await replica.link.wait_live(WAIT_S)
            status = replica.status
            found = await explain(replica, "t", "0")
            kept = await replica.model("t").count()

    assert (SessionState.LIVE, 0, count) == (status.state, status.pending, status.parked)
    assert ("parked", count) == (found.state, kept)
    assert "larger than the upstream takes" in " ".join(found.sentences)
    (parked,) = [line for line in logs if line["event"] == "update.parked"]
    assert ("t", count) == (parked["model"], parked["count"])
    assert 1 == len([line for line in logs if line["event"] == "link.connected"])
    assert (0, 3) == (await count_at(daemon), await count_at(daemon, "u"))

    await asyncio.to_thread(daemon.restart_with, SCHEMALESS)
    async with follow(daemon, store) as replica:
        await replica.link.wait_live(WAIT_S)
        assert 0 == replica.status.parked
    assert count == await count_at(daemon)


async def test_a_smaller_record_lets_its_whole_transaction_go(new_daemon, tmp_path):
    daemon, store = new_daemon(SMALL), str(tmp_path / "r.db")
    async with await offline_of(daemon, store) as replica, replica.transaction() as tx:
        tx.model("t").put("large", {"v": "x" * 70_000})
        tx.model("t").put("small", {})

    async with follow(daemon, store) as replica:
        await replica.link.wait_live(WAIT_S)
        assert 2 == replica.status.parked
        await replica.model("t").put("large", {"v": ""})
        await replica.link.wait_live(WAIT_S)
        assert 0 == replica.status.parked

    assert 2 == await count_at(daemon)


class Narrow:
    """A daemon that takes fewer records at once than it says."""

    TAKES = 3

    def __init__(self):
        self.hellos = 0
        self.held = {}
        self._sio = socketio.AsyncServer(async_mode="aiohttp", async_handlers=False)
        for event in ("hello", "heartbeat", "changes", "bulk_update"):
            self._sio.on(event, getattr(self, f"_{event}"))

    async def __aenter__(self):
        app = web.Application()
        self._sio.attach(app)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    async def _hello(self, _sid, hello):
        self.hellos += 1
        rights = dict.fromkeys(hello["models"], "write")
        return encode(Welcome(source="s", epoch="e", head=len(self.held), models=rights))

    async def _heartbeat(self, _sid, _payload):
        return encode(Head(epoch="e", head=len(self.held)))

    async def _changes(self, _sid, asked):
        header = {"epoch": "e", "since": asked.get("since", 0), "checkpoint": len(self.held)}
        return {**header, "head": len(self.held)}, b"[]"

    async def _bulk_update(self, _sid, push):
        if len(push["updates"]) > self.TAKES:
            return wire_error(MessageTooLarge("that is too much"))
        results = []
        for update in push["updates"]:
            self.held[update["id"]] = update
            named = {name: update[name] for name in ("model", "id", "rev")}
            results.append({**named, "answer": "applied", "seq": len(self.held)})
        answer = encode(PushAnswer(epoch="e", checkpoint=len(self.held)))
        return {**answer, "results": results}


async def test_a_daemon_that_takes_less_than_it_says_is_given_less_at_once():
    async with Narrow() as narrow, follow(narrow) as replica:
        await replica.link.pause()
        await replica.model("u").put_many([{"id": f"u{n}"} for n in range(20)])
        await put_together(replica, Narrow.TAKES + 1)
        await replica.model("u").put("last", {})
        replica.link.resume()
        await replica.link.wait_live(WAIT_S)
        status, hellos = replica.status, narrow.hellos

    assert (0, Narrow.TAKES + 1) == (status.pending, status.parked)
    assert {*(f"u{n}" for n in range(20)), "last"} == set(narrow.held)
    assert hellos <= 2


async def test_transactions_that_became_one_are_measured_as_one(daemon, tmp_path):
    async with await offline_of(daemon, str(tmp_path / "r.db")) as replica:
        await put_together(replica, 3000)
        with pytest.raises(RecordTooLarge, match="5999 records"):
            await put_together(replica, 3000, size=2, start=2999)
        assert 3000 == await replica.model("t").count()


async def test_the_blocking_facade_refuses_the_same(daemon, in_thread):
    def work():
        with blocking.connect(daemon.url, models=["todo"]) as replica:
            with pytest.raises(RecordTooLarge), replica.transaction() as tx:
                for number in range(PUSH_ITEMS_MAX + 1):
                    tx.model("todo").put(str(number), {})
            replica.model("todo").put("later", {})
            replica.wait_live(WAIT_S)

    await in_thread(work)


@pytest.fixture
def in_thread():
    return asyncio.to_thread
