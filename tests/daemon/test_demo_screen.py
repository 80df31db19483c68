"""The demo's screen, rendered to text for fixed snapshots."""

import io

import msgspec
import pytest
from rich.console import Console

from synclined.demo.lines import PLAIN, UNICODE
from synclined.demo.screen import View, draw
from synclined.demo.wire import Event, OpenNote, Snapshot, Tally


NOW_US = 1_767_225_600_000_000
GAME = {
    "id": "game-0007",
    "number": 7,
    "players": ["yellow", "red"],
    "moves": [3, 3, 2, 2],
    "winner": "",
    "ended": "",
    "at_us": NOW_US,
}
SNAPSHOT = Snapshot(
    state="live",
    unbroken_since_us=1,
    tally=Tally(writes=1234, replications=987),
    game=GAME,
    score={"red": 4, "yellow": 2},
    host={
        "cpu": {"percent": 50.0, "cores": 2, "at_us": NOW_US},
        "cpu.0": {"percent": 100.0},
        "cpu.1": {"percent": 0.0},
        "memory": {"percent": 25.0},
        "disk": {"percent": 90.0},
        "network": {"in_per_s": 2048, "out_per_s": 0},
        "load": {"1m": 0.5, "5m": 1.25, "15m": 12},
    },
    processes=[{"pid": 4711, "name": "python", "cpu": 12.5, "memory": 50 << 20, "at_us": NOW_US}],
    notes={"packing": "tent", "agenda": "at ten"},
    events=[
        Event(at_us=NOW_US, kind="move", text="red plays 3"),
        Event(at_us=NOW_US + 1_000_000, kind="refused", text="refused: it is yellow's turn"),
    ],
)
CUT = msgspec.structs.replace(
    SNAPSHOT,
    state="offline",
    pending=15,
    conflicts=1,
    behind_ms=6200.0,
    host={"cpu": {"percent": 50.0, "cores": 2, "at_us": NOW_US - 6_000_000}},
    open_notes=[OpenNote(note="packing", ours="tent and stove", theirs=None)],
)


def view(one=SNAPSHOT, two=CUT, **fields):
    return View(
        url="http://127.0.0.1:8765",
        replicas=(one, two),
        lags_ms=(1.94, 6.26),
        arrivals_ms=((1.5, 5.0), (None, None)),
        now_us=NOW_US,
        **fields,
    )


def render(shown, width=80, height=24, glyphs=UNICODE, **options):
    console = Console(
        file=io.StringIO(), record=True, width=width, height=height, _environ={}, **options
    )
    console.print(draw(shown, width, height, glyphs), end="")
    return console.export_text(styles=False)


def test_screen_at_80_by_24():
    expected = """\
 syncline demo  http://127.0.0.1:8765                    lag p50 1.9 p99 6.3 ms
╭─  replica 1 · plays ● red  ──────────╮╭─  replica 2 · plays ○ yellow  ───────╮
│ ● live        pending 0  conflicts 0 ││ ○ cut off    pending 15  conflicts 1 │
│ ↑1234 ↓987    lag p50 1.5 p99 5.0 ms ││ ↑1234 ↓987                   for 6 s │
│ game 7 · yellow's turn       ● 4 ○ 2 ││ game 7 · yellow's turn       ● 4 ○ 2 │
│  · · · · · · ·   cpu  ████░░░░░  50% ││  · · · · · · ·   cpu  ████░░░░░  50% │
│  · · · · · · ·   core █▁             ││  · · · · · · ·   core ▁▁             │
│  · · · · · · ·   mem  ██░░░░░░░  25% ││  · · · · · · ·   mem  -              │
│  · · · · · · ·   disk ████████░  90% ││  · · · · · · ·   disk -              │
│  · · ● ● · · ·   io   -              ││  · · ● ● · · ·   io   -              │
│  · · ○ ○ · · ·   net  ↓2.0K  ↑0B     ││  · · ○ ○ · · ·   net  -              │
│  1 2 3 4 5 6 7   load 0.50 1.25 12.… ││  1 2 3 4 5 6 7   6 s old             │
│ ── busiest processes ─────────────── ││ ── busiest processes ─────────────── │
│    4711 python          12.5%    50M ││    4711 python          12.5%    50M │
│                                      ││                                      │
│                                      ││                                      │
│ packing: tent                        ││ ! packing: tent and stove / (delete… │
│ ── events ────────────────────────── ││ ── events ────────────────────────── │
│ 00:01 refused: it is yellow's turn   ││ 00:01 refused: it is yellow's turn   │
│ 00:00 red plays 3                    ││ 00:00 red plays 3                    │
│                                      ││                                      │
╰──────────────────────────────────────╯╰──────────────────────────────────────╯
 In another terminal: syncline watch http://127.0.0.1:8765 process
 [1] cut off 1  [2] connect 2  [c] conflict  [r] resolve  [i] cheat  [q] quit
"""
    assert [line.rstrip() for line in expected.splitlines()] == [
        line.rstrip() for line in render(view()).splitlines()
    ]


@pytest.mark.parametrize(
    ("width", "height"), [(78, 22), (80, 24), (81, 25), (120, 40), (200, 60), (79, 100)]
)
@pytest.mark.parametrize("glyphs", [UNICODE, PLAIN], ids=["unicode", "plain"])
@pytest.mark.parametrize("snapshot", [SNAPSHOT, CUT, Snapshot()], ids=["live", "cut", "empty"])
def test_screen_fills_the_terminal_and_no_more(width, height, glyphs, snapshot):
    lines = render(view(snapshot, snapshot), width, height, glyphs).splitlines()

    assert height == len(lines)
    assert all(len(line) <= width for line in lines)
    assert {width} == {len(line) for line in lines[1:-2]}


def test_high_screen_lists_all_notes_and_whole_clocks():
    text = render(view(), 120, 40)

    assert "agenda: at ten" in text
    assert "00:00:01 refused" in text


def test_plain_screen_is_ascii():
    assert render(view(), glyphs=PLAIN).isascii()


def test_won_game_says_by_what():
    won = msgspec.structs.replace(SNAPSHOT, game={**GAME, "winner": "red", "ended": "time"})

    assert "game 7 · red wins on time" in render(view(won))


def test_prompt_takes_the_place_of_the_hint():
    text = render(view(prompt="packing: [o]urs tent  [t]heirs lamp"))

    assert "packing: [o]urs tent  [t]heirs lamp" in text
    assert "syncline watch" not in text


def test_text_from_elsewhere_can_not_move_the_cursor():
    bad = msgspec.structs.replace(SNAPSHOT, notes={"x": "a\x1b[2Jb\nc"})

    text = render(view(bad))

    assert "x: a?[2Jb?c" in text


def test_small_terminal_is_told_what_is_needed():
    assert "needs 78x22" in render(view(), 60, 20)


def test_without_color_nothing_is_coloured():
    console = Console(
        file=io.StringIO(), width=80, height=24, force_terminal=True, no_color=True, _environ={}
    )
    console.print(draw(view(), 80, 24))

    shown = console.file.getvalue()
    assert "\x1b[1m" in shown
    assert not any(f"\x1b[{code}m" in shown for code in (31, 32, 33, 35, 36))
