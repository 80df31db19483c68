"""What a measure found, and the table of it all."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    One line of the table.

    Attributes:
        figure, floor: medians of the rounds; floor is None where there is none to compare with.
        ratio: figure to floor; None without a floor.
        target: the bound on `ratio`, or on `figure` when `is_absolute`; None for a mere report.
        is_least: the target is the least that is good; otherwise the most.
    """

    measure: str
    label: str
    unit: str
    figure: float
    floor: float | None = None
    target: float | None = None
    is_least: bool = False
    is_absolute: bool = False

    @property
    def ratio(self) -> float | None:
        return self.figure / self.floor if self.floor else None

    @property
    def ok(self) -> bool | None:
        value = self.figure if self.is_absolute else self.ratio
        if value is None or self.target is None:
            return None
        return value >= self.target if self.is_least else value <= self.target

    @property
    def target_text(self) -> str:
        if self.target is None:
            return ""
        sign = ">=" if self.is_least else "<="
        return f"{sign} {self.target:g} {self.unit if self.is_absolute else 'x'}"


def median(values: Iterable[float]) -> float:
    """Return the median."""
    return float(statistics.median(values))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def table(results: Sequence[Result]) -> str:
    """Return the results as a text table."""
    head = ("measure", "figure", "floor", "ratio", "target", "ok")
    rows = [
        (
            f"{r.measure} {r.label}, {r.unit}",
            _number(r.figure),
            "" if r.floor is None else _number(r.floor),
            "" if r.ratio is None else f"{r.ratio:.2f}",
            r.target_text,
            {None: "", True: "yes", False: "NO"}[r.ok],
        )
        for r in results
    ]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [_line(head, widths), "  ".join("-" * width for width in widths)]
    return "\n".join([*lines, *(_line(row, widths) for row in rows)])


def as_json(results: Sequence[Result]) -> str:
    """Return the results as JSON."""
    rows = [{**asdict(r), "ratio": r.ratio, "ok": r.ok} for r in results]
    return json.dumps(rows, indent=2)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    rest = (c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))
    return "  ".join([first, *rest])


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 10 else f"{value:.1f}"
