import asyncio

import pytest

from syncline.models import Update, encode_body
from syncline.observers import Observers


WAIT_S = 5


def update(number, record_id="a", model="todo"):
    return Update(
        model=model,
        record_id=record_id,
        seq=number,
        rev=f"{number}-{number:016x}",
        body=encode_body({"id": record_id, "n": number}),
    )


async def rest_of(watch):
    """Read a closed watch to its end."""
    return [change.seq async for change in watch]


async def test_a_slow_watcher_sees_the_latest_change_of_each_record():
    observers = Observers()
    watch = observers.watch("todo")
    observers.tell([update(1, "a"), update(2, "b")])
    observers.tell([update(3, "a")])
    observers.tell([update(4, "c"), update(5, "a")])
    watch.close()

    assert [2, 4, 5] == await rest_of(watch)


async def test_a_quick_watcher_sees_every_change_in_order():
    observers = Observers()
    seen = []
    async with observers.watch("todo") as watch:
        for number in range(1, 4):
            observers.tell([update(number)])
            seen.append((await anext(watch)).seq)

    assert [1, 2, 3] == seen


async def test_a_waiting_watcher_is_woken():
    observers = Observers()
    watch = observers.watch("todo")
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    observers.tell([update(1)])

    assert 1 == (await asyncio.wait_for(waiting, WAIT_S)).seq


async def test_a_watcher_sees_its_own_model_only():
    observers = Observers()
    watch = observers.watch("todo")
    observers.tell([update(1, model="car"), update(2)])
    watch.close()

    assert [2] == await rest_of(watch)


async def test_each_watcher_reads_at_its_own_pace():
    observers = Observers()
    one, other = observers.watch("todo"), observers.watch("todo")
    observers.tell([update(1)])
    await anext(one)
    observers.tell([update(2)])
    observers.close()

    assert [2] == await rest_of(one)
    assert [2] == await rest_of(other)


async def test_it_ends_on_close_after_what_waits():
    observers = Observers()
    watch = observers.watch("todo")
    observers.tell([update(1)])
    observers.close()
    observers.tell([update(2)])

    assert [1] == await rest_of(watch)
    with pytest.raises(StopAsyncIteration):
        await anext(watch)


async def test_close_wakes_whoever_waits():
    observers = Observers()
    watch = observers.watch("todo")
    reading = asyncio.ensure_future(rest_of(watch))
    await asyncio.sleep(0)
    observers.close()

    assert [] == await asyncio.wait_for(reading, WAIT_S)


async def test_leaving_the_block_ends_the_watch():
    observers = Observers()
    async with observers.watch("todo") as watch:
        pass
    observers.tell([update(1)])

    assert [] == await rest_of(watch)


async def test_a_drained_watch_hears_what_comes_next():
    observers = Observers()
    watch = observers.watch("todo")
    observers.tell([update(1), update(2, "b")])
    watch.drain()
    observers.tell([update(3, "c")])
    watch.close()

    assert [3] == await rest_of(watch)


def test_listeners_hear_each_commit_whole_until_they_are_forgotten():
    observers = Observers()
    heard = []
    forget = observers.listen(lambda updates: heard.append([u.seq for u in updates]))
    observers.tell([update(1), update(2, model="car")])
    observers.tell([])
    forget()
    forget()
    observers.tell([update(3)])

    assert [[1, 2]] == heard


def test_a_listener_may_forget_itself_while_it_is_told():
    observers = Observers()
    heard = []

    def once(updates):
        heard.append("once")
        forget()

    forget = observers.listen(once)
    observers.listen(lambda _updates: heard.append("always"))
    observers.tell([update(1)])
    observers.tell([update(2)])

    assert ["once", "always", "always"] == heard
