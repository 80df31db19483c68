"""The one writer: group commit, one failing job alone, nothing lost at the end."""

import asyncio
import sqlite3

import pytest

from syncline.errors import RecordNotFound, StoreUnavailable
from syncline.store.memory import MemoryStore
from syncline.store.sql import SqlStore
from syncline.writer import Writer


class CountingStore(MemoryStore):
    commits = 0

    def write(self, *, wait=True):
        self.commits += 1
        return super().write(wait=wait)


def setter(name):
    return lambda tx: tx.set_meta(name, b"1")


def fails(_tx):
    raise RecordNotFound("nothing")


async def test_what_arrives_together_shares_a_commit():
    store = CountingStore()
    writer = Writer(store, groups=True)

    await asyncio.gather(*(writer.run(setter(str(n))) for n in range(50)))
    await writer.close()

    assert 2 == store.commits


async def test_one_failing_job_does_not_spoil_the_others():
    store = MemoryStore()
    writer = Writer(store, groups=True)

    results = await asyncio.gather(
        writer.run(setter("a")),
        writer.run(setter("b")),
        writer.run(fails),
        writer.run(setter("c")),
        return_exceptions=True,
    )
    await writer.close()

    assert [False, False, True, False] == [isinstance(r, RecordNotFound) for r in results]
    assert {"a", "b", "c"} == set(store._meta)


async def test_a_busy_database_is_waited_for_off_the_loop(tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path / 'store.db'}")
    store.open()
    writer = Writer(store)
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")

    writing = asyncio.create_task(writer.run(setter("a")))
    await asyncio.sleep(0)
    other.execute("ROLLBACK")
    await writing
    other.close()
    await writer.close()

    with store.read() as reader:
        assert b"1" == reader.meta("a")
    store.close()


async def test_closing_finishes_what_runs_and_refuses_the_rest():
    store = MemoryStore()
    writer = Writer(store)
    running = asyncio.create_task(writer.run(setter("a"), weight=10_000))
    await asyncio.sleep(0)

    await writer.close()
    await running

    assert {"a"} == set(store._meta)
    with pytest.raises(StoreUnavailable):
        await writer.run(setter("b"))
