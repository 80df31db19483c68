"""A transaction that collides stands whole or gives way whole, whoever decides."""

import itertools

import msgspec
import pytest

from syncline.change_log import Write, WriteKind
from syncline.conflict_log import GIVEN_UP
from syncline.effects import Acknowledge, ApplyUpdates, BeginReset, Mode
from syncline.engine import Engine
from syncline.models import (
    Answer,
    BulkResult,
    Cursor,
    Interval,
    ItemResult,
    Resolution,
    Update,
    encode_body,
)
from syncline.revision import new_revision
from syncline.steps import at_once
from syncline.store.memory import MemoryStore
from syncline.store.sql import SqlStore


EARLIER, LATER = 1, 1 << 60
CURSOR = Cursor(source="s", epoch="e", is_whole=True, models=("account", "note"))


class Follower:
    """A replica on an engine, without a network."""

    def __init__(self, store, strategies, *, listens=False):
        nonces = itertools.count(1)
        self.engine = Engine(
            store,
            new_nonce=lambda: f"{next(nonces):016x}",
            now_ms=lambda: 1000,
            follows=True,
            listens=listens,
            strategy_of=lambda model: strategies.get(model, "manual"),
        )
        self.engine.open()

    def take(self, *updates, seq=100):
        interval = Interval(epoch="e", since=0, checkpoint=seq, head=seq, updates=updates)
        with self.engine.store.write() as tx:
            return self.engine.carry_out(tx, ApplyUpdates(interval, Mode.WHOLE, CURSOR))

    def transfer(self, group="g", **balances):
        writes = [put(record_id, balance) for record_id, balance in balances.items()]
        with self.engine.store.write() as tx:
            return self.engine.write(tx, writes, group=group)

    def shown(self, model="account"):
        with self.engine.store.read() as reader:
            updates = reader.changes(0, models=[model], limit=99)
        return {u.record_id: u.data["n"] for u in updates if not u.is_deletion}

    def waiting(self):
        with self.engine.store.read() as reader:
            return [update.record_id for update in reader.outbox(limit=99)]

    def log(self, *, open_only=False):
        with self.engine.store.read() as reader:
            return reader.conflicts(open_only=open_only)

    def resolve(self, conflict, resolution, body=None):
        with self.engine.store.write() as tx:
            return self.engine.resolve(tx, conflict, Resolution(resolution), body)[0]


def put(record_id, n, model="account"):
    body = encode_body({"id": record_id, "n": n})
    return Write(kind=WriteKind.PUT, model=model, record_id=record_id, body=body)


def theirs(record_id, n, seq, *, generation=1, stamp=EARLIER, model="account", **more):
    return Update(
        model=model,
        record_id=record_id,
        seq=seq,
        rev=new_revision(generation, f"aaaa{seq:012x}"),
        stamp=stamp,
        body=encode_body({"id": record_id, "n": n, **more}),
    )


@pytest.fixture(params=["memory", "sqlite"])
def open_follower(request):
    stores = []

    def new(strategy="manual", **named):
        stores.append(MemoryStore() if request.param == "memory" else SqlStore("sqlite://"))
        strategies = strategy if isinstance(strategy, dict) else {"account": strategy}
        follower = Follower(stores[-1], strategies, **named)
        follower.take(theirs("a", 100, 1), theirs("b", 100, 2), theirs("c", 100, 3), seq=3)
        return follower

    yield new
    for store in stores:
        store.close()


def other_transfer(stamp=EARLIER):
    """Another's b→c, which the upstream took."""
    return (
        theirs("b", 90, 4, generation=2, stamp=stamp),
        theirs("c", 110, 5, generation=2, stamp=stamp),
    )


@pytest.mark.parametrize("listens", [False, True], ids=["leaf", "daemon"])
@pytest.mark.parametrize(
    ("strategy", "stamp", "expected"),
    [
        pytest.param("theirs", EARLIER, {"a": 100, "b": 90, "c": 110}, id="theirs"),
        pytest.param("latest", LATER, {"a": 100, "b": 90, "c": 110}, id="latest: theirs"),
        pytest.param("merge:theirs", EARLIER, {"a": 100, "b": 90, "c": 110}, id="merge:theirs"),
        pytest.param("merge:latest", LATER, {"a": 100, "b": 90, "c": 110}, id="merge:latest"),
        pytest.param("ours", LATER, {"a": 90, "b": 110, "c": 110}, id="ours"),
        pytest.param("latest", EARLIER, {"a": 90, "b": 110, "c": 110}, id="latest: ours"),
    ],
)
def test_transaction_stands_or_gives_way_whole(open_follower, strategy, stamp, expected, listens):
    follower = open_follower(strategy, listens=listens)
    follower.transfer(a=90, b=110)

    follower.take(*other_transfer(stamp))

    assert expected == follower.shown()
    assert (["a", "b"] if expected["a"] == 90 else []) == sorted(follower.waiting())


