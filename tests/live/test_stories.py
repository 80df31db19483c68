"""Stories with a real daemon, real replicas and real faults."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
import socketio

import syncline
from syncline.models import Answer
from syncline.models import encode_body as encode
from syncline.status import SessionState


WAIT_S = 20


async def until(condition, what):
    """Wait for what another process will bring about; fail by name when it does not in time."""
    deadline = time.monotonic() + WAIT_S
    while not await condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        await asyncio.sleep(0)


async def test_the_recipe_a_bare_listener_replicates_when_it_hears_changed(daemon):
    """LoopBack's printed recipe: `changed`, then `replicate(remote, local)`."""
    local = await syncline.Replica.open("memory:", ["todo"])
    remote = await syncline.connect_remote(daemon.url)
    heard = asyncio.Event()
    listener = socketio.AsyncClient()

    @listener.on("changed")
    async def changed(model):
        await syncline.replicate(remote.model(model), local.model(model))
        heard.set()

    await listener.connect(daemon.url)
    await remote.model("todo").put("1", {"title": "milk"})
    await asyncio.wait_for(heard.wait(), WAIT_S)

    assert {"id": "1", "title": "milk"} == await local.model("todo").get("1")
    await listener.disconnect()
    await remote.close()
    await local.close()


async def test_a_write_on_a_is_in_bs_database(daemon, tmp_path):
    path = tmp_path / "b.db"
    async with (
        syncline.connect(daemon.url, store="memory:", models=["todo"]) as a,
        syncline.connect(daemon.url, store=str(path), models=["todo"]) as b,
    ):
        await a.model("todo").put("1", {"title": "milk"})
        await a.link.wait_live(WAIT_S)
        await b.barrier(WAIT_S)

    with sqlite3.connect(path) as rows:
        found = rows.execute("SELECT model, record_id, body FROM syncline_changes").fetchall()
    rows.close()

    assert [("todo", "1", '{"id":"1","title":"milk"}')] == found


async def test_offline_edits_on_both_sides_conflict_once_and_are_settled_everywhere(daemon):
    async with (
        syncline.connect(daemon.url, models=["todo"]) as a,
        syncline.connect(daemon.url, models=["todo"]) as b,
    ):
        await a.model("todo").put("1", {"title": "milk"})
        await a.link.wait_live(WAIT_S)
        await b.barrier(WAIT_S)
        await a.link.pause()
        await a.model("todo").put("1", {"title": "ours"})
        await b.model("todo").put("1", {"title": "theirs"})
        await b.link.wait_live(WAIT_S)
        a.link.resume()
        await a.barrier(WAIT_S)

        (conflict,) = await a.conflicts()
        kept = (conflict.base, conflict.ours, conflict.theirs)
        assert await conflict.resolve("manual", {"title": "both"})
        await a.link.wait_live(WAIT_S)
        await b.barrier(WAIT_S)

        assert ("milk", "ours", "theirs") == tuple(record["title"] for record in kept)
        assert {"id": "1", "title": "both"} == await b.model("todo").get("1")
        assert [] == await a.conflicts()
        assert 1 == len(await a.conflicts(open_only=False))


WRITER = """
import asyncio, sys
import syncline

async def main():
    async with syncline.connect(sys.argv[1], store=sys.argv[2], models=["todo"]) as replica:
        for number in range(100000):
            await replica.model("todo").put(f"r{number}", {"n": number})
            print(number, flush=True)
            if number % 10 == 0:
                await asyncio.sleep(0)

asyncio.run(main())
"""


def write_until_killed(url, path, program):
    """Run a writer, kill it in the middle, and return the last number whose put returned."""
    program.write_text(WRITER)
    process = subprocess.Popen(
        [sys.executable, str(program), url, str(path)], stdout=subprocess.PIPE, text=True
    )
    written = -1
    while written < 300:
        written = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    process.wait(WAIT_S)
    written = int(([written, *process.stdout.read().split()])[-1])
    process.stdout.close()
    return written


async def test_writes_of_a_killed_process_arrive_exactly_once(daemon, tmp_path):
    path = tmp_path / "a.db"
    written = await asyncio.to_thread(write_until_killed, daemon.url, path, tmp_path / "writer.py")

    async with syncline.connect(daemon.url, store=str(path), models=["todo"]) as replica:
        await replica.link.wait_live(WAIT_S)
        remote = await syncline.connect_remote(daemon.url)
        changes = await remote.model("todo").changes()
        await remote.close()
        mine = await replica.model("todo").count()

    ids = [change.record_id for change in changes]
    assert len(ids) == len(set(ids)) == mine
    assert {f"r{number}" for number in range(written + 1)} <= set(ids)


