"""A client's damaged store is put aside by name; what was pending is saved, the rest fetched."""

import sqlite3

import pytest
from structlog.testing import capture_logs

import syncline
from syncline.errors import StoreCorrupt, StoreForeign


WAIT_S = 20
PAGE_BYTES = 2048


async def fill(daemon, store):
    """Have a client hold 300 records, and write three more offline."""
    async with syncline.connect(daemon.url, store=store, models=["todo"]) as phone:
        for number in range(300):
            await phone.model("todo").put(str(number), {"text": "x" * 200})
        await phone.link.wait_live(WAIT_S)
        await phone.link.pause()
        for number in range(3):
            await phone.model("todo").put(f"new{number}", {"n": number})
        await phone.model("todo").put("7", {"text": "edited offline"})


def cut_short(path):
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(size - 20 * PAGE_BYTES)


def not_a_database(path):
    path.write_bytes(b"not a database at all" * 500)


def damage_an_index(path):
    """Overwrite the root of the unique index, which every look-up needs."""
    with sqlite3.connect(path) as raw:
        sql = (
            "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_syncline_changes_1'"
        )
        (page,) = raw.execute(sql).fetchone()
    raw.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE_BYTES)
        file.write(b"\xff" * PAGE_BYTES)


@pytest.mark.parametrize(
    ("damage", "saved", "is_whole"),
    [
        pytest.param(damage_an_index, 4, True, id="an index"),
        pytest.param(not_a_database, 0, False, id="every byte"),
        pytest.param(cut_short, None, False, id="its end"),
    ],
)
async def test_damaged_store_is_put_aside_and_made_anew(daemon, tmp_path, damage, saved, is_whole):
    path = tmp_path / "phone.db"
    await fill(daemon, str(path))
    damage(path)
    if damage is damage_an_index:
        await meet_the_damage(daemon, path)

    with capture_logs() as logs:
        async with syncline.connect(daemon.url, store=str(path), models=["todo"]) as phone:
            await phone.link.wait_live(WAIT_S)
            found = phone.quarantined
            count = await phone.model("todo").count()
            seven = await phone.model("todo").get("7")

    assert "store.quarantined" in [line["event"] for line in logs]
    assert ".quarantined-damaged-" in found.path
    assert is_whole is found.is_whole
    if saved is not None:
        assert saved == found.salvaged
    assert 300 + max(found.salvaged - 1, 0) == count
    assert ("edited offline" if found.salvaged == 4 else "x" * 200) == seven["text"]


async def meet_the_damage(daemon, path):
    """Run on the damaged file once: the link says what is wrong, and the next start looks."""
    options = {"store": str(path), "models": ["todo"], "close_timeout_s": 0}
    async with syncline.connect(daemon.url, **options) as phone:
        with pytest.raises(StoreCorrupt, match="damaged"):
            await phone.model("todo").put("9", {"text": "one more"})


async def test_what_others_follow_is_never_replaced(tmp_path):
    path = tmp_path / "daemon.db"
    async with await syncline.Replica.open(str(path), ["todo"], listens=True) as replica:
        for number in range(300):
            await replica.model("todo").put(str(number), {"text": "x" * 200})
    cut_short(path)
    before = path.read_bytes()

    with pytest.raises(StoreCorrupt, match=r"damaged|cut short"):
        await syncline.Replica.open(str(path), ["todo"], listens=True)
    assert before == path.read_bytes()


@pytest.mark.parametrize("how", ["a text", "a database"])
async def test_another_programs_file_is_never_put_aside(tmp_path, how):
    path = tmp_path / "notes"
    if how == "a text":
        path.write_bytes(b"not a database at all" * 500)
    else:
        with sqlite3.connect(path) as raw:
            raw.execute("CREATE TABLE invoices (id INTEGER PRIMARY KEY)")
        raw.close()
    before = path.read_bytes()

    with pytest.raises(StoreForeign):
        await syncline.connect("http://127.0.0.1:1", store=str(path), models=["todo"])

    assert before == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())
