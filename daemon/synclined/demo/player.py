"""A player of connect four: looks at the newest game on its replica and plays its part."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from syncline.models import Record, Update
from syncline.observers import Watch
from syncline.revision import Revision
from synclined.demo.connect_four import (
    COLUMNS,
    choose_column,
    full_columns,
    side_to_move,
)
from synclined.demo.recorder import Recorder, now_us
from synclined.demo.rules import DRAW, PLAYERS, opener_after, score_of


LOOK_AGAIN_S = 0.25
RULING_TIMEOUT_S = 3.0
GAMES_KEPT = 20


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """
    How a player plays.

    Attributes:
        think_s: the shortest time over a move; the longest is three times that.
        pause_s: how long a finished game is looked at.
        patience_s: how long the other may take before the game is claimed on time.
        cheats: how often a turn comes with an illegal move first, in [0, 1].
    """

    think_s: float = 0.5
    pause_s: float = 4.0
    patience_s: float = 8.0
    cheats: float = 0.08


class Player:
    """
    Plays for one side, on one replica.

    Args:
        is_live: tells whether the daemon is reached; offline nobody cheats, nobody claims.
    """

    def __init__(
        self, recorder: Recorder, name: str, pace: Pace, is_live: Callable[[], bool]
    ) -> None:
        self._recorder = recorder
        self._name = name
        self._pace = pace
        self._is_live = is_live
        self._random = random.Random()  # noqa: S311 - a game, no secret
        self._must_cheat = False
        self._tried: Revision | None = None
        self._ruled = asyncio.Event()
        self._may_play = asyncio.Event()
        self._may_play.set()
        self._on_turn = asyncio.Event()

    # ---- what it is told ----------------------------------------------------------------

    def cheat(self) -> None:
        """Try an illegal move as soon as there is one."""
        self._must_cheat = True

    async def wait_for_turn(self, timeout_s: float) -> None:
        """Return when it is this player's turn, or after that time; it does not move meanwhile."""
        self._may_play.clear()
        self._on_turn.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._on_turn.wait()

    def go_on(self) -> None:
        """Play again after `wait_for_turn`."""
        self._may_play.set()

    def refused(self, update: Update) -> None:
        """Take note that the daemon refused a move."""
        if update.rev == self._tried:
            self._tried = None
            self._ruled.set()

    # ---- what it does -------------------------------------------------------------------

    async def play(self) -> None:
        """Play for ever."""
        watch = self._recorder.model("game").watch()
        while True:
            watch.drain()
            update = await self._newest()
            acted = await self._act(update)
            if not acted:
                await _changed(watch, LOOK_AGAIN_S)

    async def _newest(self) -> Update | None:
        games = self._recorder.model("game")
        found = await games.find(order="number DESC", limit=1)
        return await games.get_change(found[0]["id"]) if found else None

    async def _act(self, update: Update | None) -> bool:
        """Do what the game asks of this player; tell whether it asked anything."""
        game = None if update is None else update.data
        if update is None or game is None:
            return self._name == PLAYERS[0] and await self._open(1)
        if update.rev == self._tried:
            # An illegal move of ours that the daemon has not ruled on yet.
            return False
        if game["winner"]:
            return opener_after(game) == self._name and await self._open_next(update)
        if game["players"][side_to_move(game["moves"])] == self._name:
            return await self._take_turn(update)
        if self._must_cheat and self._is_live():
            return await self._cheat(game, _any_column(game["moves"]))
        waited_s = _age_s(game)
        if waited_s >= self._pace.patience_s and self._is_live():
            await self._write({**game, "winner": self._name, "ended": "time"})
            self._recorder.tell("move", f"{self._name} wins on time")
            return True
        return False

    async def _take_turn(self, seen: Update) -> bool:
        self._on_turn.set()
        if not self._may_play.is_set():
            await self._may_play.wait()
        else:
            await asyncio.sleep(self._pace.think_s * self._random.uniform(1, 3))
        update = await self._newest()
        game = None if update is None else update.data
        if update is None or game is None or update.rev != seen.rev or not self._may_play.is_set():
            return True
        moves = game["moves"]
        full = full_columns(moves)
        if self._wants_to_cheat() and full:
            return await self._cheat(game, self._random.choice(full))
        column = choose_column(moves, self._random.random)
        played = [*moves, column]
        winner, ended = score_of(game["players"], played)
        await self._write({**game, "moves": played, "winner": winner, "ended": ended})
        self._recorder.tell("move", f"{self._name} plays {column + 1}")
        if ended:
            self._recorder.tell("move", _ending(winner))
        elif self._wants_to_cheat():
            # Once this move is acknowledged it is the other's turn: moving again is illegal.
            self._must_cheat = True
            await asyncio.sleep(self._pace.think_s / 2)
        return True

    def _wants_to_cheat(self) -> bool:
        wants = self._must_cheat or self._random.random() < self._pace.cheats
        return wants and self._is_live()

    async def _cheat(self, game: Record, column: int) -> bool:
        """Make an illegal move, and wait until the daemon has ruled on it."""
        self._must_cheat = False
        self._ruled.clear()
        self._recorder.tell("move", f"{self._name} tries {column + 1}")
        update = await self._write({**game, "moves": [*game["moves"], column]})
        self._tried = update.rev
        # It may never be ruled on: the link breaks, or the other's move stands in its place.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RULING_TIMEOUT_S):
                await self._ruled.wait()
        return True

    async def _open_next(self, last: Update) -> bool:
        game = last.data or {}
        await asyncio.sleep(self._pace.pause_s)
        newest = await self._newest()
        # Also while its turn is waited for: in a game that is over, no turn would ever come.
        if newest is None or newest.rev != last.rev:
            return True
        await self._recorder.delete("game", _game_id(game["number"] - GAMES_KEPT))
        return await self._open(game["number"] + 1)

    async def _open(self, number: int) -> bool:
        other = next(player for player in PLAYERS if player != self._name)
        await self._write(
            {
                "id": _game_id(number),
                "number": number,
                "players": [self._name, other],
                "moves": [],
                "winner": "",
                "ended": "",
            }
        )
        self._recorder.tell("move", f"{self._name} opens game {number}")
        return True

    async def _write(self, game: dict[str, Any]) -> Update:
        return await self._recorder.put("game", game["id"], game)


async def _changed(watch: Watch, timeout_s: float) -> None:
    """Return when something changed, or after that time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await anext(watch)


def _game_id(number: int) -> str:
    return f"game-{number:04d}"


def _any_column(moves: Sequence[int]) -> int:
    return len(moves) % COLUMNS


def _age_s(game: Record) -> float:
    return (now_us() - int(game["at_us"])) / 1e6


def _ending(winner: str) -> str:
    return "a draw" if winner == DRAW else f"{winner} wins"