def test_what_was_given_up_stays_listable(open_follower):
    follower = open_follower("theirs")
    follower.transfer(a=90, b=110)

    follower.take(*other_transfer())

    kept = {c.record_id: (c.ours.data["n"], c.theirs.data["n"], c.reason) for c in follower.log()}
    assert {"a": (90, 100, GIVEN_UP), "b": (110, 90, "")} == kept


@pytest.mark.parametrize("order", [1, -1], ids=["first", "last"])
def test_one_record_that_loses_is_enough_in_whatever_order(open_follower, order):
    follower = open_follower("latest")
    follower.transfer(a=90, b=110)

    met = [
        theirs("a", 95, 4, generation=2, stamp=EARLIER),
        theirs("b", 90, 5, generation=2, stamp=LATER),
    ]
    follower.take(*met[::order])

    assert {"a": 95, "b": 90, "c": 100} == follower.shown()
    assert [] == follower.waiting()


@pytest.mark.parametrize("order", [1, -1], ids=["first", "last"])
def test_open_conflict_of_a_transaction_that_gives_way_is_closed(open_follower, order):
    follower = open_follower({"account": "theirs", "note": "manual"})
    follower.take(theirs("n", 0, 4, model="note"), seq=4)
    with follower.engine.store.write() as tx:
        follower.engine.write(tx, [put("b", 110), put("n", 1, "note")], group="g")

    met = [
        theirs("n", 2, 5, generation=2, model="note"),
        theirs("b", 90, 6, generation=2),
    ]
    follower.take(*met[::order])

    assert ({"n": 2}, 90) == (follower.shown("note"), follower.shown()["b"])
    assert [] == follower.log(open_only=True)


def test_create_of_a_transaction_that_gives_way_goes(open_follower):
    follower = open_follower("theirs")
    follower.transfer(d=10, b=110)

    outcome = follower.take(*other_transfer())

    assert {"a": 100, "b": 90, "c": 110} == follower.shown()
    assert ["d"] == [u.record_id for u in outcome.visible if u.is_deletion]


@pytest.mark.parametrize(("word", "a", "b"), [("theirs", 100, 90), ("ours", 90, 110)])
def test_person_decides_for_the_whole_transaction(open_follower, word, a, b):
    follower = open_follower()
    follower.transfer(a=90, b=110)
    follower.take(*other_transfer())
    (conflict,) = follower.log(open_only=True)

    assert follower.resolve(conflict, word)

    assert {"a": a, "b": b, "c": 110} == follower.shown()


@pytest.mark.parametrize("nonce", ["0" * 16, "f" * 16], ids=["lesser", "greater"])
def test_latest_of_equal_stamps_is_the_greater_revision_for_a_person_too(open_follower, nonce):
    follower = open_follower()
    (ours,) = follower.transfer(b=110, group=None)
    met = Update(
        model="account",
        record_id="b",
        seq=4,
        rev=new_revision(ours.generation, nonce),
        stamp=ours.stamp,
        body=encode_body({"id": "b", "n": 90}),
    )
    follower.take(met)
    (conflict,) = follower.log(open_only=True)

    follower.resolve(conflict, "latest")

    assert (90 if nonce.startswith("f") else 110) == follower.shown()["b"]


def lost_answer(follower, *, again):
    """Have an edit arrive whose answer is lost, another build on it, and edit it again here."""
    engine = follower.engine
    engine.outbox.may_squash = True
    with engine.store.write() as tx:
        (first,) = engine.write(tx, [patched("a", n=1)])
    with engine.store.read() as reader:
        engine.collect(reader, items_max=9, bytes_max=10**6)
    for fields in again:
        with engine.store.write() as tx:
            engine.write(tx, [patched("a", **fields)])
        with engine.store.read() as reader:
            engine.collect(reader, items_max=9, bytes_max=10**6)
    return Update(
        model="account",
        record_id="a",
        seq=9,
        rev=new_revision(3, "b" * 16),
        prev=first.rev,
        ancestors=(first.rev,),
        body=encode_body({"id": "a", "n": 1, "other": 5}),
    )


def patched(record_id, **fields):
    return Write(
        kind=WriteKind.PATCH,
        model="account",
        record_id=record_id,
        merge=lambda before: bytes(encode_body({**before, **fields})),
    )


@pytest.mark.parametrize("again", [[{"n": 2}], [{"n": 3}, {"n": 2}]], ids=["once", "twice"])
def test_what_only_we_ever_wrote_does_not_collide_after_a_lost_answer(open_follower, again):
    follower = open_follower("merge")
    theirs_now = lost_answer(follower, again=again)

    outcome = follower.take(theirs_now, seq=9)

    assert [] == outcome.conflicts
    with follower.engine.store.read() as reader:
        assert {"id": "a", "n": 2, "other": 5} == reader.entry("account", "a").update.data


def test_base_of_a_conflict_is_what_theirs_was_made_from(open_follower):
    follower = open_follower("manual")
    theirs_now = lost_answer(follower, again=[{"n": 2}])

    (conflict,) = follower.take(theirs_now, seq=9).conflicts

    assert ({"id": "a", "n": 1}, theirs_now.prev) == (conflict.base, conflict.base_rev)


