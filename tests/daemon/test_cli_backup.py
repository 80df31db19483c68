"""`syncline backup` and `syncline restore`."""

import asyncio
import json
import shutil
import sqlite3

import pytest

import syncline
from syncline.store.sql import SqlStore


WAIT_S = 20


def records(cli, target):
    return {
        record.pop("id"): record
        for record in json.loads(cli("find", target, "todo", "--json").stdout)
    }


def link(url, path, put=()):
    """Have a replica come level with a daemon, after writing some records."""

    async def work():
        async with syncline.connect(url, store=path, models=["todo"]) as replica:
            for record_id in put:
                await replica.model("todo").put(record_id, put[record_id])
            await replica.link.wait_live(WAIT_S)
            await replica.barrier(WAIT_S)

    asyncio.run(work())


def test_a_backup_of_a_daemon_at_work_holds_all_and_is_one_file(cli, serve, tmp_path):
    daemon = serve("d.db", "--model", "todo")
    for number in range(3):
        cli("put", daemon.url, "todo", str(number), f"n={number}")

    said = cli("backup", "d.db", "backup.db").stdout
    found = json.loads(cli("backup", "d.db", "other.db", "--json").stdout)
    cli("put", daemon.url, "todo", "later", "n=9")

    assert "backup.db, 3 records" in said
    assert {"todo": 3} == found["records"]
    assert [] == [p.name for p in tmp_path.glob("*backup.db?*")] + list(tmp_path.glob("*.tmp"))
    assert {"0": {"n": 0}, "1": {"n": 1}, "2": {"n": 2}} == records(cli, "backup.db")
    assert "exists already" in cli("backup", "d.db", "backup.db", code=2).stderr


def test_a_daemon_is_restored_and_what_was_there_is_kept(cli, serve, tmp_path):
    daemon = serve("d.db", "--model", "todo")
    cli("put", daemon.url, "todo", "1", "n=1")
    cli("backup", "d.db", "backup.db")
    cli("put", daemon.url, "todo", "1", "n=2")
    cli("put", daemon.url, "todo", "2", "n=2")

    refused = cli("restore", "backup.db", "d.db", code=1).stderr
    daemon.end()
    done = json.loads(cli("restore", "backup.db", "d.db", "--json").stdout)

    assert "is in use" in refused
    assert "stop the daemon" in refused
    assert {"1": {"n": 1}} == records(cli, "d.db")
    assert {"1": {"n": 2}, "2": {"n": 2}} == records(cli, done["aside"])
    again = serve("d.db", "--model", "todo")
    assert {"1": {"n": 1}} == records(cli, again.url)


def test_what_clients_hold_comes_back_to_a_restored_daemon(cli, serve, free_port, tmp_path):
    daemon = serve("d.db", "--model", "todo", port=free_port)
    cli("put", daemon.url, "todo", "1", "n=1")
    cli("backup", "d.db", "backup.db")
    link(daemon.url, tmp_path / "phone.db", put={"2": {"n": 2}})
    daemon.end()

    cli("restore", "backup.db", "d.db")
    again = serve("d.db", "--model", "todo", port=free_port)
    link(again.url, tmp_path / "phone.db")

    assert {"1": {"n": 1}, "2": {"n": 2}} == records(cli, again.url)


def test_an_open_database_is_not_restored_whoever_has_it_open(cli, tmp_path):
    cli("put", "a.db", "todo", "1", "n=1")
    cli("backup", "a.db", "backup.db")
    store = SqlStore(f"sqlite:///{tmp_path / 'a.db'}")
    store.open()

    refused = cli("restore", "backup.db", "a.db", code=1).stderr
    store.close()

    assert "is in use" in refused
    cli("restore", "backup.db", "a.db")


def test_a_log_without_its_database_is_not_given_to_the_restored_one(cli, tmp_path):
    cli("put", "a.db", "todo", "1", "n=1")
    cli("backup", "a.db", "backup.db")
    store = SqlStore(f"sqlite:///{tmp_path / 'a.db'}")
    store.open()
    with store.write() as tx:
        tx.set_meta("name", b"value")
    shutil.copy(tmp_path / "a.db-wal", tmp_path / "kept")
    store.close()
    (tmp_path / "a.db").unlink()
    shutil.move(tmp_path / "kept", tmp_path / "a.db-wal")

    cli("restore", "backup.db", "a.db")

    assert {"1": {"n": 1}} == records(cli, "a.db")


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_what_can_be_no_backup_is_refused_and_nothing_made(cli, tmp_path, command):
    (tmp_path / "notes.txt").write_text("no database" * 100)
    with sqlite3.connect(tmp_path / "app.db") as raw:
        raw.execute("CREATE TABLE invoices (id INTEGER PRIMARY KEY)")
    raw.close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    assert "there is no database" in cli(command, "nowhere.db", "new.db", code=2).stderr
    for name in ("notes.txt", "app.db"):
        assert "no store of syncline's" in cli(command, name, "new.db", code=1).stderr

    assert before == {
        path.name: path.read_bytes()
        for path in tmp_path.iterdir()
        if not path.name.endswith(("-link", "-listen"))
    }


def test_another_programs_file_is_not_restored_over(cli, tmp_path):
    cli("put", "a.db", "todo", "1", "n=1")
    cli("backup", "a.db", "backup.db")
    (tmp_path / "notes.txt").write_text("no database" * 100)

    assert "another program's" in cli("restore", "backup.db", "notes.txt", code=1).stderr
    assert "no database" * 100 == (tmp_path / "notes.txt").read_text()


def test_a_damaged_backup_is_found_before_anything_is_moved(cli, tmp_path):
    for number in range(50):
        cli("put", "a.db", "todo", str(number), "text=" + "x" * 500)
    cli("backup", "a.db", "backup.db")
    content = bytearray((tmp_path / "backup.db").read_bytes())
    content[len(content) // 2 :] = b"\xff" * (len(content) - len(content) // 2)
    (tmp_path / "backup.db").write_bytes(content)
    before = (tmp_path / "a.db").read_bytes()

    assert "damaged" in cli("restore", "backup.db", "a.db", code=1).stderr
    assert before == (tmp_path / "a.db").read_bytes()
    assert [] == list(tmp_path.glob("*quarantined*"))


def test_a_daemon_is_told_to_be_backed_up_where_it_is(cli):
    assert "needs its database" in cli("backup", "http://127.0.0.1:1", "b.db", code=2).stderr
    assert "in memory" in cli("backup", "memory:", "b.db", code=2).stderr


def test_the_copy_is_for_the_same_eyes_as_the_database(cli, tmp_path):
    cli("put", "a.db", "todo", "1", "n=1")
    (tmp_path / "a.db").chmod(0o600)

    cli("backup", "a.db", "backup.db")

    assert 0o600 == (tmp_path / "backup.db").stat().st_mode & 0o777
