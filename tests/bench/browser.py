"""
Measures the browser replica and its pages in Chromium: ``python tests/bench/browser.py``.

Every figure is the median of some rounds, each with a daemon and a browser profile of its own.
Targets are reported and not enforced. ``--minutes 60`` watches the dashboard's memory for an hour.
"""

import argparse
import importlib
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from report import Result, as_json, table


MEASURES = ("B1", "B2", "B3", "B4", "B5")
ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """
    What a run was asked for.

    Attributes:
        minutes: how long the dashboard's memory is watched; 0 for the measure's own time.
        folder: for databases, profiles and logs; gone after the run.
        out: where samples and curves go while they are taken; None for nowhere.
    """

    is_quick: bool
    rounds: int
    minutes: float
    folder: Path
    out: Path | None


def main() -> int:
    args = _parse()
    results: list[Result] = []
    broken = False
    for name in MEASURES:
        if args.only and name not in args.only:
            continue
        folder = Path(tempfile.mkdtemp(prefix=f"syncline-bench-{name}-"))
        options = Options(
            is_quick=args.quick,
            rounds=args.rounds,
            minutes=args.minutes,
            folder=folder,
            out=args.out,
        )
        started = time.monotonic()
        try:
            found = importlib.import_module(name.lower()).measure(options)
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


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the browser replica and its pages.")
    parser.add_argument("--quick", action="store_true", help="one round, fewer writes, less time")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", type=_names, default=(), help="like B1,B5")
    parser.add_argument("--rounds", type=int, help=f"rounds of each figure [{ROUNDS}, quick 1]")
    parser.add_argument("--minutes", type=float, default=0, help="how long memory is watched [5]")
    parser.add_argument("--out", type=Path, help="a folder for memory's samples and curve")
    args = parser.parse_args()
    if args.rounds is None:
        args.rounds = 1 if args.quick else ROUNDS
    if args.rounds < 1:
        parser.error("--rounds: at least 1")
    return args


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip().upper() for name in text.split(","))
    unknown = set(names) - set(MEASURES)
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return names


if __name__ == "__main__":
    sys.exit(main())
