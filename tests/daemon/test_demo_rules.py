"""What the demo's daemon refuses, and whom it lets in."""

import pytest

from syncline.errors import Unauthenticated
from syncline.hooks import Refuse
from synclined.access import Right, allows
from synclined.demo.rules import (
    VISITOR,
    authenticate,
    objection,
    opener_after,
    score_of,
    validate_game,
)


RED_FIRST = ["red", "yellow"]


def game(moves=(), **fields):
    return {
        "id": "game-0001",
        "number": 1,
        "players": RED_FIRST,
        "moves": list(moves),
        "winner": "",
        "ended": "",
        "at_us": 10_000_000,
        **fields,
    }


FULL = game([2, 2, 2, 2, 2, 2])
OVER = game([0, 0, 1, 1, 2, 2, 3], winner="red", ended="four")


@pytest.mark.parametrize(
    ("player", "before", "after", "reason"),
    [
        pytest.param("red", None, game(), "", id="opens"),
        pytest.param("yellow", None, game(), "who opens the game moves first", id="opens for him"),
        pytest.param(
            "red", None, game([3]), "a game begins with an empty board", id="opens with a move"
        ),
        pytest.param("red", None, game(players=["red"]), "red and yellow play", id="opens alone"),
        pytest.param("red", game(), game([3]), "", id="moves"),
        pytest.param("yellow", game([3]), game([3, 3]), "", id="answers"),
        pytest.param("yellow", game(), game([3]), "it is red's turn", id="moves out of turn"),
        pytest.param("red", FULL, game([2] * 7), "column 3 is full", id="finds a column full"),
        pytest.param("red", game(), game([7]), "there is no column 7", id="misses the board"),
        pytest.param("red", game(), game([True]), "there is no column True", id="plays no number"),
        pytest.param("red", game(), game([3, 3, 3]), "one move at a time", id="moves for both"),
        pytest.param("red", game([3, 3]), game([2, 3, 3]), "one move at a time", id="rewrites"),
        pytest.param(
            "red", game(), game(moves="x"), "there is no column 'x'", id="writes nonsense"
        ),
        pytest.param("red", game([3]), game([3], at_us=1), "nothing was played", id="does nothing"),
        pytest.param(
            "red",
            game(),
            game([3], winner="red", ended="four"),
            "that is not the score",
            id="wins too early",
        ),
        pytest.param("red", game([0, 0, 1, 1, 2, 2]), OVER, "", id="wins"),
        pytest.param("yellow", OVER, game([0, 0, 1, 1, 2, 2, 3, 3]), "the game is over", id="late"),
        pytest.param(
            "red",
            game(),
            game([3], players=["yellow", "red"]),
            "the table can't be turned",
            id="turns",
        ),
        pytest.param(
            "red",
            game([3]),
            game([3], winner="red", ended="time", at_us=11_000_000),
            "",
            id="wins on time",
        ),
        pytest.param(
            "red",
            game([3]),
            game([3], winner="red", ended="time", at_us=10_999_999),
            "yellow may think for 1 s",
            id="claims too soon",
        ),
        pytest.param(
            "yellow",
            game([3]),
            game([3], winner="yellow", ended="time", at_us=99_000_000),
            "nobody wins by waiting for himself",
            id="claims on his own time",
        ),
        pytest.param("red", game(), None, "a game is played to its end", id="sweeps the board"),
        pytest.param("red", OVER, None, "", id="forgets a finished game"),
        pytest.param("visitor", None, game(), "visitor does not play", id="is not at the table"),
    ],
)
def test_a_player(player, before, after, reason):
    assert reason == objection(player, before, after)


def test_hook_refuses_with_the_reason():
    with pytest.raises(Refuse, match="it is red's turn"):
        validate_game(authenticate("yellow"), game(), game([3]))


def test_hook_lets_a_good_move_pass():
    assert None is validate_game(authenticate("red"), game(), game([3]))


@pytest.mark.parametrize(
    ("last", "opener"),
    [
        pytest.param(game(winner="red"), "yellow", id="the loser"),
        pytest.param(game(winner="yellow"), "red", id="the loser, who opened this one too"),
        pytest.param(game(winner="draw"), "yellow", id="after a draw the other"),
    ],
)
def test_next_game_is_opened_by(last, opener):
    assert opener == opener_after(last)


def test_full_board_without_four_is_a_draw():
    columns = [0, 1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 2, 3, 2, 3, 3, 2, 3, 2, 2, 3, 2, 3]
    columns += [4, 5, 4, 5, 5, 4, 5, 4, 4, 5, 4, 5, 6, 6, 6, 6, 6, 6]

    assert ("draw", "full") == score_of(RED_FIRST, columns)


def test_visitor_sees_all_and_writes_notes():
    assert VISITOR == authenticate(None)
    assert allows(VISITOR, Right.READ, "game")
    assert allows(VISITOR, Right.WRITE, "note")
    assert not allows(VISITOR, Right.WRITE, "game")


def test_unknown_token_is_refused():
    with pytest.raises(Unauthenticated):
        authenticate("green")
