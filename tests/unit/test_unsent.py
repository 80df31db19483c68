import pytest

from syncline.models import Update, encode_body
from syncline.unsent import KNOWN_MAX, Unsent


def update(record_id, n=1, group=None):
    return Update(
        model="todo",
        record_id=record_id,
        rev=f"{n}-{n:016x}",
        group=group,
        body=encode_body({"id": record_id}),
    )


def known(*written):
    unsent = Unsent()
    unsent.note_empty()
    for one in written:
        unsent.note_written([one])
    return unsent


def take(unsent, *, items_max=100, bytes_max=100_000):
    return unsent.take(items_max=items_max, bytes_max=bytes_max)


def test_nothing_is_known_before_the_outbox_was_seen_empty():
    unsent = Unsent()
    unsent.note_written([update("1")])

    assert (None, None) == (unsent.count, take(unsent))


def test_what_was_written_since_is_the_whole_outbox():
    one, other = update("1"), update("2", 2)
    unsent = known(one, other)

    assert (2, [one, other]) == (unsent.count, take(unsent))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda u: u.note_written(None), id="a commit of which nothing is known"),
        pytest.param(lambda u: u.note_written([update("1", 2)]), id="a record written again"),
        pytest.param(lambda u: u.note_written([update("2", group="g")]), id="a transaction"),
        pytest.param(
            lambda u: u.note_written([update(str(n)) for n in range(2, KNOWN_MAX + 2)]),
            id="more than is held",
        ),
        pytest.param(lambda u: u.note_met([update("1", 3)]), id="the list brought the record"),
        pytest.param(lambda u: u.forget(), id="told to forget"),
    ],
)
def test_what_makes_it_uncertain_has_the_store_read(spoil):
    unsent = known(update("1"))
    spoil(unsent)

    assert (None, None) == (unsent.count, take(unsent))


def test_the_list_may_bring_other_records():
    unsent = known(update("1"))
    unsent.note_met([update("2")])

    assert [update("1")] == take(unsent)


@pytest.mark.parametrize("limits", [{"items_max": 1}, {"bytes_max": 10}])
def test_what_does_not_fit_one_push_is_read_from_the_store(limits):
    unsent = known(update("1"), update("2"))

    assert take(unsent, **limits) is None
    assert unsent.count is None


def test_after_a_clean_answer_what_was_written_meanwhile_is_all():
    unsent = known(update("1"))
    take(unsent)
    unsent.note_written([update("2")])
    unsent.note_settled(is_clean=True)

    assert (1, [update("2")]) == (unsent.count, take(unsent))


def test_a_record_written_again_while_it_is_on_its_way_is_read_from_the_store():
    unsent = known(update("1"))
    take(unsent)
    unsent.note_written([update("1", 2)])
    unsent.note_settled(is_clean=True)

    assert take(unsent) is None


def test_an_answer_that_is_not_clean_leaves_nothing_known():
    unsent = known(update("1"))
    take(unsent)
    unsent.note_written([update("2")])
    unsent.note_settled(is_clean=False)

    assert take(unsent) is None


def test_a_push_that_was_never_answered_waits_again():
    unsent = known(update("1"))
    take(unsent)
    unsent.note_written([update("2")])

    assert take(unsent) is None
