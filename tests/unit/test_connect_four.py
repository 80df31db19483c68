"""The rules of connect four, as literals."""

import random

import pytest

from synclined.demo.connect_four import (
    choose_column,
    discs_of,
    full_columns,
    is_full,
    open_columns,
    side_to_move,
    winner_of,
    winning_cells,
)


@pytest.mark.parametrize(
    ("moves", "winner", "cells"),
    [
        pytest.param([], None, set(), id="nothing"),
        pytest.param([0, 0, 1, 1, 2, 2], None, set(), id="three"),
        pytest.param(
            [0, 0, 1, 1, 2, 2, 3], 0, {(0, 0), (1, 0), (2, 0), (3, 0)}, id="a row of the opener"
        ),
        pytest.param(
            [0, 1, 0, 1, 0, 1, 5, 1],
            1,
            {(1, 0), (1, 1), (1, 2), (1, 3)},
            id="a column of the other",
        ),
        pytest.param(
            [0, 1, 1, 2, 2, 3, 2, 3, 3, 6, 3],
            0,
            {(0, 0), (1, 1), (2, 2), (3, 3)},
            id="a diagonal upwards",
        ),
        pytest.param(
            [6, 5, 5, 4, 4, 3, 4, 3, 3, 0, 3],
            0,
            {(6, 0), (5, 1), (4, 2), (3, 3)},
            id="a diagonal downwards",
        ),
        pytest.param(
            [0, 0, 1, 1, 2, 2, 4, 4, 5, 5, 3],
            0,
            {(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)},
            id="six by the middle one",
        ),
        pytest.param([3, 6, 4, 6, 5, 5, 0, 4], None, set(), id="a row does not go round the edge"),
    ],
)
def test_who_has_four(moves, winner, cells):
    assert (winner, cells) == (winner_of(moves), winning_cells(moves))


def test_discs_fall_upon_each_other():
    assert {(3, 0): 0, (3, 1): 1, (2, 0): 0} == discs_of([3, 3, 2])


def test_turns_alternate():
    assert [0, 1, 0] == [side_to_move([]), side_to_move([3]), side_to_move([3, 3])]


def test_full_column_takes_no_disc():
    moves = [2, 2, 2, 2, 2, 2]

    assert [2] == full_columns(moves)
    assert 2 not in open_columns(moves)
    assert discs_of(moves) == discs_of([*moves, 2])


def test_columns_with_room_come_from_the_centre_outwards():
    assert [3, 2, 4, 1, 5, 0, 6] == open_columns([])


def test_board_without_room_is_full():
    assert is_full([column for column in range(7) for _ in range(6)])
    assert not is_full([0])


@pytest.mark.parametrize(
    ("moves", "column"),
    [
        pytest.param([0, 6, 1, 6, 2, 6], 3, id="wins"),
        pytest.param([0, 6, 1, 6, 2], 3, id="prevents"),
        pytest.param([0, 6, 0, 6, 0, 6], 0, id="wins before it prevents"),
    ],
)
@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_player_sees_what_is_one_move_away(moves, column, chance):
    assert column == choose_column(moves, lambda: chance)


@pytest.mark.parametrize("seed", range(20))
def test_two_players_play_legal_moves_to_an_end(seed):
    chance = random.Random(seed).random
    moves = []

    while winner_of(moves) is None and not is_full(moves):
        column = choose_column(moves, chance)
        assert column in open_columns(moves)
        moves.append(column)

    assert 7 <= len(moves) <= 42
