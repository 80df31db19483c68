"""Rows that others write into a model's own table: seen before anything meets them."""

import sqlite3
from datetime import datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa
import structlog
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import syncline
from syncline import ModelSchema, Property, PropertyKind
from syncline.effects import Acknowledge, ApplyUpdates, BeginReset, Mode
from syncline.errors import ConflictError, RecordInvalid, RecordNotFound
from syncline.foreign import ForeignWrites
from syncline.models import Answer, BulkResult, Cursor, Interval, ItemResult, Update, raw_body


class Base(DeclarativeBase):
    pass


class Car(Base):
    __tablename__ = "cars"

    id: Mapped[str] = mapped_column(primary_key=True)
    maker: Mapped[str | None]
    plate: Mapped[str | None] = mapped_column(unique=True)
    built: Mapped[datetime | None]
    price: Mapped[Decimal | None] = mapped_column(sa.Numeric(30, 10))
    details: Mapped[dict | None] = mapped_column(sa.JSON)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cars.db"


@pytest.fixture
def unwatched(monkeypatch):
    """Have nobody look for the writes of others, so that only what touches a row finds them."""

    def start(self):
        """Do not begin to look."""

    monkeypatch.setattr(ForeignWrites, "start", start)


def edit(path, sql, *values):
    """Write as another program does."""
    with sqlite3.connect(path) as other:
        other.execute(sql, values)
    other.close()


def follower(path, **options):
    return syncline.Replica.open(str(path), [Car], follows=True, **options)


def theirs(record_id, seq, maker, *, rev, prev=None):
    body = b"" if maker is None else b'{"id":"%b","maker":"%b"}' % (record_id.encode(), maker)
    return Update(
        model="cars",
        record_id=record_id,
        seq=seq,
        rev=rev,
        prev=prev,
        origin="elsewhere",
        body=raw_body(body),
    )


CURSOR = Cursor(source="s", epoch="e", seq=0, is_whole=True, models=("cars",))


async def take(replica, *updates, mode=Mode.DIRECT, cursor=CURSOR, with_stage=False):
    """Have a replica take what its upstream sent."""
    head = updates[-1].seq if updates else cursor.seq
    interval = Interval(epoch="e", since=0, checkpoint=head, head=head, updates=updates)
    effect = ApplyUpdates(interval, mode, cursor, with_stage)
    return await replica.core.carry_out(lambda tx: replica.core.engine.carry_out(tx, effect))


FIRST = theirs("1", 1, b"Opel", rev="1-000000000000000a")
NEXT = theirs("1", 2, b"Audi", rev="2-000000000000000b", prev="1-000000000000000a")
GONE = theirs("1", 2, None, rev="2-000000000000000c-deleted", prev="1-000000000000000a")


@pytest.mark.usefixtures("unwatched")
@pytest.mark.parametrize("update", [NEXT, GONE], ids=["an edit", "a deletion"])
@pytest.mark.parametrize("mode", [Mode.DIRECT, Mode.WHOLE])
async def test_an_update_meets_a_row_that_was_edited_as_a_conflict(path, update, mode):
    async with await follower(path) as replica:
        await take(replica, FIRST)
        edit(path, "UPDATE cars SET maker = 'BMW'")
        await take(replica, update, mode=mode)

        conflicts = await replica.conflicts()
        assert [("Opel", "BMW")] == [(c.base["maker"], c.ours["maker"]) for c in conflicts]
        assert update.data == conflicts[0].theirs
        assert "BMW" == (await replica.model("cars").get("1"))["maker"]
    with sqlite3.connect(path) as other:
        assert [("BMW",)] == other.execute("SELECT maker FROM cars").fetchall()
    other.close()


@pytest.mark.usefixtures("unwatched")
async def test_an_update_meets_a_row_that_was_deleted_as_a_conflict(path):
    async with await follower(path) as replica:
        await take(replica, FIRST)
        edit(path, "DELETE FROM cars")
        await take(replica, NEXT)

        assert [(None, "Audi")] == [(c.ours, c.theirs["maker"]) for c in await replica.conflicts()]


