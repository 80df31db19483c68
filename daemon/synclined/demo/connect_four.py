"""
The rules of connect four, and a player's choice of a column: pure.

A game is the list of the columns that were played, 0 to 6 from the left, the opener's first.
A side is 0 for the opener and 1 for the other.
"""

from collections.abc import Callable, Sequence


COLUMNS = 7
ROWS = 6
FOUR = 4

Moves = Sequence[int]
Cell = tuple[int, int]
"""(column, row), the row counted from the bottom."""

_DIRECTIONS = ((1, 0), (0, 1), (1, 1), (1, -1))
_BY_CENTRE = sorted(range(COLUMNS), key=lambda column: abs(column - COLUMNS // 2))


def side_to_move(moves: Moves) -> int:
    """Return whose turn it is."""
    return len(moves) % 2


def discs_of(moves: Moves) -> dict[Cell, int]:
    """Return whose disc lies in each cell; a move that found no room leaves no disc."""
    heights = [0] * COLUMNS
    discs: dict[Cell, int] = {}
    for ply, column in enumerate(moves):
        if 0 <= column < COLUMNS and heights[column] < ROWS:
            discs[column, heights[column]] = ply % 2
            heights[column] += 1
    return discs


def open_columns(moves: Moves) -> list[int]:
    """Return the columns with room, those near the centre first."""
    return [column for column in _BY_CENTRE if moves.count(column) < ROWS]


def full_columns(moves: Moves) -> list[int]:
    """Return the columns without room."""
    return [column for column in range(COLUMNS) if moves.count(column) >= ROWS]


def winning_cells(moves: Moves) -> frozenset[Cell]:
    """Return the cells of the rows of four or more that the last move completed."""
    discs = discs_of(moves)
    if not moves or not discs:
        return frozenset()
    column = moves[-1]
    last = (column, min(moves.count(column), ROWS) - 1)
    found: set[Cell] = set()
    for right, up in _DIRECTIONS:
        line = {last, *_run(discs, last, right, up), *_run(discs, last, -right, -up)}
        if len(line) >= FOUR:
            found |= line
    return frozenset(found)


def winner_of(moves: Moves) -> int | None:
    """Return the side whose last move completed four in a row; None when it did not."""
    return 1 - side_to_move(moves) if winning_cells(moves) else None


def is_full(moves: Moves) -> bool:
    """Tell whether no column has room."""
    return not open_columns(moves)


def choose_column(moves: Moves, chance: Callable[[], float]) -> int:
    """
    Return a good column, though not always the best: win, else prevent, else near the centre.

    Args:
        moves: of a game that is not over.
        chance: random numbers in [0, 1).
    """
    columns = open_columns(moves)
    side = side_to_move(moves)
    for column in columns:
        if winner_of([*moves, column]) == side:
            return column
    for column in columns:
        if _wins_next(moves, column, 1 - side):
            return column
    safe = [column for column in columns if not _gives_away([*moves, column])]
    good = safe or columns
    # The square prefers the first, which are nearest to the centre.
    return good[int(chance() ** 2 * len(good))]


def _wins_next(moves: Moves, column: int, side: int) -> bool:
    """Tell whether `side` would win in that column if it were to move now."""
    # A pass of the side to move shifts the turn; -1 is a column that takes no disc.
    passed = moves if side_to_move(moves) == side else [*moves, -1]
    return winner_of([*passed, column]) == side


def _run(discs: dict[Cell, int], start: Cell, right: int, up: int) -> list[Cell]:
    """Return the cells beyond `start` in one direction that hold the same side's discs."""
    side = discs.get(start)
    column, row = start
    found: list[Cell] = []
    while side is not None and discs.get((column + right, row + up)) == side:
        column, row = column + right, row + up
        found.append((column, row))
    return found


def _gives_away(moves: Moves) -> bool:
    side = side_to_move(moves)
    return any(winner_of([*moves, column]) == side for column in open_columns(moves))
