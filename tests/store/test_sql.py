"""What a database can do to a store, each by its own name; and the application's own tables."""

import sqlite3
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import syncline
from syncline.errors import (
    ConfigError,
    RecordInvalid,
    SchemaMismatch,
    StoreCorrupt,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
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
        newer.execute("PRAGMA user_version = 99")
    newer.close()

    with pytest.raises(SchemaMismatch, match="schema 99") as raised:
        SqlStore(f"sqlite:///{path}").open()
    assert "upgrade" in raised.value.hint


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

    with pytest.raises(StoreCorrupt):
        SqlStore(f"sqlite:///{path}").open()


@pytest.mark.parametrize("url", ["mysql://x/y", "not a url", "postgresql+psycopg://x/y"])
def test_a_url_of_another_kind_is_refused_with_what_is_known(url):
    with pytest.raises(ConfigError) as raised:
        SqlStore(url)
    assert "sqlite" in raised.value.hint


def test_another_process_lease_is_respected(store, path):
    other = SqlStore(f"sqlite:///{path}")
    other.open()
    assert store.take_lease()

    refused = other.take_lease()
    store.release_lease()
    taken = other.take_lease()
    other.close()

    assert (False, True) == (refused, taken)


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
