"""What was written is in the file soon, readers or not, and a copy without its log is known."""

import shutil
import sqlite3

import pytest
from structlog.testing import capture_logs

import syncline
from syncline.errors import StoreCorrupt
from syncline.store import folding
from syncline.store.memory import MemoryStore
from syncline.store.sql import SqlStore
from syncline.writer import Writer


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def store(path):
    made = SqlStore(f"sqlite:///{path}")
    made.open()
    yield made
    made.close()


def write(store, name, value=b"value"):
    with store.write() as tx:
        tx.set_meta(name, value)


def log_bytes(path):
    return path.with_name(f"{path.name}-wal").stat().st_size


def in_the_file(path, folder):
    """Return the names that are in the file alone, as a copy of it has them."""
    copy = folder / "copy.db"
    shutil.copy(path, copy)
    raw = sqlite3.connect(copy)
    names = {row[0] for row in raw.execute("SELECT name FROM syncline_meta")}
    raw.close()
    return names


def test_the_tables_are_in_the_file_from_the_opening_on(store, path, tmp_path):
    assert folding.IN_USE in in_the_file(path, tmp_path)


def test_what_was_written_is_in_the_file_after_tending_also_while_it_is_read(store, path, tmp_path):
    write(store, "before")
    with store.read() as reader:
        assert reader.meta("before")
        answers = [store.tend()]
        held = in_the_file(path, tmp_path)
        # What this reader must not see yet has to wait for it.
        write(store, "after")
        answers.append(store.tend())
    answers.append(store.tend())

    assert [True, False, True] == answers
    assert "before" in held
    assert "after" in in_the_file(path, tmp_path)


def grow(store, length):
    with store.write() as tx:
        tx.append_stage(b"x" * length)


def test_a_long_log_is_cut_when_nobody_writes(store, path, monkeypatch):
    monkeypatch.setattr(folding, "LOG_BYTES_KEPT", 100_000)
    monkeypatch.setattr("syncline.store.sql.QUIET_S", 3600.0)
    grow(store, 1_000_000)

    busy = store.tend()
    length = log_bytes(path)
    monkeypatch.setattr("syncline.store.sql.QUIET_S", -1.0)
    quiet = store.tend()

    assert (False, True) == (busy, quiet)
    assert length > 1_000_000
    assert 0 == log_bytes(path)


def test_a_log_beyond_all_bounds_is_cut_while_others_read_and_write(store, path, monkeypatch):
    monkeypatch.setattr(folding, "LOG_BYTES_KEPT", 100_000)
    monkeypatch.setattr(folding, "LOG_BYTES_MAX", 200_000)
    monkeypatch.setattr(folding, "WAIT_MS", 1)
    monkeypatch.setattr("syncline.store.sql.QUIET_S", 3600.0)
    grow(store, 1_000_000)
    with store.read() as reader:
        assert reader.head() == 0
        grow(store, 10)
        # A reader of an older state is in the way: nothing is lost, and nobody waits for long.
        hindered = store.tend()
        length = log_bytes(path)
    cut = store.tend()

    assert (False, True) == (hindered, cut)
    assert length > 1_000_000
    assert 0 == log_bytes(path)
    write(store, "after")


async def test_few_writes_are_folded_too_after_a_while(monkeypatch):
    import asyncio

    monkeypatch.setattr("syncline.writer.TEND_AFTER_S", 0.0)
    answers = [False, True]
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Store(MemoryStore):
        def tend(self):
            answer = answers.pop(0)
            if not answers:
                loop.call_soon_threadsafe(done.set)
            return answer

    store = Store()
    store.open()
    writer = Writer(store)

    await writer.run(lambda tx: tx.set_meta("name", b"value"))
    await asyncio.wait_for(done.wait(), 20)

    await writer.close()
    assert [] == answers


def opened(path):
    store = SqlStore(f"sqlite:///{path}")
    store.open()
    lacks_log = store.lacks_log
    store.close()
    return lacks_log


def test_a_copy_without_its_log_is_known(store, path, tmp_path):
    write(store, "name")
    copy = tmp_path / "copy.db"
    shutil.copy(path, copy)

    assert opened(copy)
    assert not opened(copy)


def test_a_copy_without_its_log_is_looked_at_closely(store, path, tmp_path):
    """Pages of one moment beside pages of another may be in it."""
    with store.write() as tx:
        for _ in range(50):
            tx.append_stage(b"x" * 1000)
    store.tend()
    copy = tmp_path / "copy.db"
    shutil.copy(path, copy)
    content = bytearray(copy.read_bytes())
    content[-20 * 2048 :] = b"\xff" * 20 * 2048
    copy.write_bytes(content)

    with pytest.raises(StoreCorrupt, match="is damaged"):
        SqlStore(f"sqlite:///{copy}").open()


def test_a_copy_with_its_log_and_one_that_was_at_rest_lack_nothing(store, path, tmp_path):
    write(store, "name")
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{tmp_path / 'crashed.db'}{suffix}")
    other = SqlStore(f"sqlite:///{path}")
    other.open()
    other.close()
    used = tmp_path / "used.db"
    shutil.copy(path, used)
    aside = store.copy_aside("copy")
    store.close()
    shutil.copy(path, tmp_path / "rested.db")

    assert not opened(tmp_path / "crashed.db")
    assert not opened(tmp_path / "rested.db")
    assert not opened(aside)
    assert not opened(path)


def test_one_of_two_that_closes_leaves_the_mark_for_the_other(store, path, tmp_path):
    other = SqlStore(f"sqlite:///{path}")
    other.open()
    other.close()
    store.tend()
    shutil.copy(path, tmp_path / "copy.db")

    assert opened(tmp_path / "copy.db")


async def test_a_replica_says_that_its_log_was_left_behind(store, path, tmp_path):
    copy = tmp_path / "copy.db"
    shutil.copy(path, copy)

    with capture_logs() as logs:
        async with await syncline.Replica.open(str(copy), ["todo"], listens=True):
            pass

    (line,) = [line for line in logs if line["event"] == "store.log_missing"]
    assert ("warning", str(copy)) == (line["log_level"], line["path"])
    assert "syncline backup" in line["hint"]
