"""A replication's conflict, settled by hand: checked as a `put` is."""

import pytest

import syncline
from syncline.errors import ConflictError, KeyInvalid, RecordError, WriteRefused
from syncline.hooks import Hooks, Refuse


async def collided(record_id="1", *, hooks=None):
    """Return two replicas that hold different records under one id, and their conflict."""
    one = await syncline.Replica.open("memory:", ["todo"], hooks=hooks)
    other = await syncline.Replica.open("memory:", ["todo"])
    await one.model("todo").put(record_id, {"m": 1})
    await other.model("todo").put(record_id, {"m": 2})
    result = await syncline.replicate(one.model("todo"), other.model("todo"))
    (conflict,) = result.conflicts
    return one, other, conflict


async def close(*replicas):
    for replica in replicas:
        await replica.close()


@pytest.mark.parametrize("record_id", ["1", 1], ids=["text", "number"])
async def test_resolution_keeps_its_id(record_id):
    one, other, conflict = await collided(record_id)

    await conflict.resolve_manually({"m": 3})
    await syncline.replicate(one.model("todo"), other.model("todo"))

    for replica in (one, other):
        assert {"id": record_id, "m": 3} == await replica.model("todo").get(record_id)
    await close(one, other)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param({"id": "2", "m": 3}, KeyInvalid, id="a foreign id"),
        pytest.param({"m": float("nan")}, RecordError, id="no number"),
        pytest.param({"m": 2**60 + 1}, RecordError, id="a number that JSON can't tell"),
        pytest.param({"m": object()}, RecordError, id="no JSON"),
        pytest.param([], RecordError, id="no record"),
    ],
)
async def test_resolution_that_a_put_would_refuse_settles_nothing(data, error):
    one, other, conflict = await collided()

    with pytest.raises(error):
        await conflict.resolve_manually(data)

    assert ({"id": "1", "m": 1}, {"id": "1", "m": 2}) == await conflict.models()
    await close(one, other)


async def test_resolution_that_a_rule_refuses_says_so():
    def validate(_principal, _before, after):
        if after is not None and after["m"] == 3:
            raise Refuse("no threes")

    one, other, conflict = await collided(hooks=Hooks(validate={"todo": validate}))

    with pytest.raises(WriteRefused, match="no threes"):
        await conflict.resolve_manually({"m": 3})

    await close(one, other)


async def test_resolution_of_what_moved_on_says_so(monkeypatch):
    one, other, conflict = await collided()
    looked_at = await conflict.changes()
    await one.model("todo").put("1", {"m": 5})

    async def before():
        return looked_at

    monkeypatch.setattr(conflict, "changes", before)
    with pytest.raises(ConflictError, match="moved on"):
        await conflict.resolve_manually({"m": 3})

    assert {"id": "1", "m": 5} == await one.model("todo").get("1")
    await close(one, other)
