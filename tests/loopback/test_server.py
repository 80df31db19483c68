"""A syncline replica replicates with a stock LoopBack server."""

import asyncio
import itertools

import pytest

from syncline import Replica, replicate
from syncline.errors import ConfigError, Unauthenticated, Unreachable, UnsentWrites
from syncline.loopback import connect_loopback, follow_loopback
from syncline.status import SessionState


CAR = {"id": "c1", "maker": "Ford", "model": "Mustang", "year": 1964}
RICH = {
    "id": "c1",
    "maker": "Zoë 🚗 ￠",
    "year": 1e21,
    "price": 2368.5,
    "sold": False,
    "built": "1964-04-17T00:00:00.000Z",
    "tags": ["a", "b", []],
    "details": {"z": 1, "a": {"k": None}, "10": "x", "9": 1e-7},
}
_numbers = itertools.count()


class Sides:
    """A replica and a LoopBack server with a model of the same name."""

    def __init__(self, lb, replica, name, url):
        self.lb, self.replica, self.at, self.url = lb, replica, name, url
        self.server = connect_loopback(url, keeper=replica)
        self.here, self.there = replica.model("Car"), self.server.model("Car")

    async def push(self, **options):
        return await replicate(self.here, self.there, **options)

    async def pull(self, **options):
        return await replicate(self.there, self.here, **options)

    async def both(self):
        return [*(await self.push()).conflicts, *(await self.pull()).conflicts]

    def served(self):
        return {record["id"]: record for record in self.lb.find(self.at)}

    async def held(self):
        return {record["id"]: record for record in await self.here.find()}


@pytest.fixture(params=["unset", "nulls"])
async def sides(request, shared_agent):
    name = f"server-{request.param}-{next(_numbers)}"
    nulls = {"nulls": True} if request.param == "nulls" else {}
    url = shared_agent.server(name, model="Car", **nulls)
    async with await Replica.open(models=["Car"]) as replica:
        made = Sides(shared_agent, replica, name, url)
        async with made.server:
            yield made


def plain(record):
    """Return a record without its nulls: a strict server adds them."""
    return {name: value for name, value in record.items() if value is not None}


async def level(sides):
    held, served = await sides.held(), sides.served()
    assert {k: plain(v) for k, v in served.items()} == {k: plain(v) for k, v in held.items()}
    return held


# ---- copying -------------------------------------------------------------------------------------


@pytest.mark.parametrize("car", [CAR, RICH], ids=["plain", "rich"])
async def test_a_new_record_reaches_the_server(sides, car):
    await sides.here.put(car)

    done = await sides.push()

    assert ((), 1) == (done.conflicts, done.applied)
    assert {"c1"} == set(await level(sides))


@pytest.mark.parametrize("car", [CAR, RICH], ids=["plain", "rich"])
async def test_a_new_record_reaches_the_replica(sides, car):
    sides.lb.create(sides.at, data=car)

    done = await sides.pull()

    assert ((), 1) == (done.conflicts, done.applied)
    assert {"c1"} == set(await level(sides))


@pytest.mark.parametrize("car", [CAR, RICH], ids=["plain", "rich"])
async def test_updates_and_deletes_reach_the_server(sides, car):
    """Nested values too, which LoopBack's bulk update can't touch."""
    await sides.here.put_many([car, {**car, "id": "c2"}])
    await sides.push()
    await sides.here.patch("c1", {"model": "GT", "details": {"x": [1, 2]}})
    await sides.here.delete("c2")

    done = await sides.push()

    assert () == done.conflicts
    assert "GT" == (await level(sides))["c1"]["model"]
    assert {"c1"} == set(sides.served())


async def test_updates_and_deletes_reach_the_replica(sides):
    sides.lb.create(sides.at, data=[CAR, {**CAR, "id": "c2"}])
    await sides.pull()
    sides.lb.patch(sides.at, key="c1", data={"model": "GT"})
    sides.lb.destroy(sides.at, key="c2")

    done = await sides.pull()

    assert () == done.conflicts
    assert "GT" == (await level(sides))["c1"]["model"]
    assert {"c1"} == set(await sides.held())


