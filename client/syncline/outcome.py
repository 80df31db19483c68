"""What came of taking an upstream's word."""

from syncline.models import Conflict, Update


class Outcome:
    """
    What came of taking updates.

    Attributes:
        visible: the records that changed, as they are now.
        conflicts: those that were opened or moved on, and wait.
        refusals: own writes that the upstream refused, (update, reason).
        parked: own writes that the upstream can't take now, (update, reason); they are kept.
        must_push: something became ready to be pushed; whoever drives the session calls `wrote`.
        offered, dropped: at a reset, how many records that the upstream did not list were offered
            to it again, or let go.
        deleted: how many records went, by model.
        lacks_anchor: what was left out of live updates is not held here, so nothing was done: the
            list is to be read.
    """

    __slots__ = (
        "conflicts",
        "deleted",
        "dropped",
        "lacks_anchor",
        "must_push",
        "offered",
        "parked",
        "refusals",
        "visible",
    )

    def __init__(self) -> None:
        self.visible: list[Update] = []
        self.conflicts: list[Conflict] = []
        self.refusals: list[tuple[Update, str]] = []
        self.parked: list[tuple[Update, str]] = []
        self.must_push = False
        self.offered = 0
        self.dropped = 0
        self.lacks_anchor = False
        self.deleted: dict[str, int] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing came of it that anybody must hear of."""
        return not (self.visible or self.conflicts or self.refusals or self.must_push)

    def note_deleted(self, model: str) -> None:
        """Count a record that went."""
        self.deleted[model] = self.deleted.get(model, 0) + 1
