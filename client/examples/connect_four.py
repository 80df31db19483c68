"""
Connect four over replicas: a move is a write, and the daemon's hook rules on it.

::

    python client/examples/connect_four.py serve
    python client/examples/connect_four.py red            # in a second terminal
    python client/examples/connect_four.py yellow --bot   # in a third
"""

import argparse
import asyncio
import random
from typing import Any

from aiohttp import web

import syncline
from syncline import Hooks, Refuse
from synclined.access import EVERY_MODEL, Principal, Right
from synclined.app import build_app


SIDES = ("red", "yellow")
COLUMNS, ROWS = 7, 6
GAME = "1"
PORT = 8766
WAIT_S = 20


def has_four(moves: list[int]) -> bool:
    """Tell whether somebody has four in a row."""
    discs: dict[tuple[int, int], int] = {}
    for ply, column in enumerate(moves):
        discs[column, moves[:ply].count(column)] = ply % 2
    return any(
        all(discs.get((column + n * right, row + n * up)) == side for n in range(4))
        for (column, row), side in discs.items()
        for right, up in ((1, 0), (0, 1), (1, 1), (1, -1))
    )


def open_columns(moves: list[int]) -> list[int]:
    """Return where a disc may fall; nowhere once the game is over."""
    if has_four(moves):
        return []
    return [column for column in range(COLUMNS) if moves.count(column) < ROWS]


def validate(player: Principal, before: Any, after: Any) -> None:
    """Rule on a move, at the daemon: whoever it refuses has the game as it was."""
    moves = before["moves"] if before else []
    now = after.get("moves") if after else None
    if not isinstance(now, list) or len(now) != len(moves) + 1 or now[:-1] != moves:
        raise Refuse("one move at a time")
    if player.name != SIDES[len(moves) % 2]:
        raise Refuse(f"it is {SIDES[len(moves) % 2]}'s turn")
    if now[-1] not in open_columns(moves):
        raise Refuse(f"nothing falls into column {now[-1]}")


def access(token: str | None) -> Principal:
    """Let the two players in; a token is the name of a side here, which is fine on loopback."""
    right = Right.WRITE if token in SIDES else Right.READ
    return Principal(name=token or "visitor", rights={EVERY_MODEL: right})


def show(moves: list[int]) -> None:
    """Print the board."""
    heights = [[ply % 2 for ply, c in enumerate(moves) if c == column] for column in range(COLUMNS)]
    for row in reversed(range(ROWS)):
        print(" ".join("RY"[column[row]] if row < len(column) else "." for column in heights))
    print(" ".join(str(column + 1) for column in range(COLUMNS)), flush=True)


async def choose(moves: list[int], *, is_bot: bool) -> int:
    """Return a column, 0 to 6: of whoever types, or the bot's, which sees a win but no threat."""
    if not is_bot:
        typed = await asyncio.to_thread(input, f"column, 1 to {COLUMNS}: ")
        return int(typed) - 1 if typed.strip().isdigit() else -1
    columns = open_columns(moves)
    winning = [column for column in columns if has_four([*moves, column])]
    return random.choice(winning or columns)  # noqa: S311 - a game's chance


async def play(side: str, url: str, *, is_bot: bool) -> None:
    """Play one side until the game is over."""
    hooks = Hooks(on_refused=lambda _update, reason: print(f"refused: {reason}", flush=True))
    async with syncline.connect(
        url, models=["game"], token=side, strategies="theirs", hooks=hooks
    ) as replica:
        game = replica.model("game")
        await replica.wait_live(WAIT_S)
        async with game.watch() as changes:
            while True:
                moves = (await game.get(GAME) or {"moves": []})["moves"]
                show(moves)
                if not open_columns(moves):
                    break
                if SIDES[len(moves) % 2] == side:
                    column = await choose(moves, is_bot=is_bot)
                    await game.put(GAME, {"moves": [*moves, column]})
                await anext(changes)
        await replica.wait_live(WAIT_S)
        print(f"{SIDES[1 - len(moves) % 2]} wins" if has_four(moves) else "a draw")


def main() -> None:
    """Serve the game, or play it."""
    parser = argparse.ArgumentParser(description="Connect four over replicas.")
    parser.add_argument("role", choices=["serve", *SIDES])
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--bot", action="store_true", help="let the machine choose")
    given = parser.parse_args()
    if given.role == "serve":
        hooks = Hooks(validate={"game": validate})
        app = build_app(access=access, store="memory:", models=["game"], hooks=hooks, pages=True)
        web.run_app(app, host="127.0.0.1", port=given.port)
    else:
        asyncio.run(play(given.role, f"http://127.0.0.1:{given.port}", is_bot=given.bot))


if __name__ == "__main__":
    main()
