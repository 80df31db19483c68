"""A path is a path: no character of it means anything, and two names are two files."""

import sqlite3
from urllib.parse import quote

import pytest

import syncline
from syncline.opening import open_store
from syncline.store.memory import MemoryStore
from syncline.store.sql import SqlStore


NAMES = [
    "a%20b.db",
    "a b.db",
    "user%40example.com.db",
    quote("http://h/x", safe="") + ".db",
    "what?.db",
    "what",
    "who?mode=memory",
    "q?1.db",
    "q?2.db",
    "hash#1",
    "file:u.db",
    "ü🚗\u0301.db",
    "new\nline",
    "sqlite:x",
    "'quoted\".db",
]


async def test_every_name_is_a_file_of_its_own(tmp_path):
    for name in NAMES:
        async with await syncline.Replica.open(str(tmp_path / name), ["t"]) as replica:
            await replica.model("t").put("1", {"name": name})
    found = {}
    for name in NAMES:
        async with await syncline.Replica.open(tmp_path / name, ["t"]) as replica:
            found[name] = [record["name"] for record in await replica.model("t").find()]

    assert {name: [name] for name in NAMES} == found
    assert set(NAMES) == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_without_a_folder_is_one_in_the_working_directory(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = open_store(name)
    assert isinstance(store, SqlStore)
    store.open()
    monkeypatch.chdir("/")

    aside = store.copy_aside("copy")

    store.close()
    assert tmp_path / name == store.path
    assert aside.startswith(str(tmp_path / name))


def test_the_names_for_memory_are_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("memory:", "memory://", ":memory:", "sqlite://", "sqlite:///:memory:"):
        store = open_store(name)
        assert isinstance(store, MemoryStore) or store.path is None
        store.open()
        store.close()

    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sqlite:///{}/a%20b.db", "a b.db"),
        ("sqlite:///{}/a%2520b.db", "a%20b.db"),
        ("sqlite:///file:{}/a%2520b.db?uri=true", "a b.db"),
        ("sqlite:///file://{}/u.db?uri=true", "u.db"),
    ],
)
def test_a_url_is_decoded_as_urls_are(url, name, tmp_path):
    store = open_store(url.format(tmp_path))
    store.open()
    with store.write() as tx:
        tx.set_meta("name", b"value")
    store.close()

    assert tmp_path / name == store.path
    raw = sqlite3.connect(tmp_path / name)
    assert [("value",)] == raw.execute(
        "SELECT value FROM syncline_meta WHERE name = 'name'"
    ).fetchall()
    raw.close()
