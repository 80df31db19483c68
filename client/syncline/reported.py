"""Conflicts that wait at other replicas, as those tell of them, so that an inbox here sees all."""

from collections.abc import Collection, Iterable, Mapping

import msgspec

from syncline.author import Author
from syncline.conflict_log import SETTLED_KEPT, nothing_instead_of, received_id
from syncline.models import Conflict, Update, raw_body
from syncline.protocol import ConflictName, ConflictReport, ReportAnswer, ReportedConflict
from syncline.revision import Revision, short_of
from syncline.store.contract import Reader, Transaction


LOG_MAX = 10_000
"""So much of the conflict log is read, entries; what is settled or waits elsewhere is fewer."""
SETTLED = "settled"
"""The resolution of what waited elsewhere: how it was settled there is not told."""


def has_taken_in(current: Update | None, rev: Revision) -> bool:
    """Tell whether what stands is that revision, or was made with it in view."""
    return current is not None and (current.rev == rev or short_of(rev) in current.ancestors)


def waiting_at(reader: Reader) -> list[Conflict]:
    """Return the conflicts that wait at other replicas, oldest first."""
    found = reader.conflicts(open_only=False, limit=LOG_MAX)
    return [one for one in found if one.is_waiting and one.side != "ours"]


class Reported:
    """
    Takes what followers tell of the conflicts that wait there into a listening replica's log.

    A report is a position: it names all that wait there, so it may come twice, late or not at
    all. Theirs is the follower's side, as it is of what is pushed; ours is what is held here.
    """

    def __init__(self, author: Author) -> None:
        self._author = author

    def take(
        self,
        tx: Transaction,
        holder: str,
        report: ConflictReport,
        told: Mapping[ConflictName, ReportedConflict],
        *,
        barred: Collection[ConflictName] = (),
    ) -> ReportAnswer:
        """
        Take a report; answer what of it is to be told in full.

        Args:
            holder: the replica that reports.
            told: what it told in full, checked.
            barred: what it may not have listed here; that is left as it is.
        """
        entries = tx.entries([name.key for name in report.open])
        count = 0
        wanted: list[int] = []
        named: set[str] = set()
        for place, name in enumerate(report.open):
            conflict_id = received_id(name.model, name.record_id, name.rev)
            entry = entries.get(name.key)
            current = None if entry is None else entry.update
            if name in barred:
                named.add(conflict_id)
                continue
            if has_taken_in(current, name.rev):
                continue
            named.add(conflict_id)
            before = tx.conflict(conflict_id)
            is_known = before is not None and before.side == "reported"
            if not is_known and name not in told:
                wanted.append(place)
            after = self._noted(holder, before, told.get(name), current)
            if after is not None:
                count += 1
                if after != before:
                    tx.write_conflict(after)
        self._settle_unnamed(tx, holder, named, more=report.more)
        tx.trim_conflicts(SETTLED_KEPT)
        return ReportAnswer(count=count, wanted=wanted)

    def settle(self, tx: Transaction, conflict_ids: Iterable[str]) -> None:
        """Mark what waited elsewhere as settled."""
        for conflict_id in conflict_ids:
            conflict = tx.conflict(conflict_id)
            if conflict is not None and conflict.side != "ours" and conflict.is_waiting:
                now = self._author.now_ms()
                settled = msgspec.structs.replace(conflict, resolution=SETTLED, settled_ms=now)
                tx.write_conflict(settled)

    def _noted(
        self,
        holder: str,
        before: Conflict | None,
        told: ReportedConflict | None,
        current: Update | None,
    ) -> Conflict | None:
        """Return the entry of what waits at the holder; None while too little is told of it."""
        if before is not None and before.resolution == "refused":
            return before
        if told is not None:
            now = self._author.now_ms()
            update = told.update
            before = Conflict(
                conflict_id=received_id(update.model, update.record_id, update.rev),
                model=update.model,
                record_id=update.record_id,
                base_rev=told.base_rev,
                base_body=bytes(raw_body(told.base)),
                ours=current or nothing_instead_of(update),
                theirs=update,
                opened_ms=min(max(told.opened_ms, 0), now),
                settled_ms=now,
                side="reported",
            )
        if before is None:
            return None
        # One that was taken for settled is not, as long as it is named.
        return msgspec.structs.replace(
            before, ours=current or before.ours, resolution="returned", holder=holder
        )

    def _settle_unnamed(
        self, tx: Transaction, holder: str, named: Collection[str], *, more: bool
    ) -> None:
        # What was pushed and never told of may be among those that a report has no room for.
        self.settle(
            tx,
            [
                one.conflict_id
                for one in waiting_at(tx)
                if one.holder == holder
                and one.conflict_id not in named
                and not (more and one.side == "received")
            ],
        )
