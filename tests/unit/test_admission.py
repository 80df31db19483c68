"""Admission: a storm is spread over a window, and nobody is turned away twice."""

import itertools
import random

import pytest

from synclined.admission import KEPT_S, TICKETS_MAX, WAIT_S, WINDOW_S, Admission, Place


@pytest.fixture
def admission():
    names = itertools.count(1)
    return Admission(100, lambda: f"ticket-{next(names)}")


def test_a_few_come_in_at_once(admission):
    assert {Place(0.0)} == {admission.ask(0.0) for _ in range(20)}


def test_a_few_more_wait_at_the_door(admission):
    places = [admission.ask(0.0) for _ in range(60)]

    assert {""} == {place.ticket for place in places}
    assert pytest.approx(0.39) == places[-1].wait_s


def test_the_rest_of_a_storm_is_told_when_to_come_back_each_at_another_time(admission):
    told = [place for place in (admission.ask(0.0) for _ in range(500)) if place.ticket]
    gaps = [b.wait_s - a.wait_s for a, b in itertools.pairwise(told)]

    assert len(told) == len({place.ticket for place in told})
    assert 430 == pytest.approx(len(told), abs=1)
    assert all(gap == pytest.approx(0.01) for gap in gaps)
    assert told[0].wait_s > WAIT_S


def test_one_that_can_not_be_told_waits_at_the_door_in_its_turn(admission):
    """Of a stock client a refusal would be the end."""
    places = [admission.ask(0.0, is_patient=True) for _ in range(500)]
    gaps = [b.wait_s - a.wait_s for a, b in itertools.pairwise(places) if b.wait_s > 0]

    assert {""} == {place.ticket for place in places}
    assert all(gap == pytest.approx(0.01) for gap in gaps[1:])
    assert WAIT_S < places[-1].wait_s <= WINDOW_S


def test_whoever_was_told_once_is_let_in_the_next_time_however_many_press(admission):
    places = [admission.ask(0.0) for _ in range(500)]
    for place in places:
        if place.ticket:
            now = place.wait_s
            for _ in range(5):
                admission.ask(now)
            assert Place(0.0) == admission.ask(now, place.ticket)


def test_all_of_a_storm_that_obeys_come_in_after_one_refusal_and_within_the_window(admission):
    chance = random.Random(1)
    arrivals = [(chance.random(), "", 0) for _ in range(1000)]
    entered, refusals = [], []
    while arrivals:
        arrivals.sort()
        now, ticket, told = arrivals.pop(0)
        place = admission.ask(now, ticket)
        if place.ticket:
            arrivals.append((now + place.wait_s, place.ticket, told + 1))
        else:
            entered.append(now + place.wait_s)
            refusals.append(told)
    by_second = [sum(int(at) == second for at in entered) for second in range(12)]

    assert 1 == max(refusals)
    assert max(entered) <= 1 + 1000 / 100
    assert max(by_second) <= 100 + 20 + 2


def test_one_who_comes_too_early_keeps_its_place(admission):
    ticket = [admission.ask(0.0) for _ in range(300)][-1].ticket
    again = admission.ask(0.1, ticket)

    assert (pytest.approx(2.69), ticket) == again


def test_a_ticket_is_good_once(admission):
    place = [admission.ask(0.0) for _ in range(300)][-1]
    admission.ask(place.wait_s, place.ticket)
    again = admission.ask(place.wait_s, place.ticket)

    assert place.ticket != again.ticket


def test_those_who_never_obey_push_the_places_no_further_than_the_window(admission):
    assert max(admission.ask(0.0).wait_s for _ in range(100_000)) <= WINDOW_S


def test_tickets_are_forgotten_in_time_and_bounded_in_number(admission):
    for _ in range(TICKETS_MAX + 1000):
        admission.ask(0.0)
    admission.ask(0.0)
    assert TICKETS_MAX + 1 >= len(admission._tickets)

    admission.ask(WINDOW_S + KEPT_S + 1)
    assert 0 == len(admission._tickets)
