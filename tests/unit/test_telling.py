"""Two processes on one file, which the connections of two replicas are to SQLite."""

import asyncio
import threading

import pytest

import syncline
from syncline.foreign import ForeignWrites
from syncline.outcome import Outcome
from syncline.telling import GAP_MAX


WAIT_S = 20
LARGE = 10_000
BURST = 10_050


@pytest.fixture
async def pair(tmp_path):
    """Two replicas on one file."""
    path = str(tmp_path / "shared.db")
    async with (
        await syncline.Replica.open(path, ["todo"]) as one,
        await syncline.Replica.open(path, ["todo"]) as other,
    ):
        yield one, other


def listen(replica):
    """Return the seqs that a replica's observers are told, as they are told."""
    told = []
    replica.core.observers.listen(lambda updates: told.extend(u.seq for u in updates))
    return told


async def next_of(watch):
    return await asyncio.wait_for(anext(watch), WAIT_S)


async def caught_up(replica):
    """Return when all was told that is stored."""
    async with asyncio.timeout(WAIT_S):
        await replica.core.telling.look()
        while replica.core.telling.position < await replica.head():
            await asyncio.sleep(0)


async def test_others_commit_is_told_while_our_writer_holds_the_lock_and_writes_nothing(pair):
    one, other = pair
    watch = one.model("todo").watch()
    release = threading.Event()
    await other.model("todo").put("1", {"n": 1})
    holding = asyncio.create_task(
        one.core.writer.run(lambda _tx: release.wait(WAIT_S), weight=LARGE)
    )
    try:
        change = await asyncio.wait_for(anext(watch), WAIT_S / 2)
    finally:
        release.set()
        await holding

    assert {"id": "1", "n": 1} == change.data


async def test_others_commit_is_told_before_ours_that_came_after_it(pair):
    one, other = pair
    told = listen(one)
    await other.model("todo").put("1", {})
    await one.model("todo").put("2", {})
    await other.model("todo").put("3", {})
    await one.model("todo").put("4", {})

    assert [1, 2, 3, 4] == told


async def test_a_burst_of_others_is_told_whole_in_order_and_ours_amid_it_in_its_place(pair):
    one, other = pair
    told = listen(one)
    await other.model("todo").put_many([{"id": f"{n}"} for n in range(BURST)])
    await one.model("todo").put("ours", {})
    await one.model("todo").put("ours too", {})
    await caught_up(one)

    assert list(range(1, BURST + 3)) == told


@pytest.mark.parametrize("count", [GAP_MAX - 1, GAP_MAX, GAP_MAX + 1])
async def test_a_gap_of_about_what_is_read_at_once_is_told_whole(pair, count):
    one, other = pair
    told = listen(one)
    await other.model("todo").put_many([{"id": f"{n}"} for n in range(count)])
    await caught_up(one)

    assert list(range(1, count + 1)) == told


async def test_a_number_that_two_raise_by_turns_never_goes_back_for_a_watcher(pair):
    one, other = pair
    watch = one.model("todo").watch()
    await one.model("todo").put("1", {"n": 0})
    for _ in range(50):
        for replica in (other, one):
            todo = replica.model("todo")
            held = await todo.get_change("1")
            record = await todo.get("1")
            await todo.put("1", {"n": record["n"] + 1}, if_rev=held.rev)
    seen = []
    while not seen or seen[-1] < 100:
        seen.append((await next_of(watch)).data["n"])

    assert sorted(seen) == seen


async def test_what_changes_nothing_is_no_news(pair):
    one, _ = pair
    told = listen(one)
    for _ in range(3):
        await one.model("todo").put("1", {"n": 1})

    assert [1] == told


async def test_a_commit_that_moves_no_head_wakes_the_link(pair):
    one, other = pair
    woken = []
    foreign = ForeignWrites(one.core)
    one.core.wake = woken.append
    await other.model("todo").save_mark("name", b"value")
    await foreign.look()

    assert [None] == woken


async def test_count_of_others_commits_moves_though_the_writer_is_always_busy(tmp_path):
    """Whoever looks while our writer has the lock learns of it at the end of that transaction."""
    path = str(tmp_path / "shared.db")
    async with (
        await syncline.Replica.open(path, ["todo"]) as one,
        await syncline.Replica.open(path, ["todo"]) as other,
    ):
        store = one.core.engine.store
        before = store.foreign_writes()
        await other.model("todo").put("1", {})
        entered, release = threading.Event(), threading.Event()

        def hold():
            with store.write():
                entered.set()
                release.wait(WAIT_S)

        holder = threading.Thread(target=hold)
        holder.start()
        entered.wait(WAIT_S)
        while_busy = store.foreign_writes()
        release.set()
        holder.join(WAIT_S)
        at_the_end = store._looks.version

    assert before == while_busy != at_the_end


async def test_a_live_query_sees_what_another_process_drops_and_a_watch_does_not(pair):
    one, other = pair
    watch = one.model("todo").watch()
    await other.model("todo").put("1", {})
    assert "1" == (await next_of(watch)).record_id
    emptied = asyncio.Event()
    await one.model("todo").subscribe(lambda rows: rows or emptied.set())
    await other.core.carry_out(drop_first)
    await asyncio.wait_for(emptied.wait(), WAIT_S)
    await other.model("todo").put("2", {})

    assert "2" == (await next_of(watch)).record_id


def drop_first(tx):
    """Drop a record as a leaf does whose create was refused."""
    tx.next_seqs(1)
    tx.remove([("todo", "1")])
    return Outcome()
