"""A stock LoopBack client replicates with the daemon: LoopBack's own stories."""

import pytest
from tests.loopback.conftest import Pair


CAR = {"id": "c1", "maker": "Ford", "model": "Mustang", "year": 1964}
RICH = {
    "id": "c1",
    "maker": "Zoë 🚗 ￠",
    "year": 1e21,
    "price": 2368.5,
    "sold": False,
    "built": "1964-04-17T00:00:00.000Z",
    "tags": ["a", "b", []],
    "details": {"z": 1, "a": {"k": None}, "10": "x", "9": 1e-7, "big": 123456789012345680000},
}


def without(record, *names):
    return {name: value for name, value in record.items() if name not in names}


# ---- copying -------------------------------------------------------------------------------------


@pytest.mark.parametrize("car", [CAR, RICH], ids=["plain", "rich"])
def test_a_new_record_reaches_the_daemon_with_its_digest(pair, car):
    pair.lb.create("local", data=car)

    done = pair.push()

    assert [] == done["conflicts"]
    assert pair.held() == pair.served
    assert pair.lb.hash("local", key="c1") == pair.server.get("/Cars/c1/changes/last").json["rev"]


@pytest.mark.parametrize("car", [CAR, RICH], ids=["plain", "rich"])
def test_a_new_record_reaches_the_client_with_its_digest(pair, car):
    pair.server.post("/Cars", car)

    done = pair.pull()

    assert [] == done["conflicts"]
    assert pair.held() == pair.served
    assert pair.lb.hash("local", key="c1") == pair.server.get("/Cars/c1/changes/last").json["rev"]


def test_updates_and_deletes_reach_the_daemon(pair):
    pair.lb.create("local", data=[CAR, {**CAR, "id": "c2"}])
    pair.push()

    pair.lb.patch("local", key="c1", data={"model": "GT"})
    pair.lb.destroy("local", key="c2")
    done = pair.push()

    assert [] == done["conflicts"]
    assert {"c1": "GT"} == {k: v["model"] for k, v in pair.served.items()}


def test_updates_and_deletes_reach_the_client(pair):
    pair.server.post("/Cars", [CAR, {**CAR, "id": "c2"}])
    pair.pull()

    pair.server.patch("/Cars/c1", {"model": "GT"})
    pair.server.delete("/Cars/c2")
    done = pair.pull()

    assert [] == done["conflicts"]
    assert {"c1": "GT"} == {k: v["model"] for k, v in pair.held().items()}


def test_repeated_replication_moves_nothing(pair):
    pair.lb.create("local", data=[CAR, {**CAR, "id": "c2"}])
    pair.server.post("/Cars", {**CAR, "id": "c3"})
    pair.both()
    pair.both()
    before = pair.server.get("/Cars/checkpoint").json

    done = [pair.push(), pair.pull(), pair.push(remember=True), pair.pull(remember=True)]

    assert [[]] * 4 == [one["conflicts"] for one in done]
    assert [[]] * 4 == [one["bulk"] for one in done]
    assert before == pair.server.get("/Cars/checkpoint").json


# ---- conflicts -----------------------------------------------------------------------------------


@pytest.fixture
def updated(pair):
    """A record that both sides updated."""
    pair.lb.create("local", data=CAR)
    pair.push()
    pair.lb.patch("local", key="c1", data={"model": "ours"})
    pair.server.patch("/Cars/c1", {"model": "theirs"})
    return pair


def test_conflict_both_updated_is_one_of_type_update(updated):
    conflicts = updated.push()["conflicts"]

    assert ["c1"] == [one["id"] for one in conflicts]
    assert ["update"] == [one["type"] for one in conflicts]
    assert ["update", "update"] == conflicts[0]["kinds"]
    assert ["ours", "theirs"] == [conflicts[0][side]["model"] for side in ("source", "target")]


def test_conflict_deleted_at_the_source_is_of_type_delete(pair):
    pair.lb.create("local", data=CAR)
    pair.push()
    pair.lb.destroy("local", key="c1")
    pair.server.patch("/Cars/c1", {"model": "theirs"})

    conflicts = pair.push()["conflicts"]

    assert [("c1", "delete")] == [(one["id"], one["type"]) for one in conflicts]
    assert ["delete", "update"] == conflicts[0]["kinds"]
    assert conflicts[0]["source"] is None
    assert "theirs" == conflicts[0]["target"]["model"]


