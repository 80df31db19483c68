"""A file of another program is left byte for byte as it was; an application's may be shared."""

import shutil
import sqlite3

import pytest
import sqlalchemy as sa

import syncline
from syncline.errors import StoreForeign
from syncline.store.sql import SqlStore


INVOICES = sa.Table("invoices", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))


def make(path, *, version=0, mode="delete", tables=("invoices",), journals=False):
    """Make a database as another program would; with its log left behind, as by a crash."""
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute(f"PRAGMA journal_mode = {mode}")
    for table in tables:
        raw.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, total REAL)")
    raw.execute(f"PRAGMA user_version = {version}")
    if journals:
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{path}.crashed{suffix}")
    raw.close()
    if journals:
        for suffix in ("", "-wal"):
            shutil.move(f"{path}.crashed{suffix}", f"{path}{suffix}")


def content(folder):
    """Return every file but the index of a log, which each reader of it makes anew."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.endswith("-shm")}


@pytest.mark.parametrize("version", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("journals", [False, True], ids=["at rest", "crashed"])
async def test_another_programs_database_is_refused_and_left_as_it_was(
    tmp_path, version, mode, journals
):
    if journals and mode == "delete":
        journals = False
    path = tmp_path / "app.db"
    make(path, version=version, mode=mode, journals=journals)
    before = content(tmp_path)

    with pytest.raises(StoreForeign, match="invoices") as raised:
        await syncline.Replica.open(str(path), ["t"])

    assert "file of its own" in raised.value.hint
    assert before == content(tmp_path)


def test_an_empty_database_with_a_version_is_another_programs(tmp_path):
    path = tmp_path / "app.db"
    make(path, version=7, tables=())
    before = content(tmp_path)

    with pytest.raises(StoreForeign, match="user_version 7"):
        SqlStore(f"sqlite:///{path}").open()
    assert before == content(tmp_path)


def test_a_database_that_another_program_has_open_is_not_disturbed(tmp_path):
    path = tmp_path / "app.db"
    make(path, mode="wal")
    theirs = sqlite3.connect(path, isolation_level=None)
    theirs.execute("BEGIN IMMEDIATE")
    theirs.execute("INSERT INTO invoices (total) VALUES (1)")

    with pytest.raises(StoreForeign):
        SqlStore(f"sqlite:///{path}").open()
    theirs.execute("COMMIT")

    assert [(1,)] == theirs.execute("SELECT count(*) FROM invoices").fetchall()
    theirs.close()


@pytest.mark.parametrize("version", [0, 3, 7, 99])
async def test_an_applications_database_is_shared_and_its_version_stays_its_own(tmp_path, version):
    path = tmp_path / "app.db"
    make(path, version=version)
    for _ in range(2):
        async with await syncline.Replica.open(str(path), {"invoice": INVOICES}) as replica:
            await replica.model("invoice").put(1, {})
            assert 1 == await replica.model("invoice").count()
    with sqlite3.connect(path) as raw:
        raw.execute(f"PRAGMA user_version = {version + 1}")
    raw.close()

    async with await syncline.Replica.open(str(path), {"invoice": INVOICES}) as replica:
        assert 1 == await replica.model("invoice").count()
    with sqlite3.connect(path) as raw:
        kept = raw.execute("PRAGMA user_version").fetchone()[0]
    raw.close()
    assert version + 1 == kept


def test_an_empty_file_is_a_new_store(tmp_path):
    path = tmp_path / "new.db"
    path.touch()

    store = SqlStore(f"sqlite:///{path}")
    store.open()
    store.close()

    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA user_version").fetchone()[0] > 0
    raw.close()


def test_a_store_of_ours_whose_tables_are_all_in_its_log_is_ours(tmp_path):
    path = tmp_path / "store.db"
    store = SqlStore(f"sqlite:///{path}")
    store.open()
    with store.write() as tx:
        tx.set_meta("name", b"value")
    copy = tmp_path / "copy.db"
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    store.close()

    again = SqlStore(f"sqlite:///{copy}")
    again.open()

    with again.read() as reader:
        assert b"value" == reader.meta("name")
    again.close()
