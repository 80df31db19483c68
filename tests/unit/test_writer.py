import asyncio
import sqlite3
import threading
from contextlib import contextmanager

import pytest

from syncline.errors import ReplicaClosed, StoreUnavailable
from syncline.store.memory import MemoryStore
from syncline.store.sql import SqlStore
from syncline.writer import GROUP_WEIGHT_MAX, Writer


WAIT_S = 5


class CountingStore(MemoryStore):
    """A store that notes each transaction: its thread, and whether it was committed."""

    def __init__(self):
        super().__init__()
        self.commits = []
        self.failures = 0
        self.busy = 0
        """So many attempts to write without waiting find the database locked."""

    @contextmanager
    def write(self, *, wait=True):
        if not wait and self.busy:
            self.busy -= 1
            raise StoreUnavailable("the database is locked")
        try:
            with super().write(wait=wait) as tx:
                yield tx
        except BaseException:
            self.failures += 1
            raise
        self.commits.append((threading.get_ident(), wait))


@pytest.fixture
def store():
    return CountingStore()


@pytest.fixture
async def writer(store):
    made = Writer(store)
    yield made
    await made.close()


def setting(name):
    """Return a job that leaves a trace and answers its name."""

    def job(tx):
        tx.set_meta(name, b"1")
        return name

    return job


def failing(name):
    def job(tx):
        tx.set_meta(name, b"1")
        raise ValueError(name)

    return job


def has(store, name):
    with store.read() as reader:
        return reader.meta(name) is not None


HERE = threading.get_ident


async def test_a_small_job_commits_at_once_on_the_loop(store, writer):
    assert "a" == await writer.run(setting("a"))
    assert [(HERE(), False)] == store.commits


async def test_a_large_job_goes_to_the_thread(store, writer):
    assert "a" == await writer.run(setting("a"), weight=store.inline_max + 1)
    ((thread, wait),) = store.commits

    assert HERE() != thread
    assert wait


async def test_jobs_of_a_store_that_waits_for_the_disk_go_to_the_thread(store, writer):
    store.inline_max = 0
    await writer.run(setting("a"))

    assert HERE() != store.commits[0][0]


async def test_many_concurrent_jobs_share_commits(store, writer):
    names = [f"r{number}" for number in range(100)]
    store.inline_max = 0
    answers = await asyncio.gather(*(writer.run(setting(name)) for name in names))

    assert names == answers
    assert all(has(store, name) for name in names)
    assert len(store.commits) <= 2


async def test_what_arrives_while_a_transaction_runs_shares_the_next(store, writer):
    begun, go_on = threading.Event(), threading.Event()

    def slow(_tx):
        begun.set()
        assert go_on.wait(WAIT_S)

    first = asyncio.ensure_future(writer.run(slow, weight=GROUP_WEIGHT_MAX))
    assert await asyncio.to_thread(begun.wait, WAIT_S)
    rest = [asyncio.ensure_future(writer.run(setting(f"r{n}"))) for n in range(20)]
    await asyncio.sleep(0)
    assert not any(job.done() for job in rest)
    go_on.set()
    await asyncio.gather(first, *rest)

    assert 2 == len(store.commits)


async def test_a_group_is_bounded_by_weight(store, writer):
    jobs = [writer.run(setting(f"r{n}"), weight=GROUP_WEIGHT_MAX) for n in range(3)]
    await asyncio.gather(*jobs)

    assert 3 == len(store.commits)


async def test_a_listening_writer_groups_what_one_turn_of_the_loop_brings(store):
    writer = Writer(store, groups=True)
    await asyncio.gather(*(writer.run(setting(f"r{n}")) for n in range(50)))
    await writer.close()

    assert 2 == len(store.commits)


async def test_the_writes_of_a_client_all_commit_at_once(store, writer):
    done = []

    async def write(name):
        done.append(await writer.run(setting(name)))

    await asyncio.gather(*(write(f"r{n}") for n in range(3)))

    assert 3 == len(store.commits)
    assert ["r0", "r1", "r2"] == done


@pytest.mark.parametrize("inline_max", [2000, 0], ids=["inline", "on the thread"])
async def test_one_failing_job_does_not_spoil_the_others(store, writer, inline_max):
    store.inline_max = inline_max
    store.busy = 1  # so that all of them queue
    answers = await asyncio.gather(
        writer.run(setting("a")),
        writer.run(failing("bad")),
        writer.run(setting("b")),
        return_exceptions=True,
    )

    assert ["a", "b"] == [answers[0], answers[2]]
    assert isinstance(answers[1], ValueError)
    assert (True, False, True) == tuple(has(store, name) for name in ("a", "bad", "b"))