def test_conflict_deleted_at_the_target_is_of_type_delete(pair):
    pair.lb.create("local", data=CAR)
    pair.push()
    pair.lb.patch("local", key="c1", data={"model": "ours"})
    pair.server.delete("/Cars/c1")

    conflicts = pair.push()["conflicts"]

    assert [("c1", "delete")] == [(one["id"], one["type"]) for one in conflicts]
    assert ["update", "delete"] == conflicts[0]["kinds"]
    assert "ours" == conflicts[0]["source"]["model"]
    assert conflicts[0]["target"] is None


def test_both_deleted_is_no_conflict(pair):
    pair.lb.create("local", data=CAR)
    pair.push()
    pair.lb.destroy("local", key="c1")
    pair.server.delete("/Cars/c1")

    assert [] == pair.both()


@pytest.mark.parametrize(
    ("resolve", "data", "model"),
    [
        ("source", None, "ours"),
        ("target", None, "theirs"),
        ("manual", {"model": "both"}, "both"),
    ],
)
def test_a_push_conflict_is_resolved(updated, resolve, data, model):
    updated.push(resolve=resolve, data=data)

    assert [] == updated.both()
    assert {"c1": model} == {k: v["model"] for k, v in updated.held().items()}
    assert updated.held() == updated.served


@pytest.mark.parametrize(
    ("resolve", "data", "model"),
    [
        ("source", None, "theirs"),
        ("target", None, "ours"),
    ],
)
def test_a_pull_conflict_is_resolved(updated, resolve, data, model):
    found = updated.pull(resolve=resolve, data=data)["conflicts"]

    assert ["c1"] == [one["id"] for one in found]
    assert [] == updated.pull()["conflicts"]
    assert [] == updated.both()
    assert {"c1": model} == {k: v["model"] for k, v in updated.held().items()}
    assert updated.held() == updated.served


def test_a_pull_conflict_is_resolved_in_reverse(updated):
    """A client that may only read settles it on its own side."""
    updated.pull(resolve="target", swap=True)

    assert [] == updated.pull()["conflicts"]
    assert "theirs" == updated.held()["c1"]["model"]


def test_a_resolved_pull_conflict_travels_whatever_checkpoint_is_next(updated):
    done = updated.pull(resolve="source")

    again = updated.pull(since=done["checkpoints"])

    assert [] == again["conflicts"]
    assert "theirs" == updated.held()["c1"]["model"]


@pytest.mark.parametrize(
    ("write", "left"),
    [
        pytest.param("update", {"c1": "ours"}, id="update during update"),
        pytest.param("create", {"c1": "ours"}, id="create during create"),
        pytest.param("delete", {}, id="update during delete"),
    ],
)
def test_a_third_party_write_during_the_bulk_update_is_one_conflict(pair, write, left):
    if write == "create":
        pair.lb.create("local", data={**CAR, "model": "ours"})
        before = pair.third("POST", "/Cars", {**CAR, "model": "third"})
    else:
        pair.lb.create("local", data=CAR)
        pair.push()
        if write == "update":
            pair.lb.patch("local", key="c1", data={"model": "ours"})
        else:
            pair.lb.destroy("local", key="c1")
        before = pair.third("PATCH", "/Cars/c1", {"model": "third"})

    found = pair.push(before=before, resolve="source")["conflicts"]

    assert ["c1"] == [one["id"] for one in found]
    assert [] == pair.push()["conflicts"]
    assert left == {k: v["model"] for k, v in pair.served.items()}


def test_a_third_party_delete_during_a_delete_is_no_conflict(pair):
    pair.lb.create("local", data=CAR)
    pair.push()
    pair.lb.destroy("local", key="c1")

    assert [] == pair.push(before=pair.third("DELETE", "/Cars/c1"))["conflicts"]
    assert {} == pair.served


def test_a_record_created_during_the_bulk_update_is_picked_up_afterwards(pair):
    pair.server.post("/Cars", CAR)
    before = pair.third("POST", "/Cars", {**CAR, "id": "c2"})

    pair.pull(before=before)
    pair.pull()

    assert {"c1", "c2"} == set(pair.held())


# ---- longer runs ---------------------------------------------------------------------------------


def test_update_then_delete_replicate_without_any_since(pair):
    pair.lb.create("local", data=CAR)
    pair.push()
    pair.lb.patch("local", key="c1", data={"model": "GT"})
    first = pair.push()["conflicts"]
    pair.lb.destroy("local", key="c1")

    assert [] == first + pair.push()["conflicts"]
    assert {} == pair.served


