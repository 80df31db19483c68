"""What an upstream takes at once."""

import pytest

from syncline.limits import (
    MESSAGE_ROOM_BYTES,
    PushLimits,
    is_about_size,
    sort_out,
    too_large,
    units_of,
)
from syncline.models import Update, encode_body
from syncline.payloads import encode_page
from syncline.protocol import Welcome
from syncline.revision import new_revision


def update(number, size=10, *, group=None, record_id=None, model="todo"):
    body = encode_body({"id": str(number), "v": "x" * size})
    return Update(
        model=model,
        record_id=record_id or str(number),
        rev=new_revision(1, f"{number:016x}"),
        group=group,
        body=body,
    )


def group(name, count, size=10):
    return [update(number, size, group=name) for number in range(count)]


def test_limits_are_what_the_welcome_says():
    welcome = Welcome(
        source="s", epoch="e", head=0, record_bytes_max=1, message_bytes_max=2, push_items_max=3
    )

    assert PushLimits(record_bytes_max=1, message_bytes_max=2, push_items_max=3) == PushLimits.of(
        welcome
    )


@pytest.mark.parametrize(
    ("unit", "word"),
    [
        pytest.param([update(1, 900)], "", id="a record that fits"),
        pytest.param([update(1, 1100)], "todo/1 has", id="a record that does not"),
        pytest.param(group("g", 10), "", id="a transaction that fits"),
        pytest.param(group("g", 11), "11 records", id="too many records"),
        pytest.param(group("g", 10, 900), "a transaction of", id="too many bytes"),
    ],
)
def test_what_is_too_large_is_said_with_its_name(unit, word):
    limits = PushLimits(record_bytes_max=1000, message_bytes_max=8000, push_items_max=10)
    reason = too_large(unit, limits)

    assert word in reason
    assert bool(word) is bool(reason) is is_about_size(reason)


@pytest.mark.parametrize("over", [0, 1])
def test_a_message_is_measured_as_it_is_sent(over):
    """An id of control characters takes six times what it seems to."""
    one = update(1, record_id="\x01" * 255, model="m" * 255)
    room = len(encode_page([one]))
    limits = PushLimits(message_bytes_max=room + MESSAGE_ROOM_BYTES - over)

    assert bool(over) is bool(too_large([one], limits))


def test_what_can_go_is_sorted_from_what_never_can():
    limits = PushLimits(record_bytes_max=1000, push_items_max=10)
    small, large, many, few = update(1), update(2, 2000), group("g", 11), group("h", 3)
    fitting, barred, is_cut = sort_out([small, large, *many, *few], limits)

    assert [small, *few] == fitting
    assert [[large], many] == [list(one.updates) for one in barred]
    assert not is_cut


def test_what_is_too_much_for_one_push_waits_for_the_next():
    limits = PushLimits(message_bytes_max=4000)
    updates = [update(number, 1000) for number in range(5)]
    fitting, barred, is_cut = sort_out(updates, limits)

    assert (updates[:2], [], True) == (fitting, barred, is_cut)


def test_a_unit_is_a_transaction_or_a_record():
    one, two, g, h = update(1), update(2), group("g", 2), group("h", 2)

    assert [[one], g, [two], h] == units_of([one, *g, two, *h])
