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

Here is the order of things, and when to leave and come back; what an interval adds is decided in
`pulling`, when to push in `pushing`.
"""

from collections.abc import Callable

import msgspec

from syncline.backoff import backoff_delay
from syncline.effects import (
    Acknowledge,
    Connect,
    Disconnect,
    Effect,
    RequestChanges,
    SendHeartbeat,
    SendHello,
    SendUpdates,
)
from syncline.errors import MessageTooLarge
from syncline.models import BulkResult, Cursor, Interval
from syncline.protocol import Hello, Welcome
from syncline.pulling import Pulling, Taken
from syncline.pulse import Pulse
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
        self.settings = settings or SessionSettings()
        self.state = SessionState.OFFLINE
        self.reason = ""
        self._chance = chance
        self._pulling = Pulling(cursor)
        self._pushing = Pushing(has_unsent=has_pending)
        self._attempts = 0
        self._deadlines: dict[str, float] = {}
        self._pulse = Pulse(self._deadlines, self.settings.heartbeat_misses)
        self._foreign_epoch = ""
        self._forget_connection()

    def _forget_connection(self) -> None:
        self._is_welcome = False
        self._pulling.forget_connection()
        self._pushing.forget_connection()
        self._pulse.forget()
        self._deadlines.clear()

    # ---- what a driver asks -------------------------------------------------------------

    @property
    def cursor(self) -> Cursor:
        """How far the list was followed, as it is or is about to be stored."""
        return self._pulling.cursor

    @property
    def known_head(self) -> int:
        """The greatest head of the list that was heard of."""
        return self._pulling.known_head

    @property
    def is_level(self) -> bool:
        """Whether the link is up and the cursor is at the known head, the list read whole."""
        return self._is_welcome and self._pulling.is_level

    def late_s(self, now: float) -> float:
        """Return how old what was read of the list may be, in seconds; 0 for hardly."""
        return self._pulse.late_s(now)

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
        return self._pulling.position

    @property
    def progress(self) -> tuple[int, int]:
        """Changes taken and changes to take, of the catch-up that is running or was last."""
        return self._pulling.progress

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

    def hurry(self, now: float) -> list[Effect]:
        """Come back at once instead of at the end of the delay."""
        return self._connect(now) if "reconnect" in self._deadlines else []

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
                    news=True,
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
        self._pulling.reload(cursor)

    def welcomed(self, now: float, welcome: Welcome, *, offers_back: bool = True) -> list[Effect]:
        """
        Take the answer to the hello.

        Args:
            offers_back: at a reset, whether what the upstream lost is offered to it again.
        """
        if self.state is not SessionState.CONNECTING or self._is_welcome:
            return []
        self._deadlines.pop("welcome", None)
        self._pulse.begin(now, welcome.heartbeat_s)
        self._foreign_epoch = ""
        self._is_welcome = True
        self._attempts = 0
        self.reason = ""
        self.state = SessionState.CATCHING_UP
        effects = self._pulling.welcomed(welcome, self.models, offers_back=offers_back)
        return [*effects, *self._go_on(now)]

    # ---- pulling ------------------------------------------------------------------------

    def changed(self, now: float, interval: Interval, *, carries: bool = True) -> list[Effect]:
        """Take a live event; one that carries no updates only names where the list stands."""
        if not self._is_welcome:
            return []
        if interval.epoch != self.cursor.epoch:
            return self._ask_about(now, interval.epoch)
        pulling = self._pulling
        pulling.note_head(max(interval.head, interval.checkpoint))
        if interval.checkpoint <= self.cursor.seq:
            return self._go_on(now)
        is_next = interval.since <= self.cursor.seq
        if is_next and self._pushing.note_news(interval, self.replica_id):
            return self._go_on(now)
        if not carries or pulling.has_backfill or not pulling.can_complete(interval):
            return self._go_on(now)
        return self._carry_on(now, pulling.take_interval(interval))

    def _ask_about(self, now: float, epoch: str) -> list[Effect]:
        """Ask, once, where the list stands: this may be old, or the list has begun anew since."""
        if epoch == self._foreign_epoch:
            return []
        self._foreign_epoch = epoch
        return self._beat(now)

    def page(self, now: float, interval: Interval) -> list[Effect]:
        """Take the answer to `RequestChanges`."""
        if not self._pulling.is_fetching:
            return []
        self._deadlines.pop("fetch", None)
        if interval.epoch != self.cursor.epoch:
            # Another life of the list, or tombstones that were purged: the next hello is judged.
            return self._lose_list(now, "epoch changed")
        return self._carry_on(now, self._pulling.take_page(interval))

    def lost_page(self, now: float, code: str) -> list[Effect]:
        """The daemon refused `RequestChanges`, by name."""
        return self._lose_list(now, code) if self._pulling.is_fetching else []

    def _carry_on(self, now: float, taken: Taken) -> list[Effect]:
        return [*taken.first, *self._go_on(now), *taken.last]

    def heard_head(self, now: float, epoch: str, head: int) -> list[Effect]:
        """Take the answer to a barrier: where the list stands."""
        self._pulse.heard()
        if not self._is_welcome:
            return []
        if epoch != self.cursor.epoch:
            return self._lose_list(now, "epoch changed")
        self._pulling.note_head(head)
        return self._go_on(now)

    def beat_answered(self, now: float, epoch: str, head: int) -> list[Effect]:
        """Take the answer to a heartbeat: as `heard_head`, and it came behind all before it."""
        self._pulse.answered(now)
        return self.heard_head(now, epoch, head)

    def beat_asked(self, now: float, number: int) -> list[Effect]:
        """The server asks for a heartbeat, to see how far we have read."""
        return self._beat(now, heard=number) if self._is_welcome else []

    def behind_told(self, now: float) -> list[Effect]:
        """The server stopped sending live events to us: fetch."""
        if not self._is_welcome:
            return []
        self._pulling.must_pull = True
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
        self._pulling.note_head(pushing.hold_until)
        self._pulling.take_answer(answer)
        return [Acknowledge(push_id, answer, self.cursor), *self._go_on(now)]

    def push_failed(self, now: float, push_id: int, code: str) -> list[Effect]:
        """The push was refused as a whole, by name."""
        if push_id not in self._pushing.ids:
            return []
        if code != MessageTooLarge.code:
            return self._lose(now, code)
        # Nothing was done, and the driver makes the next one smaller.
        self._pushing.answered(push_id)
        self._pushing.has_unsent = True
        self._await_pushes(now)
        return self._go_on(now)

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
                case "late":
                    self._pulse.note_late(now)
                case "push":
                    # Whether it arrived is unknown: read the list first, then push again.
                    self._pushing.lost_answer()
                    self._pulling.must_pull = True
                    effects += self._go_on(now)
                case _:
                    raise AssertionError(name)
        return effects

    def _beat(self, now: float, *, heard: int = 0) -> list[Effect]:
        self._pulse.beat(now)
        return [SendHeartbeat(self.cursor.seq, heard)]

    def _lose(self, now: float, reason: str) -> list[Effect]:
        self.disconnected(now, reason)
        return [Disconnect(reason)]

    def _lose_list(self, now: float, reason: str) -> list[Effect]:
        """Leave since the list is not the one that was read, or can't be read on."""
        return [*self._pulling.drop_stage(), *self._lose(now, reason)]

    def _go_on(self, now: float) -> list[Effect]:
        """Ask for what is missing; when nothing is, push what is unsent."""
        pulling, pushing = self._pulling, self._pushing
        if not self._is_welcome or pulling.is_fetching:
            return []
        if pulling.has_backfill:
            return [self._fetch(now)]
        if pushing.is_own_news_awaited and pulling.is_whole and not pulling.must_pull:
            return []
        if pulling.is_behind:
            if self.state is not SessionState.CATCHING_UP:
                pulling.begin_catch_up()
            self.state = SessionState.CATCHING_UP
            return [self._fetch(now)]
        self.state = SessionState.LIVE
        if not pushing.may_begin(self.cursor.seq):
            return []
        self._deadlines.setdefault("push", now + self.settings.ack_timeout_s)
        return [SendUpdates(pushing.begin())]

    def _fetch(self, now: float) -> RequestChanges:
        self._deadlines["fetch"] = now + self.settings.ack_timeout_s
        return self._pulling.request()
