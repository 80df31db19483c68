import pytest

from synclined.pace import (
    AGAIN_S,
    ASK_BYTES,
    ASK_EVERY_S,
    FIRST_BYTES,
    LATE_S,
    LEAST_BYTES,
    OPEN_BYTES,
    PROMPT_S,
    UNSENT_BYTES_MAX,
    Pace,
)


def send(pace, size):
    """Send so much, as the fan-out accounts for it."""
    pace.spend(pace.new_credit() - size)


def opened():
    """Return the pace of a link that has answered promptly, and the number of its last answer."""
    pace, now = Pace(), 0.0
    while not pace.is_open:
        send(pace, pace.window)
        now += 0.1
        pace.answered(pace.ask(now_s=now, is_held=False), now_s=now + 0.01)
    return pace, now


def test_a_link_is_asked_first_at_once_then_when_half_its_window_is_on_its_way():
    pace = Pace()
    assert pace.ask(now_s=0.0, is_held=False) is None
    send(pace, 10)
    assert 1 == pace.ask(now_s=0.0, is_held=False)
    pace.answered(1, now_s=0.1)
    window = pace.window
    assert 2 * FIRST_BYTES == window
    send(pace, window // 2)
    assert pace.ask(now_s=0.2, is_held=False) is None

    send(pace, 1)

    assert 2 == pace.ask(now_s=0.2, is_held=False)
    assert pace.ask(now_s=0.2, is_held=False) is None


def test_more_than_the_window_is_not_put_on_its_way():
    pace = Pace()
    send(pace, FIRST_BYTES)
    assert pace.may_send(unsent=0, now_s=0.0)

    send(pace, 1)

    assert not pace.may_send(unsent=0, now_s=0.0)


def test_what_was_sent_before_the_question_is_read_when_it_is_answered():
    pace = Pace()
    send(pace, 3000)
    number = pace.ask(now_s=0.0, is_held=False)
    send(pace, 2000)
    assert not pace.may_send(unsent=0, now_s=0.1)

    pace.answered(number, now_s=0.2)

    assert pace.may_send(unsent=0, now_s=0.2)


def test_prompt_answers_open_the_window():
    pace, now = opened()

    assert OPEN_BYTES == pace.window
    send(pace, 10 * OPEN_BYTES)
    assert pace.may_send(unsent=0, now_s=now + LATE_S / 2)


def test_an_open_link_is_asked_once_a_second_and_only_for_a_number_of_bytes():
    pace, now = opened()
    send(pace, ASK_BYTES - 1)
    assert pace.ask(now_s=now + 10, is_held=False) is None
    send(pace, 1)
    assert pace.ask(now_s=now + ASK_EVERY_S - 0.1, is_held=False) is None

    assert pace.ask(now_s=now + ASK_EVERY_S + 0.1, is_held=False) is not None


@pytest.mark.parametrize(("after_s", "may_send"), [(LATE_S - 0.1, True), (LATE_S, False)])
def test_without_an_answer_in_time_nothing_more_is_sent(after_s, may_send):
    pace, now = opened()
    send(pace, ASK_BYTES)
    assert pace.ask(now_s=now + 5, is_held=False)

    assert may_send is pace.may_send(unsent=0, now_s=now + 5 + after_s)


def test_a_link_that_answers_late_is_sent_one_frame_an_answer():
    pace, now = opened()
    send(pace, ASK_BYTES)
    pace.answered(pace.ask(now_s=now + 5, is_held=False), now_s=now + 5 + PROMPT_S)

    assert 0 == pace.window
    assert pace.may_send(unsent=0, now_s=now + 6)
    send(pace, 100)
    assert not pace.may_send(unsent=0, now_s=now + 6)
    number = pace.ask(now_s=now + 6, is_held=False)
    pace.answered(number, now_s=now + 6.1)
    assert LEAST_BYTES == pace.window


def test_what_waits_in_the_socket_is_not_added_to():
    pace, now = opened()

    assert pace.may_send(unsent=UNSENT_BYTES_MAX, now_s=now)
    assert not pace.may_send(unsent=UNSENT_BYTES_MAX + 1, now_s=now)


def test_whoever_is_held_back_is_asked_whatever_is_on_its_way():
    assert 1 == Pace().ask(now_s=0.0, is_held=True)


def test_a_question_that_was_lost_is_put_again():
    pace = Pace()
    send(pace, FIRST_BYTES + 1)
    assert 1 == pace.ask(now_s=0.0, is_held=True)
    assert pace.ask(now_s=AGAIN_S - 0.1, is_held=True) is None
    assert pace.ask(now_s=AGAIN_S, is_held=False) is None

    assert 2 == pace.ask(now_s=AGAIN_S, is_held=True)
    pace.answered(2, now_s=AGAIN_S + 0.1)
    # It is judged by the first time.
    assert 0 == pace.window
    assert pace.may_send(unsent=0, now_s=AGAIN_S + 0.1)


def test_on_a_very_slow_link_the_first_answer_is_to_all_questions():
    pace = Pace()
    send(pace, FIRST_BYTES + 1)
    for at in range(4):
        assert at + 1 == pace.ask(now_s=at * AGAIN_S, is_held=True)

    pace.answered(1, now_s=17.0)

    assert not pace.is_awaited
    assert pace.may_send(unsent=0, now_s=17.0)
    pace.answered(2, now_s=22.0)
    assert not pace.is_awaited


@pytest.mark.parametrize("number", [0, 2, -1])
def test_an_answer_to_what_was_not_asked_is_none(number):
    pace = Pace()
    assert 1 == pace.ask(now_s=0.0, is_held=True)

    pace.answered(number, now_s=0.1)

    assert pace.is_awaited


def test_credit_is_given_to_open_links_only():
    pace, _ = opened()

    assert ASK_BYTES == pace.new_credit()
    assert 0 == pace.new_credit(is_held=True)
    assert 0 == Pace().new_credit()
