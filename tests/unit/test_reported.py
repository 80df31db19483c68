"""What followers tell of the conflicts that wait there, in a listening replica's log."""

import pytest

from syncline.engine import Engine
from syncline.models import NO_BODY, Update, encode_body
from syncline.protocol import ConflictName, ConflictReport, ReportedConflict
from syncline.reported import LOG_MAX, waiting_at
from syncline.revision import new_revision, short_of
from syncline.steps import at_once
from syncline.store.memory import MemoryStore
from syncline.store.sql import SqlStore


NOW_MS = 1_700_000_000_000
BASE_REV = new_revision(1, "00000000000000aa")
OURS_REV = new_revision(2, "00000000000000ab")
THEIRS_REV = new_revision(2, "00000000000000bb")


@pytest.fixture(params=[MemoryStore, lambda: SqlStore("sqlite://")], ids=["memory", "sql"])
def daemon(request):
    """A listening replica that holds what the follower's edit collided with."""
    nonces = iter(range(10**9))
    engine = Engine(
        request.param(),
        new_nonce=lambda: f"{next(nonces):016x}",
        now_ms=lambda: NOW_MS,
        follows=False,
        listens=True,
    )
    engine.open()
    push(engine, update(BASE_REV, {"id": "1", "n": 0}))
    push(engine, update(OURS_REV, {"id": "1", "n": 1}, prev=BASE_REV))
    yield engine
    engine.store.close()


def update(rev, data, *, record_id="1", prev=None, **fields):
    body = NO_BODY if data is None else encode_body(data)
    return Update(model="todo", record_id=record_id, rev=rev, prev=prev, body=body, **fields)


def push(engine, one, pusher=""):
    with engine.store.write() as tx:
        return at_once(engine.offer(tx, [one], {}, pusher=pusher)).results[0].answer.value


THEIRS = update(THEIRS_REV, {"id": "1", "n": 2}, prev=BASE_REV)


def told(one=THEIRS, **fields):
    base = {"base_rev": BASE_REV, "base": encode_body({"id": "1", "n": 0})}
    return ReportedConflict(update=one, **{**base, **fields})


def name_of(one=THEIRS):
    return told(one).name


def report(engine, names, full=(), *, holder="phone", more=False, barred=()):
    with engine.store.write() as tx:
        return engine.reported.take(
            tx,
            holder,
            ConflictReport(open=list(names), more=more),
            {one.name: one for one in full},
            barred=barred,
        )


def waiting(engine):
    with engine.store.read() as reader:
        return waiting_at(reader)


def logged(engine):
    with engine.store.read() as reader:
        return reader.conflicts(open_only=False, limit=LOG_MAX)


def test_what_is_not_known_is_wanted_and_listed_once_it_is_told(daemon):
    first = report(daemon, [name_of()])
    assert (0, [0]) == (first.count, first.wanted)
    assert [] == waiting(daemon)

    answer = report(daemon, [name_of()], [told(opened_ms=7)])

    assert (1, []) == (answer.count, answer.wanted)
    (one,) = waiting(daemon)
    assert ({"id": "1", "n": 0}, OURS_REV, THEIRS_REV) == (one.base, one.ours.rev, one.theirs.rev)
    assert ("phone", "reported", 7) == (one.holder, one.side, one.opened_ms)


def test_a_report_twice_is_a_report_once(daemon):
    report(daemon, [name_of()], [told()])
    before = logged(daemon)

    again = report(daemon, [name_of()])

    assert (1, []) == (again.count, again.wanted)
    assert before == logged(daemon)


def test_what_is_not_named_is_settled(daemon):
    report(daemon, [name_of()], [told()])

    report(daemon, [])

    assert [] == waiting(daemon)
    assert ["settled"] == [one.resolution for one in logged(daemon)]


def test_what_another_replica_holds_is_left_to_it(daemon):
    report(daemon, [name_of()], [told()])

    report(daemon, [], holder="tablet")

    assert ["phone"] == [one.holder for one in waiting(daemon)]


def test_what_was_pushed_and_is_told_is_one_entry(daemon):
    assert "conflict" == push(daemon, THEIRS, "phone")
    assert [None] == [one.base for one in waiting(daemon)]
    assert [0] == report(daemon, [name_of()]).wanted

    report(daemon, [name_of()], [told()])
    assert "conflict" == push(daemon, THEIRS, "phone")

    (one,) = logged(daemon)
    assert ({"id": "1", "n": 0}, "reported") == (one.base, one.side)


@pytest.mark.parametrize(("more", "left"), [(False, 0), (True, 1)])
def test_what_was_pushed_and_is_not_named_is_settled_unless_there_is_no_room(daemon, more, left):
    push(daemon, THEIRS, "phone")

    report(daemon, [], more=more)

    assert left == len(waiting(daemon))


def test_what_stands_has_taken_it_in_so_it_waits_no_more(daemon):
    report(daemon, [name_of()], [told()])
    merged = update(
        new_revision(3, "00000000000000cc"),
        {"id": "1", "n": 3},
        prev=OURS_REV,
        ancestors=(short_of(OURS_REV), short_of(THEIRS_REV)),
    )
    assert "applied" == push(daemon, merged)

    # Its replica has not seen that yet.
    answer = report(daemon, [name_of()])

    assert (0, []) == (answer.count, answer.wanted)
    assert [] == waiting(daemon)


def test_what_was_taken_for_settled_waits_again_when_it_is_named(daemon):
    report(daemon, [name_of()], [told()])
    report(daemon, [])

    answer = report(daemon, [name_of()])

    assert (1, []) == (answer.count, answer.wanted)
    assert 1 == len(waiting(daemon))


def test_what_is_barred_is_neither_listed_nor_settled(daemon):
    report(daemon, [name_of()], [told()])

    answer = report(daemon, [name_of()], barred=[name_of()])

    assert (0, []) == (answer.count, answer.wanted)
    assert 1 == len(waiting(daemon))


def test_conflict_upon_nothing_has_a_deletion_on_our_side(daemon):
    created = update(THEIRS_REV, {"id": "9"}, record_id="9", prev=BASE_REV)

    report(daemon, [name_of(created)], [told(created, base_rev=None, base=NO_BODY)])

    (one,) = waiting(daemon)
    assert (None, None, {"id": "9"}) == (one.base, one.ours.data, one.theirs.data)


def test_refused_create_has_a_deletion_on_our_side_too(daemon):
    """There is nothing here that it stands against, and the log can be shown all the same."""
    refused = update(new_revision(1, "00000000000000dd"), {"id": "9"}, record_id="9")
    with daemon.store.write() as tx:
        daemon._change_log._conflict_log.note_received(tx, refused, None, "a rule says no")

    (one,) = logged(daemon)
    assert (None, {"id": "9"}, "refused") == (one.ours.data, one.theirs.data, one.resolution)
    assert not one.is_waiting


def test_time_of_a_clock_that_is_ahead_is_now(daemon):
    report(daemon, [name_of()], [told(opened_ms=NOW_MS * 2)])

    assert [NOW_MS] == [one.opened_ms for one in waiting(daemon)]


def test_the_log_stays_bounded(daemon, monkeypatch):
    monkeypatch.setattr("syncline.reported.SETTLED_KEPT", 3)
    names = [ConflictName(model="todo", record_id=f"{n}", rev=THEIRS_REV) for n in range(2, 7)]
    full = [told(update(THEIRS_REV, {"id": n.record_id}, record_id=n.record_id)) for n in names]

    report(daemon, names, full)

    assert ["4", "5", "6"] == [one.record_id for one in logged(daemon)]
