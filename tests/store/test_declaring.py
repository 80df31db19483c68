"""A declared model that is declared otherwise: its table follows, or the opening is refused."""

import sqlite3

import pytest
import sqlalchemy as sa

import syncline
from syncline import ModelSchema, Property
from syncline.errors import ConfigError, StoreUnavailable
from syncline.schema import schema_from_config
from syncline.store.sql import SqlStore


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tasks.db"


def task(**declared):
    """Return the model as settings declare it."""
    settings = {name: declared.pop(name) for name in ("strict", "id_kind") if name in declared}
    return schema_from_config("task", {**settings, "properties": declared})


async def fill(path, schema, *records):
    async with await syncline.Replica.open(str(path), [schema]) as replica:
        for number, record in enumerate(records, 1):
            await replica.model("task").put(str(number), record)


def rows(path, columns):
    with sqlite3.connect(path) as other:
        found = other.execute(f"SELECT {columns} FROM task ORDER BY id").fetchall()
    other.close()
    return found


DONE = {"type": "boolean", "nullable": False, "default": False}


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        pytest.param("boolean", [(None,), (1,)], id="nullable"),
        pytest.param(DONE, [(0,), (1,)], id="with a default"),
    ],
)
async def test_a_property_that_is_added_becomes_a_column_with_what_records_hold(
    path, added, expected
):
    await fill(path, task(title="string"), {"title": "milk"}, {"title": "tea", "done": True})
    async with await syncline.Replica.open(str(path), [task(title="string", done=added)]) as after:
        tasks = after.model("task")
        await after._beside.look_at_all()
        moved = await after.head()
        held = rows(path, "done")
        await tasks.patch("1", {"title": "oat milk"})
        patched = await tasks.get("1")
        await tasks.put("3", {"title": "bread", "done": False})

        assert (2, expected) == (moved, held)
        assert "oat milk" == patched["title"]
        assert ["3"] == [r["id"] for r in await tasks.find({"title": "bread"})]


async def test_a_column_of_numbers_with_a_default_is_not_taken_for_what_a_record_says(path):
    await fill(path, task(title="string"), {"title": "milk"})
    n = {"type": "integer", "default": 7}
    async with await syncline.Replica.open(str(path), [task(title="string", n=n)]) as after:
        assert [(7,)] == rows(path, "n")
        assert 0 == await after.model("task").count({"n": 7})
        assert "n" not in await after.model("task").get("1")


async def test_a_property_that_is_removed_and_comes_back_is_as_its_records_are(path):
    both, one = task(title="string", n="integer"), task(title="string")
    await fill(path, both, {"title": "milk", "n": 1})
    async with await syncline.Replica.open(str(path), [one]) as without:
        kept = await without.model("task").get("1")
        await without.model("task").put("1", {"title": "milk", "n": 2})
        await without.model("task").put("2", {"title": "tea"})
    async with await syncline.Replica.open(str(path), [both]) as again:
        await again._beside.look_at_all()

        assert 1 == kept["n"]
        assert [(2,), (None,)] == rows(path, "n")
        assert 2 == (await again.model("task").get("1"))["n"]


async def test_a_type_changes_where_every_record_allows_it(path):
    await fill(path, task(n="number"), {"n": 1}, {"n": 2}, {})
    async with await syncline.Replica.open(str(path), [task(n="integer")]) as after:
        assert ["1"] == [r["id"] for r in await after.model("task").find({"n": {"lt": 2}})]
    with sqlite3.connect(path) as other:
        kind = other.execute("SELECT type FROM pragma_table_info('task') WHERE name = 'n'")
        assert [("BIGINT",)] == kind.fetchall()
    other.close()
    assert [(1,), (2,), (None,)] == rows(path, "n")


