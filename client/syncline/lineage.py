"""
Epochs: whether a cursor still lies on the history that this list has.

Every writable start of a daemon opens an epoch.
A database that was restored, replaced or wiped does not know the later epochs of its former self,
and that is how a cursor of theirs is recognised.
"""

from typing import NamedTuple

import msgspec


EPOCHS_MAX = 4096


class Epoch(NamedTuple):
    """An epoch and the head of the list when it was opened."""

    name: str
    first_seq: int


class Standing(msgspec.Struct, frozen=True):
    """
    What a list says of a peer's cursor.

    Attributes:
        is_good: the peer may go on from it.
        shared: when not good, the seq up to which the peer's history is this list's too.
        reason: why it is not good: `"source"`, `"epoch"`, `"ahead"` or `"horizon"`.
    """

    is_good: bool
    shared: int = 0
    reason: str = ""


class Lineage(msgspec.Struct, frozen=True):
    """The epochs of one list, oldest first."""

    source: str
    epochs: tuple[Epoch, ...]

    def opened(self, name: str, head: int) -> "Lineage":
        """Return the lineage with a new epoch that starts after `head`."""
        return Lineage(self.source, (*self.epochs, Epoch(name, head))[-EPOCHS_MAX:])

    def goes_on_from(self, other: "Lineage") -> bool:
        """Tell whether this is the same list at a later time, or a list of its own."""
        return self.source != other.source or all(e.name != self.current for e in other.epochs)

    @property
    def current(self) -> str:
        """The epoch that is open now."""
        return self.epochs[-1].name if self.epochs else ""

    def judge(
        self, *, source: str, epoch: str, seq: int, reach: int, head: int, horizon: int
    ) -> Standing:
        """
        Judge a peer's cursor.

        It is good while its epoch is on the lineage and neither the cursor nor any base of the
        peer lies beyond that epoch's end, and the tombstones since then are still here.

        Args:
            source: the data source that the cursor belongs to; empty for a first contact.
            seq: the cursor. reach: the greatest seq that the peer knows of this list.
        """
        if not source:
            return Standing(is_good=True)
        if source != self.source:
            return Standing(is_good=False, reason="source")
        for index, known in enumerate(self.epochs):
            if known.name == epoch:
                is_last = index + 1 == len(self.epochs)
                end = head if is_last else self.epochs[index + 1].first_seq
                if max(seq, reach) > end:
                    return Standing(is_good=False, shared=end, reason="ahead")
                if 0 < seq < horizon:
                    return Standing(is_good=False, shared=end, reason="horizon")
                return Standing(is_good=True)
        return Standing(is_good=False, reason="epoch")