@pytest.mark.usefixtures("unwatched")
async def test_an_update_meets_a_row_that_was_inserted_as_a_conflict(path):
    async with await follower(path) as replica:
        await take(replica, theirs("2", 1, b"Opel", rev="1-000000000000000a"))
        edit(path, "INSERT INTO cars (id, maker) VALUES ('1', 'BMW')")
        await take(replica, FIRST)

        assert [("BMW", "Opel")] == [
            (c.ours["maker"], c.theirs["maker"]) for c in await replica.conflicts()
        ]


@pytest.mark.usefixtures("unwatched")
async def test_staged_updates_meet_edited_rows_too(path):
    async with await follower(path) as replica:
        await take(replica, FIRST)
        await take(replica, NEXT, mode=Mode.STAGE)
        edit(path, "UPDATE cars SET maker = 'BMW'")
        await take(replica, mode=Mode.WHOLE, with_stage=True)

        assert ["BMW"] == [c.ours["maker"] for c in await replica.conflicts()]


@pytest.mark.usefixtures("unwatched")
@pytest.mark.parametrize("when", ["before", "within"])
async def test_a_reset_loses_no_edited_row(path, when):
    async with await follower(path) as replica:
        await take(replica, FIRST)
        reset = BeginReset(Cursor(resetting=0, models=("cars",)), 0)
        if when == "before":
            edit(path, "UPDATE cars SET maker = 'BMW'")
        await replica.core.carry_out(lambda tx: replica.core.engine.carry_out(tx, reset))
        if when == "within":
            edit(path, "UPDATE cars SET maker = 'BMW'")
        await take(replica, mode=Mode.WHOLE, cursor=reset.cursor)

        pending = await replica.core.read(lambda reader: reader.outbox(limit=9))
        assert ["BMW"] == [update.data["maker"] for update in pending]


@pytest.mark.usefixtures("unwatched")
async def test_an_answer_to_a_push_rolls_back_no_edited_row(path):
    """The refusal concerns the revision that was pushed, and the row has moved on."""
    async with await follower(path) as replica:
        pushed = await replica.model("cars").put("1", {"maker": "Opel"})
        await replica.core.read(
            lambda reader: replica.core.engine.collect(reader, items_max=9, bytes_max=9999)
        )
        edit(path, "UPDATE cars SET maker = 'BMW'")
        word = ItemResult(
            model="cars", record_id="1", rev=pushed.rev, answer=Answer.REFUSED, reason="no"
        )
        effect = Acknowledge(1, BulkResult(epoch="e", results=(word,)), CURSOR)
        await replica.core.carry_out(
            lambda tx: replica.core.engine.acknowledge(tx, [pushed], effect)
        )

        pending = await replica.core.read(lambda reader: reader.outbox(limit=9))
        assert ["BMW"] == [update.data["maker"] for update in pending]


@pytest.mark.usefixtures("unwatched")
async def test_a_push_meets_an_edited_row_at_a_daemon_as_a_conflict(path):
    async with await syncline.Replica.open(str(path), [Car], listens=True) as daemon:
        first = await daemon.model("cars").put("1", {"maker": "Opel"})
        edit(path, "UPDATE cars SET maker = 'BMW'")
        pushed = theirs("1", 0, b"Audi", rev="2-000000000000000b", prev=first.rev)
        result = await daemon.bulk_update([pushed])

        assert [Answer.CONFLICT] == [item.answer for item in result.results]
        assert "BMW" == (await daemon.model("cars").get("1"))["maker"]


@pytest.mark.usefixtures("unwatched")
async def test_a_local_write_builds_on_what_the_row_says(path):
    async with await syncline.Replica.open(str(path), [Car]) as replica:
        cars = replica.model("cars")
        first = await cars.put("1", {"maker": "Opel", "plate": "A"})
        edit(path, "UPDATE cars SET maker = 'BMW'")
        with pytest.raises(ConflictError):
            await cars.put("1", {"maker": "Audi"}, if_rev=first.rev)
        patched = await cars.patch("1", {"plate": "B"})
        edit(path, "UPDATE cars SET plate = 'C'")
        async with replica.transaction() as tx:
            tx.model("cars").patch("1", {"maker": "VW"})
        edit(path, "DELETE FROM cars")
        with pytest.raises(RecordNotFound):
            await cars.patch("1", {"plate": "D"})

        assert ("BMW", "B") == (patched.data["maker"], patched.data["plate"])
        assert await cars.get("1") is None


