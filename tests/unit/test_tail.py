"""The newest part of the list, in memory: gapless, or not at all."""

from syncline.models import Update
from synclined.tail import TAIL_MAX, Tail


def update(seq, record_id="1", model="m"):
    return Update(model=model, record_id=record_id, seq=seq, rev=f"1-{seq:016x}")


def seqs(updates):
    return None if updates is None else [one.seq for one in updates]


def test_it_answers_what_follows_on_by_model_latest_of_each_record():
    tail = Tail(10)

    assert tail.add([update(11), update(12, "2"), update(13, "x", "other"), update(14)])
    assert [12, 14] == seqs(tail.after(10, ("m",)))
    assert [14] == seqs(tail.after(12, ("m",)))
    assert [] == seqs(tail.after(14, ("m", "other")))


def test_a_gap_forgets_all_and_goes_on_from_there():
    tail = Tail(10)
    tail.add([update(11)])

    assert not tail.add([update(13)])
    assert tail.after(11, ("m",)) is None
    assert tail.add([update(14)])
    assert [14] == seqs(tail.after(13, ("m",)))


def test_what_was_told_late_never_leads_back():
    tail = Tail(10)
    tail.add([update(13)])

    assert not tail.add([update(11), update(12)])
    assert 13 == tail.head


def test_it_holds_no_more_than_its_bound():
    tail = Tail(0)
    tail.add([update(seq, str(seq)) for seq in range(1, TAIL_MAX + 11)])

    assert tail.after(9, ("m",)) is None
    assert TAIL_MAX == len(tail.after(10, ("m",)))