async def test_a_removed_property_is_removed_at_the_server(sides):
    await sides.here.put(CAR)
    await sides.push()
    await sides.here.put("c1", {"maker": "Ford"})

    assert () == (await sides.push()).conflicts
    assert sides.served()["c1"].get("year") is None
    await level(sides)


async def test_repeated_replication_moves_nothing(sides):
    await sides.here.put(CAR)
    sides.lb.create(sides.at, data={**CAR, "id": "c2"})
    assert [] == await sides.both()
    await sides.both()

    done = [await sides.push(), await sides.pull(), await sides.push(since=0)]

    assert [0, 0, 0] == [one.applied for one in done]
    assert [()] * 3 == [one.conflicts for one in done]


async def test_edits_go_to_and_fro_without_a_false_conflict(sides):
    await sides.here.put(CAR)
    found = await sides.both()
    for turn in range(3):
        sides.lb.patch(sides.at, key="c1", data={"year": 2000 + turn})
        sides.lb.patch(sides.at, key="c1", data={"year": 2010 + turn})
        found += await sides.both()
        await sides.here.patch("c1", {"model": f"m{turn}"})
        await sides.here.patch("c1", {"model": f"n{turn}"})
        found += await sides.both()

    assert [] == found
    record = (await level(sides))["c1"]
    assert (2012, "n2") == (record["year"], record["model"])


async def test_equal_records_on_both_sides_are_no_conflict(sides):
    """A team that fills both sides from one export."""
    record = sides.lb.create(sides.at, data=CAR)
    await sides.here.put(record)

    assert [] == await sides.both()
    assert (await sides.here.get_change("c1")).rev == (await sides.there.get_change("c1")).rev


async def test_many_records_travel_in_requests_under_loopbacks_limit(sides):
    cars = [{**CAR, "id": f"c{n}", "maker": "x" * 900} for n in range(150)]
    await sides.here.put_many(cars)

    assert 150 == (await sides.push()).applied
    assert 150 == len(sides.served())


async def test_a_filter_narrows_what_is_pulled(sides):
    sides.lb.create(sides.at, data=[CAR, {**CAR, "id": "c2", "maker": "Audi"}])

    await sides.pull(filter={"where": {"maker": "Audi"}})

    assert {"c2"} == set(await sides.held())


async def test_what_is_known_of_the_server_outlives_the_process(shared_agent, tmp_path):
    name = f"server-kept-{next(_numbers)}"
    url = shared_agent.server(name, model="Car")
    for turn in range(3):
        async with (
            await Replica.open(str(tmp_path / "a.db"), ["Car"]) as replica,
            connect_loopback(url, keeper=replica) as server,
        ):
            await replica.model("Car").put("c1", {"turn": turn})
            done = await replicate(replica.model("Car"), server.model("Car"))
            assert ((), 1) == (done.conflicts, done.applied)
            shared_agent.patch(name, key="c1", data={"year": turn})
            done = await replicate(server.model("Car"), replica.model("Car"))
            assert ((), 1) == (done.conflicts, done.applied)


async def test_a_server_that_lost_everything_is_filled_again(shared_agent):
    async with await Replica.open(models=["Car"]) as replica:
        name = f"server-lost-{next(_numbers)}"
        url = shared_agent.server(name, model="Car")
        async with connect_loopback(url, keeper=replica) as server:
            await replica.model("Car").put(CAR)
            await replicate(replica.model("Car"), server.model("Car"))
            shared_agent.wipe(name)

            done = await replicate(replica.model("Car"), server.model("Car"))

            assert ((), 1) == (done.conflicts, done.applied)
            assert "Ford" == shared_agent.get(name, key="c1")["maker"]


# ---- conflicts -----------------------------------------------------------------------------------


@pytest.fixture
async def torn(sides):
    await sides.here.put(CAR)
    await sides.both()
    await sides.here.patch("c1", {"model": "ours"})
    sides.lb.patch(sides.at, key="c1", data={"model": "theirs"})
    return sides


