"""A callback may do what a program does: ask, write, raise, be slow, end what called it."""

import asyncio
import gc
import threading

import pytest
from structlog.testing import capture_logs

import syncline
from syncline import blocking
from syncline.errors import StoreUnavailable, WrongLoop


WAIT_S = 20


@pytest.fixture
async def replica():
    async with await syncline.Replica.open() as replica:
        yield replica


@pytest.fixture
def todo(replica):
    return replica.model("todo")


class Shown:
    """What a callback was shown, to be waited for."""

    def __init__(self):
        self.rows = []
        self._more = asyncio.Event()

    def note(self, rows):
        self.rows.append(rows)
        self._more.set()

    async def until(self, condition):
        async with asyncio.timeout(WAIT_S):
            while not condition(self.rows):
                self._more.clear()
                await self._more.wait()


# ---- live queries -------------------------------------------------------------------------


async def test_a_callback_that_raises_is_told_of_and_called_again(replica, todo):
    shown, told = Shown(), []
    replica.core.hooks = syncline.Hooks(
        handle_change_error=lambda error, operation: told.append((str(error), operation))
    )

    def callback(rows):
        shown.note(rows)
        if len(rows) == 1:
            raise ValueError("one is none")

    end = await todo.subscribe(callback)
    with capture_logs() as logs:
        await todo.put("1", {})
        await shown.until(lambda rows: len(rows) == 2)
        await todo.put("2", {})
        await shown.until(lambda rows: len(rows) == 3)
    end()

    assert [0, 1, 2] == [len(rows) for rows in shown.rows]
    (line,) = [line for line in logs if line["event"] == "hook.failed"]
    assert "one is none" in line["error"]
    assert [("subscribe")] == [operation for _, operation in told]


async def test_a_first_call_that_raises_ends_the_subscription(replica, todo):
    def callback(_rows):
        raise ValueError("not at all")

    with pytest.raises(ValueError, match="not at all"):
        await todo.subscribe(callback)

    assert not replica.core.observers.count("todo")


async def test_a_callback_asks_writes_and_ends_its_subscription(todo):
    shown = Shown()

    async def callback(rows):
        if rows:
            end()
            # It goes on to its end, though it is called no more.
            await todo.put("2", {"seen": await todo.count()})
        shown.note(rows)

    end = await todo.subscribe(callback)
    await todo.put("1", {})
    await shown.until(lambda rows: len(rows) == 2)
    await todo.put("3", {})
    await asyncio.sleep(0)

    assert {"id": "2", "seen": 1} == await todo.get("2")
    assert 2 == len(shown.rows)


async def test_a_slow_callback_is_not_called_while_it_runs_and_sees_the_latest(todo):
    shown, go_on, running = Shown(), asyncio.Event(), asyncio.Event()

    async def callback(rows):
        assert not running.is_set()
        if len(rows) == 1:
            running.set()
            await go_on.wait()
            running.clear()
        shown.note(rows)

    end = await todo.subscribe(callback)
    await todo.put("1", {})
    await asyncio.wait_for(running.wait(), WAIT_S)
    for number in range(2, 6):
        await todo.put(str(number), {})
    go_on.set()
    await shown.until(lambda rows: len(rows[-1]) == 5)
    end()

    assert [0, 1, 5] == [len(rows) for rows in shown.rows]


async def test_rows_that_could_not_be_read_are_read_again(replica, todo, monkeypatch):
    shown, failures = Shown(), []
    read = replica.core.read

    async def failing(job, **options):
        if not failures:
            failures.append(None)
            raise StoreUnavailable("locked for a while")
        return await read(job, **options)

    end = await todo.subscribe(shown.note)
    monkeypatch.setattr("syncline.subscription.READ_AGAIN_S", 0.0)
    monkeypatch.setattr(replica.core, "read", failing)
    await todo.put("1", {})
    await shown.until(lambda rows: len(rows) == 2)
    end()

    assert [0, 1] == [len(rows) for rows in shown.rows]


async def test_a_callback_may_close_its_replica():
    replica = await syncline.Replica.open()
    todo = replica.model("todo")
    is_closed = asyncio.Event()

    async def callback(rows):
        if rows:
            await replica.close()
            is_closed.set()

    await todo.subscribe(callback)
    await todo.put("1", {})

    await asyncio.wait_for(is_closed.wait(), WAIT_S)


# ---- hooks --------------------------------------------------------------------------------


