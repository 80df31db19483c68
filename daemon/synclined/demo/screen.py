"""
The demo's screen: both replicas side by side, drawn from their snapshots alone.

Pure: the same view gives the same lines. Every line is made exactly as wide as its place, so that
nothing jumps when numbers change.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import ASCII, ROUNDED
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from synclined.demo.connect_four import COLUMNS, ROWS, discs_of, side_to_move, winning_cells
from synclined.demo.lag import US_PER_MS
from synclined.demo.lines import (
    UNICODE,
    Glyphs,
    byte_count,
    clock,
    fit,
    printable,
    rule,
    spread,
)
from synclined.demo.rules import DRAW, PLAYERS
from synclined.demo.wire import Event, OpenNote, Snapshot


WIDTH_MIN = 78
HEIGHT_MIN = 22
BOARD_WIDTH = 2 * COLUMNS + 1
STALE_AFTER_US = 1_500_000
PROCESSES_MAX = 12
NOTES_MAX = 6
CLOCK_FROM_WIDTH = 44

_STATES = {
    "live": ("live", "bold green"),
    "catching_up": ("catching up", "bold yellow"),
    "connecting": ("connecting", "bold yellow"),
    "offline": ("cut off", "bold red"),
}
_EVENTS = {
    "move": "",
    "refused": "red",
    "stale": "magenta",
    "conflict": "bold yellow",
    "settled": "green",
    "link": "cyan",
    "note": "",
}
_PLAYER_STYLES = dict(zip(PLAYERS, ("red", "yellow"), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """
    All that the screen shows.

    Attributes:
        lags_ms: p50 and p99, over all; None before the first. arrivals_ms: of each replica.
        prompt: what the person is asked, or told; empty for the hint.
        now_us: the time, in microseconds since 1970.
    """

    url: str
    replicas: tuple[Snapshot, Snapshot]
    lags_ms: tuple[float | None, float | None]
    arrivals_ms: tuple[tuple[float | None, float | None], tuple[float | None, float | None]]
    prompt: str = ""
    now_us: int = 0


def draw(view: View, width: int, height: int, glyphs: Glyphs = UNICODE) -> RenderableType:
    """Return the screen for a terminal of that size."""
    if width < WIDTH_MIN or height < HEIGHT_MIN:
        return Text(f"The terminal has {width}x{height}, the demo needs {WIDTH_MIN}x{HEIGHT_MIN}.")
    rows = height - 3
    left = width // 2
    grid = Table.grid(padding=0)
    for share in (left, width - left):
        grid.add_column(width=share, no_wrap=True)
    panels = [
        _panel(view, index, share, rows, glyphs) for index, share in enumerate((left, width - left))
    ]
    grid.add_row(*panels)
    return Group(
        _header(view, width, glyphs), grid, _prompt(view, width, glyphs), _keys(view, width, glyphs)
    )


# ---- around the panels ----------------------------------------------------------------------


def _header(view: View, width: int, glyphs: Glyphs) -> Text:
    left = Text.assemble((" syncline demo", "bold"), f"  {view.url}")
    right = Text(f"lag {_lags(view.lags_ms)} ")
    return spread(left, right, width, glyphs)


def _prompt(view: View, width: int, glyphs: Glyphs) -> Text:
    if view.prompt:
        return fit(Text(f" {printable(view.prompt)}", "bold"), width, glyphs)
    hint = f" In another terminal: syncline watch {view.url} process"
    return fit(Text(hint, "dim"), width, glyphs)


def _keys(view: View, width: int, glyphs: Glyphs) -> Text:
    keys = [
        (str(number), f"{'connect' if _is_cut(snapshot) else 'cut off'} {number}")
        for number, snapshot in enumerate(view.replicas, 1)
    ]
    keys += [("c", "conflict"), ("r", "resolve"), ("i", "cheat"), ("q", "quit")]
    line = Text(" ")
    for key, word in keys:
        line.append(f"[{key}]", "bold")
        line.append(f" {word}  ")
    return fit(line, width, glyphs)


# ---- a replica's panel ----------------------------------------------------------------------


def _panel(view: View, index: int, width: int, height: int, glyphs: Glyphs) -> Panel:
    snapshot, player = view.replicas[index], PLAYERS[index]
    inner = width - 4
    lines = _lines(view, index, inner, height - 2, glyphs)
    _, style = _STATES.get(snapshot.state, (snapshot.state, "bold red"))
    title = Text.assemble((f" replica {index + 1} ", "bold"), f"{glyphs.dot} plays ")
    title.append(f"{glyphs.discs[index]} {player} ", f"bold {_PLAYER_STYLES[player]}")
    return Panel(
        Group(*lines),
        title=title,
        title_align="left",
        border_style=style.removeprefix("bold "),
        width=width,
        height=height,
        box=ROUNDED if glyphs is UNICODE else ASCII,
    )


def _lines(view: View, index: int, width: int, height: int, glyphs: Glyphs) -> list[Text]:
    snapshot = view.replicas[index]
    lines = [
        _status(snapshot, width, glyphs),
        _counts(view, index, width, glyphs),
        _game_title(snapshot, width, glyphs),
        *_board_and_host(view, snapshot, width, glyphs),
    ]
    is_tall = height >= 28
    notes = _notes(snapshot, width, glyphs) if is_tall else _one_note(snapshot, width, glyphs)
    left = height - len(lines) - len(notes) - 2 - is_tall
    shown = min(max(left // 2, 1), PROCESSES_MAX)
    lines.append(rule("busiest processes", _age(snapshot.processes, view.now_us), width, glyphs))
    lines += _processes(snapshot.processes, shown, width, glyphs)
    if is_tall:
        lines.append(rule("notes", "", width, glyphs))
    lines += notes
    lines.append(rule("events", "", width, glyphs))
    lines += _events(snapshot.events, left - shown, width, glyphs)
    return lines[:height]


def _status(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Text:
    word, style = _STATES.get(snapshot.state, (snapshot.state, "bold red"))
    mark = glyphs.on if snapshot.state == "live" else glyphs.off
    left = Text.assemble((f"{mark} {word}", style))
    right = Text(f"pending {snapshot.pending}  ")
    right.append(f"conflicts {snapshot.conflicts}", "bold yellow" if snapshot.conflicts else "")
    return spread(left, right, width, glyphs)


def _counts(view: View, index: int, width: int, glyphs: Glyphs) -> Text:
    snapshot = view.replicas[index]
    tally = snapshot.tally
    left = Text(f"{glyphs.out}{tally.writes} {glyphs.into}{tally.replications}")
    right = Text(f"lag {_lags(view.arrivals_ms[index])}")
    if snapshot.state != "live" and snapshot.behind_ms >= 1000:
        right = Text(f"for {snapshot.behind_ms / 1000:.0f} s", "bold yellow")
    return spread(left, right, width, glyphs)


def _game_title(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Text:
    game = snapshot.game
    if not game:
        return fit(Text("no game yet"), width, glyphs)
    left = Text(f"game {game['number']} {glyphs.dot} ")
    if not game["winner"]:
        turn = game["players"][side_to_move(game["moves"])]
        left.append(f"{turn}'s turn", _PLAYER_STYLES[turn])
    elif game["winner"] == DRAW:
        left.append("a draw", "bold")
    else:
        by = " on time" if game["ended"] == "time" else ""
        left.append(f"{game['winner']} wins{by}", f"bold {_PLAYER_STYLES[game['winner']]}")
    right = Text()
    for player, sign in zip(PLAYERS, glyphs.discs, strict=True):
        won = snapshot.score.get(player, 0)
        right.append(f" {sign}", _PLAYER_STYLES[player])
        right.append(f" {won}")
    return spread(left, right, width, glyphs)


def _board_and_host(view: View, snapshot: Snapshot, width: int, glyphs: Glyphs) -> list[Text]:
    board = _board(snapshot.game, glyphs)
    meters = _meters(snapshot.host, width - BOARD_WIDTH - 2, view.now_us, glyphs)
    return [
        fit(Text.assemble(fit(cells, BOARD_WIDTH + 2, glyphs), meter), width, glyphs)
        for cells, meter in zip(board, meters, strict=True)
    ]


def _board(game: Mapping[str, Any], glyphs: Glyphs) -> list[Text]:
    """Return the rows from the top, and the columns' numbers, that of the last move in bold."""
    moves: Sequence[int] = game.get("moves", ())
    players: Sequence[str] = game.get("players", PLAYERS)
    discs, won = discs_of(moves), winning_cells(moves)
    lines = []
    for row in reversed(range(ROWS)):
        line = Text()
        for column in range(COLUMNS):
            side = discs.get((column, row))
            if side is None:
                line.append(f" {glyphs.hole}", "dim")
                continue
            player = players[side]
            style = f"bold {_PLAYER_STYLES[player]}"
            line.append(" ")
            line.append(
                glyphs.discs[PLAYERS.index(player)],
                f"{style} reverse" if (column, row) in won else style,
            )
        lines.append(line)
    last = Text()
    for column in range(COLUMNS):
        is_last = bool(moves) and moves[-1] == column
        last.append(f" {column + 1}", "bold underline" if is_last else "dim")
    return [*lines, last]


