"""Mass deletions with a real daemon: nobody empties, or is emptied, unasked."""

import asyncio

import pytest

import syncline
from syncline.brake import Brake
from syncline.errors import MassDeletion
from syncline.status import SessionState


WAIT_S = 30


async def until_blocked(replica):
    blocked = asyncio.Event()
    end = replica.link.on_status(
        lambda status: blocked.set() if status.state is SessionState.BLOCKED else None
    )
    if replica.status.state is not SessionState.BLOCKED:
        await asyncio.wait_for(blocked.wait(), WAIT_S)
    end()
    return replica.status


async def fill(replica, count):
    for start in range(0, count, 1000):
        ids = range(start, min(start + 1000, count))
        await replica.model("todo").put_many([{"id": f"{n:05}"} for n in ids])


async def empty(replica):
    ids = [record["id"] for record in await replica.model("todo").find()]
    for start in range(0, len(ids), 1000):
        async with replica.transaction() as tx:
            for record_id in ids[start : start + 1000]:
                tx.model("todo").delete(record_id)


async def test_ten_thousand_rows_that_another_deleted_are_not_taken_away_unasked(daemon):
    async with (
        syncline.connect(daemon.url, models=["todo"]) as a,
        syncline.connect(daemon.url, models=["todo"]) as b,
        await syncline.connect_remote(daemon.url) as remote,
    ):
        await fill(a, 10_000)
        await a.link.wait_live(WAIT_S)
        await b.barrier(WAIT_S)
        await b.link.pause()

        await empty(a)
        await a.link.wait_live(WAIT_S)
        assert 0 == await remote.model("todo").count()

        b.link.resume()
        pulling = await until_blocked(b)
        await b.model("todo").put("mine", {})
        assert 10_001 == await b.model("todo").count()
        assert 1 == b.status.pending

        b.allow_deletions()
        await b.link.wait_live(WAIT_S)
        assert ["mine"] == [record["id"] for record in await b.model("todo").find()]
        assert 1 == await remote.model("todo").count()

    what = "mass_deletion: 10000 of 10000 records of 'todo' would be deleted here"
    assert what == pulling.reason


@pytest.mark.parametrize("is_offline", [False, True], ids=["online", "offline"])
async def test_what_a_program_deletes_by_a_verb_goes(daemon, is_offline):
    async with (
        syncline.connect(daemon.url, models=["todo"]) as a,
        await syncline.connect_remote(daemon.url) as remote,
    ):
        await fill(a, 200)
        await a.link.wait_live(WAIT_S)
        if is_offline:
            await a.link.pause()

        for n in range(150):
            await a.model("todo").delete(f"{n:05}")
        a.link.resume()
        await a.link.wait_live(WAIT_S)

        assert 50 == await remote.model("todo").count()


async def test_deletions_in_many_parts_are_stopped_halfway(daemon):
    async with (
        syncline.connect(daemon.url, models=["todo"]) as a,
        syncline.connect(daemon.url, models=["todo"]) as b,
    ):
        await fill(a, 3000)
        await a.link.wait_live(WAIT_S)
        await b.barrier(WAIT_S)

        for start in range(0, 3000, 100):
            async with a.transaction() as tx:
                for n in range(start, start + 100):
                    tx.model("todo").delete(f"{n:05}")
            await a.link.wait_live(WAIT_S)
        status = await until_blocked(b)

        assert "of 3000 records of 'todo' would be deleted here" in status.reason
        assert 1500 <= await b.model("todo").count()


async def test_rows_that_are_deleted_one_by_one_go(daemon):
    async with (
        syncline.connect(daemon.url, models=["todo"]) as a,
        syncline.connect(daemon.url, models=["todo"]) as b,
    ):
        await fill(a, 200)
        await a.link.wait_live(WAIT_S)

        for n in range(200):
            await a.model("todo").delete(f"{n:05}")
            await a.link.wait_live(WAIT_S)
        await b.barrier(WAIT_S)

        assert 0 == await b.model("todo").count()
        assert SessionState.LIVE is b.status.state


async def test_link_that_was_stopped_is_stopped_again_after_a_restart(daemon, tmp_path):
    path = str(tmp_path / "b.db")
    async with syncline.connect(daemon.url, models=["todo"]) as a:
        async with syncline.connect(daemon.url, store=path, models=["todo"]) as b:
            await fill(a, 300)
            await a.link.wait_live(WAIT_S)
            await b.barrier(WAIT_S)
        await empty(a)
        await a.link.wait_live(WAIT_S)
        for _ in range(2):
            async with syncline.connect(daemon.url, store=path, models=["todo"]) as b:
                await until_blocked(b)
                assert 300 == await b.model("todo").count()


@pytest.mark.parametrize("end", ["local", "remote"])
async def test_replicate_deletes_nothing_when_it_would_delete_most(daemon, end):
    source = await syncline.Replica.open("memory:", ["todo"])
    local = await syncline.Replica.open("memory:", ["todo"])
    remote = await syncline.connect_remote(daemon.url)
    target = remote if end == "remote" else local
    await fill(source, 3000)
    await syncline.replicate(source, target)
    await empty(source)
    await source.model("todo").put("new", {})

    with pytest.raises(MassDeletion, match="of 3000 records of 'todo' would be deleted here"):
        await syncline.replicate(source, target)
    kept = await target.model("todo").count()
    done = await syncline.replicate(source, target, brake=Brake(share_max=1.0))
    again = await syncline.replicate(source, target)

    assert kept >= 3000
    assert done.applied >= 3000
    assert (1, 0) == (await target.model("todo").count(), again.applied)
    for each in (source, local, remote):
        await each.close()
