"""How far a session has read the upstream's list, and what an interval of it adds."""

from typing import NamedTuple

import msgspec

from syncline.effects import (
    ApplyUpdates,
    BeginReset,
    DropStage,
    Effect,
    Mode,
    RequestChanges,
    SaveCursor,
)
from syncline.models import APPLIED, BulkResult, Cursor, Interval
from syncline.news import Told
from syncline.protocol import Welcome


class Taken(NamedTuple):
    """
    What is to be done with an interval; nothing, where it adds nothing.

    Attributes:
        first: before the next page is asked for.
        last: after that, so that asking and storing go on at once.
    """

    first: tuple[Effect, ...] = ()
    last: tuple[Effect, ...] = ()


NOTHING = Taken()


class _Stage(msgspec.Struct):
    epoch: str
    end: int
    head: int


class Pulling:
    """
    One session's reading of the list: its cursor, the stage ahead of it, the back-fill behind it.

    Attributes:
        cursor: how far the list was followed, as it is or is about to be stored.
        known_head: the greatest head of the list that was heard of.
        must_pull: whether the list must be read, whatever is known of its head.
        is_fetching: whether a page was asked for.
    """

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.known_head = cursor.seq
        self._stage: _Stage | None = None
        self._is_stage_dirty = False
        self._seen_head = 0
        self._catch_up_from = cursor.seq
        self.forget_connection()

    def forget_connection(self) -> None:
        """Take note that the connection is gone; what is staged stays."""
        self.must_pull = False
        self.is_fetching = False
        self._backfill: tuple[str, ...] = ()
        self._backfill_at = 0
        self._is_backfilling = False

    # ---- where it stands ----------------------------------------------------------------

    @property
    def is_level(self) -> bool:
        """Whether the cursor is at the known head, the list read whole."""
        return (
            self.is_whole
            and not self._backfill
            and self.cursor.resetting is None
            and self.cursor.seq >= self.known_head
        )

    @property
    def is_whole(self) -> bool:
        """Whether the list was read whole, up to the cursor, with nothing beyond."""
        return self.cursor.is_whole and self._stage is None

    @property
    def is_behind(self) -> bool:
        """Whether there is more to read."""
        return self.position < self.known_head or not self.is_whole or self.must_pull

    @property
    def has_backfill(self) -> bool:
        """Whether models that are followed anew are yet to be filled in."""
        return bool(self._backfill)

    def can_complete(self, interval: Interval) -> bool:
        """Tell whether what a live interval leaves out can be in the store: not what is staged."""
        return self._stage is None or not any(isinstance(u, Told) for u in interval.updates)

    @property
    def position(self) -> int:
        """How far the list was read, what is staged and unseen included."""
        return self.cursor.seq if self._stage is None else self._stage.end

    @property
    def progress(self) -> tuple[int, int]:
        """Changes taken and changes to take, of the catch-up that is running or was last."""
        total = max(self.known_head - self._catch_up_from, 0)
        return min(max(self.position - self._catch_up_from, 0), total), total

    def note_head(self, head: int) -> None:
        """Take note of a head of the list."""
        self.known_head = max(self.known_head, head)

    # ---- asking -------------------------------------------------------------------------

    def begin_catch_up(self) -> None:
        """Take note that a catch-up begins."""
        self._catch_up_from = self.cursor.seq

    def request(self) -> RequestChanges:
        """Ask for what comes next: the back-fill, else the list from where it was read to."""
        self.is_fetching = True
        if not self._backfill:
            return RequestChanges(self.position, None)
        self._is_backfilling = True
        return RequestChanges(self._backfill_at, self._backfill)

    # ---- hello --------------------------------------------------------------------------

    def welcomed(
        self, welcome: Welcome, models: tuple[str, ...], *, offers_back: bool
    ) -> list[Effect]:
        """
        Go on from the cursor, or begin anew, as the upstream judged.

        Args:
            models: those to follow.
            offers_back: at a reset, whether what the upstream lost is offered to it again.
        """
        is_of_another = self._stage is not None and self._stage.epoch != welcome.epoch
        dropped = self.drop_stage() if is_of_another else []
        followed = tuple([model for model in models if model in welcome.models])
        if welcome.standing == "reset":
            effects = self._reset(welcome, followed, offers_back=offers_back)
        else:
            effects = self._resume(welcome, followed)
        self._catch_up_from = self.cursor.seq
        self._seen_head = welcome.head
        return [*dropped, *effects]

    def _reset(
        self, welcome: Welcome, followed: tuple[str, ...], *, offers_back: bool
    ) -> list[Effect]:
        self._stage = None
        self.cursor = Cursor(
            source=welcome.source,
            epoch=welcome.epoch,
            reach=welcome.shared,
            resetting=welcome.shared,
            models=followed,
        )
        self.known_head = welcome.head
        return [DropStage(), BeginReset(self.cursor, welcome.shared, offers_back)]

    def _resume(self, welcome: Welcome, followed: tuple[str, ...]) -> list[Effect]:
        before = self.cursor
        added = tuple([model for model in followed if model not in before.models])
        if before.seq and added:
            self._backfill = added
        self.cursor = msgspec.structs.replace(
            before,
            source=welcome.source,
            epoch=welcome.epoch,
            models=tuple([model for model in followed if model not in self._backfill]),
        )
        self.known_head = max(welcome.head, self.cursor.seq)
        return [] if self.cursor == before else [SaveCursor(self.cursor)]

    def reload(self, cursor: Cursor) -> None:
        """Take the stored cursor again, after an apply failed; the stage is void."""
        self.cursor = cursor
        self._stage = None
        self._is_stage_dirty = True
        self.note_head(cursor.seq)

    # ---- intervals ----------------------------------------------------------------------

    def take_page(self, interval: Interval) -> Taken:
        """Take the answer to a request."""
        self.is_fetching = False
        self.note_head(interval.head)
        if self._is_backfilling:
            return self._take_backfill(interval)
        if interval.is_whole:
            self.must_pull = False
        return self.take_interval(interval)

    def take_interval(self, interval: Interval) -> Taken:
        """Take an interval of the list, asked for or live."""
        cursor, stage = self.cursor, self._stage
        reaches_cursor = interval.since <= cursor.seq
        completes = interval.is_whole and not cursor.is_whole and reaches_cursor
        if interval.checkpoint <= cursor.seq and not completes:
            return NOTHING
        if not cursor.is_whole and interval.head < self._seen_head:
            # Rows were shown as of a later head: what has moved on since is in neither.
            return NOTHING
        if reaches_cursor and interval.is_whole:
            dropped = self.drop_stage()
            return Taken((*dropped, self._apply_whole(interval, with_stage=False)))
        if stage is not None:
            return self._join_stage(interval, stage)
        if not reaches_cursor:
            return NOTHING
        if not cursor.is_whole and cursor.resetting is None:
            return self._show_page(interval)
        return self._begin_stage(interval)

    def _begin_stage(self, interval: Interval) -> Taken:
        self._stage = _Stage(interval.epoch, interval.checkpoint, interval.head)
        last = (ApplyUpdates(interval, Mode.STAGE, self.cursor),)
        if not self._is_stage_dirty:
            return Taken(last=last)
        # An apply failed: what it had staged must not be spliced into this one.
        self._is_stage_dirty = False
        return Taken((DropStage(),), last)

    def _join_stage(self, interval: Interval, stage: _Stage) -> Taken:
        if interval.since != stage.end or interval.head < stage.head:
            return NOTHING
        stage.end, stage.head = interval.checkpoint, interval.head
        if interval.is_whole:
            self._stage = None
            return Taken((self._apply_whole(interval, with_stage=True),))
        return Taken(last=(ApplyUpdates(interval, Mode.STAGE, self.cursor),))

    def _show_page(self, interval: Interval) -> Taken:
        """A first sync shows rows as they come."""
        self._seen_head = interval.head
        moved = self._moved(interval.checkpoint)
        # What is missing from the page has moved on as far as its head, and a list that was
        # restored to before that would not bring it.
        self.cursor = msgspec.structs.replace(moved, reach=max(moved.reach, interval.head))
        return Taken(last=(ApplyUpdates(interval, Mode.DIRECT, self.cursor),))

    def _apply_whole(self, interval: Interval, *, with_stage: bool) -> ApplyUpdates:
        # The effect carries the cursor as it was in `resetting`, so that the driver settles
        # what a reset did not list in the same transaction.
        was_resetting = self.cursor.resetting
        self.cursor = self._moved(interval.checkpoint, is_whole=True)
        stored = msgspec.structs.replace(self.cursor, resetting=was_resetting)
        return ApplyUpdates(interval, Mode.WHOLE, stored, with_stage=with_stage)

    def _take_backfill(self, interval: Interval) -> Taken:
        self._is_backfilling = False
        self._backfill_at = interval.checkpoint
        if interval.is_whole or interval.checkpoint >= self.cursor.seq:
            models = tuple(sorted({*self.cursor.models, *self._backfill}))
            self._backfill = ()
            self.cursor = msgspec.structs.replace(self.cursor, models=models)
        # What lies beyond the cursor comes again with the joined list.
        updates = tuple([u for u in interval.updates if u.seq <= self.cursor.seq])
        kept = msgspec.structs.replace(interval, updates=updates)
        return Taken((ApplyUpdates(kept, Mode.BACKFILL, self.cursor),))

    def drop_stage(self) -> list[Effect]:
        """Give up what is staged."""
        if self._stage is None:
            return []
        self._stage = None
        return [DropStage()]

    def _moved(self, seq: int, *, is_whole: bool | None = None) -> Cursor:
        return msgspec.structs.replace(
            self.cursor,
            seq=max(seq, self.cursor.seq),
            reach=max(self.cursor.reach, seq),
            is_whole=self.cursor.is_whole if is_whole is None else is_whole,
            resetting=None if is_whole else self.cursor.resetting,
        )

    # ---- answers to pushes --------------------------------------------------------------

    def take_answer(self, answer: BulkResult) -> None:
        """Take from the answer to a push how far the list goes, and what need not be read of it."""
        reach = max([result.seq for result in answer.results], default=0)
        self.cursor = msgspec.structs.replace(self.cursor, reach=max(self.cursor.reach, reach))
        if self._is_whole_answer(answer):
            self.cursor = self._moved(answer.checkpoint)

    def _is_whole_answer(self, answer: BulkResult) -> bool:
        """
        Tell whether the answer accounts for every change from the cursor to the head.

        Then all of them are our own, and need not be read back.
        """
        if not self.is_whole or self._backfill or self.cursor.resetting is not None:
            return False
        at = self.cursor.seq
        own = {
            r.seq
            for r in answer.results
            if r.answer is APPLIED and r.current is None and r.seq > at
        }
        return 0 < len(own) == answer.checkpoint - at
