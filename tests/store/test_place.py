"""A file that was removed or replaced under an open store takes no more writes, and is not read."""

import shutil
import sqlite3

import pytest

from syncline.errors import StoreUnavailable
from syncline.store.sql import SqlStore


SUFFIXES = ("", "-wal", "-shm")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def store(path):
    made = SqlStore(f"sqlite:///{path}")
    made.open()
    write(made, "before")
    made.tend()
    yield made
    made.close()


def write(store, name):
    with store.write() as tx:
        tx.set_meta(name, b"value")


def remove(path):
    for suffix in SUFFIXES:
        path.with_name(path.name + suffix).unlink()


def replace(path):
    shutil.copy(path, f"{path}.backup")
    remove(path)
    shutil.move(f"{path}.backup", path)


def rename_over(path):
    shutil.copy(path, f"{path}.backup")
    shutil.move(f"{path}.backup", path)


def move_away(path):
    path.rename(f"{path}.away")


def overwrite(path):
    with sqlite3.connect(f"{path}.small") as raw:
        raw.execute("CREATE TABLE syncline_meta (name TEXT)")
    raw.close()
    shutil.copy(f"{path}.small", path)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (remove, "was removed"),
        (replace, "was replaced"),
        (rename_over, "was replaced"),
        (move_away, "was removed"),
        (overwrite, "was overwritten"),
    ],
)
def test_a_write_is_refused_at_once_and_so_is_what_follows(store, path, how, said):
    how(path)
    left = sorted(file.name for file in path.parent.iterdir())

    with pytest.raises(StoreUnavailable, match=said) as raised:
        write(store, "after")
    with pytest.raises(StoreUnavailable, match=said), store.read():
        pass
    with pytest.raises(StoreUnavailable, match=said):
        store.foreign_writes()
    with pytest.raises(StoreUnavailable, match=said):
        write(store, "again")

    assert "restore" in raised.value.hint
    assert left == sorted(file.name for file in path.parent.iterdir())


def test_the_look_that_is_taken_now_and_then_finds_it_without_a_write(store, path):
    with store.read() as one, store.read() as other:
        assert one.head() == other.head()
    remove(path)

    with pytest.raises(StoreUnavailable, match="was removed"):
        store.foreign_writes()
    with pytest.raises(StoreUnavailable, match="was removed"), store.read():
        pass


def test_no_file_is_made_in_its_place_by_a_reader(store, path):
    remove(path)

    with pytest.raises(StoreUnavailable, match="was removed"), store.read(), store.read():
        pass
    assert not path.exists()


def test_a_log_that_was_removed_is_found(store, path):
    path.with_name(path.name + "-wal").unlink()

    with pytest.raises(StoreUnavailable, match="lost its log"):
        store.foreign_writes()


def test_a_file_that_is_put_back_is_gone_on_with(store, path):
    move_away(path)
    with pytest.raises(StoreUnavailable):
        write(store, "away")

    path.with_name(f"{path.name}.away").rename(path)
    write(store, "back")

    with store.read() as reader:
        assert (None, b"value") == (reader.meta("away"), reader.meta("back"))


def test_a_vacuum_by_another_program_is_no_fault(store, path):
    with store.write() as tx:
        tx.append_stage(b"x" * 1_000_000)
    with store.write() as tx:
        tx.clear_stage()
    store.tend()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("VACUUM")
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()

    for name in ("one", "two"):
        write(store, name)
        store.foreign_writes()

    with store.read() as reader:
        assert b"value" == reader.meta("two")


def test_closing_does_not_take_the_log_of_the_database_that_came_instead(store, path):
    replace(path)
    other = SqlStore(f"sqlite:///{path}")
    other.open()
    write(other, "theirs")
    with pytest.raises(StoreUnavailable):
        write(store, "ours")

    store.close()

    assert path.with_name(path.name + "-wal").exists()
    third = SqlStore(f"sqlite:///{path}")
    third.open()
    with third.read() as reader:
        assert b"value" == reader.meta("theirs")
    third.close()
    other.close()


def test_two_stores_on_one_file_and_tending_and_closing_are_no_fault(store, path):
    other = SqlStore(f"sqlite:///{path}")
    other.open()
    for number in range(20):
        write(other if number % 2 else store, f"name{number}")
        (store if number % 2 else other).tend()
        store.foreign_writes()
        other.foreign_writes()
    other.close()
    write(store, "last")

    with store.read() as reader:
        assert b"value" == reader.meta("name19")
