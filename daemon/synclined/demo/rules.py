"""
What the demo's daemon serves, to whom, and what it refuses.

A game is one record, and a move is a write of it with one more column::

    {"id": "game-0007", "number": 7, "players": ["red", "yellow"], "moves": [3, 2, 3],
     "winner": "", "ended": "", "at_us": 1767225600000000}

`players` names the opener first; `winner` is a player or ``"draw"``; `ended` is ``"four"``,
``"full"`` or ``"time"``; `at_us` says when it was written, in microseconds since 1970.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from syncline.errors import Unauthenticated
from syncline.hooks import Hooks, Refuse
from syncline.models import Record
from synclined.access import EVERY_MODEL, Principal, Right
from synclined.demo.connect_four import (
    COLUMNS,
    Moves,
    full_columns,
    is_full,
    side_to_move,
    winner_of,
)


MODELS = ("game", "host", "note", "process")
PLAYERS = ("red", "yellow")
"""Replica 1 plays red, replica 2 yellow; each one's token is its name."""

STRATEGIES = MappingProxyType({"game": "theirs", "*": "manual"})
"""A move made while the game moved on gives way; of two notes a person has to choose."""

DRAW = "draw"
PATIENCE_S = 1.0
"""How long a player may let the other wait before a win on time is allowed, in seconds."""

VISITOR = Principal(
    name="visitor", rights=MappingProxyType({EVERY_MODEL: Right.READ, "note": Right.WRITE})
)
"""Who comes without a token, from another terminal: sees all, and may write notes."""


def authenticate(token: str | None) -> Principal:
    """Return the player whose token it is, or a visitor."""
    if token is None:
        return VISITOR
    if token in PLAYERS:
        return Principal(name=token, rights=MappingProxyType({EVERY_MODEL: Right.WRITE}))
    raise Unauthenticated("the token is not known")


def validate_game(principal: Any, before: Record | None, after: Record | None) -> None:
    """
    Refuse what connect four does not allow: the hook of the model `game`.

    Raises:
        Refuse: with the reason, for the player who tried.
    """
    reason = objection(principal.name, before, after)
    if reason:
        raise Refuse(reason)


HOOKS = Hooks(validate={"game": validate_game})


def objection(
    player: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> str:
    """Return what is wrong with a player's write of a game; empty when nothing is."""
    if player not in PLAYERS:
        return f"{player} does not play"
    if after is None:
        is_running = before is not None and before["winner"] == ""
        return "a game is played to its end" if is_running else ""
    if before is None:
        return _objection_to_opening(player, after)
    if before["winner"] != "":
        return "the game is over"
    if any(before[name] != after.get(name) for name in ("id", "number", "players")):
        return "the table can't be turned"
    moves, then = list(before["moves"]), after.get("moves")
    turn = before["players"][side_to_move(moves)]
    if then == moves:
        return _objection_to_claim(player, turn, before, after)
    if not isinstance(then, list) or len(then) != len(moves) + 1 or then[:-1] != moves:
        return "one move at a time"
    if player != turn:
        return f"it is {turn}'s turn"
    column = then[-1]
    if type(column) is not int or not 0 <= column < COLUMNS:
        return f"there is no column {column!r:.9}"
    if column in full_columns(moves):
        return f"column {column + 1} is full"
    if (after.get("winner"), after.get("ended")) != score_of(before["players"], then):
        return "that is not the score"
    return ""


def score_of(players: list[str], moves: Moves) -> tuple[str, str]:
    """Return `winner` and `ended` after these moves; both empty while the game goes on."""
    winner = winner_of(moves)
    if winner is not None:
        return players[winner], "four"
    return (DRAW, "full") if is_full(moves) else ("", "")


def opener_after(game: Mapping[str, Any]) -> str:
    """Return who opens the next game: the loser; after a draw, who did not open this one."""
    players: list[str] = game["players"]
    opener, other = players
    return opener if game["winner"] == other else other


def _objection_to_opening(player: str, after: Mapping[str, Any]) -> str:
    players = after.get("players")
    if not isinstance(players, list) or sorted(map(str, players)) != sorted(PLAYERS):
        return "red and yellow play"
    if players[0] != player:
        return "who opens the game moves first"
    if after.get("moves") != [] or after.get("winner") != "" or after.get("ended") != "":
        return "a game begins with an empty board"
    return ""


def _objection_to_claim(
    player: str, turn: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> str:
    """Judge a win on time; both stamps come from the players, who trust each other with that."""
    if after.get("ended") != "time" or after.get("winner") != player:
        return "nothing was played"
    if player == turn:
        return "nobody wins by waiting for himself"
    stamp = after.get("at_us")
    waited_s = (stamp - before["at_us"]) / 1e6 if isinstance(stamp, int) else 0.0
    if waited_s < PATIENCE_S:
        return f"{turn} may think for {PATIENCE_S:g} s"
    return ""