REFUSED = [
    pytest.param(
        task(n="integer"),
        "models.task.properties.n: 1 record does not allow it ('1'): task.n is a float",
        id="a type",
    ),
    pytest.param(
        task(n="number", done={"type": "boolean", "nullable": False}),
        "models.task.properties.done: 3 records do not allow it ('1', '2', '3'): "
        "task.done is missing",
        id="a property that must be there, and is not",
    ),
    pytest.param(
        task(n={"type": "number", "nullable": False}),
        "models.task.properties.n: 1 record does not allow it ('3')",
        id="null no more",
    ),
    pytest.param(
        task(strict=True, n="number"),
        "models.task.strict: 1 record does not allow it ('2')",
        id="strict",
    ),
    pytest.param(
        task(id_kind="integer", n="number"), "models.task.id_kind", id="another kind of id"
    ),
    pytest.param(
        schema_from_config("task", {"id_name": "key", "properties": {"n": "number"}}),
        "models.task.id_name",
        id="another id",
    ),
]


@pytest.mark.parametrize(("changed", "said"), REFUSED)
async def test_what_the_records_do_not_allow_is_refused_by_name_and_changes_nothing(
    path, changed, said
):
    await fill(path, task(n="number"), {"n": 1.5}, {"n": 2, "extra": True}, {"n": None})
    before = path.stat().st_size, rows(path, "*")
    with pytest.raises(ConfigError) as caught:
        await syncline.Replica.open(str(path), [changed])

    assert said in str(caught.value)
    assert str(path) not in str(caught.value)
    assert before == (path.stat().st_size, rows(path, "*"))
    async with await syncline.Replica.open(str(path), [task(n="number")]) as as_before:
        assert 3 == await as_before.model("task").count()


async def test_a_store_that_refuses_its_models_is_closed_again(path):
    await fill(path, task(n="number"), {"n": 1.5})
    store = SqlStore(f"sqlite:///{path}")
    with pytest.raises(ConfigError):
        await syncline.Replica.open(store, [task(n="integer")])

    with pytest.raises(StoreUnavailable, match="closed"), store.read():
        pass


async def test_a_row_edited_beside_is_not_lost_to_a_new_column(path):
    await fill(path, task(title="string", n="number"), {"title": "milk", "n": 1})
    with sqlite3.connect(path) as other:
        other.execute("UPDATE task SET title = 'tea', n = 2")
    other.close()
    with pytest.raises(ConfigError, match="edited beside"):
        await syncline.Replica.open(str(path), [task(title="string", n="integer")])
    added = task(title="string", n="number", done=DONE)
    async with await syncline.Replica.open(str(path), [added]) as after:
        record = await after.model("task").get("1")

        assert ("tea", 2) == (record["title"], record["n"])


async def test_a_column_with_an_index_is_named_when_it_can_not_change(path):
    await fill(path, task(n="number"), {"n": 1})
    with sqlite3.connect(path) as other:
        other.execute("CREATE INDEX mine ON task (n)")
    other.close()

    with pytest.raises(ConfigError, match=r"models\.task.*index"):
        await syncline.Replica.open(str(path), [task(n="integer")])


async def test_the_applications_own_table_that_lacks_a_column_is_refused_by_name(path):
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE cars (id TEXT PRIMARY KEY)")
    other.close()
    cars = sa.Table(
        "cars", sa.MetaData(), sa.Column("id", sa.Text, primary_key=True), sa.Column("n", sa.Text)
    )

    with pytest.raises(ConfigError, match="cars has no column n") as caught:
        SqlStore(f"sqlite:///{path}", tables={"cars": cars}).open()
    assert "migrate" in caught.value.hint


async def test_a_database_of_before_declarations_were_kept_is_brought_in_line(path):
    await fill(path, task(title="string"), {"title": "milk", "done": True})
    with sqlite3.connect(path) as other:
        other.execute("DELETE FROM syncline_meta WHERE name = 'declared'")
    other.close()
    schema = ModelSchema(
        name="task",
        properties=(Property(name="title", kind="string"), *task(done=DONE).properties),
    )
    async with await syncline.Replica.open(str(path), [schema]):
        assert [("milk", 1)] == rows(path, "title, done")