async def test_a_single_failing_job_runs_once_and_leaves_nothing(store, writer):
    runs = []

    def job(tx):
        runs.append(1)
        tx.set_meta("a", b"1")
        raise ValueError("a")

    with pytest.raises(ValueError, match="a"):
        await writer.run(job, weight=store.inline_max + 1)

    assert [1] == runs
    assert not has(store, "a")
    assert "b" == await writer.run(setting("b"))


async def test_a_busy_database_is_waited_for_on_the_thread(store, writer):
    store.busy = 2  # at once, and when its turn comes
    assert "a" == await writer.run(setting("a"))
    ((thread, wait),) = store.commits

    assert HERE() != thread
    assert wait


async def test_the_loop_never_waits_for_a_lock_when_a_group_fails(store, writer):
    store.busy = 1
    await asyncio.gather(
        writer.run(failing("bad")), writer.run(setting("a")), return_exceptions=True
    )

    assert all(not wait for thread, wait in store.commits if thread == HERE())
    assert has(store, "a")


async def test_a_database_locked_by_another_process_holds_up_its_writers_only(tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path / 'a.db'}")
    store.open()
    writer = Writer(store)
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.ensure_future(writer.run(setting("a")))
    # The loop turns, and readers are answered, while the write waits.
    assert 0 == await writer.read(lambda reader: reader.head())
    assert not writing.done()
    other.execute("COMMIT")
    other.close()

    assert "a" == await asyncio.wait_for(writing, WAIT_S)
    assert has(store, "a")
    await writer.close()
    store.close()


async def test_who_stopped_waiting_before_the_turn_is_not_written(store, writer):
    begun, go_on = threading.Event(), threading.Event()

    def slow(_tx):
        begun.set()
        assert go_on.wait(WAIT_S)

    first = asyncio.ensure_future(writer.run(slow, weight=GROUP_WEIGHT_MAX))
    assert await asyncio.to_thread(begun.wait, WAIT_S)
    given_up = asyncio.ensure_future(writer.run(setting("a")))
    kept = asyncio.ensure_future(writer.run(setting("b")))
    await asyncio.sleep(0)
    given_up.cancel()
    go_on.set()
    await asyncio.gather(first, kept)

    assert not has(store, "a")
    assert has(store, "b")


async def test_close_finishes_what_was_asked_for_and_refuses_the_rest(store):
    writer = Writer(store)
    begun, go_on = threading.Event(), threading.Event()

    def slow(tx):
        begun.set()
        assert go_on.wait(WAIT_S)
        return setting("slow")(tx)

    running = asyncio.ensure_future(writer.run(slow, weight=GROUP_WEIGHT_MAX))
    assert await asyncio.to_thread(begun.wait, WAIT_S)
    queued = asyncio.ensure_future(writer.run(setting("queued")))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(writer.close())
    await asyncio.sleep(0)
    with pytest.raises(ReplicaClosed):
        await writer.run(setting("late"))
    assert not closing.done()
    go_on.set()
    await asyncio.wait_for(closing, WAIT_S)

    assert ["slow", "queued"] == [await running, await queued]
    assert not has(store, "late")


async def test_reads_are_answered_while_a_long_write_runs(tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path / 'a.db'}")
    store.open()
    writer = Writer(store)
    begun, go_on = threading.Event(), threading.Event()

    def slow(tx):
        tx.set_meta("a", b"1")
        begun.set()
        assert go_on.wait(WAIT_S)

    writing = asyncio.ensure_future(writer.run(slow, weight=GROUP_WEIGHT_MAX))
    assert await asyncio.to_thread(begun.wait, WAIT_S)
    # A snapshot: the write that runs is not in it.
    assert await writer.read(lambda reader: reader.meta("a")) is None
    assert await writer.read(lambda reader: reader.meta("a"), large=True) is None
    go_on.set()
    await writing

    assert b"1" == await writer.read(lambda reader: reader.meta("a"))
    await writer.close()
    store.close()


async def test_a_large_read_goes_to_a_thread(store, writer):
    assert HERE() == await writer.read(lambda _reader: HERE())
    assert HERE() != await writer.read(lambda _reader: HERE(), large=True)
