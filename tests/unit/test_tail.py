import pytest

from syncline.models import Update, encode_body
from synclined import tail as tail_module
from synclined.tail import BULK_MIN, TAIL_MAX, Tail


def update(seq, record_id="a", model="todo"):
    return Update(
        model=model,
        record_id=record_id,
        seq=seq,
        rev=f"{seq}-{seq:016x}",
        body=encode_body({"id": record_id}),
    )


def after(tail, since, models, bytes_max=10_000):
    return tail.after(since, models, bytes_max=bytes_max)


def seqs(news):
    return None if news is None else [u.seq for u in news.updates]


def filled(*updates, head=0):
    tail = Tail(head)
    assert tail.add(list(updates))
    return tail


@pytest.mark.parametrize(
    ("since", "models", "expected"),
    [
        pytest.param(10, ("todo", "car"), [12, 13, 14], id="all: the latest of each record"),
        pytest.param(10, ("todo",), [13, 14], id="of one model"),
        pytest.param(13, ("todo", "car"), [14], id="only what is newer"),
        pytest.param(12, ("car",), [], id="nothing of theirs"),
        pytest.param(14, ("todo", "car"), [], id="at the head"),
        pytest.param(99, ("todo", "car"), [], id="beyond the head"),
        pytest.param(9, ("todo", "car"), None, id="from before it begins"),
    ],
)
def test_after_answers_only_where_it_is_gapless(since, models, expected):
    tail = filled(
        update(11, "a"), update(12, "x", "car"), update(13, "a"), update(14, "b"), head=10
    )

    assert expected == seqs(after(tail, since, models))


def test_same_record_id_of_two_models_are_two_records():
    tail = filled(update(1, "a", "todo"), update(2, "a", "car"))

    assert [1, 2] == seqs(after(tail, 0, ("todo", "car")))


@pytest.mark.parametrize(
    ("then", "head"),
    [
        pytest.param([update(13)], 13, id="a gap"),
        pytest.param([update(12), update(14)], 14, id="a gap in the middle"),
        pytest.param([update(11)], 11, id="a repetition"),
        pytest.param([update(3)], 11, id="from the past: the head never falls"),
    ],
)
def test_what_does_not_follow_on_makes_it_forget_all(then, head):
    tail = filled(update(11), head=10)

    assert not tail.add(then)
    assert (head, head) == (tail.since, tail.head)
    assert after(tail, head - 1, ("todo",)) is None
    assert after(tail, head, ("todo",)).is_empty


def test_what_is_too_much_to_tell_is_left_out():
    tail = filled(*(update(seq, f"r{seq}") for seq in range(1, 6)))

    assert ([], False, ()) == after(tail, 0, ("todo",), bytes_max=500)
    assert not after(tail, 0, ("todo",), bytes_max=500).is_empty
    assert [4, 5] == seqs(after(tail, 3, ("todo",), bytes_max=500))


def test_it_goes_on_after_a_gap():
    tail = filled(update(1))
    tail.add([update(5)])

    assert tail.add([update(6, "b")])
    assert [6] == seqs(after(tail, 5, ("todo",)))


def test_only_the_newest_are_kept(monkeypatch):
    monkeypatch.setattr(tail_module, "TAIL_MAX", 3)
    tail = filled(*(update(seq, f"r{seq}") for seq in range(1, 6)))

    assert (2, 5) == (tail.since, tail.head)
    assert [3, 4, 5] == seqs(after(tail, 2, ("todo",)))
    assert after(tail, 1, ("todo",)) is None


def test_a_large_commit_is_named_to_those_whom_it_concerns():
    tail = filled(update(1, "a", "car"))
    assert tail.add([update(seq, f"r{seq}") for seq in range(2, BULK_MIN + 3)])
    assert tail.add([update(BULK_MIN + 3, "b")])
    before, behind = 1, BULK_MIN + 2

    assert not after(tail, before, ("todo",)).is_small
    assert not after(tail, 0, ("car",)).is_small
    assert after(tail, before, ("house",)).is_empty
    assert [BULK_MIN + 3] == seqs(after(tail, behind, ("todo",)))


def test_a_large_commit_reaches_back_no_further_than_the_tail_did():
    tail = filled(*(update(seq, f"r{seq}") for seq in range(11, BULK_MIN + 12)), head=10)

    assert after(tail, 9, ("todo",)) is None
    for seq in range(BULK_MIN + 12, BULK_MIN + TAIL_MAX + 13):
        tail.add([update(seq, f"r{seq}")])
    assert after(tail, 10, ("todo",)) is None
    assert BULK_MIN + 12 == tail.since


def test_only_so_many_bytes_are_kept_but_always_the_newest(monkeypatch):
    monkeypatch.setattr(tail_module, "TAIL_BYTES_MAX", 500)
    tail = filled(*(update(seq, f"r{seq}") for seq in range(1, 6)))

    assert [4, 5] == seqs(after(tail, tail.since, ("todo",)))
    monkeypatch.setattr(tail_module, "TAIL_BYTES_MAX", 1)
    tail.add([update(6, "r6")])
    assert (5, [6]) == (tail.since, seqs(after(tail, 5, ("todo",))))


def test_restart_goes_on_from_there():
    tail = filled(update(1))
    tail.restart(7)

    assert tail.add([update(8)])
    assert [8] == seqs(after(tail, 7, ("todo",)))
    assert after(tail, 6, ("todo",)) is None


def test_nothing_committed_changes_nothing():
    tail = filled(update(1))

    assert tail.add([])
    assert [1] == seqs(after(tail, 0, ("todo",)))


def before(tail, since, models=("todo",)):
    return [one and one.rev for one in after(tail, since, models).before]


def test_it_knows_what_the_list_held_before_an_interval():
    tail = filled(update(1, "a"), update(2, "b"), update(3, "a"), update(4, "x", "car"))
    assert tail.add([update(5, "a"), update(6, "c")])

    assert [update(3).rev, None] == before(tail, 3)
    # All states of the record are in the interval: it is what came before the first of them.
    assert [None, None, None] == before(tail, 0)
    assert [update(1).rev, None] == before(tail, 2)
    assert [None] == before(tail, 3, ("car",))


def test_of_what_it_has_not_seen_it_does_not_know_what_came_before():
    tail = filled(update(1, "a"), update(2, "b"))
    tail.add([update(9, "a")])
    tail.add([update(10, "a"), update(11, "b")])
    assert [None, None] == before(tail, 9)

    many = [update(12 + n, f"r{n}") for n in range(BULK_MIN + 1)]
    tail.add(many)
    tail.add([update(many[-1].seq + 1, "a")])

    assert [None] == before(tail, many[-1].seq)


def test_it_remembers_so_many_revisions(monkeypatch):
    monkeypatch.setattr(tail_module, "BEFORE_MAX", 2)
    tail = filled(update(1, "a"), update(2, "b"), update(3, "a"), update(4, "c"))

    tail.add([update(5, "b"), update(6, "a")])

    assert [None, None] == before(tail, 4)
    assert tail.add([update(7, "a")])
    assert [update(6).rev] == before(tail, 6)