@pytest.mark.usefixtures("unwatched")
async def test_a_resolution_does_not_pass_over_an_edited_row(path):
    async with await follower(path) as replica:
        await take(replica, FIRST)
        await replica.model("cars").patch("1", {"maker": "BMW"})
        await take(replica, NEXT)
        (conflict,) = await replica.conflicts()
        edit(path, "UPDATE cars SET maker = 'VW'")
        is_settled = await conflict.resolve("theirs")

        assert not is_settled
        assert ["VW"] == [c.ours["maker"] for c in await replica.conflicts()]


@pytest.mark.usefixtures("unwatched")
async def test_replicate_meets_edited_rows_on_both_sides(path, tmp_path):
    other_path = tmp_path / "other.db"
    async with (
        await syncline.Replica.open(str(path), [Car]) as a,
        await syncline.Replica.open(str(other_path), [Car]) as b,
    ):
        await a.model("cars").put("1", {"maker": "Opel"})
        await a.model("cars").put("2", {"maker": "Opel"})
        await syncline.replicate(a.model("cars"), b.model("cars"))
        edit(path, "UPDATE cars SET maker = 'BMW'")
        edit(other_path, "UPDATE cars SET maker = 'VW' WHERE id = '1'")
        result = await syncline.replicate(a.model("cars"), b.model("cars"))

        assert ["1"] == [conflict.record_id for conflict in result.conflicts]
        makers = [record["maker"] for record in await b.model("cars").find()]
        assert ["VW", "BMW"] == makers


@pytest.mark.usefixtures("unwatched")
async def test_reading_shows_at_once_what_others_wrote(path):
    async with await syncline.Replica.open(str(path), [Car]) as replica:
        cars = replica.model("cars")
        await cars.put_many([{"id": "1", "maker": "Opel"}, {"id": "2", "maker": "Opel"}])
        edit(path, "UPDATE cars SET maker = 'BMW' WHERE id = '1'")
        got = await cars.get("1")
        edit(path, "DELETE FROM cars WHERE id = '2'")
        edit(path, "INSERT INTO cars (id, maker) VALUES ('3', 'VW')")
        found = await cars.find()
        edit(path, "DELETE FROM cars WHERE id = '3'")
        count = await cars.count()

        assert "BMW" == got["maker"]
        assert [("1", "BMW"), ("3", "VW")] == [(r["id"], r["maker"]) for r in found]
        assert 1 == count


async def test_an_edit_beside_the_replica_is_told_to_who_watches(path):
    async with await syncline.Replica.open(str(path), [Car]) as replica:
        watch = replica.model("cars").watch()
        edit(path, "INSERT INTO cars (id, maker) VALUES ('1', 'BMW')")

        async for change in watch:
            assert ("1", "BMW") == (change.record_id, change.data["maker"])
            break


TASK = ModelSchema(name="task", properties=(Property(name="title", kind=PropertyKind.STRING),))


@pytest.mark.usefixtures("unwatched")
async def test_the_table_of_a_declared_model_is_minded_too(path):
    async with await syncline.Replica.open(str(path), [TASK]) as replica:
        tasks = replica.model("task")
        await tasks.put("1", {"title": "milk", "extra": 1})
        edit(path, "UPDATE task SET title = 'tea'")
        edit(path, "INSERT INTO task (id) VALUES ('2')")

        assert {"id": "1", "title": "tea", "extra": 1} == await tasks.get("1")
        assert {"id": "2"} == await tasks.get("2")
        assert 2 == await tasks.count({"title": {"neq": "milk"}})


