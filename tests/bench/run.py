"""
Measures syncline beside the floors of its stack, in one run: ``python tests/bench/run.py``.

Every figure is the median of some rounds, each round a floor and then a figure, so that a busy
machine disturbs both alike: read the ratios. Targets are reported and not enforced.
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


MEASURES = ("M1", "M2", "M3", "M4", "M5", "M6", "M7")
ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """
    What a run was asked for.

    Attributes:
        folder: for databases and logs; gone after the run.
    """

    is_quick: bool
    rounds: int
    folder: Path


def main() -> int:
    args = _parse()
    results: list[Result] = []
    broken = False
    for name in MEASURES:
        if args.only and name not in args.only:
            continue
        folder = Path(tempfile.mkdtemp(prefix=f"syncline-bench-{name}-"))
        options = Options(is_quick=args.quick, rounds=args.rounds, folder=folder)
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
    parser = argparse.ArgumentParser(description="Measure syncline beside its floors.")
    parser.add_argument("--quick", action="store_true", help="one round, fewer records")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", type=_names, default=(), help="like M1,M3")
    parser.add_argument("--rounds", type=int, help=f"rounds of each figure [{ROUNDS}, quick 1]")
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
