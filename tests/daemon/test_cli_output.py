"""What a terminal sees, and what it must not."""

import io

import pytest

from synclined.cli.output import CELL_CHARS_MAX, Output, cell
from synclined.cli.progress import LONG_CHANGES, progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Put a terminal in the place of stdout and stderr; to be called in the test itself."""

    def watch():
        # Between a fixture and its test pytest sets the streams anew.
        screen = Terminal()
        monkeypatch.setattr("sys.stdout", screen)
        monkeypatch.setattr("sys.stderr", screen)
        monkeypatch.setenv("COLUMNS", "60")
        monkeypatch.delenv("NO_COLOR", raising=False)
        return screen

    return watch


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param("milk", "milk", id="text"),
        pytest.param("a\nb", '"a\\nb"', id="line end"),
        pytest.param("\x1b[2J", '"\\u001b[2J"', id="escape"),
        pytest.param(None, "null", id="null"),
        pytest.param({"a": [1, "\x1b"]}, '{"a":[1,"\\u001b"]}', id="object"),
        pytest.param(2**70, str(2**70), id="huge"),
    ],
)
def test_cell_is_one_harmless_line(value, shown):
    assert shown == cell(value)


def test_table_on_a_terminal_is_bold_above_and_cut_to_its_width(terminal):
    screen = terminal()
    out = Output(as_json=False, quiet=False)

    out.table([{"id": "1", "text": "x" * 200, "more": "y" * 200}])

    head, row = screen.getvalue().splitlines()
    assert head.startswith("\x1b[1mid")
    assert 60 == len(row)
    assert row.endswith("…")
    assert "x" * (CELL_CHARS_MAX - 1) in row


def test_no_color_is_honoured(terminal, monkeypatch):
    screen = terminal()
    monkeypatch.setenv("NO_COLOR", "1")

    Output(as_json=False, quiet=False).table([{"id": "1"}])

    assert "\x1b" not in screen.getvalue()


def test_progress_is_shown_of_long_work_only(terminal):
    screen = terminal()
    with progress_bar(is_watched=True) as progress:
        progress("short →", 1, LONG_CHANGES - 1)
        progress("long →", 1, LONG_CHANGES)
        progress("long →", LONG_CHANGES, LONG_CHANGES)

    assert "long →" in screen.getvalue()
    assert "short →" not in screen.getvalue()


def test_nobody_watches_a_pipe_or_json(terminal, monkeypatch):
    terminal()
    assert Output(as_json=False, quiet=False).is_watched
    assert not Output(as_json=True, quiet=False).is_watched
    assert not Output(as_json=False, quiet=True).is_watched
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert not Output(as_json=False, quiet=False).is_watched