async def test_a_killed_daemon_comes_back_and_nobody_starts_over(daemon, tmp_path):
    async with (
        syncline.connect(daemon.url, store=str(tmp_path / "a.db"), models=["todo"]) as a,
        syncline.connect(daemon.url, models=["todo"]) as b,
    ):
        await a.model("todo").put("1", {"n": 1})
        await a.link.wait_live(WAIT_S)
        await b.barrier(WAIT_S)
        epoch = a.link.welcome.epoch
        daemon.kill()
        await a.model("todo").put("2", {"n": 2})
        assert SessionState.LIVE is not a.status.state
        daemon.start()
        await a.link.wait_live(WAIT_S)
        await b.barrier(WAIT_S)

        assert 2 == await b.model("todo").count()
        assert epoch != a.link.welcome.epoch
        assert "good" == a.link.welcome.standing


async def test_a_daemon_replaced_by_an_empty_one_is_filled_again(daemon, tmp_path):
    async with syncline.connect(daemon.url, store=str(tmp_path / "a.db"), models=["todo"]) as a:
        await a.model("todo").put_many([{"id": str(n), "n": n} for n in range(20)])
        await a.model("todo").delete("0")
        await a.link.wait_live(WAIT_S)
        daemon.kill()
        daemon.lose_store()
        daemon.start()
        await until(lambda: _is_standing(a, "reset"), "the reset")
        await a.link.wait_live(WAIT_S)
        remote = await syncline.connect_remote(daemon.url)
        held = await remote.model("todo").find()
        await remote.close()

        assert 19 == len(held)
        assert held == await a.model("todo").find()
        assert [] == await a.conflicts()


async def _is_standing(replica, standing):
    return replica.link.welcome is not None and replica.link.welcome.standing == standing


async def test_a_transaction_is_never_seen_in_half(daemon):
    async with (
        syncline.connect(daemon.url, models=["account", "ledger"]) as a,
        syncline.connect(daemon.url, models=["account", "ledger"]) as b,
    ):
        async with a.transaction() as tx:
            tx.model("account").put("x", {"balance": 50})
            tx.model("account").put("y", {"balance": 50})
            tx.model("ledger").put("sum", {"total": 100})
        await a.link.wait_live(WAIT_S)
        await b.barrier(WAIT_S)
        sums = []
        b.core.observers.listen(lambda _updates: sums.append(_sum_now(b)))
        for amount in range(50):
            async with a.transaction() as tx:
                tx.model("account").put("x", {"balance": 50 - amount})
                tx.model("account").put("y", {"balance": 50 + amount})
                tx.model("ledger").put("last", {"moved": amount})
        await a.link.wait_live(WAIT_S)
        await b.barrier(WAIT_S)

        assert sums
        assert {100} == set(sums)
        assert {"id": "last", "moved": 49} == await b.model("ledger").get("last")


def _sum_now(replica):
    with replica.core.engine.store.read() as reader:
        return sum(reader.entry("account", name).update.data["balance"] for name in ("x", "y"))


HOOKS = """
import time
from syncline import Hooks, Refuse

def validate(principal, before, after):
    title = (after or {}).get("title", "")
    if title == "bad":
        raise Refuse("no bad titles")
    if title == "boom":
        raise RuntimeError("boom")
    if title == "hang":
        time.sleep(1)
    if title == "nonsense":
        return 42
    if title.islower():
        return {**after, "title": title.upper()}

hooks = Hooks(validate={"todo": validate})
"""


