"""A replica that is used where a call would wait for ever says so by name."""

import asyncio
import subprocess
import sys
import threading

import pytest

import syncline
from syncline import blocking
from syncline.errors import LinkClosed, ReplicaClosed, WrongLoop


WAIT_S = 20
NOBODY = "http://127.0.0.1:9"
"""Nothing listens there: a connection is refused at once."""


async def transact(replica):
    async with replica.transaction() as tx:
        tx.model("todo").put("1", {})


VERBS = {
    "put": lambda replica: replica.model("todo").put("1", {}),
    "put_many": lambda replica: replica.model("todo").put_many([{"id": "1"}]),
    "patch": lambda replica: replica.model("todo").patch("1", {}),
    "delete": lambda replica: replica.model("todo").delete("1"),
    "get": lambda replica: replica.model("todo").get("1"),
    "find": lambda replica: replica.model("todo").find(),
    "count": lambda replica: replica.model("todo").count(),
    "watch": lambda replica: anext(replica.model("todo").watch()),
    "subscribe": lambda replica: replica.model("todo").subscribe(print),
    "changes": lambda replica: replica.model("todo").changes(),
    "conflicts": lambda replica: replica.conflicts(),
    "model_names": lambda replica: replica.model_names(),
    "retry_parked": lambda replica: replica.retry_parked(),
    "compact": lambda replica: replica.compact(0),
    "barrier": lambda replica: replica.barrier(),
    "wait_live": lambda replica: replica.wait_live(),
    "flush": lambda replica: replica.flush(),
    "pause": lambda replica: replica.pause(),
    "transaction": transact,
}


async def on_another_loop(work, *args):
    """Run a coroutine on a loop of its own, in a thread; return what it raised."""

    async def run():
        async with asyncio.timeout(WAIT_S):
            await work(*args)

    return await asyncio.gather(
        asyncio.to_thread(lambda: asyncio.run(run())), return_exceptions=True
    )


@pytest.mark.parametrize("verb", VERBS)
async def test_after_the_close(verb):
    replica = await syncline.connect(NOBODY, models=["todo"])
    await replica.close()

    with pytest.raises(ReplicaClosed):
        await asyncio.wait_for(VERBS[verb](replica), WAIT_S)


@pytest.mark.parametrize("verb", VERBS)
async def test_on_another_loop(verb):
    async with syncline.connect(NOBODY, models=["todo"]) as replica:
        (error,) = await on_another_loop(VERBS[verb], replica)

        assert isinstance(error, WrongLoop), error


async def test_close_on_another_loop_closes_nothing(daemon):
    async with syncline.connect(daemon.url, models=["todo"]) as replica:
        (error,) = await on_another_loop(replica.close)

        assert isinstance(error, WrongLoop), error
        await replica.wait_live(WAIT_S)


@pytest.mark.parametrize("verb", ["resume", "allow_deletions", "on_status"])
async def test_what_waits_for_nothing_on_another_thread(verb):
    args = (print,) if verb == "on_status" else ()
    async with syncline.connect(NOBODY, models=["todo"]) as replica:
        with pytest.raises(WrongLoop, match="another thread"):
            await asyncio.to_thread(getattr(replica, verb), *args)


async def test_a_link_that_was_closed_on_its_own_is_not_waited_for():
    async with syncline.connect(NOBODY, models=["todo"]) as replica:
        await replica.link.close()

        for verb in ("barrier", "wait_live", "flush", "pause"):
            with pytest.raises(LinkClosed):
                await asyncio.wait_for(VERBS[verb](replica), WAIT_S)


async def test_a_remote_on_another_loop(daemon):
    async with await syncline.connect_remote(daemon.url) as remote:
        (error,) = await on_another_loop(remote.model("todo").count)

        assert isinstance(error, WrongLoop), error


async def test_a_remote_that_was_closed(daemon):
    remote = await syncline.connect_remote(daemon.url)
    await remote.close()

    with pytest.raises(LinkClosed):
        await asyncio.wait_for(remote.model("todo").count(), WAIT_S)


BLOCKING = {
    "put": lambda replica: replica.model("todo").put("1", {}),
    "find": lambda replica: replica.model("todo").find(),
    "watch": lambda replica: replica.model("todo").watch(),
    "subscribe": lambda replica: replica.model("todo").subscribe(print),
    "barrier": blocking.BlockingReplica.barrier,
    "flush": blocking.BlockingReplica.flush,
    "wait_live": blocking.BlockingReplica.wait_live,
    "conflicts": blocking.BlockingReplica.conflicts,
    "allow_deletions": blocking.BlockingReplica.allow_deletions,
}


