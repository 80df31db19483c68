import pytest

from syncline.pulse import LATE_S, LIVE_LATE_MAX_S, Pulse


@pytest.fixture
def pulse():
    made = Pulse({}, 2.0)
    made.begin(0.0, 10.0)
    return made


def test_an_answer_that_took_long_says_how_old_what_is_shown_was(pulse):
    pulse.beat(10.0)
    pulse.answered(14.5)

    assert 4.5 == pulse.late_s(15.0)


def test_an_answer_that_is_awaited_for_long_says_so_too(pulse):
    pulse.beat(10.0)

    assert 0.0 == pulse.late_s(10.0 + LATE_S - 0.1)
    assert 4.0 == pulse.late_s(14.0)


def test_answers_are_to_the_oldest_question(pulse):
    pulse.beat(10.0)
    pulse.beat(12.0)
    pulse.answered(13.0)

    assert 3.0 == pulse.late_s(13.0)
    pulse.answered(13.1)
    assert 1.1 == pytest.approx(pulse.late_s(20.0))


def test_a_quick_answer_ends_the_lateness(pulse):
    pulse.beat(10.0)
    pulse.answered(14.5)
    pulse.beat(15.0)
    pulse.answered(15.1)

    assert 0.0 == pulse.late_s(20.0)


def test_whoever_was_late_is_asked_again_soon():
    deadlines = {}
    pulse = Pulse(deadlines, 2.0)
    pulse.begin(0.0, 10.0)
    pulse.beat(10.0)
    assert 20.0 == deadlines["heartbeat"]

    pulse.answered(14.0)

    assert 14.0 + LATE_S == deadlines["heartbeat"]


def test_the_status_is_looked_at_while_an_answer_is_awaited():
    deadlines = {}
    pulse = Pulse(deadlines, 2.0)
    pulse.beat(10.0)
    assert 10.0 + LATE_S == deadlines["late"]
    pulse.answered(10.1)

    assert "late" not in deadlines


def test_with_the_connection_all_is_forgotten(pulse):
    pulse.beat(10.0)
    pulse.answered(14.5)
    pulse.beat(15.0)
    pulse.forget()

    assert 0.0 == pulse.late_s(30.0)
    assert LIVE_LATE_MAX_S > LATE_S