BAD = [
    pytest.param("built", 5, "5", id="a number for a date"),
    pytest.param("built", "some day", "some day", id="a text that is no date"),
    pytest.param("details", "{bad", "{bad", id="bad JSON"),
    pytest.param("details", '{"a": "\\ud800"}', '{"a": "\\ud800"}', id="half a surrogate pair"),
    pytest.param("maker", b"\xff", "ff", id="bytes for a text"),
    pytest.param("price", "much", "much", id="a text for a decimal"),
]


@pytest.mark.parametrize(("column", "value", "kept"), BAD)
async def test_a_row_that_makes_no_record_is_parked_and_all_else_goes_on(path, column, value, kept):
    async with await syncline.Replica.open(str(path), [Car]) as replica:
        await replica.model("cars").put("1", {"maker": "Opel"})
    edit(path, "INSERT INTO cars (id, maker) VALUES ('2', 'VW')")
    edit(path, f"UPDATE cars SET {column} = ? WHERE id = '1'", value)

    with structlog.testing.capture_logs() as logs:
        async with await syncline.Replica.open(str(path), [Car]) as replica:
            cars = replica.model("cars")
            parked = replica.parked_rows()
            before = await cars.find()
            await cars.patch("1", {"maker": "Audi"})
            lost = await replica.conflicts(open_only=False)
            await replica.core.look_beside(None)
            after = await cars.get("1")

            assert [("cars", "1", False)] == [(r.model, r.record_id, r.is_readable) for r in parked]
            assert column in parked[0].problem
            assert "cars '1'" in parked[0].problem
            assert ["Opel", "VW"] == [record["maker"] for record in before]
            assert "Audi" == after["maker"]
            assert [kept] == [str(conflict.ours[column]) for conflict in lost]
            assert parked[0].problem == lost[0].conflict.reason
    assert ["1"] == [event["record_id"] for event in logs if event["event"] == "row.parked"]


async def test_a_parked_row_that_is_mended_is_replicated(path):
    async with await syncline.Replica.open(str(path), [Car]) as replica:
        edit(path, "INSERT INTO cars (id, built) VALUES ('1', 5)")
        edit(path, "INSERT INTO cars (id, maker) VALUES (X'ff', 'VW')")
        await replica._beside.look_at_all()
        names = [row.record_id for row in replica.parked_rows()]
        edit(path, "UPDATE cars SET built = '2026-01-02 03:04:05.000000' WHERE id = '1'")
        edit(path, "DELETE FROM cars WHERE id = X'ff'")

        assert ["1", "\\udcff"] == names
        assert "2026-01-02T03:04:05.000Z" == (await replica.model("cars").get("1"))["built"]
        await replica._beside.look_at_all()
        assert [] == replica.parked_rows()


async def test_a_decimal_that_the_column_can_not_hold_says_so(path):
    async with await syncline.Replica.open(str(path), [Car]) as replica:
        cars = replica.model("cars")
        await cars.put("1", {"price": "12345.6789"})
        with pytest.raises(RecordInvalid, match=r"cars\.price.*back as another") as caught:
            await cars.put("2", {"price": "12345678901234567890.0123456789"})

        assert "text" in caught.value.hint
        assert "12345.6789" == (await cars.get("1"))["price"]
        assert await cars.get("2") is None


def unfit(record_id, seq, body):
    return Update(
        model="cars",
        record_id=record_id,
        seq=seq,
        rev=f"1-00000000000000{seq:02}",
        body=raw_body(body),
    )


