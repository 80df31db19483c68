"""An id keeps its type by every verb and every door; 0 is an id as any other."""

import json
from uuid import UUID

import aiohttp
import pytest

import syncline
from syncline import blocking
from syncline.errors import KeyInvalid
from syncline.schema import are_kept_forms


WAIT_S = 20
GIVEN = [
    pytest.param(8, 8, id="a number"),
    pytest.param("8", "8", id="a text"),
    pytest.param(0, 0, id="nought"),
    pytest.param(-3, -3, id="a negative number"),
    pytest.param(2**60, 2**60, id="a large number"),
    pytest.param(10**22, 1e22, id="more than 64 bits"),
    pytest.param(2**60 + 1, str(2**60 + 1), id="a number that is no double"),
    pytest.param("07", "07", id="a text of digits"),
    pytest.param(
        UUID("12345678-1234-5678-1234-567812345678"),
        "12345678-1234-5678-1234-567812345678",
        id="a UUID",
    ),
]


@pytest.fixture
async def t():
    async with await syncline.Replica.open("memory:") as replica:
        model = replica.model("t")
        model.replica = replica
        yield model


@pytest.mark.parametrize(("given", "kept"), GIVEN)
async def test_a_new_record_holds_its_id_as_it_was_given(t, given, kept):
    written = await t.put(given, {"v": 1})

    assert {"id": kept, "v": 1} == written.data == await t.get(given)
    assert type(kept) is type(written.data["id"])
    assert [written.data] == await t.find({"id": kept})
    async with t.replica.transaction() as tx:
        tx.model("u").put(given, {"v": 1})
    assert [written.data] == await t.replica.model("u").find({"id": kept})


@pytest.mark.parametrize(("given", "kept"), GIVEN)
async def test_a_record_keeps_the_type_of_its_id_whatever_names_it(t, given, kept):
    await t.put(given, {"v": 1})
    text = str(int(kept)) if isinstance(kept, float) else str(kept)

    for number, name in enumerate([given, text]):
        await t.put(name, {"v": number})
        assert {"id": kept, "v": number} == await t.get(text)
        await t.patch(name, {"w": number})
        async with t.replica.transaction() as tx:
            tx.model("t").put(name, {"x": number})
        assert {"id": kept, "x": number} == await t.get(text)

    assert type(kept) is type((await t.get(text))["id"])
    assert 1 == await t.count()


async def test_the_id_of_what_was_deleted_is_given_anew(t):
    await t.put("8", {})
    await t.delete(8)
    await t.put(8, {})

    assert {"id": 8} == await t.get("8")


async def test_an_id_that_the_record_names_is_taken_at_its_word(t):
    await t.put({"id": 8, "v": 1})
    await t.put(8, {"id": "8"})

    assert {"id": "8"} == await t.get(8)
    with pytest.raises(KeyInvalid):
        await t.put(8, {"id": 9})


async def test_nought_is_no_missing_id(t):
    await t.put_many([{"id": 0}, {"id": None, "v": 1}])
    await t.put({"id": 0, "v": 2})

    assert {"id": 0, "v": 2} == await t.get(0)
    assert 2 == await t.count()


async def test_a_page_goes_on_after_a_number(t):
    await t.put_many([{"id": number} for number in range(5)])

    assert [3, 4] == [one["id"] for one in await t.find(after=2)]
    assert [3] == [one["id"] for one in await t.find(order="id", after=2, limit=1)]


async def test_a_conflict_that_is_settled_by_hand_keeps_the_id(serve):
    url = serve("memory:", "--model", "t").url
    async with (
        syncline.connect(url, models=["t"]) as one,
        syncline.connect(url, models=["t"]) as other,
    ):
        await one.model("t").put(8, {"v": 1})
        await one.link.wait_live(WAIT_S)
        await other.link.wait_live(WAIT_S)
        await other.barrier(WAIT_S)
        await other.link.pause()
        await one.model("t").patch(8, {"v": 2})
        await one.link.wait_live(WAIT_S)
        await other.model("t").patch(8, {"v": 3})
        other.link.resume()
        await other.barrier(WAIT_S)
        await other.link.wait_live(WAIT_S)
        (conflict,) = await other.conflicts()
        await conflict.resolve("manual", {"v": 4})

        assert {"id": 8, "v": 4} == await other.model("t").get(8)


async def test_every_door_keeps_the_type_of_an_id(serve, cli, in_thread):
    daemon = serve("memory:", "--model", "t")
    api = f"{daemon.url}/api/t"

    def write_blocking():
        with blocking.connect(daemon.url, models=["t"]) as replica:
            replica.wait_live(WAIT_S)
            replica.model("t").put("8", {"by": "blocking"})
            replica.wait_live(WAIT_S)

    async with aiohttp.ClientSession() as session:

        async def ask(method, path, body=None):
            async with session.request(method, api + path, json=body) as answer:
                assert 200 == answer.status, await answer.text()
                return await answer.json()

        await ask("POST", "", {"id": 8, "by": "post"})
        seen = [await ask("GET", "/8")]
        for method, path in [("PUT", "/8"), ("PATCH", "/8"), ("POST", "/8/replace")]:
            seen.append(await ask(method, path, {"by": method}))
        seen.append(await ask("PUT", "/8", {"id": 8, "by": "again"}))
        await in_thread(cli, "put", daemon.url, "t", "8", "by=put")
        seen.append(await ask("GET", "/8"))
        await in_thread(cli, "patch", daemon.url, "t", "8", "by=patch")
        seen.append(await ask("GET", "/8"))
        async with await syncline.connect_remote(daemon.url) as remote:
            await remote.model("t").put("8", {"by": "remote"})
            seen.append(await remote.model("t").get(8))
            await remote.model("t").put(7, {"by": "remote"})
            assert [{"id": 7, "by": "remote"}] == await remote.model("t").find({"id": 7})
            assert [{"id": 8, "by": "remote"}] == await remote.model("t").find(after=7)
        await in_thread(write_blocking)
        seen.append(await ask("GET", "/8"))
        found = await in_thread(cli, "find", daemon.url, "t", "--after", "7", "--json")

    assert [8] * len(seen) == [one["id"] for one in seen]
    assert [8] == [one["id"] for one in json.loads(found.output)]


def test_a_number_for_an_id_is_kept_as_it_comes():
    bodies = [b'{"id":1,"v":1}', b'{"id":"2"}', b'{"id":2}']

    assert are_kept_forms(None, ["1", "2", "2"], bodies, bytes_max=99)
    assert not are_kept_forms(None, ["1"], [b'{"id":true}'], bytes_max=99)
    assert not are_kept_forms(None, ["01"], [b'{"id":1}'], bytes_max=99)
