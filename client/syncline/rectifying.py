"""
What was written into models' own tables beside the replica becomes changes.

Whatever touches a record comes here first, so that what it meets is what the row says: a revision
that was not seen is never overwritten.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from syncline.change_log import ChangeLog, Write, WriteKind
from syncline.conflict_log import ConflictLog
from syncline.errors import RecordInvalid
from syncline.models import Key, Update
from syncline.outcome import Outcome
from syncline.store.contract import Transaction


class Keyed(Protocol):
    """What names a record."""

    @property
    def key(self) -> Key:
        """Model and record id."""


class Rectifying:
    """
    Records what others wrote into one replica's tables.

    Every method runs inside a transaction that the caller commits.
    """

    def __init__(self, change_log: ChangeLog, conflict_log: ConflictLog) -> None:
        self._change_log = change_log
        self._conflict_log = conflict_log

    def mind(
        self, tx: Transaction, touched: Iterable[Keyed] | None, outcome: Outcome | None = None
    ) -> None:
        """
        Record what others wrote of records that are about to be touched; None for all.

        Nothing is looked at while nobody else can have written since the last look.
        """
        if not tx.may_stray:
            return
        moved = self.rectify(tx, None if touched is None else [each.key for each in touched])
        if outcome is not None and moved:
            outcome.visible.extend(moved)
            outcome.must_push = True

    def rectify(self, tx: Transaction, keys: Sequence[Key] | None = None) -> list[Update]:
        """
        Record what others wrote of those records, or of all; return the changes that it made.

        A row that makes no record leaves none; what it holds is kept in the conflict log, since
        what touches the record now may take the row's place.
        """
        writes: list[Write] = []
        for stray in tx.strays(keys):
            if not stray.problem:
                writes.append(
                    Write(
                        kind=WriteKind.PUT if stray.body else WriteKind.DELETE,
                        model=stray.model,
                        record_id=stray.record_id,
                        body=msgspec.Raw(stray.body),
                    )
                )
            elif keys is not None:
                held = tx.entry(stray.model, stray.record_id)
                self._conflict_log.note_unreadable(tx, held, stray)
        if not writes:
            return []
        head = tx.head()
        written = self._change_log.record_writes(tx, writes)
        return [update for update in written if update.seq > head]


def refuse_unfit(tx: Transaction, written: Iterable[Keyed]) -> None:
    """
    Refuse a local write that its row can't hold; one from elsewhere is parked.

    Raises:
        RecordInvalid: naming table and column.
    """
    if parked := tx.parked:
        for each in written:
            if (row := parked.get(each.key)) is not None:
                raise RecordInvalid(row.problem)
