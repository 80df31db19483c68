"""
The conversation of a replica with its upstream, as a pure state machine.

::

    offline ──connect──▶ connecting ──hello answered──▶ catching_up ⇄ live
       ▲                     │                              │
       └──── delay over ─────┴─────── lost, bye, silent ◀───┘

Inputs are method calls that return effects; whoever drives it carries the effects out, in order,
before the next input.
Time enters as `now`, in seconds; `next_deadline` says when to call `tick`.
Positions are the truth: a repeat is ignored, a gap is fetched, and no event is needed for
correctness.
"""

from collections.abc import Callable

import msgspec

from syncline.backoff import backoff_delay
from syncline.effects import (
    Acknowledge,
    ApplyUpdates,
    BeginReset,
    Connect,
    Disconnect,
    DropStage,
    Effect,
    Mode,
    RequestChanges,
    SaveCursor,
    SendHeartbeat,
    SendHello,
    SendUpdates,
)
from syncline.models import APPLIED, BulkResult, Cursor, Interval
from syncline.protocol import Hello, Welcome
from syncline.pushing import Pushing
from syncline.status import SessionState


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Deadlines, in seconds."""

    ack_timeout_s: float = 20.0
    connect_timeout_s: float = 20.0
    heartbeat_misses: float = 2.0
    first_delay_s: float = 0.25
    delay_cap_s: float = 30.0
    stall_timeout_s: float = 60.0


class _Stage(msgspec.Struct):
    epoch: str
    since: int
    end: int
    head: int


class Session:
    """
    One replica's conversation with one upstream.

    Args:
        replica_id: who we are.
        cursor: how far we had followed, from the store.
        has_pending: whether the store holds something to push.
        chance: random numbers in [0, 1), for the reconnect delay.
    """

    def __init__(
        self,
        *,
        replica_id: str,
        models: tuple[str, ...],
        cursor: Cursor,
        has_pending: bool,
        chance: Callable[[], float],
        settings: SessionSettings | None = None,
    ) -> None:
        self.replica_id = replica_id
        self.models = tuple(sorted(models))
        self.cursor = cursor
        self.settings = settings or SessionSettings()
        self.state = SessionState.OFFLINE
        self.reason = ""
        self.known_head = cursor.seq
        self._chance = chance
        self._pushing = Pushing(has_unsent=has_pending)
        self._attempts = 0
        self._deadlines: dict[str, float] = {}
        self._stage: _Stage | None = None
        self._is_stage_dirty = False
        self._seen_head = 0
        self._heartbeat_s = 10.0
        self._foreign_epoch = ""
        self._catch_up_from = cursor.seq
        self._forget_connection()

    def _forget_connection(self) -> None:
        self._is_welcome = False
        self._fetching = False
        self._backfill: tuple[str, ...] = ()
        self._backfill_at = 0
        self._backfilling = False
        self._must_pull = False
        self._pushing.forget_connection()
        self._deadlines.clear()

    # ---- what a driver asks -------------------------------------------------------------

    @property
    def is_level(self) -> bool:
        """Whether the link is up and the cursor is at the known head, the list read whole."""
        return (
            self._is_welcome
            and self._stage is None
            and not self._backfill
            and self.cursor.is_whole
            and self.cursor.resetting is None
            and self.cursor.seq >= self.known_head
        )

    @property
    def is_pushing(self) -> bool:
        """Whether a push is on its way."""
        return bool(self._pushing.ids)

    @property
    def pushes(self) -> tuple[int, ...]:
        """The pushes that are on their way, oldest first."""
        return self._pushing.ids

    @property
    def has_unsent(self) -> bool:
        """Whether something may wait to be pushed."""
        return self._pushing.has_unsent

    @property
    def position(self) -> int:
        """How far the list was read, what is staged and unseen included."""
        return self.cursor.seq if self._stage is None else self._stage.end

    @property
    def progress(self) -> tuple[int, int]:
        """Changes taken and changes to take, of the catch-up that is running or was last."""
        end = self.position
        total = max(self.known_head - self._catch_up_from, 0)
        return min(max(end - self._catch_up_from, 0), total), total

    @property
    def behind(self) -> int:
        """How many changes of the upstream are known to be missing."""
        return max(self.known_head - self.cursor.seq, 0)

    def next_deadline(self) -> float | None:
        """Return when `tick` must be called, or None."""
        return min(self._deadlines.values(), default=None)

    # ---- connecting ---------------------------------------------------------------------

    def start(self, now: float) -> list[Effect]:
        """Begin: connect at once."""
        return self._connect(now)

    def _connect(self, now: float) -> list[Effect]:
        self._deadlines.clear()
        self._deadlines["connect"] = now + self.settings.connect_timeout_s
        self.state = SessionState.CONNECTING
        return [Connect()]

    def connected(self, now: float) -> list[Effect]:
        """Take note that the connection stands."""
        self._forget_connection()
        self.state = SessionState.CONNECTING
        self._deadlines["welcome"] = now + self.settings.ack_timeout_s
        return [
            SendHello(
                Hello(
                    replica=self.replica_id,
                    models=list(self.models),
                    source=self.cursor.source,
                    epoch=self.cursor.epoch,
                    seq=self.cursor.seq,
                    reach=max(self.cursor.reach, self.cursor.seq),
                )
            )
        ]

    def disconnected(
        self, now: float, reason: str = "", *, delay_s: float | None = None
    ) -> list[Effect]:
        """
        Take note that the connection is gone, or could not be made.

        Args:
            delay_s: when the server said when to come back.
        """
        self._forget_connection()
        self._pushing.has_unsent = True
        self._attempts += 1
        if self.state is not SessionState.AUTH_REQUIRED:
            self.state = SessionState.OFFLINE
        self.reason = reason
        if delay_s is None:
            delay_s = backoff_delay(
                self._attempts,
                self._chance(),
                first_s=self.settings.first_delay_s,
                cap_s=self.settings.delay_cap_s,
            )
        self._deadlines["reconnect"] = now + delay_s
        return []

    def refused(self, now: float, code: str, *, is_auth: bool, retryable: bool) -> list[Effect]:
        """Take note that the server refused the hello by name."""
        effects = self.disconnected(now, code)
        self.state = SessionState.AUTH_REQUIRED if is_auth else SessionState.BLOCKED
        if not retryable:
            self._deadlines["reconnect"] = now + self.settings.delay_cap_s
        return [Disconnect(code), *effects]

    def blocked(self, now: float, reason: str) -> list[Effect]:
        """Take note that this replica's own store or hook failed: leave, and come back later."""
        self.disconnected(now, reason)
        self.state = SessionState.BLOCKED
        return [Disconnect(reason)]

    def stalled(self, now: float) -> list[Effect]:
        """The driver sees no progress: leave, and have the next hello judge us anew."""
        return self._lose(now, "stalled") if self._is_welcome else []

    def halted(self, reason: str) -> list[Effect]:
        """Stay away until `start`: coming back by itself would only meet the same again."""
        self._forget_connection()
        self._pushing.has_unsent = True
        self.state = SessionState.BLOCKED
        self.reason = reason
        return [Disconnect(reason)]

    def paused(self) -> list[Effect]:
        """Stay offline until `start`."""
        self._forget_connection()
        self._pushing.has_unsent = True
        self.state = SessionState.OFFLINE
        self.reason = "paused"
        return [Disconnect("paused")]

    def reload(self, cursor: Cursor) -> None:
        """Take the stored cursor again, after an apply failed; the stage is void."""
        self.cursor = cursor
        self._stage = None
        self._is_stage_dirty = True
        self.known_head = max(self.known_head, cursor.seq)

    def welcomed(self, now: float, welcome: Welcome, *, offers_back: bool = True) -> list[Effect]:
        """
        Take the answer to the hello.

        Args:
            offers_back: at a reset, whether what the upstream lost is offered to it again.
        """
        if self.state is not SessionState.CONNECTING or self._is_welcome:
            return []
        self._deadlines.pop("welcome", None)
        self._deadlines["heartbeat"] = now + welcome.heartbeat_s
        self._heartbeat_s = welcome.heartbeat_s
        self._foreign_epoch = ""
        self._is_welcome = True
        self._attempts = 0
        self.reason = ""
        self.state = SessionState.CATCHING_UP
        effects: list[Effect] = []
        before = self.cursor
        followed = tuple(m for m in self.models if m in welcome.models)
        if self._stage is not None and self._stage.epoch != welcome.epoch:
            effects += self._drop_stage()
        if welcome.standing == "reset":
            self._stage = None
            self.cursor = Cursor(
                source=welcome.source,
                epoch=welcome.epoch,
                reach=welcome.shared,
                resetting=welcome.shared,
                models=followed,
            )
            self.known_head = welcome.head
            effects += [DropStage(), BeginReset(self.cursor, welcome.shared, offers_back)]
        else:
            new_models = tuple(m for m in followed if m not in before.models)
            if before.seq and new_models:
                self._backfill = new_models
            self.cursor = msgspec.structs.replace(
                before,
                source=welcome.source,
                epoch=welcome.epoch,
                models=tuple(m for m in followed if m not in self._backfill),
            )
            self.known_head = max(welcome.head, self.cursor.seq)
            if self.cursor != before:
                effects.append(SaveCursor(self.cursor))
        self._catch_up_from = self.cursor.seq
        self._seen_head = welcome.head
        return effects + self._go_on(now)

    # ---- pulling ------------------------------------------------------------------------

    def changed(self, now: float, interval: Interval, *, carries: bool = True) -> list[Effect]:
        """Take a live event; one that carries no updates only names where the list stands."""
        if not self._is_welcome:
            return []
        if interval.epoch != self.cursor.epoch:
            return self._ask_about(now, interval.epoch)
        self.known_head = max(self.known_head, interval.head, interval.checkpoint)
        is_old = interval.checkpoint <= self.cursor.seq
        is_next = not is_old and interval.since <= self.cursor.seq
        if is_next and self._pushing.note_news(interval, self.replica_id):
            return self._go_on(now)
        if is_old or not carries or self._backfill:
            return self._go_on(now)
        return self._take_interval(now, interval)

    def _ask_about(self, now: float, epoch: str) -> list[Effect]:
        """Ask, once, where the list stands: this may be old, or the list has begun anew since."""
        if epoch == self._foreign_epoch:
            return []
        self._foreign_epoch = epoch
        return self._beat(now)

    def page(self, now: float, interval: Interval) -> list[Effect]:
        """Take the answer to `RequestChanges`."""
        if not self._fetching:
            return []
        self._fetching = False
        self._deadlines.pop("fetch", None)
        if interval.epoch != self.cursor.epoch:
            # Another life of the list, or tombstones that were purged: the next hello is judged.
            return self._drop_stage() + self._lose(now, "epoch changed")
        self.known_head = max(self.known_head, interval.head)
        if self._backfilling:
            return self._take_backfill(now, interval)
        if interval.is_whole:
            self._must_pull = False
        return self._take_interval(now, interval)

    def lost_page(self, now: float, code: str) -> list[Effect]:
        """The daemon refused `RequestChanges`, by name."""
        return self._drop_stage() + self._lose(now, code) if self._fetching else []

    def _drop_stage(self) -> list[Effect]:
        if self._stage is None:
            return []
        self._stage = None
        return [DropStage()]

    def _take_interval(self, now: float, interval: Interval) -> list[Effect]:
        cursor, stage = self.cursor, self._stage
        if interval.checkpoint <= cursor.seq and not (
            interval.is_whole and not cursor.is_whole and interval.since <= cursor.seq
        ):
            return self._go_on(now)
        if not cursor.is_whole and interval.head < self._seen_head:
            # Rows were shown as of a later head: what has moved on since is in neither.
            return self._go_on(now)
        if interval.since <= cursor.seq and interval.is_whole:
            return self._drop_stage() + self._apply_whole(now, interval, with_stage=False)
        if stage is not None:
            if interval.since == stage.end and interval.head >= stage.head:
                stage.end, stage.head = interval.checkpoint, interval.head
                if interval.is_whole:
                    self._stage = None
                    return self._apply_whole(now, interval, with_stage=True)
                return self._ahead(now, ApplyUpdates(interval, Mode.STAGE, cursor))
        elif interval.since <= cursor.seq:
            if not cursor.is_whole and cursor.resetting is None:
                self._seen_head = interval.head
                moved = self._moved(interval.checkpoint)
                # What is missing from the page has moved on as far as its head, and a list that
                # was restored to before that would not bring it.
                reach = max(moved.reach, interval.head)
                self.cursor = msgspec.structs.replace(moved, reach=reach)
                return self._ahead(now, ApplyUpdates(interval, Mode.DIRECT, self.cursor))
            self._stage = _Stage(interval.epoch, interval.since, interval.checkpoint, interval.head)
            if self._is_stage_dirty:
                # An apply failed: what it had staged must not be spliced into this one.
                self._is_stage_dirty = False
                return [DropStage(), *self._ahead(now, ApplyUpdates(interval, Mode.STAGE, cursor))]
            return self._ahead(now, ApplyUpdates(interval, Mode.STAGE, cursor))
        return self._go_on(now)

    def _moved(self, seq: int, *, is_whole: bool | None = None) -> Cursor:
        return msgspec.structs.replace(
            self.cursor,
            seq=max(seq, self.cursor.seq),
            reach=max(self.cursor.reach, seq),
            is_whole=self.cursor.is_whole if is_whole is None else is_whole,
            resetting=None if is_whole else self.cursor.resetting,
        )

    def _apply_whole(self, now: float, interval: Interval, *, with_stage: bool) -> list[Effect]:
        # The effect carries the cursor as it was in `resetting`, so that the driver settles
        # what a reset did not list in the same transaction.
        was_resetting = self.cursor.resetting
        self.cursor = self._moved(interval.checkpoint, is_whole=True)
        stored = msgspec.structs.replace(self.cursor, resetting=was_resetting)
        return [
            ApplyUpdates(interval, Mode.WHOLE, stored, with_stage=with_stage),
            *self._go_on(now),
        ]

    def _ahead(self, now: float, apply: ApplyUpdates) -> list[Effect]:
        # The next page is asked for before this one is stored, so that both go on at once.
        return [*self._go_on(now), apply]

    def _take_backfill(self, now: float, interval: Interval) -> list[Effect]:
        self._backfilling = False
        self._backfill_at = interval.checkpoint
        if interval.is_whole or interval.checkpoint >= self.cursor.seq:
            models = tuple(sorted({*self.cursor.models, *self._backfill}))
            self._backfill = ()
            self.cursor = msgspec.structs.replace(self.cursor, models=models)
        # What lies beyond the cursor comes again with the joined list.
        updates = tuple(u for u in interval.updates if u.seq <= self.cursor.seq)
        kept = msgspec.structs.replace(interval, updates=updates)
        return [ApplyUpdates(kept, Mode.BACKFILL, self.cursor), *self._go_on(now)]

    def heard_head(self, now: float, epoch: str, head: int) -> list[Effect]:
        """Take the answer to a heartbeat or a barrier: where the list stands."""
        self._deadlines.pop("heartbeat_answer", None)
        if not self._is_welcome:
            return []
        if epoch != self.cursor.epoch:
            return self._drop_stage() + self._lose(now, "epoch changed")
        self.known_head = max(self.known_head, head)
        return self._go_on(now)

    def behind_told(self, now: float) -> list[Effect]:
        """The server stopped sending live events to us: fetch."""
        if not self._is_welcome:
            return []
        self._must_pull = True
        return self._go_on(now)

    def bye(self, now: float, delay_s: float, reason: str) -> list[Effect]:
        """The server closes the connection and says when to come back."""
        self.disconnected(now, reason, delay_s=delay_s)
        return [Disconnect(reason)]

    # ---- pushing ------------------------------------------------------------------------

    def wrote(self, now: float) -> list[Effect]:
        """Something was written here."""
        self._pushing.has_unsent = True
        return self._go_on(now) if self._is_welcome else []

    def collected(self, now: float, *, has_more: bool) -> list[Effect]:
        """
        Take note of what `SendUpdates` found, once that is on its way.

        Args:
            has_more: it did not take all; then another push follows without waiting.
        """
        self._pushing.collected(has_more=has_more)
        return self._go_on(now)

    def nothing_to_push(self, now: float, push_id: int) -> list[Effect]:
        """`SendUpdates` found nothing."""
        self._pushing.found_nothing(push_id)
        self._await_pushes(now)
        return self._go_on(now)

    def _await_pushes(self, now: float) -> None:
        if self._pushing.ids:
            self._deadlines["push"] = now + self.settings.ack_timeout_s
        else:
            self._deadlines.pop("push", None)

    def answered(self, now: float, push_id: int, answer: BulkResult) -> list[Effect]:
        """Take the upstream's word on a push."""
        pushing = self._pushing
        if push_id not in pushing.ids:
            return []
        pushing.answered(push_id)
        self._await_pushes(now)
        if answer.epoch != self.cursor.epoch:
            return self._lose(now, "epoch changed")
        pushing.take_answer(answer, self.cursor.seq)
        self.known_head = max(self.known_head, pushing.hold_until)
        reach = max([r.seq for r in answer.results], default=0)
        self.cursor = msgspec.structs.replace(self.cursor, reach=max(self.cursor.reach, reach))
        if self._is_whole_answer(answer):
            self.cursor = self._moved(answer.checkpoint)
        return [Acknowledge(push_id, answer, self.cursor), *self._go_on(now)]

    def _is_whole_answer(self, answer: BulkResult) -> bool:
        """
        Tell whether the answer accounts for every change from the cursor to the head.

        Then all of them are our own, and need not be read back.
        """
        if self._stage is not None or self._backfill or not self.cursor.is_whole:
            return False
        if self.cursor.resetting is not None:
            return False
        at = self.cursor.seq
        own = {
            r.seq
            for r in answer.results
            if r.answer is APPLIED and r.current is None and r.seq > at
        }
        return 0 < len(own) == answer.checkpoint - at

    def push_failed(self, now: float, push_id: int, code: str) -> list[Effect]:
        """The push was refused as a whole, by name."""
        return self._lose(now, code) if push_id in self._pushing.ids else []

    # ---- time ---------------------------------------------------------------------------

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        effects: list[Effect] = []
        for name in [n for n, at in self._deadlines.items() if at <= now]:
            if self._deadlines.pop(name, None) is None:
                continue
            match name:
                case "reconnect":
                    effects += self._connect(now)
                case "connect":
                    effects += self._lose(now, "connect timeout")
                case "welcome":
                    effects += self._lose(now, "hello timeout")
                case "heartbeat":
                    effects += self._beat(now)
                case "heartbeat_answer":
                    effects += self._lose(now, "heartbeat lost")
                case "fetch":
                    effects += self._lose(now, "ack timeout")
                case "push":
                    # Whether it arrived is unknown: read the list first, then push again.
                    self._pushing.lost_answer()
                    self._must_pull = True
                    effects += self._go_on(now)
                case _:
                    raise AssertionError(name)
        return effects

    def _beat(self, now: float) -> list[Effect]:
        # The wait for the answer is the judge of the link.
        self._deadlines["heartbeat"] = now + self._heartbeat_s
        wait = self._heartbeat_s * (self.settings.heartbeat_misses - 1.0)
        self._deadlines.setdefault("heartbeat_answer", now + max(wait, 0.05))
        return [SendHeartbeat(self.cursor.seq)]

    def _lose(self, now: float, reason: str) -> list[Effect]:
        self.disconnected(now, reason)
        return [Disconnect(reason)]

    def _go_on(self, now: float) -> list[Effect]:
        """Ask for what is missing; when nothing is, push what is unsent."""
        if not self._is_welcome:
            return []
        if self._fetching:
            return []
        if self._backfill and not self._backfilling:
            self._backfilling = True
            return [self._fetch(now, self._backfill_at, self._backfill)]
        position = self.position
        is_whole = self.cursor.is_whole and self._stage is None
        if self._pushing.is_own_news_awaited and is_whole and not self._must_pull:
            return []
        if position < self.known_head or not is_whole or self._must_pull:
            if self.state is not SessionState.CATCHING_UP:
                self._catch_up_from = self.cursor.seq
            self.state = SessionState.CATCHING_UP
            return [self._fetch(now, position, None)]
        self.state = SessionState.LIVE
        if not self._pushing.may_begin(self.cursor.seq):
            return []
        self._deadlines.setdefault("push", now + self.settings.ack_timeout_s)
        return [SendUpdates(self._pushing.begin())]

    def _fetch(self, now: float, since: int, models: tuple[str, ...] | None) -> RequestChanges:
        self._fetching = True
        self._deadlines["fetch"] = now + self.settings.ack_timeout_s
        return RequestChanges(since, models)