@pytest.fixture
def ruled(new_daemon, tmp_path, monkeypatch):
    (tmp_path / "story_rules.py").write_text(HOOKS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return new_daemon(
        'hooks = ["story_rules:hooks"]\nschemaless = ["todo"]\n[timings]\nhook_timeout_s = 0.3\n'
    )


async def test_a_refused_write_is_rolled_back_with_the_reason(ruled):
    told = []
    hooks = syncline.Hooks(on_refused=lambda update, reason: told.append((update.data, reason)))
    async with syncline.connect(ruled.url, models=["todo"], hooks=hooks) as a:
        todo = a.model("todo")
        await todo.put("1", {"title": "GOOD"})
        await a.link.wait_live(WAIT_S)
        await todo.put("1", {"title": "bad"})
        await todo.put("2", {"title": "bad"})
        await until(lambda: _has(told, 2), "the refusals")
        await a.link.wait_live(WAIT_S)

        assert {"id": "1", "title": "GOOD"} == await todo.get("1")
        assert await todo.get("2") is None
        assert {"no bad titles"} == {reason for _, reason in told}


async def _has(items, count):
    return len(items) >= count


async def test_an_amended_write_comes_back_as_it_was_amended(ruled):
    async with (
        syncline.connect(ruled.url, models=["todo"]) as a,
        syncline.connect(ruled.url, models=["todo"]) as b,
    ):
        await a.model("todo").put("1", {"title": "milk"})
        await a.link.wait_live(WAIT_S)
        await a.barrier(WAIT_S)
        await b.barrier(WAIT_S)

        assert {"id": "1", "title": "MILK"} == await a.model("todo").get("1")
        revs = [(await r.model("todo").get_change("1")).rev for r in (a, b)]
        assert revs[0] == revs[1]


@pytest.mark.parametrize("title", ["boom", "hang", "nonsense"])
async def test_a_broken_hook_parks_the_record_and_the_stream_goes_on(ruled, title):
    async with syncline.connect(ruled.url, models=["todo"]) as a:
        await a.model("todo").put("1", {"title": title})
        await a.model("todo").put("2", {"title": "FINE"})
        await until(lambda: _is_parked(a), "the parked record")
        remote = await syncline.connect_remote(ruled.url)
        await until(lambda: _is_there(remote, "2"), "the other record")

        assert await remote.model("todo").get("1") is None
        assert {"id": "1", "title": title} == await a.model("todo").get("1")
        await a.model("todo").put("1", {"title": "MENDED"})
        await until(lambda: _is_there(remote, "1"), "the mended record")
        await remote.close()


async def _is_parked(replica):
    return replica.status.parked == 1


async def _is_there(remote, record_id):
    return await remote.model("todo").get(record_id) is not None


async def test_a_hundred_offline_edits_are_pushed_as_one(daemon):
    async with syncline.connect(daemon.url, models=["todo"]) as a:
        await a.model("todo").put("1", {"n": -1})
        await a.link.wait_live(WAIT_S)
        await a.link.pause()
        for number in range(100):
            await a.model("todo").put("1", {"n": number})
        change = await a.model("todo").get_change("1")
        a.link.resume()
        await a.link.wait_live(WAIT_S)
        remote = await syncline.connect_remote(daemon.url)
        there = await remote.model("todo").get_change("1")
        await remote.close()

        assert (2, 1) == (change.generation, len(change.ancestors))
        assert (change.rev, {"id": "1", "n": 99}) == (there.rev, there.data)


TYPED = """
[models.car]
strict = true
nulls = true
[models.car.properties]
maker = "string"
year = { type = "integer", nullable = false, default = 1900 }
"""


async def test_a_strict_model_refuses_a_bad_property_by_name_here_and_there(new_daemon):
    daemon = new_daemon(TYPED)
    async with syncline.connect(daemon.url, models=["car"]) as a:
        await a.model("car").put("ford", {"maker": "Ford"})
        await a.link.wait_live(WAIT_S)
        remote = await syncline.connect_remote(daemon.url)
        kept = await remote.model("car").get("ford")
        with pytest.raises(syncline.SynclineError, match="wheels"):
            await remote.model("car").put("bmw", {"wheels": 4})
        await remote.close()

        assert {"id": "ford", "maker": "Ford", "year": 1900} == kept


async def test_a_token_is_asked_for_and_rights_are_kept(new_daemon):
    from synclined.auth import hash_token, new_token

    token = new_token()
    daemon = new_daemon(
        'schemaless = ["todo", "secret"]\n[[tokens]]\nname = "phone"\n'
        f'sha256 = "{hash_token(token)}"\nrights = {{ todo = "write" }}\n'
    )
    async with syncline.connect(daemon.url, models=["todo"]) as stranger:
        await until(lambda: _is_state(stranger, SessionState.AUTH_REQUIRED), "the refusal")
    async with syncline.connect(daemon.url, models=["todo"], token=token) as phone:
        await phone.model("todo").put("1", {"title": "milk"})
        await phone.link.wait_live(WAIT_S)
    async with syncline.connect(daemon.url, models=["secret"], token=token) as phone:
        await until(lambda: _is_state(phone, SessionState.AUTH_REQUIRED), "the refusal")


async def _is_state(replica, state):
    return replica.status.state is state


async def test_replicating_between_two_databases_repeats_to_nothing_and_resolves(tmp_path):
    a = await syncline.Replica.open(str(tmp_path / "a.db"), ["todo"])
    b = await syncline.Replica.open(str(tmp_path / "b.db"), ["todo"])
    ours, theirs = a.model("todo"), b.model("todo")
    await ours.put_many([{"id": str(n), "n": n} for n in range(50)])

    first = await syncline.replicate(ours, theirs)
    again = await syncline.replicate(ours, theirs)
    await ours.put("1", {"n": "ours"})
    await theirs.put("1", {"n": "theirs"})
    met = await syncline.replicate(ours, theirs, since=again.checkpoints)
    await met.conflicts[0].resolve_using_source()
    settled = await syncline.replicate(ours, theirs, since=met.checkpoints)

    assert (50, 0) == (first.applied, again.applied)
    assert 1 == len(met.conflicts)
    assert ((), 1) == (settled.conflicts, settled.applied)
    assert {"id": "1", "n": "ours"} == await theirs.get("1")
    await a.close()
    await b.close()


async def test_a_filter_narrows_what_is_replicated(tmp_path):
    a = await syncline.Replica.open("memory:", ["todo"])
    b = await syncline.Replica.open("memory:", ["todo"])
    await a.model("todo").put_many([{"id": str(n), "n": n} for n in range(10)])

    await syncline.replicate(a.model("todo"), b.model("todo"), filter={"where": {"n": {"lt": 3}}})

    assert ["0", "1", "2"] == [record["id"] for record in await b.model("todo").find()]
    await a.close()
    await b.close()


async def test_the_status_never_says_live_while_writes_wait(daemon):
    async with syncline.connect(daemon.url, models=["todo"]) as a:
        await a.link.wait_live(WAIT_S)
        seen = []
        for number in range(50):
            await a.model("todo").put(str(number), {"n": number})
            seen.append(a.status.state)
        await a.link.wait_live(WAIT_S)
        remote = await syncline.connect_remote(daemon.url)

        assert SessionState.LIVE not in seen
        assert 50 == await remote.model("todo").count()
        await remote.close()


async def test_a_store_filled_before_it_followed_is_offered_and_not_overwritten(daemon, tmp_path):
    path = str(tmp_path / "a.db")
    async with await syncline.Replica.open(path, ["todo"]) as alone:
        await alone.model("todo").put("1", {"n": "ours"})
        await alone.model("todo").put("2", {"n": "only ours"})
    remote = await syncline.connect_remote(daemon.url)
    await remote.model("todo").put("1", {"n": "theirs"})

    async with syncline.connect(daemon.url, store=path, models=["todo"]) as a:
        await a.link.wait_live(WAIT_S)
        (conflict,) = await a.conflicts()

        assert ("ours", "theirs") == (conflict.ours["n"], conflict.theirs["n"])
        assert {"id": "2", "n": "only ours"} == await remote.model("todo").get("2")
    await remote.close()


async def test_two_processes_share_a_file_and_one_holds_the_link(daemon, tmp_path):
    path = str(tmp_path / "shared.db")
    async with syncline.connect(daemon.url, store=path, models=["todo"]) as holder:
        await holder.link.wait_live(WAIT_S)
        done = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "synclined", "put", path, "todo", "1", '{"n": 1}'),
            stdout=subprocess.DEVNULL,
        )
        assert 0 == await done.wait()
        remote = await syncline.connect_remote(daemon.url)
        await until(lambda: _is_there(remote, "1"), "the other process's write")
        await remote.close()