@pytest.mark.parametrize(
    ("resolve", "expected"),
    [
        (lambda c: c.resolve_using_source(), "ours"),
        (lambda c: c.resolve_using_target(), "theirs"),
        (lambda c: c.resolve_manually({"id": "c1", "model": "both"}), "both"),
    ],
    ids=["source", "target", "manual"],
)
async def test_a_push_conflict_is_resolved(torn, resolve, expected):
    found = (await torn.push()).conflicts
    assert ["c1"] == [one.record_id for one in found]
    assert ["ours", "theirs"] == [one["model"] for one in await found[0].models()]

    await resolve(found[0])

    assert [] == await torn.both()
    assert expected == (await level(torn))["c1"]["model"]


@pytest.mark.parametrize(
    ("resolve", "expected"),
    [
        (lambda c: c.resolve_using_source(), "theirs"),
        (lambda c: c.resolve_using_target(), "ours"),
        (lambda c: c.resolve_manually({"id": "c1", "model": "both"}), "both"),
    ],
    ids=["source", "target", "manual"],
)
async def test_a_pull_conflict_is_resolved(torn, resolve, expected):
    found = (await torn.pull()).conflicts
    assert ["c1"] == [one.record_id for one in found]

    await resolve(found[0])

    assert [] == [*(await torn.pull()).conflicts, *await torn.both()]
    assert expected == (await level(torn))["c1"]["model"]


async def test_a_delete_here_and_an_update_there_conflict(sides):
    await sides.here.put(CAR)
    await sides.both()
    await sides.here.delete("c1")
    sides.lb.patch(sides.at, key="c1", data={"model": "theirs"})

    found = (await sides.push()).conflicts
    assert ["delete"] == [await one.type() for one in found]
    await found[0].resolve_using_source()

    assert [] == await sides.both()
    assert {} == sides.served() == await sides.held()


async def test_an_update_here_and_a_delete_there_conflict(sides):
    await sides.here.put(CAR)
    await sides.both()
    await sides.here.patch("c1", {"model": "ours"})
    sides.lb.destroy(sides.at, key="c1")

    found = (await sides.push()).conflicts
    assert ["delete"] == [await one.type() for one in found]
    await found[0].resolve_using_source()

    assert [] == await sides.both()
    assert "ours" == (await level(sides))["c1"]["model"]


async def test_deletes_on_both_sides_are_no_conflict(sides):
    await sides.here.put(CAR)
    await sides.both()
    await sides.here.delete("c1")
    sides.lb.destroy(sides.at, key="c1")

    assert [] == await sides.both()


# ---- a link --------------------------------------------------------------------------------------


async def until(find, expected):
    async with asyncio.timeout(30):
        while (found := await find()) != expected:
            await asyncio.sleep(0.01)
    return found


async def test_a_link_carries_writes_of_both_sides(sides):
    link = await follow_loopback(sides.replica, sides.server, ["Car"])
    await link.wait_live(30)

    await sides.here.put(CAR)
    await link.barrier(30)
    assert "Ford" == sides.served()["c1"]["maker"]
    sides.lb.create(sides.at, data={"id": "c2", "maker": "Audi"})

    async def maker():
        return (await sides.here.get("c2") or {}).get("maker")

    await until(maker, "Audi")
    await link.wait_live(30)
    assert SessionState.LIVE is sides.replica.status.state
    await sides.replica.close()


async def test_polling_wakes_where_the_stream_is_silent(sides, monkeypatch):
    monkeypatch.setattr("syncline.loopback.following.LoopBackLink._listen", _silent)
    link = await follow_loopback(sides.replica, sides.server, ["Car"], poll_s=0.05)
    await link.wait_live(30)
    sides.lb.create(sides.at, data=CAR)

    async def maker():
        return (await sides.here.get("c1") or {}).get("maker")

    await until(maker, "Ford")


async def _silent(self, model):
    await asyncio.Event().wait()


@pytest.mark.parametrize(("strategy", "expected"), [("ours", "ours"), ("theirs", "theirs")])
async def test_a_link_settles_conflicts_by_its_strategy(torn, strategy, expected):
    link = await follow_loopback(torn.replica, torn.server, ["Car"], strategy=strategy)

    await link.barrier(30)

    assert [] == link.conflicts
    assert expected == (await level(torn))["c1"]["model"]


