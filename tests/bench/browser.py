"""
Measures the browser replica and its pages in Chromium: ``python tests/bench/browser.py``.

Every figure is the median of some rounds, each with a daemon and a browser profile of its own.
Targets are reported and not enforced. ``--minutes 60`` watches the dashboard's memory for an hour.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from measuring import parse, parser_of, run


MEASURES = ("B1", "B2", "B3", "B4", "B5")


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
    parser = parser_of("Measure the browser replica and its pages.", MEASURES)
    parser.add_argument("--minutes", type=float, default=0, help="how long memory is watched [5]")
    parser.add_argument("--out", type=Path, help="a folder for memory's samples and curve")
    args = parse(parser)
    return run(
        args,
        lambda folder: Options(
            is_quick=args.quick,
            rounds=args.rounds,
            minutes=args.minutes,
            folder=folder,
            out=args.out,
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
