"""Closing sends what waits, says what it could not send, and never hangs."""

import asyncio
import contextlib
import re
import subprocess
import sys

import pytest
from structlog.testing import capture_logs

import syncline
from syncline import blocking
from syncline.errors import LinkClosed, UnsentWrites


WAIT_S = 20
LONG_S = 3600.0
"""A deadline that a test would not see the end of."""
NOBODY = "http://127.0.0.1:9"
"""Nothing listens there: a connection is refused at once."""


RULES = """
from syncline import Hooks, Refuse

def validate(principal, before, after):
    raise Refuse("never")

hooks = Hooks(validate={"todo": validate})
"""


async def at_daemon(url, model="todo"):
    async with await syncline.connect_remote(url) as remote:
        return {record["id"] for record in await remote.model(model).find(limit=100_000)}


@contextlib.asynccontextmanager
async def black_hole():
    """Take connections, and never answer; yield the address, and an event for the first one."""
    taken = asyncio.Event()
    writers = []

    async def take(_reader, writer):
        writers.append(writer)
        taken.set()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}", taken
    for writer in writers:
        writer.close()
    server.close()


def unsent_of(logs):
    return [line for line in logs if line["event"] == "replica.closed_unsent"]


# ---- it is sent ---------------------------------------------------------------------------


async def test_what_was_written_before_the_daemon_was_reached_arrives(daemon):
    async with syncline.connect(daemon.url, models=["todo"]) as replica:
        await replica.model("todo").put("1", {})

    assert {"1"} == await at_daemon(daemon.url)


async def test_a_backlog_arrives_whole(daemon):
    async with syncline.connect(daemon.url, models=["todo"], close_timeout_s=LONG_S) as replica:
        await replica.model("todo").put_many([{"id": str(i)} for i in range(7000)])

    assert 7000 == len(await at_daemon(daemon.url))


async def test_a_store_of_its_own_keeps_nothing_back(daemon, tmp_path):
    options = {"store": str(tmp_path / "a.db"), "models": ["todo"]}
    replica = await syncline.connect(daemon.url, **options)
    await replica.model("todo").put("1", {})

    left = await replica.close()

    assert 0 == left
    assert {"1"} == await at_daemon(daemon.url)


async def test_a_block_that_raises_is_sent_too(daemon):
    with pytest.raises(ZeroDivisionError):
        async with syncline.connect(daemon.url, models=["todo"]) as replica:
            await replica.model("todo").put("1", {})
            raise ZeroDivisionError

    assert {"1"} == await at_daemon(daemon.url)


async def test_a_block_that_is_cancelled_is_sent_too(daemon):
    has_written = asyncio.Event()

    async def work():
        async with syncline.connect(daemon.url, models=["todo"]) as replica:
            await replica.wait_live(WAIT_S)
            await replica.model("todo").put_many([{"id": str(i)} for i in range(1000)])
            has_written.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await has_written.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert 1000 == len(await at_daemon(daemon.url))


async def test_a_link_in_its_back_off_tries_once_more(new_daemon, daemon, tmp_path):
    daemon.stop()
    replica = await syncline.connect(
        daemon.url,
        models=["todo"],
        settings=syncline.SessionSettings(first_delay_s=LONG_S, delay_cap_s=LONG_S),
    )
    is_away = asyncio.Event()
    replica.on_status(lambda status: status.state == "offline" and is_away.set())
    await replica.model("todo").put("1", {})
    await asyncio.wait_for(is_away.wait(), WAIT_S)
    daemon.start()

    await replica.close()

    assert {"1"} == await at_daemon(daemon.url)


# ---- it can't be sent ---------------------------------------------------------------------


async def test_what_is_lost_with_a_store_in_memory_is_raised_and_logged():
    replica = await syncline.connect(NOBODY, models=["todo"], close_timeout_s=LONG_S)
    await replica.model("todo").put_many([{"id": "1"}, {"id": "2"}])

    with capture_logs() as logs, pytest.raises(UnsentWrites, match="2 writes") as raised:
        await asyncio.wait_for(replica.close(), WAIT_S)

    assert 2 == raised.value.count
    (line,) = unsent_of(logs)
    assert ("error", 2, "lost") == (line["log_level"], line["count"], line["outcome"])


