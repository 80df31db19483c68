"""`find` at a daemon gives all that match, however many it gives at once."""

import pytest
import socketio

import syncline
from synclined import asking


WAIT_S = 20


@pytest.fixture
async def many(serve):
    url = serve("memory:", "--model", "t").url
    async with syncline.connect(url, models=["t"]) as replica:
        await replica.model("t").put_many([{"id": n, "n": -n} for n in range(12_000)])
        await replica.link.wait_live(3 * WAIT_S)
    async with await syncline.connect_remote(url) as remote:
        remote.url = url
        yield remote


async def test_all_are_found_or_as_many_as_are_asked_for(many):
    t = many.model("t")
    everything = await t.find()
    by_n = await t.find(order="n", limit=10_001)

    assert {*range(12_000)} == {one["id"] for one in everything}
    assert [*range(11_999, 1998, -1)] == [one["id"] for one in by_n]
    assert 11_000 == len(await t.find(limit=11_000))
    assert 10_000 == len(await t.find({"n": {"gt": -10_000}}))
    assert 2_000 == len(await t.find({"n": {"lte": -10_000}}))
    assert [] == await t.find(limit=0)


async def test_who_asks_for_more_than_is_given_at_once_is_told_so(many):
    stock = socketio.AsyncClient()
    await stock.connect(many.url, auth={"protocol": 1})
    answers = []
    for limit in (None, 10_001, 10_000):
        header, _ = await stock.call("find", {"model": "t", "order": "n DESC", "limit": limit})
        answers.append(header)
    rest, _ = await stock.call("find", {"model": "t", "order": "n DESC", "after": "9999"})
    await stock.disconnect()

    cut = {"count": asking.FIND_LIMIT_MAX, "after": "9999"}
    assert [cut, cut, {"count": 10_000}] == answers
    assert {"count": 2_000, "after": None} == rest
