"""The daemon's own state keeps to the memory that it needs, however long it runs."""

import itertools

import pytest

import syncline
from syncline.models import Conflict, Update, encode_body
from syncline.store.memory import MemoryStore
from synclined import inbox as inbox_module
from synclined import state as state_module
from synclined.absent import Absent
from synclined.access import ANYONE
from synclined.inbox import Inbox
from synclined.loop_lag import Lag
from synclined.peers import Peer
from synclined.state import ERRORS_KEPT, SAMPLES_KEPT, State


@pytest.fixture
async def told(monkeypatch):
    """A state that writes when it is told to, the store that it tells of, and its peers."""
    monkeypatch.setattr(state_module, "INTERVAL_S", 3600)
    store, peers = MemoryStore(), []
    seconds = itertools.count()
    async with await syncline.Replica.open(store, ["todo"], listens=True) as replica:
        state = State(
            replica,
            lambda: peers,
            lambda: Lag(0.0, 0.0, 0),
            Inbox(replica),
            clock=lambda: float(next(seconds)),
        )
        await state.start()
        yield state, store, peers
        await state.stop()


def held(state, model):
    """Return the ids of all that is held of a model, tombstones included."""
    with state.replica.core.engine.store.read() as reader:
        return [key[1] for key in reader.keys_of([model])]


def conflict(number):
    update = Update(
        model="todo", record_id="1", rev=f"1-{number:016x}", body=encode_body({"id": "1"})
    )
    return Conflict(
        conflict_id=f"c{number:03}",
        model="todo",
        record_id="1",
        ours=update,
        theirs=update,
        resolution="returned",
        side="received",
    )


async def test_replicas_that_came_and_went_leave_nothing(told, monkeypatch):
    state, _, peers = told
    monkeypatch.setattr(state_module, "TOMBSTONES_MAX", 3)
    for number in range(20):
        peers[:] = [Peer("sid", ANYONE, is_bare=False, replica_id=f"r{number}")]
        await state._round()
        assert len(held(state, "replicas")) <= 6

    assert ["r19"] == [record["id"] for record in await state.replica.model("replicas").find()]


async def test_conflicts_that_came_and_went_leave_nothing(told, monkeypatch):
    state, store, _ = told
    monkeypatch.setattr(state_module, "TOMBSTONES_MAX", 3)
    monkeypatch.setattr(inbox_module, "SHOWN_MAX", 5)
    for number in range(30):
        with store.write() as tx:
            tx.write_conflict(conflict(number))
        state.note_clash()
        await state._round()
        assert len(held(state, "conflicts")) <= 10

    shown = [record["id"] for record in await state.replica.model("conflicts").find()]
    assert [f"c{number:03}" for number in range(25, 30)] == shown


async def test_samples_and_errors_go_round_and_remember_no_past(told):
    state, _, _ = told
    for number in range(SAMPLES_KEPT + 20):
        state.note_error("somebody", "busy", f"{number}")
        await state._round()
    with state.replica.core.engine.store.read() as reader:
        changes = reader.changes(0, models=None, limit=10_000)

    assert SAMPLES_KEPT == len(held(state, "samples"))
    assert ERRORS_KEPT == len(held(state, "errors"))
    assert 1 == max(len(change.ancestors) for change in changes)


async def test_nothing_is_written_while_nobody_looks_and_all_is_told_to_whoever_comes(told):
    state, store, peers = told
    state.is_watched = lambda: False
    with store.write() as tx:
        tx.write_conflict(conflict(1))
    state.note_clash()
    head = await state.replica.head()
    peers[:] = [Peer("sid", ANYONE, is_bare=False, replica_id="r1", since_ms=7)]
    state.note_error("somebody", "busy", "1")
    for _ in range(5):
        await state._round()

    assert head == await state.replica.head()

    await state.catch_up()
    (replica,) = await state.replica.model("replicas").find()

    assert 7 == replica["since_ms"]
    assert 6 == len(held(state, "samples"))
    assert 1 == len(held(state, "errors"))
    assert ["c001"] == held(state, "conflicts")


async def test_who_went_away_is_shown_as_it_was_when_it_went(told):
    state, _, peers = told
    here, gone = (Peer("sid", ANYONE, is_bare=False, replica_id=name) for name in "ab")
    gone.note_cursor(3, 10, heartbeat_s=10)
    peers[:] = [here]
    state._absent = lambda names: [Absent(gone, 1234)] if set(names) == {"a"} else []
    await state._round()
    shown = {one["id"]: one for one in await state.replica.model("replicas").find()}

    assert {"a": 0, "b": 1234} == {name: one["away_ms"] for name, one in shown.items()}
    assert (3, 7) == (shown["b"]["cursor"], shown["b"]["behind"])
