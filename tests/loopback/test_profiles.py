"""Sides of unlike profiles, restarts, and what the daemon keeps of what crossed its door."""

import asyncio
import itertools

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.loopback.conftest import Pair, Server

from synclined.app import DAEMON, build_app


CAR = {"id": "c1", "maker": "Ford", "model": "Mustang", "year": 1964}
_numbers = itertools.count(560)


class Mixed(Pair):
    """A client of one profile, and a daemon of the other."""

    def add(self, local, remote, **options):
        self.nulls = not self.nulls
        super().add(local, remote, **options)
        self.nulls = not self.nulls


def test_a_client_without_nulls_comes_level_with_a_daemon_that_adds_them(
    shared_agent, shared_servers
):
    mixed = Mixed(shared_agent, shared_servers[True], next(_numbers), nulls=True)
    mixed.lb.create("local", data=CAR)
    found = mixed.both() + mixed.both()
    mixed.lb.patch("local", key="c1", data={"model": "ours"})
    found += mixed.both() + mixed.both()
    mixed.server.patch("/Cars/c1", {"model": "theirs"})
    mixed.server.post("/Cars", {"id": "c2"})
    found += mixed.both() + mixed.both()
    mixed.lb.patch("local", key="c2", data={"model": "new"})
    mixed.lb.destroy("local", key="c1")
    found += mixed.both()

    assert [] == found
    assert {"c2": "new"} == {k: v["model"] for k, v in mixed.served.items()}
    assert {"c2": "new"} == {k: v["model"] for k, v in mixed.held().items()}


def test_what_crossed_the_door_outlives_the_daemon(shared_agent, tmp_path):
    lb, number = shared_agent, next(_numbers)
    local, remote = f"kept-{number}", f"kept-remote-{number}"
    store = f"sqlite:///{tmp_path / 'daemon.db'}"
    first = Server("--model", "Car", store=store)
    lb.local(local, model="KeptCar")
    lb.remote(remote, model="Car", url=first.api, beside=local)
    lb.create(local, data=CAR)
    assert [] == lb.push(local, remote)["conflicts"]
    for year in (1965, 1966):
        first.patch("/Cars/c1", {"year": year})
    assert 0 == first.end()

    second = Server("--model", "Car", store=store)
    lb.remote(f"{remote}-2", model="Car", url=second.api, beside=local)
    found = [lb.push(local, f"{remote}-2"), lb.push(f"{remote}-2", local)]
    assert 0 == second.end()

    assert [[], []] == [one["conflicts"] for one in found]
    assert 1966 == lb.get(local, key="c1")["year"]


@pytest.fixture
async def own():
    """A daemon inside a program of one's own."""
    async with TestClient(
        TestServer(build_app(access="anyone", store="memory:", models=["Car"]))
    ) as client:
        yield client


async def test_a_conflict_at_the_door_stays_listable(own):
    await own.post("/api/Car", json=CAR)
    change = {"modelId": "c1", "rev": "d" * 40, "prev": "e" * 40}
    entry = {"type": "update", "change": change, "data": {"id": "c1", "maker": "Opel"}}

    answer = await own.post("/api/Car/bulk-update", json={"updates": [entry]})

    assert 409 == answer.status
    replica = own.app[DAEMON].replica
    received = [one.conflict for one in await replica.conflicts(open_only=False)]
    assert [{"Ford", "Opel"}] == [
        {one.ours.data["maker"], one.theirs.data["maker"]} for one in received
    ]


@pytest.mark.parametrize(
    ("strategy", "maker"), [("theirs", "Opel"), ("ours", "Ford")], ids=["theirs", "ours"]
)
async def test_a_strategy_of_the_daemon_settles_conflicts_at_the_door(strategy, maker):
    app = build_app(access="anyone", store="memory:", models=["Car"], strategies=strategy)
    async with TestClient(TestServer(app)) as client:
        await client.post("/api/Car", json=CAR)
        change = {"modelId": "c1", "rev": "d" * 40, "prev": "e" * 40}
        entry = {"type": "update", "change": change, "data": {"id": "c1", "maker": "Opel"}}

        answer = await client.post("/api/Car/bulk-update", json={"updates": [entry]})

        assert 204 == answer.status
        assert maker == (await (await client.get("/api/Car/c1")).json())["maker"]


async def test_writes_by_every_door_reach_every_door(own):
    """A stream at LoopBack's door tells of what a program wrote."""
    replica = own.app[DAEMON].replica
    async with own.get("/api/Car/change-stream", headers={"Accept": "text/event-stream"}) as stream:
        assert b":ok\n" == await stream.content.readline()
        await replica.model("Car").put("c1", {"maker": "Ford"})
        async with asyncio.timeout(20):
            while b"Ford" not in await stream.content.readline():
                pass


async def test_two_writers_at_once_lose_nothing(own):
    await own.post("/api/Car", json={"id": "c1"})

    async def patch(number):
        answer = await own.patch("/api/Car/c1", json={f"p{number}": number})
        assert 200 == answer.status

    await asyncio.gather(*(patch(number) for number in range(12)))

    kept = await (await own.get("/api/Car/c1")).json()
    assert {"id": "c1", **{f"p{n}": n for n in range(12)}} == kept


async def test_a_program_may_have_no_loopback_door():
    async with TestClient(
        TestServer(build_app(access="anyone", store="memory:", api=None))
    ) as client:
        assert 404 == (await client.get("/api/Car")).status
    app = build_app(access="anyone", store="memory:", models=["Car"], api="/elsewhere")
    async with TestClient(TestServer(app)) as client:
        assert 200 == (await client.get("/elsewhere/Car")).status


async def test_a_stream_does_not_hold_up_a_program_that_ends(own):
    stream = await own.get("/api/Car/change-stream", headers={"Accept": "text/event-stream"})
    assert b":ok\n" == await stream.content.readline()

    async with asyncio.timeout(20):
        await own.server.close()

    with pytest.raises((aiohttp.ClientError, StopAsyncIteration, AssertionError)):
        assert b"" != (await stream.content.read())[-1:]
        raise StopAsyncIteration
