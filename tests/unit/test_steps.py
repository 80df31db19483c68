"""Large jobs in steps: the loop turns between them, and nobody sees what is half done."""

import asyncio
import sqlite3
import threading

import pytest

from syncline import writer as writers
from syncline.steps import at_once, in_turns
from syncline.store.memory import MemoryStore
from syncline.store.sql import SqlStore
from syncline.writer import Writer


WAIT_S = 5
HERE = threading.get_ident


@pytest.fixture
def store(tmp_path):
    made = SqlStore(f"sqlite:///{tmp_path / 'a.db'}")
    made.open()
    yield made
    made.close()


@pytest.fixture
async def writer(store):
    made = Writer(store)
    yield made
    await made.close()


@pytest.fixture
def large(store):
    """Return a weight for which steps are taken."""
    return store.inline_max + 1


class Job:
    """Sets names, one a step; notes the thread of each step."""

    def __init__(self, *names):
        self.names = names
        self.threads = []

    def __call__(self, tx):
        for name in self.names:
            self.threads.append(HERE())
            if name == "bad":
                raise ValueError(name)
            tx.set_meta(name, b"1")
            yield
        return self.names


async def held(writer, *names):
    """Return those of the names that a reader sees."""
    return await writer.read(lambda reader: [name for name in names if reader.meta(name)])


def counted(names):
    yield from names
    return len(names)


async def test_steps_are_taken_at_once_or_in_turns():
    assert 3 == at_once(counted("abc"))
    assert 3 == await in_turns(counted("abc"))


async def test_a_large_job_gives_the_loop_a_turn_at_each_step(writer, large):
    job = Job("a", "b", "c")
    stepping = asyncio.ensure_future(writer.run_in_steps(job, weight=large))
    turns = []
    while not stepping.done():
        turns.append(len(job.threads))
        await asyncio.sleep(0)

    assert ("a", "b", "c") == await stepping
    assert {1, 2, 3} <= set(turns)
    assert {HERE()} == set(job.threads)


async def test_what_is_half_done_is_seen_by_nobody(writer, large):
    job = Job("a", "b")
    stepping = asyncio.ensure_future(writer.run_in_steps(job, weight=large))
    while len(job.threads) < 2:
        await asyncio.sleep(0)

    assert [] == await held(writer, "a", "b")
    await stepping
    assert ["a", "b"] == await held(writer, "a", "b")


async def test_what_comes_between_the_steps_is_written_after_them(writer, large):
    job = Job("a", "b")
    stepping = asyncio.ensure_future(writer.run_in_steps(job, weight=large))
    while not job.threads:
        await asyncio.sleep(0)
    seen = []

    def small(tx):
        seen.extend(name for name in job.names if tx.meta(name))

    between = asyncio.ensure_future(writer.run(small))
    another = asyncio.ensure_future(writer.run_in_steps(Job("c"), weight=large))
    await asyncio.gather(stepping, between, another)

    assert ["a", "b"] == seen
    assert ["c"] == await held(writer, "c")


async def test_a_small_job_commits_at_once(writer, store):
    job = Job("a", "b")
    stepping = asyncio.ensure_future(writer.run_in_steps(job, weight=store.inline_max))
    await asyncio.sleep(0)

    assert stepping.done()
    assert ["a", "b"] == await held(writer, "a", "b")


async def test_a_very_large_job_goes_to_the_thread(writer, store):
    job = Job("a", "b")
    await writer.run_in_steps(job, weight=store.steps_max + 1)

    assert HERE() not in job.threads


async def test_a_job_that_fails_leaves_nothing(writer, large):
    with pytest.raises(ValueError, match="bad"):
        await writer.run_in_steps(Job("a", "bad"), weight=large)
    await writer.run_in_steps(Job("b"), weight=large)

    assert ["b"] == await held(writer, "a", "b")


async def test_a_job_that_is_given_up_leaves_nothing(writer, large):
    job = Job("a", "b")
    stepping = asyncio.ensure_future(writer.run_in_steps(job, weight=large))
    while not job.threads:
        await asyncio.sleep(0)
    queued = asyncio.ensure_future(writer.run(lambda tx: tx.set_meta("c", b"1")))
    await asyncio.sleep(0)
    stepping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stepping
    await queued

    assert ["c"] == await held(writer, "a", "b", "c")


async def test_a_locked_database_is_waited_for_on_the_thread(writer, large, tmp_path):
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    job = Job("a")
    stepping = asyncio.ensure_future(writer.run_in_steps(job, weight=large))
    await asyncio.sleep(0)
    # The loop turns, and readers are answered, while the write waits.
    assert [] == await held(writer, "a")
    assert not stepping.done()
    other.execute("COMMIT")
    other.close()

    assert ("a",) == await asyncio.wait_for(stepping, WAIT_S)
    assert HERE() not in job.threads


async def test_while_commits_are_slow_the_thread_has_them(writer, large, monkeypatch):
    monkeypatch.setattr(writers, "SLOW_COMMIT_S", -1.0)
    first, second, third, fourth = Job("a"), Job("b"), Job("c"), Job("d")
    await writer.run_in_steps(first, weight=large)
    await writer.run_in_steps(second, weight=large)
    monkeypatch.setattr(writers, "SLOW_COMMIT_S", 60.0)
    await writer.run_in_steps(third, weight=large)
    await writer.run_in_steps(fourth, weight=large)

    assert [True, False, False, True] == [
        HERE() in one.threads for one in (first, second, third, fourth)
    ]
    assert ["a", "b", "c", "d"] == await held(writer, "a", "b", "c", "d")


async def test_closing_waits_for_the_last_step(store, large):
    writer = Writer(store)
    job = Job("a", "b", "c")
    stepping = asyncio.ensure_future(writer.run_in_steps(job, weight=large))
    while not job.threads:
        await asyncio.sleep(0)
    await asyncio.wait_for(writer.close(), WAIT_S)

    assert stepping.done()
    with store.read() as reader:
        assert reader.meta("c") is not None


@pytest.mark.parametrize(
    "made",
    [
        lambda _path: MemoryStore(),
        lambda _path: SqlStore("sqlite://"),
        lambda path: SqlStore(f"sqlite:///{path}", synchronous="full"),
    ],
    ids=["memory", "private", "full"],
)
def test_no_steps_where_readers_would_see_them_or_commits_wait_for_the_disk(made, tmp_path):
    assert 0 == made(tmp_path / "b.db").steps_max