async def test_a_link_keeps_conflicts_open_until_they_are_resolved_by_hand(torn):
    link = await follow_loopback(torn.replica, torn.server, ["Car"])
    await link.barrier(30)
    assert 1 == link.status.conflicts

    await link.conflicts[0].resolve_manually({"id": "c1", "model": "both"})
    await link.barrier(30)

    assert 0 == link.status.conflicts
    assert "both" == (await level(torn))["c1"]["model"]


async def test_a_close_sends_what_waits_first(sides):
    await follow_loopback(sides.replica, sides.server, ["Car"], poll_s=3600)
    await sides.here.put("c1", {"model": "Fiesta"})

    left = await sides.replica.close()

    assert 0 == left
    assert "Fiesta" == sides.served()["c1"]["model"]


async def test_a_close_does_not_wait_for_a_server_that_is_away(free_address):
    replica = await Replica.open(models=["Car"], close_timeout_s=3600)
    link = await follow_loopback(
        replica, connect_loopback(free_address, keeper=replica), ["Car"], poll_s=3600
    )
    await replica.model("Car").put("c1", {})
    assert 1 == link.status.pending

    with pytest.raises(UnsentWrites, match="1 write"):
        await asyncio.wait_for(replica.close(), 30)


async def test_flush_returns_when_the_server_has_it(sides):
    await follow_loopback(sides.replica, sides.server, ["Car"], poll_s=3600)
    await sides.here.put("c1", {"model": "Fiesta"})

    await sides.replica.flush(30)

    assert "Fiesta" == sides.served()["c1"]["model"]
    assert 0 == sides.replica.status.pending


async def test_a_link_says_why_it_is_offline(free_address):
    async with await Replica.open(models=["Car"]) as replica:
        server = connect_loopback(free_address, keeper=replica)
        states = []
        link = await follow_loopback(replica, server, ["Car"])
        link.on_status(states.append)
        link.resume()

        async def state():
            return link.status.state, bool(link.status.reason)

        await until(state, (SessionState.OFFLINE, True))


@pytest.fixture
def free_address():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/api"


async def test_what_cannot_be_followed_is_named(sides, free_address):
    with pytest.raises(ConfigError, match="models"):
        await follow_loopback(sides.replica, sides.server, [])
    with pytest.raises(ConfigError, match="strategy"):
        await follow_loopback(sides.replica, sides.server, ["Car"], strategy="latest")
    async with connect_loopback(free_address, keeper=sides.replica) as nobody:
        with pytest.raises(Unreachable):
            await replicate(sides.here, nobody.model("Car"))


async def test_a_refusal_of_loopback_is_named(daemon_with_tokens, sides):
    async with connect_loopback(daemon_with_tokens, keeper=sides.replica) as server:
        with pytest.raises(Unauthenticated):
            await replicate(sides.here, server.model("Car"))


@pytest.fixture
def daemon_with_tokens(serve, tmp_path):
    config = tmp_path / "synclined.toml"
    config.write_text(
        f'schemaless = ["Car"]\n[[tokens]]\nname = "a"\nsha256 = "{"0" * 64}"\n'
        'rights = { "*" = "write" }\n'
    )
    return serve("--config", str(config)).api


async def test_a_replica_speaks_to_a_daemons_loopback_door_too(daemon):
    """Both of our ends of LoopBack's wire against each other."""
    daemon.post("/Car", {"id": "c0"})
    async with (
        await Replica.open(models=["Car"]) as replica,
        connect_loopback(daemon.api, keeper=replica) as server,
    ):
        await replica.model("Car").put(RICH)
        pushed = await replicate(replica.model("Car"), server.model("Car"))
        await asyncio.to_thread(daemon.patch, "/Car/c1", {"maker": "Audi"})
        pulled = await replicate(server.model("Car"), replica.model("Car"))

        assert [(), ()] == [pushed.conflicts, pulled.conflicts]
        assert "Audi" == (await replica.model("Car").get("c1"))["maker"]
        assert {"c0", "c1"} == {r["id"] for r in await replica.model("Car").find()}
