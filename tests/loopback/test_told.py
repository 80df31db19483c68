"""What the daemon remembers of whom it told what: flags turned, echoes, what was pushed."""

import pytest


@pytest.fixture
def flags(pair):
    """Two clients that turn a flag; they may have the same name for their model."""

    class Flags:
        lb, server = pair.lb, pair.server

        def add(self, name, model):
            spec = {"nulls": True} if pair.nulls else {}
            self.lb.local(name, model=model, **spec)
            self.lb.remote(f"{name}-remote", model=pair.model, url=self.server.api, beside=name,
                           **spec)  # fmt: skip

        def push(self, name, **options):
            return pair.push(name, f"{name}-remote", remember=True, **options)["conflicts"]

        def pull(self, name, **options):
            return pair.pull(name, f"{name}-remote", remember=True, **options)["conflicts"]

        def turn(self, name, sold):
            self.lb.patch(name, key="c1", data={"sold": sold})

        @property
        def sold(self):
            return self.server.get("/Cars/c1").json["sold"]

    return Flags()


ON, OFF = {"id": "c1", "sold": True}, {"id": "c1", "sold": False}


@pytest.mark.parametrize("names", [("Mine", "Yours"), ("Local", "Local")], ids=["two", "one"])
def test_an_edit_like_one_of_before_is_made(flags, names):
    """Both turn it off at the same checkpoint of their own; in between it was turned on again."""
    flags.server.put("/Cars", ON)
    for name, model in zip(("a", "b"), names, strict=True):
        flags.add(name, model)
        flags.pull(name)
    flags.turn("a", sold=False)
    assert [] == flags.push("a")
    flags.server.put("/Cars", ON)
    flags.turn("b", sold=False)

    assert [] == flags.push("b")
    assert flags.sold is False


def test_a_flag_goes_back_and_forth_between_two_clients(flags):
    flags.server.put("/Cars", ON)
    for name in ("a", "b"):
        flags.add(name, f"Local{name}")
        flags.pull(name)
    for turn in range(8):
        name = "ab"[turn % 2]
        flags.turn(name, sold=bool(turn % 2))
        assert [] == flags.push(name) + flags.pull("ab"[1 - turn % 2])
        assert flags.sold is bool(turn % 2)


@pytest.fixture
def undone(flags):
    """A client that pulled on and off, while the record is on again."""
    flags.add("a", "LocalA")
    flags.add("b", "LocalB")
    flags.lb.create("a", data=ON)
    flags.push("a")
    flags.pull("b")
    for sold in (False, True):
        flags.turn("a", sold=sold)
        flags.push("a")
        if not sold:
            flags.pull("b")
    return flags


def test_an_echo_undoes_no_write(undone):
    """It can't be told from an edit by its words, so the client is asked, and nothing is undone."""
    found = undone.push("b", resolve="target")

    assert ["c1"] == [one["id"] for one in found]
    assert undone.sold is True
    assert [] == undone.push("b") + undone.pull("b")
    assert undone.sold is True


def test_what_may_be_an_echo_is_taken_once_it_was_settled(undone):
    undone.push("b", resolve="source")

    assert [] == undone.push("b")
    assert undone.sold is False


def test_a_pull_after_a_push_names_what_was_pushed(flags):
    flags.add("a", "LocalA")
    flags.server.put("/Cars", {"id": "c1", "model": "v1"})
    flags.pull("a")
    flags.lb.patch("a", key="c1", data={"model": "v2"})
    flags.push("a")
    flags.server.patch("/Cars/c1", {"model": "v3"})
    flags.server.patch("/Cars/c1", {"model": "v4"})

    assert [] == flags.pull("a")
    assert "v4" == flags.lb.get("a", key="c1")["model"]


def test_a_conflict_settled_for_the_server_stays_settled(flags):
    flags.add("a", "LocalA")
    flags.server.put("/Cars", {"id": "c1", "model": "v1"})
    flags.pull("a")
    flags.lb.patch("a", key="c1", data={"model": "mine"})
    flags.server.patch("/Cars/c1", {"model": "theirs"})
    before = flags.server.get("/Cars/c1/changes/last").json
    assert ["c1"] == [one["id"] for one in flags.pull("a", resolve="source")]
    after = flags.server.get("/Cars/c1/changes/last").json
    flags.server.patch("/Cars/c1", {"model": "theirs again"})

    assert (before["rev"], before["checkpoint"]) == (after["rev"], after["checkpoint"])
    assert [] == flags.push("a") + flags.pull("a")
    assert "theirs again" == flags.lb.get("a", key="c1")["model"]
