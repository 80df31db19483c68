"""
What really happened: every revision that was made, over which, and where it was stored.

The engine's own ancestors are bounded and sometimes adopted; the ledger's are the truth that its
decisions are judged by.
"""

from collections.abc import Sequence

from syncline.models import Key
from syncline.revision import is_deletion
from syncline.simulation.recorded import Written
from syncline.verdicts import equal_bodies


History = dict[Key, list[tuple[int, str]]]


class Ledger:
    """
    The truth about all revisions.

    Attributes:
        parents: what each revision was made over.
        twins: equal data under another revision, that this one was kept for.
        bodies: the data that each revision names.
        refused, undone: revisions that were given up in the open.
        amended: pushed revisions that a hook amended.
        pushed: what each replica ever pushed, (replica, rev).
        works: what the workload wrote, (replica, key, rev).
        accepted: what daemons said that they took, (daemon, key, rev).
        histories: every (seq, rev) that a daemon's list ever had of a record, by the daemon.
    """

    def __init__(self) -> None:
        self.parents: dict[str, tuple[str, ...]] = {}
        self.twins: dict[str, list[str]] = {}
        self.bodies: dict[str, bytes] = {}
        self.refused: set[str] = set()
        self.undone: set[str] = set()
        self.amended: set[str] = set()
        self.pushed: set[tuple[str, str]] = set()
        self.works: list[tuple[str, Key, str]] = []
        self.accepted: list[tuple[str, Key, str]] = []
        self.histories: dict[str, History] = {}

    def note(self, written: Written) -> str:
        """Enter a write; return what is wrong with it, or nothing."""
        if written.after is None:
            return ""
        update, before = written.after.update, written.before
        body = bytes(update.body)
        if update.rev not in self.parents:
            over = [] if before is None else [str(before.update.rev)]
            if update.prev is not None and update.prev not in over:
                over.append(str(update.prev))
            self.parents[update.rev] = tuple(over)
            self.bodies[update.rev] = body
            if update.amended_for is not None and update.prev is not None:
                self.amended.add(update.prev)
            return ""
        if not equal_bodies(self.bodies[update.rev], body) and self.bodies[update.rev] != body:
            return f"revision {update.rev} of {written.key} names two different records"
        if before is not None and before.update.rev != update.rev:
            old = before.update.rev
            if equal_bodies(bytes(before.update.body), body) or (
                before.update.is_deletion and update.is_deletion
            ):
                self.twins.setdefault(update.rev, []).append(old)
        return ""

    def note_undone(self, written: Written) -> None:
        """Take note of a local write that led a never-sent revision back to its base."""
        if written.before is not None:
            after = written.after
            if after is None or after.update.rev in self.parents:
                self.undone.add(written.before.update.rev)

    def descends(self, rev: str, ancestor: str, *, with_twins: bool = True) -> bool:
        """Tell whether `rev` was made knowing `ancestor`, or is it."""
        seen: set[str] = set()
        ahead = [rev]
        while ahead:
            at = ahead.pop()
            if at == ancestor:
                return True
            if at in seen:
                continue
            seen.add(at)
            ahead.extend(self.parents.get(at, ()))
            if with_twins:
                ahead.extend(self.twins.get(at, ()))
        return False

    def burials(self) -> set[str]:
        """
        Return the tombstones that a refusal left where others follow.

        They were given up with what they bury: a deletion that met one as its equal had nothing
        but a record to delete that no upstream ever took.
        """
        works = {rev for _, _, rev in self.works}
        return {
            rev
            for rev, over in self.parents.items()
            if is_deletion(rev) and rev not in works and self.refused.intersection(over)
        }

    def lineage_of(self, revs: Sequence[str]) -> set[str]:
        """Return all that those revisions were made knowing, themselves included."""
        seen: set[str] = set()
        ahead = list(revs)
        while ahead:
            at = ahead.pop()
            if at not in seen:
                seen.add(at)
                ahead.extend(self.parents.get(at, ()))
                ahead.extend(self.twins.get(at, ()))
        return seen