async def test_a_record_that_its_row_can_not_hold_is_parked_and_all_else_goes_on(path):
    """From an upstream whose model is schemaless, or which has no such rule, anything may come."""
    async with await follower(path) as replica:
        cars = replica.model("cars")
        await take(
            replica,
            unfit("1", 1, b'{"id":"1","built":"some day"}'),
            unfit("2", 2, b'{"id":"2","maker":{"a":1}}'),
            unfit("3", 3, b'{"id":"3","plate":"A"}'),
            unfit("4", 4, b'{"id":"4","plate":"A"}'),
            unfit("5", 5, b'{"id":"5","price":"12345678901234567890.0123456789"}'),
            unfit("6", 6, b'{"id":"6","maker":"VW"}'),
        )
        parked = {row.record_id: row.problem for row in replica.parked_rows()}
        found = [record["id"] for record in await cars.find()]
    async with await follower(path) as replica:
        cars = replica.model("cars")
        again = {row.record_id: row.problem for row in replica.parked_rows()}
        pending = await replica.core.read(lambda reader: reader.outbox(limit=9))
        await cars.put("1", {"maker": "Opel"})
        await cars.delete("2")
        await cars.put("4", {"plate": "B"})
        await cars.put("5", {})

        assert ["1", "2", "4", "5"] == sorted(parked)
        assert "cars.built" in parked["1"]
        assert "UNIQUE" in parked["4"]
        assert "cars.price" in parked["5"]
        assert ["1", "2", "3", "4", "5", "6"] == found
        assert (parked, []) == (again, pending)
        assert [] == replica.parked_rows()
        assert ["1", "3", "4", "5", "6"] == [record["id"] for record in await cars.find()]


async def test_a_local_write_that_breaks_a_rule_of_the_table_is_refused(path):
    async with await syncline.Replica.open(str(path), [Car]) as replica:
        cars = replica.model("cars")
        await cars.put("1", {"plate": "A"})
        with pytest.raises(RecordInvalid, match=r"UNIQUE.*cars\.plate"):
            await cars.put("2", {"plate": "A"})

        assert await cars.get("2") is None
        assert [] == replica.parked_rows()


async def test_a_table_is_looked_at_only_after_others_committed(path, monkeypatch):
    looks = []
    async with await syncline.Replica.open(str(path), [Car]) as replica:
        minded = replica.core.engine._rectifying
        look = minded.rectify
        monkeypatch.setattr(minded, "rectify", lambda *args: looks.append(args) or look(*args))
        await replica.model("cars").put("1", {"maker": "Opel"})
        await replica.model("cars").find()
        before = len(looks)
        edit(path, "UPDATE cars SET maker = 'BMW'")
        await replica.model("cars").put("1", {"maker": "Audi"})

        assert (0, 1) == (before, len(looks))


@pytest.mark.parametrize("model", [TASK, Car], ids=["declared", "the application's"])
async def test_a_table_that_comes_after_its_records_is_filled_from_them(path, model):
    name = "task" if model is TASK else "cars"
    async with await syncline.Replica.open(str(path), [name]) as schemaless:
        await schemaless.model(name).put("1", {"title": "milk", "maker": "Opel"})
        await schemaless.model(name).put("2", {"title": 5, "maker": {"no": "text"}})

    async with await syncline.Replica.open(str(path), [model]) as typed:
        await typed._beside.look_at_all()

        assert ["1", "2"] == [record["id"] for record in await typed.model(name).find()]
    with sqlite3.connect(path) as other:
        column = "title" if model is TASK else "maker"
        rows = other.execute(f"SELECT id, {column} FROM {name}").fetchall()
    other.close()
    assert ("1", "milk" if model is TASK else "Opel") == rows[0]


@pytest.mark.parametrize("model", [TASK, Car], ids=["declared", "the application's"])
async def test_who_does_not_declare_a_model_keeps_its_table_level_all_the_same(path, model):
    """As the command without settings: its writes would be taken back by the next look."""
    name, column = ("task", "title") if model is TASK else ("cars", "maker")
    async with await syncline.Replica.open(str(path), [model]) as typed:
        await typed.model(name).put_many([{"id": "1", column: "a"}, {"id": "2", column: "a"}])
    async with await syncline.Replica.open(str(path)) as plain:
        await plain.model(name).put("1", {column: "b"})
        await plain.model(name).put("3", {column: {"no": "text"}})
        await plain.model(name).delete("2")

    async with await syncline.Replica.open(str(path), [model]) as typed:
        await typed._beside.look_at_all()
        found = await typed.model(name).find()
        parked = [row.record_id for row in typed.parked_rows()]

        assert [("1", "b"), ("3", {"no": "text"})] == [(r["id"], r[column]) for r in found]
        assert ["3"] == parked
