"""What was written offline is pushed by the thousand, which the daemon stores in steps."""

import asyncio
import signal

import pytest

import syncline
from syncline.outgoing import FIRST_ITEMS, PUSH_ITEMS


WAIT_S = 30
COUNT = 3000
LARGE = 10_000
"""More than is pushed before the news of the first of it is heard."""


def records(prefix, count):
    return [{"id": f"{prefix}{number}", "n": number} for number in range(count)]


async def in_order(replica, model="todo"):
    return await replica.model(model).find(order="id", limit=None)


async def cut_off(url, store):
    """Return a replica that has met the daemon, and is offline."""
    replica = await syncline.connect(url, store=store, models=["todo"])
    await replica.link.wait_live(WAIT_S)
    await replica.link.pause()
    return replica


async def test_others_write_and_read_while_a_backlog_is_stored(daemon, tmp_path):
    a = await cut_off(daemon.url, str(tmp_path / "a.db"))
    await a.model("todo").put_many(records("a", COUNT))
    async with (
        a,
        syncline.connect(daemon.url, models=["todo"]) as b,
        syncline.connect(daemon.url, store=str(tmp_path / "c.db"), models=["todo"]) as c,
    ):
        await b.link.wait_live(WAIT_S)
        a.link.resume()
        between = 0
        while a.status.pending or not between:
            await b.model("todo").put(f"b{between}", {"n": between})
            await b.link.wait_live(WAIT_S)
            between += 1
        await a.link.wait_live(WAIT_S)
        for replica in (a, b, c):
            await replica.barrier(WAIT_S)
        held = [await in_order(replica) for replica in (a, b, c)]

    assert COUNT + between == len(held[0])
    assert held[0] == held[1] == held[2]


async def test_a_large_transaction_in_a_backlog_is_seen_whole(daemon, tmp_path):
    a = await cut_off(daemon.url, str(tmp_path / "a.db"))
    # The second push would end in the middle of it.
    await a.model("todo").put_many(records("before", FIRST_ITEMS + PUSH_ITEMS - 300))
    async with a.transaction() as tx:
        for record in records("whole", 700):
            tx.model("todo").put(record["id"], record)
    await a.model("todo").put_many(records("after", 900))
    async with a, syncline.connect(daemon.url, models=["todo"]) as b:
        await b.link.wait_live(WAIT_S)
        seen = set()
        counts = []

        def note(changes):
            seen.update(change.record_id for change in changes)
            counts.append(sum(record_id.startswith("whole") for record_id in seen))

        b.core.observers.listen(note)
        a.link.resume()
        await a.link.wait_live(WAIT_S)
        await b.barrier(WAIT_S)

        assert {0, 700} >= set(counts)
        assert await in_order(a) == await in_order(b)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "drained"])
async def test_a_daemon_that_ends_in_the_middle_has_each_record_once(daemon, tmp_path, number):
    a = await cut_off(daemon.url, str(tmp_path / "a.db"))
    await a.model("todo").put_many(records("a", LARGE))
    begun = asyncio.Event()

    def end(_changes):
        # At once: nothing more is pushed before it is told.
        daemon.signal(number)
        begun.set()

    async with a, syncline.connect(daemon.url, models=["todo"]) as b:
        await b.link.wait_live(WAIT_S)
        forget = b.core.observers.listen(end)
        a.link.resume()
        await asyncio.wait_for(begun.wait(), WAIT_S)
        forget()
        await asyncio.to_thread(daemon.wait)
        pending = a.status.pending
        await asyncio.to_thread(daemon.start)
        await a.link.wait_live(WAIT_S)
        await b.barrier(WAIT_S)
        remote = await syncline.connect_remote(daemon.url)
        changes = await remote.model("todo").changes()
        await remote.close()

        assert 0 < pending <= LARGE
        assert LARGE == len(changes) == len({change.record_id for change in changes})
        assert {1} == {int(change.rev.partition("-")[0]) for change in changes}
        assert await in_order(a) == await in_order(b)
        assert (0, 0) == (a.status.pending, a.status.conflicts)