def test_two_edits_in_one_checkpoint_replicate_without_a_conflict(pair):
    pair.lb.create("local", data=CAR)
    pair.push()
    pair.lb.patch("local", key="c1", data={"model": "one"})
    pair.lb.patch("local", key="c1", data={"model": "two"})

    assert [] == pair.push()["conflicts"]
    assert "two" == pair.served["c1"]["model"]


@pytest.fixture(params=[False, True], ids=["from the start", "from the last checkpoint"])
def three(request, pair):
    """Two clients and the daemon; replication remembers its checkpoints, or does not."""
    pair.add("other", "other_remote")
    remember = request.param

    def sync(*names):
        found = []
        for name in names:
            remote = "remote" if name == "local" else "other_remote"
            found += pair.both(name, remote, remember=remember)
        return found

    pair.sync = sync
    return pair


def test_a_new_record_reaches_everybody(three):
    three.lb.create("local", data=CAR)

    assert [] == three.sync("local", "other")
    assert three.held() == three.served == three.held("other")


def test_many_revisions_pulled_late_are_no_conflict(three):
    three.lb.create("local", data=CAR)
    three.sync("local", "other")
    for year in range(1965, 1969):
        three.lb.patch("local", key="c1", data={"year": year})
        three.sync("local")

    assert [] == three.sync("other")
    assert three.held() == three.served == three.held("other")


def test_a_delete_reaches_everybody(three):
    three.lb.create("local", data=CAR)
    three.sync("local", "other")
    three.lb.destroy("local", key="c1")

    assert [] == three.sync("local", "other")
    assert {} == three.held("other")


def test_edits_go_round_without_a_false_conflict(three):
    three.lb.create("local", data=CAR)
    found = three.sync("local", "other")
    three.lb.patch("local", key="c1", data={"model": "a"})
    found += three.sync("local", "other")
    for model in ("b1", "b2"):
        three.lb.patch("other", key="c1", data={"model": model})
        found += three.sync("other")
    found += three.sync("local")
    three.lb.patch("local", key="c1", data={"model": "a2"})
    found += three.sync("local", "other")

    assert [] == found
    assert three.held() == three.served == three.held("other")


def test_a_client_that_only_reads_meets_no_conflict(three, lb, request):
    """LoopBack's own weakness: what was pulled counts as the client's own edit."""
    remember = request.node.callspec.params["three"]
    reader = Pair(lb, three.server._server, three.model.removeprefix("Car"), nulls=three.nulls)
    three.lb.create("local", data=CAR)
    three.sync("local")
    found = reader.pull(remember=remember)["conflicts"]
    for model in ("one", "two", "three"):
        three.lb.patch("local", key="c1", data={"model": model})
        three.sync("local")

    assert [] == found + reader.pull(remember=remember)["conflicts"]
    assert three.served == reader.held()


@pytest.mark.parametrize(
    ("edit", "resolve", "data", "left"),
    [
        ("update", "source", None, "b"),
        ("update", "target", None, "a"),
        ("update", "manual", {"model": "c"}, "c"),
        ("delete", "source", None, "b"),
        ("delete", "target", None, None),
        ("delete", "manual", None, None),
        ("delete", "manual", {"model": "c"}, "c"),
    ],
)
def test_a_conflict_of_two_clients_is_settled_for_all(three, edit, resolve, data, left):
    three.lb.create("local", data=CAR)
    three.sync("local", "other")
    if edit == "update":
        three.lb.patch("local", key="c1", data={"model": "a"})
    else:
        three.lb.destroy("local", key="c1")
    three.lb.patch("other", key="c1", data={"model": "b"})
    three.sync("local")

    found = three.push("other", "other_remote", resolve=resolve, data=data)["conflicts"]
    if resolve == "manual" and data is None:
        # LoopBack deletes at the source and leaves the change upon its old base.
        assert [] == three.push("other", "other_remote")["conflicts"]

    assert ["c1"] == [one["id"] for one in found]
    assert [] == three.sync("other", "local", "other")
    assert left == (three.served.get("c1") or {}).get("model")
    assert three.held() == three.served == three.held("other")


# ---- cured weaknesses ----------------------------------------------------------------------------


