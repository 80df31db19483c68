"""A target's answer to a source's changes: what it lacks, and what collides."""

import pytest

from syncline.diff import diff
from syncline.models import NO_BODY, Change, Update, encode_body
from syncline.revision import new_revision, short_of


def rev(generation, number=0, *, deleted=False):
    return new_revision(generation, f"{number:016x}", deleted=deleted)


def change(revision, *, prev=None, ancestors=(), record_id="1"):
    return Change(model="m", record_id=record_id, rev=revision, prev=prev, ancestors=ancestors)


def held(revision, *, prev=None, ancestors=(), record_id="1"):
    body = NO_BODY if revision.endswith("-deleted") else encode_body({"id": record_id})
    return Update(
        model="m", record_id=record_id, rev=revision, prev=prev, ancestors=ancestors, body=body
    )


def answer(current, *changes):
    return diff({update.key: update for update in current}, changes)


ONE, TWO, THREE = rev(1), rev(2), rev(3)
OTHER = rev(2, 7)


def test_nothing_shown_lacks_nothing():
    assert ((), ()) == (answer([held(ONE)]).deltas, answer([held(ONE)]).conflicts)


@pytest.mark.parametrize(
    ("current", "shown", "prev"),
    [
        pytest.param([], change(TWO, prev=ONE), None, id="a record never seen"),
        pytest.param([held(ONE)], change(TWO, prev=ONE), ONE, id="based on what is held"),
        pytest.param(
            [held(ONE)], change(THREE, prev=TWO, ancestors=(short_of(ONE),)), ONE, id="ancestor"
        ),
        pytest.param([held(ONE)], change(rev(2, deleted=True), prev=ONE), ONE, id="a deletion"),
    ],
)
def test_what_the_target_lacks_is_a_delta_whose_prev_is_what_it_holds(current, shown, prev):
    found = answer(current, shown)

    assert [(shown.rev, prev)] == [(delta.rev, delta.prev) for delta in found.deltas]
    assert () == found.conflicts


@pytest.mark.parametrize(
    ("current", "shown"),
    [
        pytest.param([held(TWO)], change(TWO, prev=ONE), id="the same revision"),
        pytest.param(
            [held(TWO, prev=ONE, ancestors=(short_of(ONE),))], change(ONE), id="an old revision"
        ),
        pytest.param(
            [held(rev(2, deleted=True))], change(rev(3, 5, deleted=True)), id="deleted on both"
        ),
        pytest.param([], change(rev(2, deleted=True), prev=ONE), id="a deletion of nothing"),
    ],
)
def test_what_the_target_knows_is_neither(current, shown):
    found = answer(current, shown)

    assert ((), ()) == (found.deltas, found.conflicts)


@pytest.mark.parametrize(
    ("current", "shown"),
    [
        pytest.param(held(OTHER, prev=ONE), change(TWO, prev=ONE), id="two edits of one base"),
        pytest.param(held(ONE), change(rev(1, 9)), id="created on both sides"),
        pytest.param(held(rev(2, 5, deleted=True), prev=ONE), change(TWO, prev=ONE), id="deleted"),
        pytest.param(held(TWO, prev=ONE), change(rev(2, 5, deleted=True), prev=ONE), id="deletes"),
    ],
)
def test_what_collides_is_answered_with_the_targets_own_change(current, shown):
    found = answer([current], shown)

    assert () == found.deltas
    assert [(current.rev, current.prev)] == [(c.rev, c.prev) for c in found.conflicts]
    assert Change is type(found.conflicts[0])


def test_records_are_told_apart():
    shown = [change(TWO, prev=ONE, record_id=record_id) for record_id in ("a", "b", "c")]

    found = answer([held(ONE, record_id="a"), held(OTHER, record_id="b")], *shown)

    assert ["a", "c"] == [delta.record_id for delta in found.deltas]
    assert ["b"] == [conflict.record_id for conflict in found.conflicts]