async def test_calls_for_one_record_come_in_order_and_others_do_not_wait_for_them():
    seen, slow, other = [], threading.Event(), threading.Event()

    def on_change(update):
        if update.record_id == "slow":
            if not seen:
                assert other.wait(WAIT_S)
            seen.append(update.data["n"])
            if update.data["n"] == 9:
                slow.set()
        else:
            other.set()

    hooks = syncline.Hooks(on_change=on_change)
    async with await syncline.Replica.open(hooks=hooks, hook_deadline_s=60) as replica:
        for number in range(10):
            await replica.model("todo").put("slow", {"n": number})
        await replica.model("todo").put("other", {})
        assert await asyncio.to_thread(slow.wait, WAIT_S)

    assert list(range(10)) == seen


async def test_a_hook_may_close_its_replica():
    is_closed = asyncio.Event()

    async def on_change(_update):
        await replica.close()
        is_closed.set()

    replica = await syncline.Replica.open(hooks=syncline.Hooks(on_change=on_change))
    await replica.model("todo").put("1", {})

    await asyncio.wait_for(is_closed.wait(), WAIT_S)


async def test_a_status_listener_may_write_and_end_itself_twice(daemon):
    seen = Shown()
    async with syncline.connect(daemon.url, models=["todo"]) as replica:

        def look(status):
            if status.state == "live":
                end()
                end()
                tasks.append(asyncio.ensure_future(replica.model("todo").put("1", {})))
                seen.note(status)

        tasks = []
        end = replica.on_status(look)
        await seen.until(bool)
        await asyncio.gather(*tasks)
        await replica.wait_live(WAIT_S)

    assert 1 == len(seen.rows)


# ---- watches ------------------------------------------------------------------------------


async def test_a_watch_that_nobody_holds_is_let_go(replica, todo):
    async def first():
        async for _ in todo.watch():
            break

    for number in range(100):
        task = asyncio.ensure_future(first())
        await asyncio.sleep(0)
        await todo.put("x", {"n": number})
        await task
    gc.collect()

    assert 0 == replica.core.observers.count("todo")


def test_a_blocking_watch_that_nobody_holds_is_let_go():
    with blocking.open_replica() as replica:
        todo = replica.model("todo")
        for number in range(20):
            changes = todo.watch()
            todo.put("x", {"n": number})
            for _ in changes:
                break
            del changes
        gc.collect()

        assert 0 == replica._replica.core.observers.count("todo")


# ---- blocking -----------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["count", "put", "watch", "transaction"])
def test_a_blocking_callback_uses_the_replica(verb):
    done = threading.Event()
    with blocking.open_replica() as replica:
        todo = replica.model("todo")
        todo.put("1", {})

        def transact():
            with replica.transaction() as tx:
                tx.model("todo").put("3", {})

        verbs = {
            "count": todo.count,
            "put": lambda: todo.put("2", {}),
            "watch": lambda: todo.watch().close(),
            "transaction": transact,
        }

        def callback(_rows):
            if not done.is_set():
                verbs[verb]()
                done.set()

        todo.subscribe(callback)

        assert done.is_set()


def test_a_slow_blocking_callback_holds_up_nobody():
    begun, go_on = threading.Event(), threading.Event()
    with blocking.open_replica() as replica:
        todo = replica.model("todo")

        def callback(rows):
            if rows:
                begun.set()
                go_on.wait(WAIT_S)

        end = todo.subscribe(callback)
        todo.put("1", {})
        assert begun.wait(WAIT_S)
        todo.put("2", {})

        assert 2 == todo.count()
        end()
        go_on.set()


def test_a_blocking_callback_may_close_the_replica():
    replica = blocking.open_replica()
    end = replica.model("todo").subscribe(lambda _rows: replica.close())

    end()
    assert "offline" == replica.status.state


def test_a_blocking_callback_that_raises_is_called_again():
    seen = threading.Event()
    with blocking.open_replica() as replica:
        todo = replica.model("todo")

        def callback(rows):
            if len(rows) == 1:
                raise ValueError("one is none")
            if len(rows) == 2:
                seen.set()

        todo.subscribe(callback)
        with capture_logs():
            todo.put("1", {})
            todo.put("2", {})

            assert seen.wait(WAIT_S)


def test_a_blocking_call_on_the_loops_own_thread_is_refused_by_name():
    with blocking.open_replica() as replica:
        todo = replica.model("todo")

        async def callback(_rows):
            todo.count()

        with pytest.raises(WrongLoop, match="wait for itself"):
            todo.subscribe(callback)


def test_a_blocking_hook_uses_the_replica():
    done = threading.Event()

    def on_change(update):
        if update.record_id == "1":
            replica.model("todo").put("2", {"n": replica.model("todo").count()})
            done.set()

    with blocking.open_replica(hooks=syncline.Hooks(on_change=on_change)) as replica:
        replica.model("todo").put("1", {})

        assert done.wait(WAIT_S)
        assert {"id": "2", "n": 1} == replica.model("todo").get("2")
