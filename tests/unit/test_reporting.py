"""When a link tells its upstream of open conflicts, and what."""

import pytest

from syncline.following import Outcome
from syncline.models import Conflict, Update, encode_body
from syncline.protocol import ConflictName, Welcome
from syncline.reporting import Reporting
from syncline.revision import new_revision


REV = new_revision(2, "00000000000000bb")


def conflict(record_id="1", *, rev=REV, size=0):
    ours = Update(
        model="todo",
        record_id=record_id,
        rev=rev,
        body=encode_body({"id": record_id, "x": "x" * size}),
    )
    return Conflict(
        conflict_id=record_id,
        model="todo",
        record_id=record_id,
        base_body=b'{"id":"1"}',
        ours=ours,
        theirs=ours,
        opened_ms=5,
    )


class Log:
    """A store with a conflict log, and what a link has of it."""

    def __init__(self, *conflicts):
        self.open = list(conflicts)
        self.reads = 0
        self.writer = self

    def read_now(self, job):
        self.reads += 1
        return job(self)

    def conflicts(self, *, open_only, limit):
        assert open_only
        return self.open[:limit]


def welcomed(log, *, conflicts_max=10, **fields):
    one = Reporting(log)
    one.welcomed(Welcome(source="s", epoch="e", head=0, conflicts_max=conflicts_max, **fields))
    return one


def reported(one):
    """Return what the next report names, and tells in full."""
    assert one.is_due
    report = one.next_report()
    if report is None:
        return None
    names, message = report
    assert [name.record_id for name in names] == [item["id"] for item in message[0].get("open", [])]
    told = message[0].get("conflicts") or (message[1] if len(message) > 1 else None)
    return names, told is not None, message[0].get("more", False)


def ids(report):
    return [name.record_id for name in report[0]]


def opened(*conflicts):
    outcome = Outcome()
    outcome.conflicts.extend(conflicts)
    return outcome


def test_nothing_is_said_where_nothing_waits_and_nothing_is_known():
    one = welcomed(Log())

    assert reported(one) is None
    assert not one.is_due


def test_what_waits_is_named_after_the_hello_and_told_in_full_when_it_is_wanted():
    one = welcomed(Log(conflict()))
    first = reported(one)
    one.answered(first[0], ({"wanted": [0]},))

    second = reported(one)
    one.answered(second[0], ({"count": 1},))

    assert (["1"], False) == (ids(first), first[1])
    assert (["1"], True) == (ids(second), second[1])
    assert reported(one) is None


def test_what_is_told_in_full_is_told_once_however_often_it_is_wanted():
    one = welcomed(Log(conflict()))
    for _ in range(2):
        report = reported(one)
        one.answered(report[0], ({"wanted": [0]},))

    assert reported(one) is None


def test_that_all_is_settled_is_said_to_a_daemon_that_lists_something():
    one = welcomed(Log(), conflicts=1)

    assert [] == ids(reported(one))


def test_a_daemon_that_lists_none_is_told_of_none():
    assert not welcomed(Log(conflict()), conflicts_max=0).is_due


def test_a_write_elsewhere_is_no_reason_to_look():
    log = Log(conflict())
    one = welcomed(log)
    one.answered(reported(one)[0], ({"count": 1},))
    assert reported(one) is None

    one.note_written([conflict("2").ours])
    assert not one.is_due
    one.note_written([conflict("1").ours])
    assert one.is_due


def test_without_conflicts_no_commit_has_it_look():
    one = welcomed(Log())
    reported(one)

    one.note_written(None)
    one.note_written([conflict().ours])
    outcome = Outcome()
    outcome.must_push = True
    one.note_outcome(outcome)

    assert not one.is_due


def test_conflict_that_opens_and_one_that_ends_are_told():
    log = Log()
    one = welcomed(log)
    reported(one)
    log.open = [conflict()]
    one.note_outcome(opened(conflict()))
    first = reported(one)
    one.answered(first[0], ({"count": 1},))
    reported(one)

    log.open = []
    ended = Outcome()
    ended.must_push = True
    one.note_outcome(ended)

    assert (["1"], []) == (ids(first), ids(reported(one)))


def test_one_report_at_a_time_and_what_changed_meanwhile_follows():
    log = Log(conflict())
    one = welcomed(log)
    first = reported(one)
    log.open.append(conflict("2"))
    one.note_outcome(opened(conflict("2")))
    assert not one.is_due

    one.answered(first[0], ({"count": 1},))

    assert ["1", "2"] == ids(reported(one))


def test_collision_that_was_settled_at_once_is_told_too():
    one = welcomed(Log())
    reported(one)

    one.note_collision()

    assert [] == ids(reported(one))


def test_report_that_is_not_answered_within_two_heartbeats_is_made_again():
    one = welcomed(Log(conflict()))
    first = reported(one)
    one.beat()
    assert not one.is_due
    one.beat()

    again = reported(one)
    one.answered(first[0], ({"count": 1},))

    assert first[0] == again[0]
    # The late answer to the first is nobody's: the second is waited for.
    assert not one.is_due


@pytest.mark.parametrize(("retryable", "asks"), [(True, True), (False, False)])
def test_error_ends_reports_unless_it_may_pass(retryable, asks):
    one = welcomed(Log(conflict()))
    error = {"error": {"code": "store_unavailable", "message": "m", "retryable": retryable}}

    one.answered(reported(one)[0], (error,))
    one.beat()

    assert asks is one.is_due
    one.welcomed(Welcome(source="s", epoch="e", head=0, conflicts_max=10))
    assert one.is_due


def test_the_oldest_are_named_and_that_there_are_more():
    one = welcomed(Log(*(conflict(f"{n}") for n in range(5))), conflicts_max=3)

    report = reported(one)

    assert (["0", "1", "2"], True) == (ids(report), report[2])


def test_names_and_records_keep_to_the_size_of_a_message():
    many = [conflict(f"{n:03}", size=400) for n in range(100)]
    one = welcomed(Log(*many), conflicts_max=100, message_bytes_max=8000)
    report = one.next_report()
    rounds = 0
    told = 0
    while report is not None:
        names, message = report
        size = sum(len(part) if isinstance(part, bytes) else len(repr(part)) for part in message)
        assert size < 8000
        rounds += 1
        told += "conflicts" in message[0]
        one.answered(names, ({"wanted": list(range(len(names)))},))
        report = one.next_report()

    assert 1 < len(names) < 100
    assert told == rounds - 1 > 1


def test_record_that_fits_no_message_is_only_named():
    one = welcomed(Log(conflict(size=9000)), message_bytes_max=8000)
    one.answered(reported(one)[0], ({"wanted": [0]},))

    assert reported(one) is None


def test_nonsense_for_a_place_is_passed_over():
    one = welcomed(Log(conflict()))

    one.answered(reported(one)[0], ({"wanted": [-1, 7]},))

    assert reported(one) is None


def test_a_name_is_model_record_and_revision():
    assert (
        ConflictName(model="todo", record_id="1", rev=REV)
        == reported(welcomed(Log(conflict())))[0][0]
    )
