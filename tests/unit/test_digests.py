"""What LoopBack's digests stand for: the decision on a change that names a digest and a prev."""

import msgspec
import pytest

from syncline.digests import (
    GONE,
    KNOWN_MAX,
    NOTHING,
    Known,
    Place,
    based_revision,
    decode_digests,
    encode_digests,
    level_with,
    names_at,
    note,
    place_of,
    shown_revision,
    told_prev,
)
from syncline.models import Update, encode_body
from syncline.revision import new_revision, short_of


def rev(generation, *, deleted=False):
    return new_revision(generation, f"{generation:016x}", deleted=deleted)


def held(generation, *, deleted=False):
    """Return a record at a generation, all before it its ancestors."""
    return Update(
        model="m",
        record_id="1",
        rev=rev(generation, deleted=deleted),
        seq=generation * 10,
        ancestors=tuple(short_of(rev(g)) for g in range(1, generation)),
        body=msgspec.Raw(b"") if deleted else encode_body({"id": "1"}),
    )


def history(*known):
    digests = NOTHING
    for one in known:
        digests = note(digests, one)
    return digests


A, B, C = Known("a", rev(1), 10), Known("b", rev(2), 20), Known("c", rev(3), 30)
SHOWN = Known("x", new_revision(4, "f" * 16), 0, rev(3))


@pytest.mark.parametrize(
    ("current", "now", "known", "change", "expected"),
    [
        pytest.param(None, GONE, [], ("a", None), Place.FORWARD, id="new here"),
        pytest.param(None, GONE, [], (GONE, None), Place.SAME, id="gone and never here"),
        pytest.param(held(3), "c", [C], ("c", "b"), Place.SAME, id="held"),
        pytest.param(held(3), "c", [C], ("y", "c"), Place.FORWARD, id="upon what is held"),
        pytest.param(held(3), "c", [], ("y", "c"), Place.FORWARD, id="upon what was never served"),
        pytest.param(held(3), "c", [A, B], ("a", None), Place.KNOWN, id="an echo of a first pull"),
        pytest.param(held(3), "c", [A, B], ("b", "a"), Place.KNOWN, id="an echo of a later pull"),
        pytest.param(held(3), "c", [A, B], ("a", "b"), Place.CONFLICT, id="an edit back"),
        pytest.param(held(3), "c", [A, B], ("y", "b"), Place.CONFLICT, id="upon an older state"),
        pytest.param(held(3), "c", [A], ("y", "z"), Place.CONFLICT, id="upon the unknown"),
        pytest.param(held(3), "c", [A], ("y", None), Place.CONFLICT, id="created there too"),
        pytest.param(held(3), "c", [C, SHOWN], ("y", "x"), Place.FORWARD, id="upon what was shown"),
        pytest.param(held(4), "d", [C, SHOWN], ("y", "x"), Place.CONFLICT, id="shown, and moved"),
        pytest.param(held(3), "c", [A], (GONE, "c"), Place.FORWARD, id="a delete upon it"),
        pytest.param(held(3), "c", [A], (GONE, "a"), Place.CONFLICT, id="a delete upon an older"),
        pytest.param(held(3, deleted=True), GONE, [A], (GONE, "a"), Place.SAME, id="both deleted"),
        pytest.param(held(3, deleted=True), GONE, [A], ("y", GONE), Place.FORWARD, id="made again"),
        pytest.param(held(3, deleted=True), GONE, [A], ("a", None), Place.KNOWN, id="a late echo"),
        pytest.param(held(3, deleted=True), GONE, [A], ("y", "a"), Place.CONFLICT, id="edited"),
        pytest.param(
            held(3), "c", [C, Known("c2", rev(3), 30)], ("c2", "b"), Place.SAME, id="another form"
        ),
        pytest.param(
            held(3), "c", [C, Known("c2", rev(3), 30)], ("y", "c2"), Place.FORWARD,
            id="upon another form",
        ),
    ],
)  # fmt: skip
def test_a_change_meets_what_is_held(current, now, known, change, expected):
    assert expected is place_of(current, now, history(*known), *change)


@pytest.mark.parametrize(
    ("known", "since", "hint", "expected"),
    [
        ([], -1, None, None),
        ([A, B, C], -1, None, "b"),
        ([B, A, C], -1, None, "a"),
        ([A, B, C], 15, None, "a"),
        ([A, B, C], 25, None, "b"),
        ([A, B, C], 5, None, "b"),
        ([A, B, C], -1, "a", "a"),
        ([A, B, C], -1, "never held", "b"),
        ([A, B, C], -1, "c", "b"),
        ([A, SHOWN, C], -1, "x", "a"),
    ],
)
def test_a_listed_change_names_what_the_asker_likely_holds(known, since, hint, expected):
    assert expected == told_prev(held(3), "c", history(*known), since=since, hint=hint)


def test_a_rebased_change_names_what_it_was_rebased_on():
    digests = msgspec.structs.replace(history(A, B), rebased=(rev(3), "z"))

    assert "z" == told_prev(held(3), "c", digests, since=15, hint="a")
    assert "a" == told_prev(held(4), "d", digests, since=15, hint=None)


def test_digests_are_bounded_and_come_back_as_they_were_kept():
    digests = history(*(Known(f"{n}", rev(n + 1), n) for n in range(KNOWN_MAX + 5)))

    assert KNOWN_MAX == len(digests.known)
    assert f"{KNOWN_MAX + 4}" == digests.known[-1].digest
    assert digests == decode_digests(encode_digests(digests))
    assert NOTHING is decode_digests(None)


def test_a_client_that_was_level_is_known_by_the_prev_that_it_named():
    """Its `prev` is an edit that lost a conflict: nothing else is known of it here."""
    level = level_with(held(2), history(A, B), "b", "lost", 7, ["id"])
    digests = note(history(A, B), level)

    assert Place.KNOWN is place_of(held(3), "c", digests, "b", "lost", 7)
    assert Place.CONFLICT is place_of(held(3), "c", digests, "b", "lost", 8)
    assert Place.CONFLICT is place_of(held(3), "c", history(A, B), "b", "lost", 7)
    assert level_with(held(2), history(A, B), "b", "a", 7, ["id"]) is None
    assert level_with(held(2), history(A, B), "b", None, 7, ["id"]) is None


def test_an_echo_of_what_was_made_anew_does_not_undo_a_later_delete():
    level = level_with(held(2), history(A, B), "b", GONE, 7, ["id"])
    digests, gone = note(history(A, B), level), held(3, deleted=True)

    assert Place.KNOWN is place_of(gone, GONE, digests, "b", GONE, 7)
    assert Place.FORWARD is place_of(gone, GONE, digests, "b", GONE, 9)


def test_what_crosses_again_moves_to_the_end():
    assert ["b", "a"] == [one.digest for one in history(A, B, A).known]
    twice = history(A, B)
    assert twice is note(twice, B)


def test_digests_lead_to_their_revisions():
    digests = history(A, B, SHOWN)

    assert rev(1) == based_revision(digests, held(3), "a")
    assert based_revision(digests, held(3), "x") is None
    assert SHOWN.rev == shown_revision(digests, held(3), "x")
    assert shown_revision(digests, held(4), "x") is None


def test_the_properties_of_a_state_are_remembered():
    digests = history(Known("a", rev(1), 10, None, ("id", "n")))

    assert ("id", "n") == names_at(digests, "a")
    assert () == names_at(digests, "b")
