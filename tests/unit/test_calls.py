"""What a program may get wrong in a call is named, and changes nothing."""

import pytest

import syncline
from syncline.ends import RemoteModel
from syncline.errors import FilterInvalid, RecordInvalid


@pytest.fixture(params=["memory:", "file"])
async def todo(request, tmp_path):
    store = request.param if request.param == "memory:" else str(tmp_path / "a.db")
    async with await syncline.Replica.open(store) as replica:
        model = replica.model("todo")
        await model.put("1", {"title": "milk"})
        yield model


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(("1",), id="an id alone"),
        pytest.param(("1", None), id="nothing"),
        pytest.param(("1", [1]), id="a list"),
        pytest.param(("1", "title"), id="a text"),
        pytest.param((), id="nothing at all"),
    ],
)
async def test_a_put_without_a_record_empties_none(todo, given):
    with pytest.raises(RecordInvalid):
        await todo.put(*given)

    assert [{"id": "1", "title": "milk"}] == await todo.find()


@pytest.mark.parametrize("given", [None, [1], "title"], ids=["nothing", "a list", "a text"])
async def test_what_is_no_record_is_named_by_every_verb(todo, given):
    with pytest.raises(RecordInvalid):
        await todo.patch("1", given)
    with pytest.raises(RecordInvalid):
        await todo.put_many([given])
    with pytest.raises(RecordInvalid):
        await RemoteModel(None, "todo").put("1", given)

    assert [{"id": "1", "title": "milk"}] == await todo.find()


async def test_an_empty_record_is_put_as_one(todo):
    await todo.put("1", {})

    assert {"id": "1"} == await todo.get("1")


@pytest.mark.parametrize("limit", [-1, 1.5, "3", True])
async def test_a_limit_that_is_none_is_named(todo, limit):
    with pytest.raises(FilterInvalid, match="limit is"):
        await todo.find(limit=limit)


async def test_a_limit_beyond_all_is_none(todo):
    assert 1 == len(await todo.find(limit=2**70))


@pytest.mark.parametrize("where", ["title", 3, [["title", "milk"]]])
async def test_a_filter_that_is_no_object_is_named(todo, where):
    for ask in (todo.find, todo.count):
        with pytest.raises(FilterInvalid, match="no filter"):
            await ask(where)