# ---- the host -------------------------------------------------------------------------------


def _meters(
    host: Mapping[str, Mapping[str, Any]], width: int, now_us: int, glyphs: Glyphs
) -> list[Text]:
    if not host:
        return [Text("no metrics yet", "dim"), *[Text() for _ in range(ROWS)]]
    age = _age(host.values(), now_us)
    load = host.get("load", {})
    loads = " ".join(f"{load.get(span, 0):.2f}" for span in ("1m", "5m", "15m"))
    lines = [
        _meter("cpu", host.get("cpu", {}).get("percent"), width, glyphs),
        _cores(host, width, glyphs),
        _meter("mem", host.get("memory", {}).get("percent"), width, glyphs),
        _meter("disk", host.get("disk", {}).get("percent"), width, glyphs),
        _rates("io", host.get("disk_io"), width, glyphs),
        _rates("net", host.get("network"), width, glyphs),
        Text(f"{'load':5}{loads}"),
    ]
    if age:
        for line in lines:
            line.stylize("dim")
        lines[-1] = Text(age, "bold yellow")
    return lines


def _meter(label: str, percent: float | None, width: int, glyphs: Glyphs) -> Text:
    line = Text(f"{label:5}")
    if percent is None:
        return line.append("-", "dim")
    cells = max(width - 5 - 5, 1)
    filled = min(round(cells * percent / 100), cells)
    line.append(glyphs.full * filled, _heat(percent))
    line.append(glyphs.empty * (cells - filled), "dim")
    return line.append(f" {percent:3.0f}%")