@pytest.mark.parametrize("verb", BLOCKING)
def test_after_the_close_of_a_blocking_one(verb):
    replica = blocking.connect(NOBODY, models=["todo"])
    replica.close()

    assert 0 == replica.close()
    with pytest.raises(ReplicaClosed):
        BLOCKING[verb](replica)


def test_who_waits_in_a_blocking_call_hears_of_the_close():
    replica = blocking.connect(NOBODY, models=["todo"])
    raised, begun = [], threading.Event()
    replica._loop.soon(begun.set)

    def wait():
        try:
            replica.wait_live()
        except syncline.SynclineError as error:
            raised.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert begun.wait(WAIT_S)
    replica.close()
    waiting.join(WAIT_S)

    assert isinstance(raised[0], LinkClosed | ReplicaClosed)


FORKED = """
import asyncio, os, sys, warnings
warnings.simplefilter("ignore")
import syncline
from syncline import blocking
from syncline.errors import WrongProcess

def child(ask):
    try:
        ask()
    except WrongProcess:
        os._exit(0)
    except BaseException as error:
        print(repr(error), flush=True)
    os._exit(1)

def in_child(ask):
    pid = os.fork()
    if not pid:
        child(ask)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

url, kind, verb = sys.argv[1:]
if kind == "blocking":
    with blocking.connect(url, models=["todo"]) as replica:
        todo = replica.model("todo")
        code = in_child(lambda: {
            "put": lambda: todo.put("1", {}),
            "flush": replica.flush,
            "status": lambda: replica.status,
        }[verb]())
        todo.put("2", {})
else:
    async def main():
        async with syncline.connect(url, models=["todo"]) as replica:
            todo = replica.model("todo")
            verbs = {"put": lambda: todo.put("1", {}), "flush": lambda: replica.flush(),
                     "status": lambda: replica.wait_live()}
            code = await asyncio.to_thread(in_child, lambda: asyncio.run(verbs[verb]()))
            await todo.put("2", {})
            return code
    code = asyncio.run(main())
sys.exit(code)
"""


@pytest.mark.parametrize("verb", ["put", "flush", "status"])
@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_in_a_forked_process(daemon, kind, verb):
    done = subprocess.run(
        [sys.executable, "-c", FORKED, daemon.url, kind, verb],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    async def held():
        async with await syncline.connect_remote(daemon.url) as remote:
            return [record["id"] for record in await remote.model("todo").find()]

    assert 0 == done.returncode, done.stdout + done.stderr
    assert ["2"] == asyncio.run(held())


# ---- what is shown of it ------------------------------------------------------------------


async def test_a_representation_says_whom_it_follows_and_how_it_stands(daemon):
    async with syncline.connect(daemon.url, models=["todo"]) as replica:
        await replica.wait_live(WAIT_S)
        live = repr(replica)
        await replica.pause()
        await replica.model("todo").put("1", {})
        paused, link = repr(replica), repr(replica.link)
        replica.resume()

    words = f"url='{daemon.url}', state='offline', pending=1, reason='paused'"
    assert f"Replica(url='{daemon.url}', state='live', pending=0)" == live
    assert [f"Replica({words})", f"Link({words})"] == [paused, link]
    assert "Replica(state='closed')" == repr(replica)


async def test_one_that_follows_nobody_and_the_handles_are_shown():
    async with await syncline.Replica.open() as replica:
        assert "Replica(url=None, state='offline', pending=0)" == repr(replica)
        assert "Model('todo')" == repr(replica.model("todo"))


async def test_a_remote_is_shown(daemon):
    async with await syncline.connect_remote(daemon.url) as remote:
        words = f"RemoteReplica(url='{daemon.url}', state='open', pending=0)"
        assert [words, f"RemoteModel('todo', {words})"] == [
            repr(remote),
            repr(remote.model("todo")),
        ]

    assert f"RemoteReplica(url='{daemon.url}', state='closed', pending=0)" == repr(remote)


def test_a_blocking_one_is_shown_from_any_thread_and_after_its_close():
    with blocking.connect(NOBODY, models=["todo"]) as replica:
        assert f"BlockingReplica(url='{NOBODY}', state=" in repr(replica)
        assert "BlockingModel('todo')" == repr(replica.model("todo"))

    assert "BlockingReplica(state='closed')" == repr(replica)