def test_nested_values_update_and_delete(pair):
    pair.lb.create("local", data=[RICH, {**RICH, "id": "c2"}])
    pair.push()
    pair.lb.patch("local", key="c1", data={"details": {"z": [1, {"y": None}]}, "tags": []})
    pair.lb.destroy("local", key="c2")

    done = pair.push()

    assert [] == done["conflicts"]
    assert pair.held() == pair.served
    assert {"z": [1, {"y": None}]} == pair.served["c1"]["details"]


def test_a_removed_property_is_removed_at_the_daemon(pair):
    pair.lb.create("local", data=CAR)
    pair.push()
    pair.lb.unset("local", key="c1", property="year")

    assert [] == pair.push()["conflicts"]
    assert pair.served["c1"].get("year") is None
    assert pair.held() == pair.served


def test_a_removed_property_is_removed_at_the_client(pair):
    """LoopBack's client sets what it is sent and keeps the rest, so it is sent a null."""
    pair.server.post("/Cars", CAR)
    pair.pull()
    pair.server.put("/Cars/c1", without(CAR, "year"))

    first = pair.pull()["conflicts"]
    pair.lb.patch("local", key="c1", data={"model": "GT"})

    assert [] == first + pair.both()
    assert pair.held()["c1"].get("year") is None
    assert "GT" == pair.served["c1"]["model"]


def test_edits_around_a_failed_push_are_no_conflict(pair):
    """What a run showed before it failed is remembered: the next edit is based on it."""
    pair.lb.create("local", data=CAR)
    pair.push()
    pair.lb.patch("local", key="c1", data={"model": "one"})
    with pytest.raises(Exception, match="404"):
        pair.push(before=pair.third("PATCH", "/Cars/nothing", {}))
    pair.lb.patch("local", key="c1", data={"model": "two"})

    assert [] == pair.push()["conflicts"]
    assert "two" == pair.served["c1"]["model"]


def test_edits_around_a_push_that_never_arrived_are_no_conflict_once_since_is_sent(pair):
    """With the one line of the guide that makes LoopBack's client send its `since`."""
    pair.lb.remote("telling", model=pair.model, url=pair.server.api, beside="local", since=True)
    pair.lb.create("local", data=CAR)
    pair.push("local", "telling", remember=True)
    pair.lb.patch("local", key="c1", data={"model": "one"})
    pair.lb.checkpoint("local")  # what a run does before it finds nobody there
    pair.lb.patch("local", key="c1", data={"model": "two"})

    assert [] == pair.push("local", "telling", remember=True)["conflicts"]
    assert "two" == pair.served["c1"]["model"]


def test_a_since_that_is_sent_hides_no_conflict(pair):
    pair.lb.remote("telling", model=pair.model, url=pair.server.api, beside="local", since=True)
    pair.lb.create("local", data=CAR)
    pair.push("local", "telling", remember=True)
    pair.lb.patch("local", key="c1", data={"model": "one"})
    pair.server.patch("/Cars/c1", {"model": "theirs"})

    found = pair.push("local", "telling", remember=True)["conflicts"]

    assert ["c1"] == [one["id"] for one in found]


def test_a_chunked_push_is_sent_in_pieces(pair):
    pair.add("small", "small_remote", chunk=1)
    pair.lb.create("small", data=[CAR, {**CAR, "id": "c2"}])

    done = pair.push("small", "small_remote")

    assert [1, 1] == done["bulk"][:2]
    assert pair.held("small") == pair.served


def test_a_push_without_chunks_is_sent_at_once(pair):
    pair.lb.create("local", data=[CAR, {**CAR, "id": "c2"}])

    assert [2] == pair.push()["bulk"][:1]


def test_a_chunked_pull_with_many_deletes_ends(pair):
    pair.add("small", "small_remote", chunk=2)
    pair.server.post("/Cars", [{**CAR, "id": f"c{i}"} for i in range(9)])
    for i in range(5):
        pair.server.delete(f"/Cars/c{i}")

    assert [] == pair.pull("small", "small_remote")["conflicts"]
    assert pair.served == pair.held("small")


def test_a_pull_is_narrowed_by_a_filter(pair):
    pair.server.post("/Cars", [CAR, {**CAR, "id": "c2", "maker": "Audi"}])

    pair.pull(options={"filter": {"where": {"maker": "Audi"}}})

    assert {"c2"} == set(pair.held())


def test_a_large_push_is_accepted_without_chunks(pair):
    pair.lb.create("local", data=[{**CAR, "id": f"c{i}"} for i in range(700)])

    assert [] == pair.push()["conflicts"]
    assert 700 == pair.server.get("/Cars/count").json["count"]
