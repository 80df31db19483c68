"""What commands print: JSON for programs, aligned columns for people."""

import functools
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click
import orjson


CELL_CHARS_MAX = 48
"""Where a cell is cut, when a terminal watches."""

_GAP = "  "


def output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--json` and `--quiet`, and hand it an `Output` named `out`."""

    @click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
    @click.option("-q", "--quiet", is_flag=True, help="Print the result only, or nothing.")
    @functools.wraps(function)
    def wrapped(*args: Any, as_json: bool, quiet: bool, **given: Any) -> Any:
        return function(*args, out=Output(as_json=as_json, quiet=quiet), **given)

    return wrapped


class Output:
    """
    Where a command's answer goes.

    Args:
        as_json: print JSON instead of words.
        quiet: print results, no remarks.
    """

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self.as_json = as_json
        self.quiet = quiet

    @property
    def is_watched(self) -> bool:
        """Whether a terminal watches stderr, where progress is shown."""
        return sys.stderr.isatty() and not self.quiet and not self.as_json

    def json(self, value: Any) -> None:
        """Print a value as JSON: on one line, or indented for a terminal."""
        indent = orjson.OPT_INDENT_2 if sys.stdout.isatty() else 0
        click.echo(encode(value, indent))

    def json_line(self, value: Any) -> None:
        """Print a value as one line of JSON."""
        click.echo(encode(value))

    def line(self, text: str) -> None:
        """Print a line of the answer."""
        click.echo(text)

    def remark(self, text: str) -> None:
        """Print what is nice to know, unless only JSON or nothing is wanted."""
        if not self.quiet and not self.as_json:
            click.echo(text)

    def note(self, text: str) -> None:
        """Say something beside the answer, on stderr."""
        if not self.quiet:
            click.echo(text, err=True)

    def pairs(self, pairs: Mapping[str, Any]) -> None:
        """Print names and values, aligned."""
        width = max(map(len, pairs), default=0)
        for name, value in pairs.items():
            self.line(f"{name:<{width}}{_GAP}{cell(value)}".rstrip())

    def table(self, rows: Sequence[Mapping[str, Any]], columns: Iterable[str] = ()) -> None:
        """Print records in columns: those given, else all that occur, in order."""
        names = list(columns) or list(dict.fromkeys(name for row in rows for name in row))
        if not rows or not names:
            return
        limit = CELL_CHARS_MAX if sys.stdout.isatty() else sys.maxsize
        cells = [[_cut(cell(row.get(name, "")), limit) for name in names] for row in rows]
        widths = [max(len(name), *(len(r[i]) for r in cells)) for i, name in enumerate(names)]
        self.line(_styled(_aligned(names, widths)))
        for each in cells:
            self.line(_aligned(each, widths))


def encode(value: Any, option: int = 0) -> bytes | str:
    """Return the JSON text of a value; half a surrogate pair or a huge integer is no obstacle."""
    try:
        return orjson.dumps(value, option=option)
    except TypeError:
        return json.dumps(value)


def cell(value: Any) -> str:
    """Return a value as one line that does nothing to a terminal."""
    if isinstance(value, str):
        return value if value.isprintable() else json.dumps(value)
    text = encode(value)
    return text.decode() if isinstance(text, bytes) else text


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    line = _GAP.join(f"{each:<{width}}" for each, width in zip(cells, widths, strict=True)).rstrip()
    if sys.stdout.isatty():
        return _cut(line, max(shutil.get_terminal_size().columns, 20))
    return line


def _styled(text: str) -> str:
    is_plain = os.environ.get("NO_COLOR") or not sys.stdout.isatty()
    return text if is_plain else click.style(text, bold=True)