async def test_a_bulk_update_gives_every_item_its_own_verdict(daemon):
    remote = await syncline.connect_remote(daemon.url)
    todo = remote.model("todo")
    held = await todo.put("1", {"n": 1})
    rival = syncline.Update(
        model="todo",
        record_id="1",
        rev=syncline.new_revision(1, "f" * 16),
        body=encode({"id": "1"}),
    )
    fresh = syncline.Update(
        model="todo", record_id="2", rev=syncline.new_revision(1, "e" * 16), body=held.body
    )

    result = await todo.bulk_update([rival, fresh])

    assert [Answer.CONFLICT, Answer.REFUSED] == [r.answer for r in result.results]
    await remote.close()


DEFAULTS = """
[models.todo]
properties.title = "string"
properties.done = {type = "boolean", default = false}
"""


async def test_a_default_that_the_daemon_fills_in_is_a_revision_of_its_own(new_daemon):
    """A client without the declaration: the revision that it pushed never names another record."""
    daemon = new_daemon(DEFAULTS)
    async with syncline.connect(daemon.url, models=["todo"]) as phone:
        put = await phone.model("todo").put("1", {"title": "milk"})
        await phone.link.wait_live(WAIT_S)
        await phone.barrier(WAIT_S)
        change = await phone.model("todo").get_change("1")
        remote = await syncline.connect_remote(daemon.url)
        there = await remote.model("todo").get_change("1")
        await remote.close()

    assert {"id": "1", "title": "milk", "done": False} == change.data
    assert (there.rev, there.data) == (change.rev, change.data)
    assert put.rev != change.rev
    assert put.rev in change.ancestors


async def test_listeners_are_told_of_what_waits_while_the_link_is_cut(daemon):
    async with syncline.connect(daemon.url, models=["todo"]) as phone:
        await phone.link.wait_live(WAIT_S)
        await phone.link.pause()
        told = asyncio.Event()
        phone.link.on_status(lambda status: status.pending == 2 and told.set())
        await phone.model("todo").put("1", {"title": "milk"})
        await phone.model("todo").put("2", {"title": "bread"})
        await asyncio.wait_for(told.wait(), WAIT_S)
        phone.link.resume()  # What would be lost at the end is no story of this test.
