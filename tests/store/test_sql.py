"""What a database can do to a store, each by its own name; and the application's own tables."""

import errno
import sqlite3
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import syncline
from syncline.errors import (
    ConfigError,
    RecordInvalid,
    SchemaMismatch,
    StoreCorrupt,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from syncline.models import Entry, Pending, Update
from syncline.store.contract import Lease
from syncline.store.migrating import VERSION
from syncline.store.salvage import salvage
from syncline.store.sql import SqlStore


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def store(path):
    made = SqlStore(f"sqlite:///{path}", busy_timeout_s=0.05)
    made.open()
    yield made
    made.close()


def write(store, name="name"):
    with store.write() as tx:
        tx.set_meta(name, b"value")


def test_a_database_of_a_newer_syncline_is_refused_with_what_to_do(path):
    with sqlite3.connect(path) as newer:
        newer.execute("CREATE TABLE syncline_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
        newer.execute("PRAGMA user_version = 99")
    newer.close()

    with pytest.raises(SchemaMismatch, match="schema 99") as raised:
        SqlStore(f"sqlite:///{path}").open()
    assert "upgrade" in raised.value.hint


SCHEMA_1 = """
    CREATE TABLE syncline_changes (
        seq INTEGER PRIMARY KEY, model TEXT NOT NULL, record_id TEXT NOT NULL, rev TEXT NOT NULL,
        prev TEXT, ancestors TEXT NOT NULL, origin TEXT NOT NULL, grp TEXT, stamp INTEGER NOT NULL,
        amended_for TEXT, base_seq INTEGER, body TEXT, UNIQUE (model, record_id));
    CREATE TABLE syncline_pending (
        model TEXT NOT NULL, record_id TEXT NOT NULL, base_rev TEXT, base_body TEXT NOT NULL,
        hold TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (model, record_id)) WITHOUT ROWID;
    CREATE TABLE syncline_conflicts (
        position INTEGER PRIMARY KEY, conflict_id TEXT NOT NULL UNIQUE, model TEXT NOT NULL,
        record_id TEXT NOT NULL, is_open INTEGER NOT NULL, side TEXT NOT NULL, entry TEXT NOT NULL);
    CREATE TABLE syncline_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE syncline_head (one INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
    INSERT INTO syncline_head (one, seq) VALUES (1, 0);
    CREATE TABLE syncline_stage (position INTEGER PRIMARY KEY, page BLOB NOT NULL);
    INSERT INTO syncline_changes (seq, model, record_id, rev, ancestors, origin, stamp, body)
        VALUES (1, 'm', '1', '1-000000000000000a', '', '', 0, '{"id":"1"}'),
               (2, 'm', '2', '2-000000000000000b', '', '', 0, '{"id":"2","n":2}');
    INSERT INTO syncline_pending
        VALUES ('m', '2', '1-000000000000000c', '{"id":"2"}', 'parked', 'why');
    PRAGMA user_version = 1;
"""


def test_a_database_of_schema_1_is_migrated_with_what_is_pending(path):
    with sqlite3.connect(path) as older:
        older.executescript(SCHEMA_1)
    older.close()

    store = SqlStore(f"sqlite:///{path}")
    store.open()
    with store.read() as reader:
        one, two = reader.entry("m", "1"), reader.entry("m", "2")
        assert {"parked": 1} == reader.pending_counts()
    store.close()

    assert one.pending is None
    expected = {"base_rev": "1-000000000000000c", "base_body": b'{"id":"2"}'}
    assert Pending(model="m", record_id="2", hold="parked", reason="why", **expected) == two.pending


def test_a_database_of_schema_3_is_migrated_and_keeps_what_is_pending(path):
    store = SqlStore(f"sqlite:///{path}")
    store.open()
    pending = Pending(model="m", record_id="1", base_rev="1-000000000000000a", base_body=b"{}")
    update = Update(model="m", record_id="1", rev="2-000000000000000b", seq=1)
    with store.write() as tx:
        tx.next_seqs(1)
        tx.write([Entry(update, 1, pending)])
    store.close()
    with sqlite3.connect(path) as older:
        older.execute("ALTER TABLE syncline_changes DROP COLUMN sent")
        older.execute("PRAGMA user_version = 3")
        older.execute("UPDATE syncline_meta SET value = '3' WHERE name = ?", (VERSION,))
    older.close()
    salvaged = salvage(path)

    store = SqlStore(f"sqlite:///{path}")
    store.open()
    with store.read() as reader:
        entry = reader.entry("m", "1")
    store.close()

    assert pending == entry.pending
    assert [pending] == [one.pending for one in salvaged.entries]


def test_a_locked_database_is_named_and_recovers(store, path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        write(store)
    with store.read() as reader:
        assert reader.meta("name") is None
    other.execute("ROLLBACK")
    other.close()

    write(store)

    with store.read() as reader:
        assert b"value" == reader.meta("name")


def test_an_opening_waits_for_another_process_that_has_a_new_file_alone(path, monkeypatch):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(time, "sleep", lambda _: other.in_transaction and other.execute("COMMIT"))
    store = SqlStore(f"sqlite:///{path}")

    store.open()

    write(store)
    store.close()
    other.close()


def test_an_opening_that_waited_in_vain_is_named_and_may_be_tried_again(path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    store = SqlStore(f"sqlite:///{path}", busy_timeout_s=0.0)
    with pytest.raises(StoreUnavailable, match="locked"):
        store.open()
    other.close()

    store.open()

    write(store)
    store.close()


def test_a_full_disk_is_named_reads_go_on_and_it_recovers(store):
    write(store)
    pages = store._raw.execute("PRAGMA page_count").fetchone()[0]
    store._raw.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreFull), store.write() as tx:
        tx.append_stage(b"x" * 1_000_000)
    with store.read() as reader:
        assert (b"value", []) == (reader.meta("name"), list(reader.stage()))
    store._raw.execute("PRAGMA max_page_count = 1000000")

    write(store, "more")

    with store.read() as reader:
        assert b"value" == reader.meta("more")


def test_a_read_only_database_is_named_and_reads_go_on(store):
    write(store)
    store._raw.execute("PRAGMA query_only = 1")

    with pytest.raises(StoreReadOnly):
        write(store)
    with store.read() as reader:
        assert b"value" == reader.meta("name")


@pytest.mark.parametrize("content", [b"this is no database at all" * 100, b"SQLite format 3\0" * 9])
def test_what_is_no_database_is_named(path, content):
    path.write_bytes(content)

    with pytest.raises(StoreForeign, match="no database"):
        SqlStore(f"sqlite:///{path}").open()
    assert content == path.read_bytes()
    assert [path] == list(path.parent.iterdir())


@pytest.mark.parametrize("url", ["mysql://x/y", "not a url", "postgresql+psycopg://x/y"])
def test_a_url_of_another_kind_is_refused_with_what_is_known(url):
    with pytest.raises(ConfigError) as raised:
        SqlStore(url)
    assert "sqlite" in raised.value.hint


@pytest.mark.parametrize("lease", Lease)
def test_another_process_lease_is_respected(store, path, lease):
    other = SqlStore(f"sqlite:///{path}")
    other.open()
    assert store.take_lease(lease)

    refused = other.take_lease(lease)
    store.release_lease(lease)
    taken = other.take_lease(lease)
    other.close()

    assert (False, True) == (refused, taken)


def test_one_process_may_hold_the_link_of_what_another_serves(store, path):
    other = SqlStore(f"sqlite:///{path}")
    other.open()
    taken = store.take_lease(Lease.LISTEN), other.take_lease(Lease.LINK)
    other.close()

    assert (True, True) == taken


def test_where_there_are_no_locks_nobody_is_refused(store, monkeypatch):
    def no_locks(_file, _how):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("syncline.store.files.fcntl.flock", no_locks)

    assert store.take_lease(Lease.LISTEN)
    assert store.take_lease(Lease.LISTEN)


def test_a_lease_whose_file_cannot_be_made_is_refused_by_name(store, path):
    Path(f"{path}-link").mkdir()

    with pytest.raises(StoreUnavailable):
        store.take_lease(Lease.LINK)


class Base(DeclarativeBase):
    pass


class Car(Base):
    __tablename__ = "cars"

    number: Mapped[int] = mapped_column(primary_key=True)
    maker: Mapped[str]
    speed: Mapped[float | None]
    price: Mapped[Decimal | None] = mapped_column(sa.Numeric(12, 2))
    sold: Mapped[bool] = mapped_column(default=False)
    built: Mapped[datetime | None]
    details: Mapped[dict | None] = mapped_column(sa.JSON)


FORD = {
    "number": 7,
    "maker": "Ford",
    "speed": 1.5,
    "price": "19999.90",
    "sold": True,
    "built": "1964-04-17T00:00:00.000Z",
    "details": {"tags": ["a"], "z": None},
}


async def test_a_mapped_class_is_replicated_into_its_own_table(path):
    async with await syncline.Replica.open(str(path), {"car": Car}) as replica:
        await replica.model("car").put(7, FORD)

        found = await replica.model("car").find({"speed": {"gt": 1}})
    engine = sa.create_engine(f"sqlite:///{path}")
    with sa.orm.Session(engine) as session:
        car = session.scalars(sa.select(Car)).one()
        row = (car.number, car.price, car.sold, car.built, car.details)
    engine.dispose()

    assert [FORD] == found
    built = datetime(1964, 4, 17, tzinfo=UTC).replace(tzinfo=None)
    assert (7, Decimal("19999.90"), True, built, FORD["details"]) == row


async def test_rows_from_before_are_tracked_and_foreign_edits_rectified(path):
    engine = sa.create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    with sa.orm.Session(engine) as session:
        session.add(Car(number=1, maker="Opel"))
        session.add(Car(number=2, maker="BMW"))
        session.commit()

    async with await syncline.Replica.open(str(path), [Car]) as replica:
        cars = replica.model("cars")
        before = await cars.changes()
        with sa.orm.Session(engine) as session:
            session.get(Car, 1).maker = "Audi"
            session.delete(session.get(Car, 2))
            session.commit()
        moved = await cars.rectify_all_changes()

        assert ["1", "2"] == [change.record_id for change in before]
        assert (2, "Audi") == (moved, (await cars.get(1))["maker"])
        assert await cars.get(2) is None
    engine.dispose()


async def test_a_typed_record_is_checked_before_anything_is_written(path):
    async with await syncline.Replica.open(str(path), [Car]) as replica:
        with pytest.raises(RecordInvalid, match="maker"):
            await replica.model("cars").put(1, {"maker": 5})

        assert 0 == await replica.head()


def test_a_table_without_a_key_of_one_column_is_refused(path):
    table = sa.Table("t", sa.MetaData(), sa.Column("a", sa.Text))

    with pytest.raises(ConfigError, match="primary key"):
        SqlStore(f"sqlite:///{path}", tables={"t": table}).open()


EVERY_TYPE = sa.Table(
    "things",
    sa.MetaData(),
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("text", sa.Text),
    sa.Column("whole", sa.Integer),
    sa.Column("real", sa.Float),
    sa.Column("price", sa.Numeric(12, 4)),
    sa.Column("is_on", sa.Boolean),
    sa.Column("moment", sa.DateTime),
    sa.Column("zoned", sa.DateTime(timezone=True)),
    sa.Column("day", sa.Date),
    sa.Column("tree", sa.JSON),
    sa.Column("since", sa.Date, default=date(2026, 1, 2)),
    sa.Column("fee", sa.Numeric, default=Decimal("1.50")),
)
FILLED = {
    "id": "1",
    "text": "Zoë 😀",
    "whole": 2**53,
    "real": 1e20,
    "price": "19.90",
    "is_on": False,
    "moment": "2026-11-23T01:02:03.004Z",
    "zoned": "2026-11-23T00:00:00.000Z",
    "day": "2026-11-23T00:00:00.000Z",
    "tree": {"é": [1, None]},
    "since": "2026-01-02T00:00:00.000Z",
    "fee": "1.50",
}
EMPTY = {**dict.fromkeys(FILLED), "id": "2", "since": FILLED["since"], "fee": "1.50"}


async def test_every_type_comes_back_as_it_was_put(path):
    async with await syncline.Replica.open(str(path), [EVERY_TYPE]) as replica:
        things = replica.model("things")
        given = {name: FILLED[name] for name in FILLED if name not in ("id", "since", "fee")}
        await things.put("1", {**given, "zoned": "2026-11-23T02:00:00+02:00"})
        await things.put("2", {})

        assert [FILLED, EMPTY] == await things.find()
        assert ["1"] == [r["id"] for r in await things.find({"real": {"gt": 1e19}})]
        assert ["1"] == [r["id"] for r in await things.find({"is_on": False})]


async def test_the_application_reads_every_type_as_its_own(path):
    async with await syncline.Replica.open(str(path), [EVERY_TYPE]) as replica:
        await replica.model("things").put("1", FILLED)
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        row = connection.execute(sa.select(EVERY_TYPE)).one()
        stored = connection.execute(sa.text("SELECT moment, day FROM things")).one()
    engine.dispose()

    moment = datetime(2026, 11, 23, 1, 2, 3, 4000, tzinfo=UTC).replace(tzinfo=None)
    assert ("Zoë 😀", 2**53, 1e20, Decimal("19.90"), False) == row[1:6]
    assert (moment, date(2026, 11, 23), {"é": [1, None]}) == (row.moment, row.day, row.tree)
    assert ("2026-11-23 01:02:03.004000", "2026-11-23") == tuple(stored)


async def test_a_row_that_nobody_touched_is_not_rectified(path):
    """A column may hold less than its record: no digit, and no revision, is lost over that."""
    async with await syncline.Replica.open(str(path), [EVERY_TYPE]) as replica:
        things = replica.model("things")
        await things.put("1", {**FILLED, "day": "2026-11-23T05:00:00.000Z"})
        before = await things.get("1")

        assert 0 == await things.rectify_all_changes()
        assert before == await things.get("1")


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(sa.Column("x", sa.LargeBinary), id="bytes"),
        pytest.param(sa.Column("x", sa.Time), id="a time of day"),
        pytest.param(sa.Column("x", sa.Uuid), id="a UUID"),
        pytest.param(sa.Column("x", sa.Enum("a", "b")), id="an enum"),
        pytest.param(sa.Column("x", sa.Integer, default="much"), id="a default of another type"),
    ],
)
def test_a_column_that_no_record_can_fill_is_refused_by_name(path, column):
    table = sa.Table("t", sa.MetaData(), sa.Column("id", sa.Text, primary_key=True), column)

    with pytest.raises(ConfigError, match=r"t\.x"):
        SqlStore(f"sqlite:///{path}", tables={"t": table}).open()


def test_a_file_that_is_read_only_is_named_and_reads_go_on(store, path):
    write(store)
    store.close()
    reader_only = SqlStore(f"sqlite:///file:{path}?mode=ro&uri=true")
    reader_only.open()

    with pytest.raises(StoreReadOnly):
        write(reader_only)
    with reader_only.read() as reader:
        assert b"value" == reader.meta("name")
    reader_only.close()


def test_a_damaged_page_is_named(path):
    store = SqlStore(f"sqlite:///{path}")
    store.open()
    store.close()
    described = path.stat().st_size  # the schema may take several pages, and stays readable
    store.open()
    with store.write() as tx:
        for _ in range(50):
            tx.append_stage(b"x" * 1000)
    store.close()
    content = bytearray(path.read_bytes())
    content[described:] = b"\xff" * len(content[described:])
    path.write_bytes(content)

    damaged = SqlStore(f"sqlite:///{path}")
    damaged.open()

    with pytest.raises(StoreCorrupt), damaged.read() as reader:
        list(reader.stage())
    with pytest.raises(StoreCorrupt), damaged.write() as tx:
        tx.clear_stage()
    damaged.close()


def test_a_closed_store_says_so(store):
    store.close()

    with pytest.raises(StoreUnavailable, match="closed"):
        write(store)
    with pytest.raises(StoreUnavailable, match="closed"), store.read():
        pass


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreUnavailable, match="can't be opened"):
        SqlStore(f"sqlite:///{tmp_path / 'none' / 'store.db'}").open()


def test_content_outlives_the_store(store, path):
    write(store)
    store.close()
    store.open()

    with store.read() as reader:
        assert b"value" == reader.meta("name")


def test_a_statement_that_fails_in_memory_is_named_too():
    store = SqlStore("sqlite://")
    store.open()
    with pytest.raises(StoreError), store.read() as reader:
        reader._raw.execute("SELECT nonsense")
    store.close()