async def test_the_block_raises_what_is_lost_and_masks_nothing():
    with pytest.raises(UnsentWrites):
        async with syncline.connect(NOBODY, models=["todo"]) as replica:
            await replica.model("todo").put("1", {})
    with capture_logs() as logs, pytest.raises(ZeroDivisionError):
        async with syncline.connect(NOBODY, models=["todo"]) as replica:
            await replica.model("todo").put("1", {})
            raise ZeroDivisionError
    assert 1 == unsent_of(logs)[0]["count"]


async def test_what_stays_in_the_store_is_returned_and_logged_and_sent_by_the_next(
    daemon, tmp_path
):
    options = {"store": str(tmp_path / "a.db"), "models": ["todo"]}
    replica = await syncline.connect(NOBODY, **options, close_timeout_s=LONG_S)
    await replica.model("todo").put("1", {})
    with capture_logs() as logs:
        left = await asyncio.wait_for(replica.close(), WAIT_S)
    async with syncline.connect(daemon.url, **options):
        pass

    assert 1 == left
    (line,) = unsent_of(logs)
    assert ("warning", 1, "kept") == (line["log_level"], line["count"], line["outcome"])
    assert {"1"} == await at_daemon(daemon.url)


async def test_a_replica_that_was_paused_does_not_wait(daemon, tmp_path):
    options = {"store": str(tmp_path / "a.db"), "models": ["todo"]}
    replica = await syncline.connect(daemon.url, **options)
    await replica.wait_live(WAIT_S)
    await replica.pause()
    await replica.model("todo").put("1", {})

    left = await asyncio.wait_for(replica.close(LONG_S), WAIT_S)

    assert 1 == left
    assert set() == await at_daemon(daemon.url)


async def test_a_deadline_of_nothing_sends_nothing_and_says_so(tmp_path):
    options = {"store": str(tmp_path / "a.db"), "models": ["todo"]}
    async with black_hole() as (url, taken):
        replica = await syncline.connect(url, **options)
        await taken.wait()
        await replica.model("todo").put("1", {})

        assert 1 == await asyncio.wait_for(replica.close(0), WAIT_S)


async def test_closing_twice_and_from_two_tasks_is_closing_once(daemon):
    replica = await syncline.connect(daemon.url, models=["todo"])
    await replica.model("todo").put("1", {})

    assert [0, 0] == await asyncio.gather(replica.close(), replica.close())
    assert 0 == await replica.close()
    assert {"1"} == await at_daemon(daemon.url)


async def test_a_close_that_is_cancelled_sends_no_more_but_closes(tmp_path):
    options = {"store": str(tmp_path / "a.db"), "models": ["todo"]}
    async with black_hole() as (url, taken):
        replica = await syncline.connect(url, **options)
        await replica.model("todo").put("1", {})
        await taken.wait()
        closing = asyncio.create_task(replica.close(LONG_S))
        await asyncio.sleep(0)
        with capture_logs() as logs:
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(closing, WAIT_S)

    assert 1 == unsent_of(logs)[0]["count"]
    async with await syncline.Replica.open(**options) as again:
        assert {"id": "1"} == await again.model("todo").get("1")


