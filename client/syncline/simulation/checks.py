"""
What must hold after every commit, and at every push.

The promises P1 to P8 of `GUARANTEES.md` are named where they are checked.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from syncline.bulk import BulkPlan
from syncline.conflict_log import GIVEN_UP
from syncline.following import CURSOR, load_cursor
from syncline.merge import merge
from syncline.models import VOID, Answer, Conflict, Cursor, Entry, Key, Record, Resolution, Update
from syncline.revision import short_of
from syncline.simulation.environment import Environment
from syncline.simulation.options import UNBOUNDED
from syncline.simulation.process import Process
from syncline.simulation.recorded import Written
from syncline.verdicts import equal_data


class Broken(Exception):  # noqa: N818 - a verdict on the run, no error of the program
    """A promise was broken."""


class Checks:
    """
    Judges what processes do by the ledger.

    Attributes:
        conflicts: how many were logged anywhere.
        logged: the revisions that a conflict log names. purged: what was ever forgotten anywhere.
        yielded: the revisions that were given up with their transaction.
        deleted: the deletions, (key, revision), that followers held when a daemon was restored.
        gone_back: the records that a daemon gave up with a transaction, and holds again as before.
    """

    def __init__(self, world: Environment) -> None:
        self.world = world
        self.conflicts = 0
        self.logged: set[str] = set()
        self.purged: set[Key] = set()
        self.yielded: set[str] = set()
        self.gone_back: set[Key] = set()
        self.deleted: set[tuple[Key, str]] = set()
        self._seen: set[tuple[str, str]] = set()
        self._opened: set[str] = set()
        self._cursors: dict[str, Cursor] = {}

    @property
    def is_exact(self) -> bool:
        """Whether ancestors are kept long enough that no conflict may be false."""
        options = self.world.options
        return options.ancestors_max >= UNBOUNDED and not options.purge and not options.restore

    @property
    def may_forget(self) -> bool:
        """Whether a daemon may settle by strategy an old push whose revision it has forgotten."""
        options = self.world.options
        is_bounded = options.ancestors_max < UNBOUNDED
        return is_bounded and any(name != "manual" for name in options.daemon_strategies)

    def note_restored(self, followers: Sequence[Process]) -> None:
        """Take note of what is held as deleted where the upstream is restored."""
        for process in followers:
            updates = [entry.update for entry in process.held().values()]
            self.deleted |= {(u.key, u.rev) for u in updates if u.is_deletion}

    # ---- after every commit -------------------------------------------------------------

    def after_commit(self, process: Process, what: str) -> None:
        """Enter what a commit wrote, and check it."""
        ledger = self.world.ledger
        for conflict in process.store.conflicts:
            self.logged |= {conflict.ours.rev, conflict.theirs.rev}
            if conflict.reason == GIVEN_UP:
                self.yielded.add(conflict.ours.rev)
                if process.listens:
                    self.gone_back.add(conflict.key)
        for written in process.store.written:
            if what == "purge":
                self.purged.add(written.key)
            if what == "write":
                ledger.note_undone(written)
            self._check_deletion(written, what)
            if written.before is not None and written.after is not None:
                self._check_forward(process, written, what)
            wrong = ledger.note(written)
            if wrong:
                raise Broken(f"P3: {wrong}, at {process.name}")
            self._note_history(process, written)
        for kept, twin in process.store.twins:
            if kept != twin:
                ledger.twins.setdefault(kept, []).append(twin)
        for conflict in process.store.conflicts:
            self._check_conflict(process, conflict)
            self._check_whole(process, conflict)
        if process.upstream is not None:
            self._check_view(process, what)

    def _note_history(self, process: Process, written: Written) -> None:
        if not process.listens or written.after is None:
            return
        update = written.after.update
        history = self.world.ledger.histories.setdefault(process.name, {})
        made = history.setdefault(written.key, [])
        if not made or made[-1][0] != update.seq:
            made.append((update.seq, update.rev))
        elif made[-1][1] != update.rev:
            raise Broken(
                f"P4: seq {update.seq} of {process.name} names two revisions of {written.key}"
            )

    def _check_forward(self, process: Process, written: Written, what: str) -> None:
        """P5: a view never goes back, except over what was refused or undone in the open."""
        assert written.before is not None
        assert written.after is not None
        old, new = written.before.update, written.after.update
        ledger = self.world.ledger
        if written.key in self.purged or self.may_forget:
            return
        if old.rev == new.rev or new.rev not in ledger.parents or self.world.has_restored:
            return
        if equal_data(old, new) or not ledger.descends(old.rev, new.rev, with_twins=False):
            return
        if new.rev in self.yielded and written.key in self.gone_back:
            return  # Given up, and taken after all: a late repeat met what it had been made over.
        if what in ("write", "Acknowledge"):
            return  # Undoing, and refusals, which are entered after the commit.
        if old.rev not in self.logged and not self._is_given_up(old.rev):
            raise Broken(
                f"P5: {process.name} went back from {old.rev} to {new.rev} of {written.key}"
            )

    def _is_given_up(self, rev: str) -> bool:
        # A daemon may have been refused, or have given up, one that was made on top of it.
        ledger = self.world.ledger
        given_up = ledger.refused | self.yielded
        if self.gone_back:
            # And that may be what a strategy at its door had let in, over what it lost to there.
            given_up |= self.logged
        return rev in ledger.undone or rev in ledger.lineage_of(sorted(given_up))

    def _check_conflict(self, process: Process, conflict: Conflict) -> None:
        """P3: no false conflict."""
        ledger = self.world.ledger
        ours, theirs = conflict.ours.rev, conflict.theirs.rev
        if (conflict.conflict_id, theirs) in self._seen:
            return
        self._seen.add((conflict.conflict_id, theirs))
        if conflict.is_open:
            self._opened.add(conflict.conflict_id)
        elif conflict.conflict_id in self._opened and conflict.theirs.descends_from(ours):
            return  # It was one when it was opened, and ended when the upstream took ours in.
        self.conflicts += 1
        if not self.is_exact or conflict.resolution == "refused" or conflict.reason == GIVEN_UP:
            return
        if ours in ledger.parents and theirs in ledger.parents and not self._is_given_up(ours):
            for late, early in ((ours, theirs), (theirs, ours)):
                if ledger.descends(late, early, with_twins=False):
                    raise Broken(
                        f"P3: a false conflict at {process.name} on {conflict.key}: "
                        f"{late} was made knowing {early}"
                    )

    def _check_deletion(self, written: Written, what: str) -> None:
        """P7: a deletion that the upstream lost is not let go before it was offered back."""
        before = written.before
        if before is None or not before.update.is_deletion or before.base_seq != VOID:
            return
        if written.after is None and what == "ApplyUpdates":
            raise Broken(f"P7: {before.update.rev} of {written.key} was lost, and is let go")

    def _check_whole(self, process: Process, conflict: Conflict) -> None:
        """P6: of a transaction that gave way nothing waits to be pushed."""
        group = conflict.ours.group
        if group is None or conflict.side != "ours":
            return
        with process.store.read() as reader:
            left = [update.key for update in reader.grouped_outbox([group])]
        # What is pending still was not given up; or it is a push, that a strategy let in.
        if not left or conflict.key in left:
            return
        ours, theirs = conflict.ours, conflict.theirs
        if conflict.resolution not in (Resolution.THEIRS, Resolution.LATEST):
            return
        if theirs.descends_from(ours.rev) or self.world.ledger.descends(theirs.rev, ours.rev):
            return  # The upstream had taken ours in, or settled the two itself.
        if _had_left(process, ours):
            return  # The upstream has the transaction; what is left was written upon it.
        if _loses(conflict.base, ours, theirs):
            raise Broken(
                f"P6: {process.name} gave way on {conflict.key} alone, of a transaction with {left}"
            )

    # ---- what a follower shows ----------------------------------------------------------

    def _check_view(self, process: Process, what: str) -> None:
        """P6 and P8: the view is the upstream's at the cursor, plus what is pending here."""
        with process.store.read() as reader:
            cursor = load_cursor(reader.meta(CURSOR))
        before = self._cursors.get(process.name, cursor)
        self._cursors[process.name] = cursor
        if cursor.seq < before.seq and what != "BeginReset":
            raise Broken(f"P5: the cursor of {process.name} went back: {before.seq} → {cursor.seq}")
        upstream = process.upstream
        assert upstream is not None
        lineage = upstream.engine.lineage
        if (
            not upstream.is_up
            or not cursor.is_whole
            or cursor.resetting is not None
            or cursor.source != lineage.source
            or cursor.epoch != lineage.current
            or (process.later_models and process.starts > 1)
        ):
            return
        held = process.held()
        history = self.world.ledger.histories.get(upstream.name, {})
        for key in {**dict.fromkeys(history), **dict.fromkeys(held)}:
            if key[0] in cursor.models and key not in self.purged:
                wrong = self._judge(process, held.get(key), history.get(key, ()), cursor)
                if wrong:
                    raise Broken(f"P6: {process.name} at {cursor.seq}, {what}: {key} {wrong}")

    def _judge(
        self,
        process: Process,
        entry: Entry | None,
        made: Sequence[tuple[int, str]],
        cursor: Cursor,
    ) -> str:
        at = next((pair for pair in reversed(made) if pair[0] <= cursor.seq), None)
        is_live = at is not None and not at[1].endswith("-deleted")
        if entry is None:
            return f"is missing, upstream shows {at}" if is_live else ""
        base = entry.base
        if base.seq is None or base.seq == VOID:
            return f"knows no base, upstream shows {at}" if is_live else ""
        if base.seq > cursor.seq:
            if (process.name, base.rev) not in self.world.ledger.pushed:
                return f"shows {base.rev} @{base.seq}, which lies beyond the cursor"
            at = next((pair for pair in made if pair[0] == base.seq), None)
        if entry.pending is not None and entry.pending.hold == "conflict":
            with process.store.read() as reader:
                conflict = reader.open_conflict(*entry.update.key)
            shown = None if conflict is None else conflict.theirs.rev
        else:
            shown = base.rev
        if at is None or shown == at[1] or shown in self.world.ledger.amended:
            return ""
        return f"stands on {shown} @{base.seq}, upstream shows {at}"

    # ---- at every push ------------------------------------------------------------------

    def after_offer(
        self,
        process: Process,
        held: Mapping[Key, Update],
        updates: Sequence[Update],
        plan: BulkPlan,
    ) -> None:
        """P3: what was accepted replaced what it knew of, or what the strategy says."""
        ledger = self.world.ledger
        for update, result in zip(updates, plan.results, strict=True):
            mine = held.get(update.key)
            if result.answer is Answer.KNOWN and mine is not None and equal_data(mine, update):
                ledger.twins.setdefault(mine.rev, []).append(update.rev)
            if result.answer is Answer.APPLIED:
                ledger.accepted.append((process.name, update.key, update.rev))
        self._check_groups(process, updates, plan)
        for written in plan.writes:
            before = held.get(written.key)
            if before is None or before.rev == written.rev or equal_data(before, written):
                continue
            if ledger.descends(written.rev, before.rev):
                continue
            if before.rev in ledger.refused and short_of(before.rev) in written.ancestors:
                continue  # A late repeat was taken after all; whoever was refused knows of it.
            if self.world.has_restored and self._had_replaced(written, before):
                continue
            # A loser, and what it stood on, is in a log; a daemon below may have been told so.
            # After a restore, one that was refused may have been made over what was lost.
            kept = self.logged | (ledger.refused if self.world.has_restored else set())
            if before.rev not in ledger.lineage_of(sorted(kept)):
                raise Broken(
                    f"P3: {process.name} overwrote {before.rev} of {written.key} with "
                    f"{written.rev}, which knew nothing of it"
                )

    def _had_replaced(self, written: Update, before: Update) -> bool:
        """
        Tell whether what a write stands on had replaced what it overwrites.

        A record that was deleted and made anew by one who had purged the deletion knows nothing of
        its former life; those below, who do, keep that among its ancestors. A restore to the
        former life is then overwritten by who knows better.
        """
        ledger, known = self.world.ledger, set(written.ancestors)
        return any(
            rev != before.rev and short_of(rev) in known and ledger.descends(rev, before.rev)
            for rev in ledger.parents
        )

    def _check_groups(self, process: Process, updates: Sequence[Update], plan: BulkPlan) -> None:
        """P6: a group is applied whole or not at all."""
        barred = {
            update.group
            for update, result in zip(updates, plan.results, strict=True)
            if result.answer in (Answer.CONFLICT, Answer.REFUSED, Answer.PARKED)
        }
        pushed = {update.rev: update.group for update in updates}
        sizes = Counter(update.group for update in updates)
        for mine, update, resolution in plan.settled:
            if sizes[update.group] > 1 and update.group and resolution is Resolution.OURS:
                raise Broken(
                    f"P6: {process.name} kept {mine.rev} of {update.key}, and took the rest of "
                    f"group {update.group}"
                )
        for written in plan.writes:
            group = pushed.get(written.rev)
            if group is not None and group in barred:
                raise Broken(f"P6: {process.name} applied a part of group {group}: {written.key}")


def _had_left(process: Process, ours: Update) -> bool:
    """Tell whether ours waited for nothing when a push was let in over it."""
    befores = [one.before for one in process.store.written if one.key == ours.key]
    return any(
        before is not None and before.update.rev == ours.rev and before.pending is None
        for before in befores
    )


def _loses(base: Record | None, ours: Update, theirs: Update) -> bool:
    """Tell whether something of ours is lost where theirs stands."""
    if ours.data is None or theirs.data is None:
        return True
    return bool(merge(base, ours.data, theirs.data).collisions)
