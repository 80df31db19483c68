"""
What a link tells its upstream of the conflicts that wait here, so that an inbox there sees all.

A report names all open conflicts: a position, no event, so one that is lost, late or repeated does
no harm. The answer says which of them the upstream wants to be told in full, and the next report
tells these, as many as a message holds.
"""

from collections.abc import Sequence
from typing import Any

from syncline.connection import checked
from syncline.core import Core
from syncline.errors import SynclineError
from syncline.logs import Logger
from syncline.models import Conflict, Key, Update, raw_body
from syncline.outcome import Outcome
from syncline.payloads import encode_page, inline, size_of
from syncline.protocol import (
    INLINE_BYTES_MAX,
    ConflictName,
    ConflictReport,
    ReportAnswer,
    ReportedConflict,
    Welcome,
    decode,
    encode,
)
from syncline.store.contract import Reader


log = Logger("syncline")

REPORT_BYTES_MAX = 256 * 1024
"""The bytes of conflicts told in full in one report; a single one may be larger."""
NAME_BYTES = 80
"""About what a name takes on the wire, beside the model's and the record's."""
BEATS_WAITED_MAX = 2
"""After so many heartbeats an answer is not waited for any more."""

Names = tuple[ConflictName, ...]


class Reporting:
    """
    Decides when to tell the upstream of open conflicts, and what.

    Whoever drives the link asks for `next_report` while `is_due`, but only when the cursor is at
    the head and no push is out: else a conflict that is yet to be met here would pass for settled.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._conflicts_max = 0
        self._room = REPORT_BYTES_MAX
        self._is_due = False
        # What the upstream was told last; None when it isn't known what it lists.
        self._told: Names | None = ()
        self._sent: Names | None = None
        self._beats = 0
        self._wanted: set[ConflictName] = set()
        self._given: set[ConflictName] = set()
        self._keys: frozenset[Key] = frozenset()

    @property
    def is_due(self) -> bool:
        """Whether there may be something to report."""
        return self._is_due and self._sent is None and self._conflicts_max > 0

    # ---- what happens to the link -------------------------------------------------------

    def welcomed(self, welcome: Welcome) -> None:
        """Begin anew on a new connection."""
        self._conflicts_max = welcome.conflicts_max
        self._room = welcome.message_bytes_max // 4
        self._told = None if welcome.conflicts else ()
        self._sent = None
        self._wanted.clear()
        self._given.clear()
        self._is_due = True

    def note_written(self, updates: Sequence[Update] | None) -> None:
        """Take note of a commit; None for one of which nothing is known."""
        if self._told or self._keys:
            self._is_due |= updates is None or any(u.key in self._keys for u in updates)

    def note_outcome(self, outcome: Outcome) -> None:
        """Take note of what the upstream's word did here."""
        # What ends a conflict leaves something to push, or may.
        has_some = bool(self._told or self._keys)
        self._is_due |= bool(outcome.conflicts) or (outcome.must_push and has_some)

    def note_collision(self) -> None:
        """A push collided: the upstream lists that, however it is settled here."""
        self._told = None
        self._is_due = True

    def beat(self) -> None:
        """Once a heartbeat: look again, and at what was sent and is not answered."""
        self._is_due = True
        if self._sent is None:
            return
        self._beats += 1
        if self._beats >= BEATS_WAITED_MAX:
            self._sent = self._told = None

    # ---- reports ------------------------------------------------------------------------

    def next_report(self) -> tuple[Names, tuple[object, ...]] | None:
        """Return the names and the message of the report that is due; None when nothing is new."""
        self._is_due = False
        found = self._core.writer.read_now(self._read)
        names = self._names_of(found)
        more = len(names) < len(found)
        self._keys = frozenset(name.key for name in names)
        told = self._in_full(found, names)
        if names == self._told and not told:
            return None
        self._sent, self._beats = names, 0
        header = encode(ConflictReport(open=list(names), more=more))
        if not told:
            return names, (header,)
        page = encode_page(told)
        is_small = len(page) <= INLINE_BYTES_MAX
        return names, ({**header, "conflicts": inline(page)},) if is_small else (header, page)

    def _read(self, reader: Reader) -> list[Conflict]:
        return reader.conflicts(open_only=True, limit=self._conflicts_max + 1)

    def _names_of(self, found: list[Conflict]) -> Names:
        """Return the names of the oldest, as many as the upstream lists and a message holds."""
        names: list[ConflictName] = []
        size = 0
        for conflict in found[: self._conflicts_max]:
            update = conflict.ours
            size += NAME_BYTES + len(update.model) + len(update.record_id)
            if names and size > self._room:
                break
            names.append(
                ConflictName(model=update.model, record_id=update.record_id, rev=update.rev)
            )
        return tuple(names)

    def _in_full(self, found: list[Conflict], names: Names) -> list[ReportedConflict]:
        """Return those that the upstream wants and was not given yet, as many as there is room."""
        chosen: list[ReportedConflict] = []
        size = 0
        for name, conflict in zip(names, found, strict=False):
            if name not in self._wanted or name in self._given:
                continue
            weight = size_of(conflict.ours) + len(conflict.base_body)
            if chosen and size + weight > min(REPORT_BYTES_MAX, self._room):
                break
            self._given.add(name)
            if weight > 2 * self._room:
                continue  # It fits no message, and stays a name.
            size += weight
            chosen.append(
                ReportedConflict(
                    update=conflict.ours,
                    base_rev=conflict.base_rev,
                    base=raw_body(conflict.base_body),
                    opened_ms=conflict.opened_ms,
                )
            )
        return chosen

    def answered(self, names: Names, got: tuple[Any, ...]) -> None:
        """Take the answer to a report, or the error that it is."""
        if names is not self._sent:
            return
        self._sent = None
        try:
            answer = decode(ReportAnswer, checked(got)[0])
        except SynclineError as error:
            log.warning("report.refused", error=error.code, reason=str(error))
            self._told = None
            if not error.retryable:
                self._conflicts_max = 0  # Ask it no more on this connection.
            return
        self._wanted = {names[place] for place in answer.wanted if 0 <= place < len(names)}
        self._told = names
        self._is_due = True
