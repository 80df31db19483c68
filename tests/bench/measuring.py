"""What both benches share: their options, and a run of one measure after the other."""

import argparse
import functools
import importlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from report import Result, as_json, table


ROUNDS = 3


def parser_of(description: str, measures: Sequence[str]) -> argparse.ArgumentParser:
    """Return a parser of the options that every bench has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="one round, and less of everything")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--only",
        type=functools.partial(_names, measures),
        default=tuple(measures),
        help=f"like {measures[0]},{measures[-1]}",
    )
    parser.add_argument("--rounds", type=int, help=f"rounds of each figure [{ROUNDS}, quick 1]")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return what was asked for, the number of rounds filled in."""
    args = parser.parse_args()
    if args.rounds is None:
        args.rounds = 1 if args.quick else ROUNDS
    if args.rounds < 1:
        parser.error("--rounds: at least 1")
    return args


def run(args: argparse.Namespace, options_of: Callable[[Path], Any]) -> int:
    """
    Take each measure that was asked for, and print all figures; return the exit code.

    Args:
        options_of: returns what a measure is handed, given a folder that is gone afterwards.
    """
    results: list[Result] = []
    broken = False
    for name in args.only:
        folder = Path(tempfile.mkdtemp(prefix=f"syncline-bench-{name}-"))
        started = time.monotonic()
        try:
            found = importlib.import_module(name.lower()).measure(options_of(folder))
        except Exception as error:  # noqa: BLE001 - one broken measure does not hide the others
            broken = True
            print(f"{name} broke: {error}", file=sys.stderr)
            continue
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        results += found
        print(f"{name} took {time.monotonic() - started:.0f} s", file=sys.stderr)
    print(as_json(results) if args.json else table(results))
    return 1 if broken else 0


def _names(measures: Sequence[str], text: str) -> tuple[str, ...]:
    names = {name.strip().upper() for name in text.split(",")}
    unknown = names - set(measures)
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return tuple(name for name in measures if name in names)
