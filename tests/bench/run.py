"""
Measures syncline beside the floors of its stack, in one run: ``python tests/bench/run.py``.

Every figure is the median of some rounds, each round a floor and then a figure, so that a busy
machine disturbs both alike: read the ratios. Targets are reported and not enforced.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from measuring import parse, parser_of, run


MEASURES = ("M1", "M2", "M3", "M4", "M5", "M6", "M7")


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
    args = parse(parser_of("Measure syncline beside its floors.", MEASURES))
    return run(args, lambda folder: Options(is_quick=args.quick, rounds=args.rounds, folder=folder))


if __name__ == "__main__":
    sys.exit(main())