def _cores(host: Mapping[str, Mapping[str, Any]], width: int, glyphs: Glyphs) -> Text:
    """Return a sign a core; the first ones when there are more than fit."""
    line = Text(f"{'core':5}")
    count = int(host.get("cpu", {}).get("cores", 0))
    shown = count if count <= width - 5 else width - 6
    for core in range(shown):
        percent = host.get(f"cpu.{core}", {}).get("percent", 0.0)
        level = min(int(percent / 100 * len(glyphs.levels)), len(glyphs.levels) - 1)
        line.append(glyphs.levels[level], _heat(percent))
    if shown < count:
        line.append(glyphs.more)
    return line


def _rates(label: str, rates: Mapping[str, Any] | None, width: int, glyphs: Glyphs) -> Text:
    line = Text(f"{label:5}")
    if rates is None:
        return line.append("-", "dim")
    into, out = (byte_count(rates.get(way, 0)) for way in ("in_per_s", "out_per_s"))
    line.append(f"{glyphs.into}{into:6}{glyphs.out}{out}")
    line.truncate(width)
    return line


def _heat(percent: float) -> str:
    return "red" if percent >= 85 else "yellow" if percent >= 60 else "green"


# ---- lists ----------------------------------------------------------------------------------


def _processes(
    rows: Sequence[Mapping[str, Any]], count: int, width: int, glyphs: Glyphs
) -> list[Text]:
    lines = []
    for row in rows[:count]:
        numbers = Text(f"{row['cpu']:5.1f}% {byte_count(row['memory']):>6}")
        name = Text.assemble((f"{row['pid']:>7} ", "dim"), printable(row["name"]))
        lines.append(spread(name, numbers, width, glyphs))
    return lines + [Text()] * (count - len(lines))


def _notes(snapshot: Snapshot, width: int, glyphs: Glyphs) -> list[Text]:
    waiting = {each.note: each for each in snapshot.open_notes}
    lines = [
        _note(name, text, waiting.get(name), width, glyphs)
        for name, text in sorted(snapshot.notes.items())[:NOTES_MAX]
    ]
    return lines or [Text("none yet", "dim")]


def _one_note(snapshot: Snapshot, width: int, glyphs: Glyphs) -> list[Text]:
    """Return one note for a low screen: one in conflict, if there is any."""
    for waiting in snapshot.open_notes:
        return [_note(waiting.note, waiting.ours, waiting, width, glyphs)]
    for name, text in snapshot.notes.items():
        return [_note(name, text, None, width, glyphs)]
    return [Text()]


def _note(
    name: str, text: str | None, waiting: OpenNote | None, width: int, glyphs: Glyphs
) -> Text:
    name = printable(name)
    if waiting is None:
        line = Text.assemble((f"{name}: ", "bold"), _side(text))
    else:
        sides = f"{_side(waiting.ours)} / {_side(waiting.theirs)}"
        line = Text.assemble((f"! {name}: ", "bold yellow"), sides)
    return fit(line, width, glyphs)


def _events(events: Sequence[Event], count: int, width: int, glyphs: Glyphs) -> list[Text]:
    """Return the last events, the newest first."""
    lines = []
    for event in reversed(events[-count:] if count > 0 else []):
        time = clock(event.at_us)
        line = Text.assemble((f"{time if width >= CLOCK_FROM_WIDTH else time[3:]} ", "dim"))
        line.append(printable(event.text), _EVENTS.get(event.kind, ""))
        lines.append(fit(line, width, glyphs))
    return lines


# ---- words ----------------------------------------------------------------------------------


def _is_cut(snapshot: Snapshot) -> bool:
    return snapshot.state == "offline"


def _lags(lags_ms: tuple[float | None, float | None]) -> str:
    p50, p99 = lags_ms
    if p50 is None or p99 is None:
        return "-"
    return f"p50 {p50:.1f} p99 {p99:.1f} ms"


def _age(rows: Iterable[Mapping[str, Any]], now_us: int) -> str:
    """Return how old the newest row is, in words; empty while it is fresh."""
    newest = max((row.get("at_us", 0) for row in rows), default=now_us)
    age_us = now_us - newest
    return f"{age_us / 1000 / US_PER_MS:.0f} s old" if age_us >= STALE_AFTER_US else ""


def _side(text: str | None) -> str:
    return "(deleted)" if text is None else printable(text)
