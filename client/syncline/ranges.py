"""
Ranges of record ids and their summaries: what two ends compare instead of their records.

A summary says of a range how many records it holds and a hash over their ids and bodies, in order
of id by code point.
Two ranges with the same count and hash hold the same records, byte for byte, whatever their
revisions; of two that differ, the parts are compared.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec


WIDE_ROWS = 2048
NARROW_ROWS = 64
LEAF_ROWS = 64
ROWS_MAX = 200_000
"""The most rows that one answer reads."""
SUMMARIES_MAX = 2000
"""The most summaries in one answer; with the longest of ids they still make one message."""
RANGES_MAX = 2000
"""The most ranges in one question."""

Row = tuple[str, str, bytes]
"""Record id, revision and encoded body; an empty one for a tombstone."""


class Range(msgspec.Struct, frozen=True, omit_defaults=True):
    """The record ids with `after < id <= upto`; None for all that follow."""

    after: str = ""
    upto: str | None = None


class Summary(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"record_id": "id"}
):
    """
    What an end holds of a range.

    Attributes:
        rows: entries, tombstones included. count: records.
        hash: 128 bits in hex over the records, by `summarise`; empty for too many rows.
        record_id, rev: of the row, when there is one; of a tombstone, when `count` is 0.
    """

    after: str
    upto: str | None = None
    rows: int = 0
    count: int = 0
    hash: str
    record_id: str | None = None
    rev: str | None = None

    @property
    def span(self) -> Range:
        """The range that it summarises."""
        return Range(self.after, self.upto)

    def equals(self, other: "Summary") -> bool:
        """Tell whether both ends hold the same records there."""
        return self.count == other.count and self.hash == other.hash and bool(self.hash)


class Part(NamedTuple):
    """A range that two ends hold differently, as each summarises it."""

    ours: Summary
    theirs: Summary


class DifferenceKind(StrEnum):
    """How two ends differ on a record."""

    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    DIFFERING = "differing"
    ROTTEN = "rotten"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """
    A record on which two ends differ.

    Attributes:
        kind: missing at one end, of other data under other revisions, or rotten: of other data
            under the same revision, which no replication would ever find.
        ours, theirs: the revisions; None where nothing is held, a deletion's for a tombstone.
    """

    model: str
    record_id: str
    kind: DifferenceKind
    ours: str | None
    theirs: str | None


def summarise_all(
    read: Callable[[Range], Iterable[Row]],
    ranges: Sequence[Range],
    *,
    every: int | None = None,
    rows_max: int = ROWS_MAX,
    summaries_max: int = SUMMARIES_MAX,
) -> list[Summary]:
    """
    Return the summaries of ranges, as many as the bounds allow; `rest_of` says what is left.

    Args:
        read: returns the rows of a range, in order of id.
        every: make a summary for each so many rows; None for one a range.
    """
    made: list[Summary] = []
    seen = 0
    for span in ranges:
        room = summaries_max - len(made)
        if seen >= rows_max or room <= 0:
            break
        found = summarise(read(span), span, every=every, rows_max=rows_max, summaries_max=room)
        made += found
        seen += sum(summary.rows for summary in found)
        if found[-1].upto != span.upto:
            break
    return made


def summarise(
    rows: Iterable[Row],
    span: Range,
    *,
    every: int | None = None,
    rows_max: int = ROWS_MAX,
    summaries_max: int = SUMMARIES_MAX,
) -> list[Summary]:
    """
    Return the summaries of a range, one for each `every` rows or one for all.

    In parts, the last one reaches to the end of the range unless a bound was met before.
    A range of too many rows to be hashed as one has no hash, and so equals nothing.

    Args:
        rows: those of the range, in order of id.
    """
    made: list[Summary] = []
    gathering = _Gathering(span.after)
    for seen, row in enumerate(rows):
        if seen >= rows_max and every is None:
            return [gathering.summary(span.upto, is_hashed=False)]
        is_full = gathering.rows == every
        if seen >= rows_max or (is_full and len(made) + 1 >= summaries_max):
            made.append(gathering.summary(gathering.last))
            return made
        if is_full:
            made.append(gathering.summary(gathering.last))
            gathering = _Gathering(gathering.last)
        gathering.add(row)
    made.append(gathering.summary(span.upto))
    return made


class _Gathering:
    __slots__ = ("_after", "_count", "_hash", "_rev", "last", "rows")

    def __init__(self, after: str) -> None:
        self._after = after
        self._hash = hashlib.sha256()
        self._rev = ""
        self._count = 0
        self.last = after
        self.rows = 0

    def add(self, row: Row) -> None:
        self.last, self._rev, body = row
        self.rows += 1
        if body:
            # The length keeps one id from running into a body, and so passing for another.
            name = self.last.encode()
            self._hash.update(b"%d:%b%b" % (len(name), name, body))
            self._count += 1

    def summary(self, upto: str | None, *, is_hashed: bool = True) -> Summary:
        is_single = self.rows == 1
        return Summary(
            after=self._after,
            upto=upto,
            rows=self.rows,
            count=self._count,
            hash=self._hash.hexdigest()[:32] if is_hashed else "",
            record_id=self.last if is_single else None,
            rev=self._rev if is_single else None,
        )


def in_order(ranges: Sequence[Range]) -> bool:
    """Tell whether ranges follow each other without overlap."""
    return all(
        one.upto is not None and one.upto <= other.after
        for one, other in itertools.pairwise(ranges)
    )


def rest_of(ranges: Sequence[Range], summaries: Sequence[Summary]) -> list[Range]:
    """Return what an answer that was cut has left of the ranges, which are in order."""
    if not summaries:
        return list(ranges)
    end = summaries[-1].upto
    if end is None:
        return []
    rest = [span for span in ranges if span.upto is None or span.upto > end]
    return [Range(max(span.after, end), span.upto) for span in rest]


def differing(ours: Sequence[Summary], theirs: Sequence[Summary]) -> list[Part]:
    """Return the ranges that differ; both ends summarised the same ones, in the same order."""
    return [Part(a, b) for a, b in zip(ours, theirs, strict=True) if not a.equals(b)]


def is_leaf(part: Part) -> bool:
    """Tell whether a range is small enough to be listed, or one end holds nothing of it."""
    rows = part.ours.rows, part.theirs.rows
    return max(rows) <= LEAF_ROWS or min(rows) == 0


def splits_ours(part: Part) -> bool:
    """Tell whether ours is the end to name the parts: the one with more rows makes even ones."""
    return part.ours.rows >= part.theirs.rows


def step_of(part: Part) -> int:
    """Return how many rows a part of a range shall have."""
    return WIDE_ROWS if max(part.ours.rows, part.theirs.rows) > WIDE_ROWS else NARROW_ROWS


def compare_listed(
    model: str, ours: Sequence[Summary], theirs: Sequence[Summary]
) -> list[Difference]:
    """
    Compare ranges that both ends listed row by row.

    What differs in its bytes may still be equal as JSON values; whoever asks looks at the data.
    """
    here = {s.record_id: s for s in ours if s.record_id is not None}
    there = {s.record_id: s for s in theirs if s.record_id is not None}
    found: list[Difference] = []
    for record_id in sorted({*here, *there}):
        a, b = here.get(record_id), there.get(record_id)
        kind = _kind_of(a, b)
        if kind is not None:
            found.append(
                Difference(
                    model=model,
                    record_id=record_id,
                    kind=kind,
                    ours=None if a is None else a.rev,
                    theirs=None if b is None else b.rev,
                )
            )
    return found


def _kind_of(ours: Summary | None, theirs: Summary | None) -> DifferenceKind | None:
    is_here, is_there = ours is not None and ours.count, theirs is not None and theirs.count
    if not is_here:
        return DifferenceKind.MISSING_HERE if is_there else None
    if not is_there:
        return DifferenceKind.MISSING_THERE
    assert ours is not None
    assert theirs is not None
    if ours.equals(theirs):
        return None
    return DifferenceKind.ROTTEN if ours.rev == theirs.rev else DifferenceKind.DIFFERING
