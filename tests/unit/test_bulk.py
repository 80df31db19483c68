import pytest

from syncline.bulk import BulkRules, Ruling, RulingKind, plan_bulk_update
from syncline.models import NO_BODY, Answer, Update, encode_body


A, B, C, D = (f"{g}-{n:016x}" for g, n in ((1, 10), (2, 11), (3, 12), (2, 13)))


def update(rev, prev=None, ancestors=(), record_id="1", seq=0, group=None, **fields):
    body = NO_BODY if rev.endswith("-deleted") else encode_body({"id": record_id, **fields})
    return Update(
        model="todo",
        record_id=record_id,
        rev=rev,
        prev=prev,
        ancestors=ancestors,
        seq=seq,
        group=group,
        body=body,
    )


def plan(current, updates, rulings=None, *, strategy="manual", hooked=False):
    nonces = iter(range(500, 600))
    rules = BulkRules(
        needs_ruling=lambda _model: hooked,
        strategy_of=lambda _model: strategy,
        next_seq=10,
        now_ms=9,
        new_nonce=lambda: f"{next(nonces):016x}",
        stamp=9,
        replica_id="daemon",
        pusher="leaf",
    )
    held = {one.key: one for one in current}
    return plan_bulk_update(held, updates, rulings or {}, rules)


def answers(planned):
    return [result.answer for result in planned.results]


def test_every_item_gets_its_own_verdict():
    planned = plan(
        [update(B, seq=4, a=1), update(B, record_id="2", seq=5, a=1)],
        [
            update(C, prev=B, a=2),
            update(D, prev=A, record_id="2", a=3),
            update(A, record_id="3"),
        ],
    )

    assert [Answer.APPLIED, Answer.CONFLICT, Answer.APPLIED] == answers(planned)
    assert ["1", "3"] == [write.record_id for write in planned.writes]


def test_one_bad_item_holds_its_whole_group_back():
    planned = plan(
        [update(B, seq=4, a=1)],
        [
            update(A, record_id="2", group="g"),
            update(D, prev=A, a=3, group="g"),
            update(A, record_id="3"),
        ],
    )

    assert [Answer.HELD, Answer.CONFLICT, Answer.APPLIED] == answers(planned)
    assert ["3"] == [write.record_id for write in planned.writes]


def test_what_a_strategy_would_write_is_held_back_with_its_group():
    planned = plan(
        [update(B, seq=4, a=1), update(B, record_id="2", seq=5, a=1)],
        [update(D, prev=A, a=3, group="g"), update(C, prev=B, record_id="2", a=7, group="g")],
        {1: Ruling(kind=RulingKind.REFUSED, seen=B, reason="no")},
        strategy="ours",
        hooked=True,
    )

    assert [Answer.HELD, Answer.REFUSED] == answers(planned)
    assert () == planned.writes
    assert () == planned.settled


@pytest.mark.parametrize(
    ("strategy", "expected", "written"),
    [
        pytest.param("ours", [Answer.HELD, Answer.REFUSED], [], id="ours"),
        pytest.param("merge:ours", [Answer.HELD, Answer.REFUSED], [], id="merge:ours"),
        pytest.param("theirs", [Answer.APPLIED] * 2, ["2", "1"], id="theirs"),
    ],
)
def test_strategy_takes_or_refuses_a_group_as_a_whole(strategy, expected, written):
    held = update(B, seq=4, a=1)

    planned = plan(
        [held],
        [update(A, record_id="2", group="g"), update(D, prev=A, a=3, group="g")],
        strategy=strategy,
    )

    assert expected == answers(planned)
    assert written == [write.record_id for write in planned.writes]
    refused = [r for r in planned.results if r.answer is Answer.REFUSED]
    assert [held] * len(refused) == [r.current for r in refused]
    assert [D] * len(refused) == [clash[0].rev for clash in planned.clashes]


def test_strategy_settles_a_group_of_one_as_a_record():
    planned = plan([update(B, seq=4, a=1)], [update(D, prev=A, a=3, group="g")], strategy="ours")

    assert [Answer.KNOWN] == answers(planned)


def test_conflict_answers_with_what_is_held():
    held = update(B, seq=4, a=1)

    planned = plan([held], [update(D, prev=A, a=3)])

    assert held == planned.results[0].current
    assert [D] == [clash[0].rev for clash in planned.clashes]


@pytest.mark.parametrize(
    ("strategy", "answer", "a"),
    [
        pytest.param("ours", Answer.KNOWN, 1, id="ours"),
        pytest.param("theirs", Answer.APPLIED, 3, id="theirs"),
    ],
)
def test_strategy_settles_and_the_loser_is_kept(strategy, answer, a):
    planned = plan([update(B, seq=4, a=1)], [update(D, prev=A, a=3)], strategy=strategy)

    assert [answer] == answers(planned)
    assert a == planned.writes[0].data["a"]
    assert [(B, D)] == [(mine.rev, theirs.rev) for mine, theirs, _ in planned.settled]


def test_edit_of_a_purged_record_meets_a_deletion():
    planned = plan([], [update(B, prev=A, a=1)])

    assert [Answer.CONFLICT] == answers(planned)
    assert planned.writes[0].is_deletion


def test_hook_is_asked_before_anything_is_written():
    assert (0,) == plan([], [update(A)], hooked=True).unruled


def test_ruling_on_another_revision_does_not_hold():
    stale = {0: Ruling(kind=RulingKind.PASSED, seen=A)}

    planned = plan([update(B, seq=4)], [update(C, prev=B, a=1)], stale, hooked=True)

    assert (0,) == planned.unruled


def test_amendment_is_a_new_revision_on_top_of_the_pushed_one():
    ruling = {0: Ruling(kind=RulingKind.AMENDED, seen=None, body=encode_body({"a": 0}))}

    planned = plan([], [update(A, a=9)], ruling, hooked=True)

    amended = planned.writes[0]
    assert (2, A, (A,), "leaf") == (
        amended.generation,
        amended.prev,
        amended.ancestors,
        amended.amended_for,
    )
    assert amended == planned.results[0].current


def test_deletion_of_what_is_not_here_is_not_validated():
    deletion = update(f"{C}-deleted", ancestors=(B,))

    planned = plan([], [deletion], hooked=True)

    assert ([Answer.APPLIED], ()) == (answers(planned), planned.unruled)


def test_what_was_rolled_back_here_is_refused_when_it_is_pushed_again():
    held = update(B, ancestors=(A, C), seq=4, a=1)

    planned = plan([held], [update(C, prev=B, ancestors=(A, B), a=3)])

    assert [Answer.REFUSED] == answers(planned)
    assert held == planned.results[0].current
    assert () == planned.writes


def test_equal_data_are_not_validated():
    planned = plan([update(B, seq=4, a=1)], [update(D, prev=A, a=1)], hooked=True)

    assert ((), [Answer.APPLIED]) == (planned.unruled, answers(planned))