async def test_a_refused_write_is_no_unsent_one(new_daemon, tmp_path, monkeypatch):
    (tmp_path / "closing_rules.py").write_text(RULES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    daemon = new_daemon('schemaless = ["todo"]\nhooks = ["closing_rules:hooks"]\n')
    async with syncline.connect(daemon.url, models=["todo"]) as replica:
        await replica.model("todo").put("1", {})

    assert set() == await at_daemon(daemon.url)


# ---- flush --------------------------------------------------------------------------------


async def test_flush_returns_when_all_is_at_the_daemon(daemon):
    async with syncline.connect(daemon.url, models=["todo"]) as replica:
        await replica.model("todo").put_many([{"id": str(i)} for i in range(3000)])
        await replica.flush(WAIT_S)

        assert 0 == replica.status.pending
        assert 3000 == len(await at_daemon(daemon.url))


async def test_flush_of_nothing_returns_without_a_daemon():
    async with syncline.connect(NOBODY, models=["todo"]) as replica:
        await replica.flush()


async def test_flush_that_takes_too_long_is_a_timeout(tmp_path):
    options = {"store": str(tmp_path / "a.db"), "models": ["todo"]}
    async with syncline.connect(NOBODY, **options) as replica:
        await replica.model("todo").put("1", {})
        with pytest.raises(TimeoutError):
            await replica.flush(0.01)


async def test_flush_of_a_replica_that_follows_nobody_is_named():
    async with await syncline.Replica.open() as replica:
        with pytest.raises(LinkClosed, match="follows nobody"):
            await replica.flush()


async def test_flush_does_not_wait_for_a_conflict(daemon):
    async with syncline.connect(daemon.url, models=["todo"]) as replica:
        await replica.wait_live(WAIT_S)
        await replica.pause()
        await replica.model("todo").put("1", {"title": "ours"})
        async with await syncline.connect_remote(daemon.url) as remote:
            await remote.model("todo").put("1", {"title": "theirs"})
        replica.resume()

        await replica.flush(WAIT_S)

        assert (0, 1) == (replica.status.pending, replica.status.conflicts)


async def test_flush_waits_for_the_process_that_holds_the_link(daemon, tmp_path):
    """One holds the link of a file by a lease; what another one writes there, it sends."""
    options = {"store": str(tmp_path / "a.db"), "models": ["todo"]}
    async with syncline.connect(daemon.url, **options) as holder:
        await holder.wait_live(WAIT_S)
        async with syncline.connect(daemon.url, **options) as other:
            await other.model("todo").put("1", {})

            await other.flush(WAIT_S)

        assert {"1"} == await at_daemon(daemon.url)


# ---- blocking -----------------------------------------------------------------------------


def test_a_script_that_ends_has_sent(daemon):
    with blocking.connect(daemon.url, models=["todo"]) as replica:
        replica.model("todo").put("1", {})

    assert {"1"} == asyncio.run(at_daemon(daemon.url))


def test_a_script_flushes(daemon):
    with blocking.connect(daemon.url, models=["todo"]) as replica:
        replica.model("todo").put("1", {})
        replica.flush(WAIT_S)

        assert {"1"} == asyncio.run(at_daemon(daemon.url))


def test_a_script_hears_what_is_lost():
    with (
        pytest.raises(UnsentWrites),
        blocking.connect(NOBODY, models=["todo"]) as replica,
    ):
        replica.model("todo").put("1", {})


FORGETFUL = """
import sys
from syncline import blocking

replicas = [blocking.connect(url, models=["todo"]) for url in sys.argv[1:]]
for replica in replicas:
    replica.model("todo").put("1", {})
"""


def forget_to_close(*urls):
    return subprocess.run(
        [sys.executable, "-c", FORGETFUL, *urls],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_script_that_forgets_to_close_has_sent(daemon):
    done = forget_to_close(daemon.url)

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    assert {"1"} == asyncio.run(at_daemon(daemon.url))


LEFT_OPEN = """
import asyncio, sys, syncline
async def main():
    replica = await syncline.connect(sys.argv[1], store=sys.argv[2], models=["todo"])
    await replica.model("todo").put("1", {})
    if sys.argv[3:]:
        await replica.flush(30)
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("store", "flush", "outcomes"),
    [
        pytest.param("memory:", [], ["lost"], id="in memory"),
        pytest.param("todos.db", [], ["kept"], id="in a file"),
        pytest.param("memory:", ["flush"], [], id="sent"),
    ],
)
def test_a_program_that_leaves_its_loop_without_closing_says_so(
    daemon, tmp_path, store, flush, outcomes
):
    done = subprocess.run(
        [sys.executable, "-c", LEFT_OPEN, daemon.url, store, *flush],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )

    assert 0 == done.returncode
    assert outcomes == re.findall(r"replica\.closed_unsent .*outcome=(\w+) count=1", done.stderr)
    assert len(outcomes) == done.stderr.count("never closed")


def test_a_script_that_forgets_to_close_says_what_is_lost_and_sends_the_rest(daemon):
    done = forget_to_close(NOBODY, daemon.url, NOBODY)

    assert 2 == done.stderr.count("replica.closed_unsent")
    assert "Traceback" not in done.stderr
    assert {"1"} == asyncio.run(at_daemon(daemon.url))
