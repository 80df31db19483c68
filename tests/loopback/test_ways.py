"""What each way of writing leaves in the change list, and what its checkpoints say."""

import asyncio
import concurrent.futures

import pytest

from syncline import connect, digest_of


CAR = {"id": "c1", "maker": "Ford", "model": "Mustang", "year": 1964}


def changes(server, since=-1):
    return server.get(f"/Cars/changes?since={since}").json


@pytest.mark.parametrize(
    ("method", "path", "data"),
    [
        pytest.param("POST", "/Cars", {"id": "new"}, id="create"),
        pytest.param("PATCH", "/Cars", {"id": "c1", "model": "x"}, id="update-or-create"),
        pytest.param("PUT", "/Cars", {"id": "c1", "model": "x"}, id="replace-or-create"),
        pytest.param(
            "POST", "/Cars/upsertWithWhere?where[maker]=Ford", {"model": "x"}, id="upsert by filter"
        ),
        pytest.param("POST", "/Cars/update?where[maker]=Ford", {"model": "x"}, id="by filter"),
        pytest.param("PUT", "/Cars/c1", {"model": "x"}, id="instance save"),
        pytest.param("PATCH", "/Cars/c1", {"model": "x"}, id="attribute update"),
        pytest.param("DELETE", "/Cars/c1", None, id="delete by id"),
    ],
)
def test_each_way_of_writing_leaves_one_change_at_the_current_checkpoint(pair, method, path, data):
    server = pair.server
    server.post("/Cars", CAR)
    since = server.get("/Cars/checkpoint").json

    assert 200 == server.request(method, path, data).status

    found = changes(server, since)
    assert [(data or {}).get("id", "c1")] == [one["modelId"] for one in found]
    assert (pair.model, since) == (found[0]["modelName"], found[0]["checkpoint"])


def test_an_update_by_filter_is_tracked_for_every_record(pair):
    pair.server.post("/Cars", [{**CAR, "id": f"c{i}"} for i in range(3)])
    since = pair.server.get("/Cars/checkpoint").json

    pair.server.post("/Cars/update?where[maker]=Ford", {"model": "x"})

    assert {"c0", "c1", "c2"} == {one["modelId"] for one in changes(pair.server, since)}


@pytest.mark.parametrize("kind", ["create", "update", "delete"])
def test_what_arrives_by_replication_moves_only_that_record(pair, kind):
    pair.server.post("/Cars", {**CAR, "id": "other"})
    if kind != "create":
        pair.lb.create("local", data=CAR)
        pair.push()
    since = pair.server.get("/Cars/checkpoint").json
    if kind == "create":
        pair.lb.create("local", data=CAR)
    elif kind == "update":
        pair.lb.patch("local", key="c1", data={"model": "x"})
    else:
        pair.lb.destroy("local", key="c1")

    pair.push()

    assert ["c1"] == [one["modelId"] for one in changes(pair.server, since)]


def test_a_write_that_changes_nothing_leaves_the_checkpoint_alone(pair):
    pair.server.post("/Cars", CAR)
    before = pair.server.get("/Cars/checkpoint").json

    pair.server.patch("/Cars/c1", {"maker": "Ford"})

    assert before == pair.server.get("/Cars/checkpoint").json


def test_the_digest_does_not_depend_on_key_order(daemon):
    daemon.post("/Car", {"id": "a", "x": {"b": 1, "a": [{"d": 1, "c": 2}]}})
    daemon.post("/Truck", {"x": {"a": [{"c": 2, "d": 1}], "b": 1}, "id": "a"})

    revs = [daemon.get(f"/{model}/a/changes/last").json["rev"] for model in ("Car", "Truck")]

    assert revs[0] == revs[1]
    assert revs[0] == digest_of(daemon.get("/Car/a").json)


def test_the_type_of_a_change_shows_in_rev_and_prev(pair):
    pair.server.post("/Cars", [CAR, {**CAR, "id": "c2"}])
    pair.pull()
    pair.server.patch("/Cars/c1", {"model": "x"})
    pair.server.delete("/Cars/c2")
    pair.server.post("/Cars", {"id": "c3"})

    shown = {
        one["modelId"]: (one["rev"] is not None, one.get("prev") is not None)
        for one in changes(pair.server)
    }

    assert {"c1": (True, True), "c2": (False, True), "c3": (True, False)} == shown


def test_several_edits_since_a_checkpoint_are_one_change_upon_what_was_seen(pair):
    pair.server.post("/Cars", CAR)
    pair.pull()
    seen = pair.server.get("/Cars/c1/changes/last").json["rev"]
    since = pair.server.get("/Cars/checkpoint").json
    for model in ("one", "two"):
        pair.server.patch("/Cars/c1", {"model": model})

    found = changes(pair.server, since)

    assert [("c1", seen)] == [(one["modelId"], one["prev"]) for one in found]
    assert digest_of(pair.server.get("/Cars/c1").json) == found[0]["rev"]


# ---- checkpoints ---------------------------------------------------------------------------------


def test_the_current_checkpoint_of_an_empty_list_is_1(daemon):
    assert 1 == daemon.get("/Car/checkpoint").json


def test_parallel_checkpoints_agree(daemon):
    daemon.post("/Car", CAR)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: daemon.post("/Car/checkpoint").json["seq"], range(8)))

    assert {2} == set(made)
    assert 2 == daemon.get("/Car/checkpoint").json


def test_a_checkpoint_has_seq_time_and_id(daemon):
    made = daemon.post("/Car/checkpoint").json

    assert {"seq", "time", "id"} == set(made)
    assert made["time"].endswith("Z")


def test_a_replication_without_anything_to_copy_returns_the_current_checkpoints(pair):
    pair.server.post("/Cars", CAR)
    pair.pull()
    before = pair.server.get("/Cars/checkpoint").json

    done = pair.pull(remember=True)

    assert before == done["checkpoints"]["source"]
    assert [] == changes(pair.server, done["checkpoints"]["source"])


def test_since_leaves_older_changes_out_of_a_pull(pair):
    pair.server.post("/Cars", CAR)
    since = pair.server.post("/Cars/checkpoint").json["seq"]
    pair.server.post("/Cars", {"id": "c2"})

    pair.pull(since={"source": since, "target": -1})

    assert {"c2"} == set(pair.held())


# ---- everybody together --------------------------------------------------------------------------


async def test_two_loopback_clients_and_a_python_client_are_level(pair):
    pair.add("other", "other_remote")
    async with connect(pair.server.url, models=[pair.model]) as replica:
        cars = replica.model(pair.model)
        await cars.put("python", {"maker": "Opel"})
        await replica.barrier(30)
        found = []

        async def sync():
            for local, remote in (("local", "remote"), ("other", "other_remote")) * 2:
                found.extend(await asyncio.to_thread(pair.both, local, remote, remember=True))
            await replica.barrier(30)

        pair.lb.create("local", data={"id": "a", "maker": "Ford"})
        pair.lb.create("other", data={"id": "b", "maker": "Audi"})
        await sync()
        await cars.patch("a", {"model": "from python"})
        pair.lb.patch("local", key="b", data={"model": "from a"})
        pair.lb.patch("other", key="python", data={"model": "from b"})
        await replica.barrier(30)
        await sync()
        await cars.delete("a")
        await replica.barrier(30)
        await sync()

        assert [] == found
        held = {record["id"]: record for record in await cars.find()}
        assert {"python": "from b", "b": "from a"} == {k: v["model"] for k, v in held.items()}
        assert held == pair.served == pair.held() == pair.held("other")