def test_what_others_wrote_over_ours_collides_as_before(open_follower):
    follower = open_follower("merge")
    met = lost_answer(follower, again=[{"n": 2}])
    body = encode_body({"id": "a", "n": 7})

    outcome = follower.take(msgspec.structs.replace(met, body=body), seq=9)

    assert ["a"] == [conflict.record_id for conflict in outcome.conflicts]


def test_answer_to_a_push_has_the_whole_transaction_give_way(open_follower):
    follower = open_follower("theirs")
    a, b = follower.transfer(a=90, b=110)
    met, _ = other_transfer()
    results = tuple(
        ItemResult(model=u.model, record_id=u.record_id, rev=u.rev, answer=answer, current=now)
        for u, answer, now in ((b, Answer.CONFLICT, met), (a, Answer.HELD, None))
    )
    effect = Acknowledge(
        1, BulkResult(epoch="e", results=results), Cursor(source="s", epoch="e", seq=9)
    )

    with follower.engine.store.write() as tx:
        follower.engine.acknowledge(tx, [a, b], effect)

    assert {"a": 100, "b": 90, "c": 100} == follower.shown()
    assert [] == follower.waiting()


def test_what_only_this_replica_holds_outlives_its_transaction(open_follower):
    follower = open_follower("theirs")
    follower.transfer(a=90, b=110)
    cursor = Cursor(source="s", epoch="f", resetting=0, models=("account",))
    with follower.engine.store.write() as tx:
        follower.engine.carry_out(tx, BeginReset(cursor, 0, offers_back=True))

    interval = Interval(
        epoch="f", since=0, checkpoint=1, head=1, updates=(theirs("b", 90, 1, generation=3),)
    )
    with follower.engine.store.write() as tx:
        follower.engine.carry_out(tx, ApplyUpdates(interval, Mode.WHOLE, cursor))

    assert {"a": 90, "b": 90, "c": 100} == follower.shown()
    assert ["a", "c"] == sorted(follower.waiting())


# ---- transactions that share a record ---------------------------------------------------


def pushed(held, group, n, *, generation=2, nonce=1):
    """An edit of what the daemon holds, as somebody below pushes it."""
    return msgspec.structs.replace(
        held,
        rev=new_revision(generation, f"{nonce:016x}"),
        prev=held.rev,
        ancestors=(held.rev,),
        group=group,
        origin="below",
        body=encode_body({"id": held.record_id, "n": n}),
    )


def offer(follower, *updates):
    with follower.engine.store.write() as tx:
        plan = at_once(follower.engine.offer(tx, updates, {}))
    assert {Answer.APPLIED, Answer.KNOWN} >= {result.answer for result in plan.results}


def together(follower):
    """The records that wait together, as sets."""
    with follower.engine.store.read() as reader:
        waiting = reader.outbox(limit=99)
    groups = {}
    for update in waiting:
        groups.setdefault(update.group or update.key, set()).add(update.record_id)
    return sorted(groups.values(), key=sorted)


@pytest.mark.parametrize("own", ["g", None], ids=["in a transaction", "by itself"])
@pytest.mark.parametrize("nonce", [0, 0xFFFFFFFFFFFFFFFF], ids=["ours stands", "theirs stands"])
def test_what_was_written_the_same_here_waits_with_the_transaction_that_is_pushed(
    open_follower, own, nonce
):
    daemon = open_follower(listens=True)
    held = {u.record_id: u for u in (theirs("a", 100, 1), theirs("b", 100, 2))}
    writes = daemon.transfer(own, b=110) if own is None else daemon.transfer(own, b=110, c=90)
    assert {"b"} <= {update.record_id for update in writes}

    offer(daemon, pushed(held["a"], "h", 90), pushed(held["b"], "h", 110, nonce=nonce))

    assert [{"a", "b"} if own is None else {"a", "b", "c"}] == together(daemon)


def test_transactions_pushed_at_once_that_meet_one_that_waits_are_one(open_follower):
    daemon = open_follower(listens=True)
    a, b = daemon.transfer("g", a=90, b=110)

    offer(
        daemon,
        pushed(a, "h", 80, generation=3),
        pushed(theirs("c", 100, 3), "h", 120),
        pushed(b, "i", 120, generation=3),
    )

    assert [{"a", "b", "c"}] == together(daemon)


def test_transaction_stays_one_when_part_of_it_was_written_the_same_here(open_follower):
    daemon = open_follower(listens=True)
    a, b, c = daemon.transfer("g", a=90, b=110, c=100.5)
    same = msgspec.structs.replace(
        theirs("c", 100.5, 9, generation=2), rev=new_revision(2, "0" * 16), seq=0, group="h"
    )

    offer(daemon, pushed(a, "h", 80, generation=3), same)

    assert [{"a", "b", "c"}] == together(daemon)
    assert b.record_id == "b"
    assert c.group == "g"
