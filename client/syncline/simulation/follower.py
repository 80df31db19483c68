"""The following side of a node: drives a real session as a link does."""

from collections.abc import Callable, Sequence
from typing import Any, assert_never

from syncline import effects as e
from syncline import session as s
from syncline.errors import StoreUnavailable
from syncline.heard import event_heard
from syncline.models import BulkResult, Update
from syncline.payloads import decode_page, decode_results, encode_page
from syncline.protocol import (
    ChangesRequest,
    Head,
    PageHeader,
    Push,
    PushAnswer,
    Welcome,
    decode,
    encode,
)
from syncline.simulation.listener import Listener
from syncline.simulation.network import Parts, Wire
from syncline.simulation.process import Process


SETTINGS = s.SessionSettings(
    ack_timeout_s=4.0, connect_timeout_s=4.0, first_delay_s=0.1, delay_cap_s=4.0
)
PUSH_ITEMS = 3

_Answer = Callable[[Parts], list[e.Effect]]


class Follower:
    """
    A link in virtual time.

    Attributes:
        is_shut: the process died or the link was closed; nothing is heard any more.
        pushed: what the pushes on their way carry, by their ids.
    """

    def __init__(self, process: Process, door: Listener) -> None:
        self.process = process
        self.world = process.world
        self.door = door
        self.is_shut = False
        self.wire: Wire | None = None
        self.pushed: dict[int, Sequence[Update]] = {}
        self._answers: dict[int, tuple[Wire, _Answer]] = {}
        self._acks = 0
        self._tick_at = float("inf")
        self._must_push = False
        self._must_pull = False
        with process.transaction("stage", may_fail=False) as tx:
            tx.clear_stage()
        with process.store.read() as reader:
            cursor = process.engine.cursor(reader)
            pending = reader.pending_counts().get("", 0)
        self.session = s.Session(
            replica_id=process.name,
            models=process.models,
            cursor=cursor,
            has_pending=bool(pending),
            chance=self.world.chance.random,
            settings=SETTINGS,
        )

    @property
    def now(self) -> float:
        """Virtual time."""
        return self.world.timeline.now

    def start(self) -> None:
        """Begin to connect."""
        self.run(self.session.start(self.now))

    def die(self) -> None:
        """The process is gone; the other end may or may not be told."""
        self.is_shut = True
        if self.wire is not None:
            self.world.network.close(
                self.wire, told_up=self.world.chance.random() < 0.7, told_down=False
            )
            self.wire = None

    def wrote(self) -> None:
        """Something was written here."""
        if not self.session.has_unsent:
            self.run(self.session.wrote(self.now))

    # ---- inputs -------------------------------------------------------------------------

    def run(self, effects: Sequence[e.Effect]) -> None:
        """Carry effects out, in order, then look at the clock."""
        try:
            for effect in effects:
                self.process.may_die()
                self._carry_out(effect)
        except StoreUnavailable as error:
            self.world.note(f"{self.process.name}: {error}")
            for effect in self.session.blocked(self.now, error.code):
                self._carry_out(effect)
            with self.process.store.read() as reader:
                self.session.reload(self.process.engine.cursor(reader))
        if self._must_pull:
            self._must_pull = False
            self.run(self.session.behind_told(self.now))
        if self._must_push:
            self._must_push = False
            self.run(self.session.wrote(self.now))
        self._set_alarm()

    def _set_alarm(self) -> None:
        deadline = self.session.next_deadline()
        if deadline is not None and deadline < self._tick_at:
            self._tick_at = deadline
            self.world.timeline.after(
                deadline - self.now,
                lambda at=deadline: self.process.guarded(lambda: self._tick(at)),  # type: ignore[misc] # bound now
            )

    def _tick(self, at: float) -> None:
        if self.is_shut or at != self._tick_at:
            return
        self._tick_at = float("inf")
        self.run(self.session.tick(self.now))

    def heard(self, wire: Wire, event: str, parts: Parts, ack: int) -> None:
        """Take a message from the listener."""
        if self.is_shut or not self.is_current(wire):
            return
        self.process.guarded(lambda: self._take(wire, event, parts, ack))

    def is_current(self, wire: Wire) -> bool:
        """Tell whether a wire is the one that is in use; what an older one says is nobody's."""
        return wire is self.wire

    def lost(self, wire: Wire) -> None:
        """Take note that the wire is gone."""
        if self.is_shut or wire is not self.wire:
            return
        self.wire = None
        self.process.guarded(lambda: self.run(self.session.disconnected(self.now, "lost")))

    def _take(self, wire: Wire, event: str, parts: Parts, ack: int) -> None:
        match event:
            case "changed" | "news" | "beat" | "behind" | "bye":
                self.run(event_heard(self.session, self.now, event, next(iter(parts), None)))
            case "answer":
                asked = self._answers.pop(ack, None)
                if asked is not None and asked[0] is wire:
                    self.run(asked[1](parts))
            case _:
                raise AssertionError(event)

    # ---- effects ------------------------------------------------------------------------

    def _carry_out(self, effect: e.Effect) -> None:
        match effect:
            case e.Connect():
                self._connect()
            case e.Disconnect():
                self._drop()
            case e.SendHello(hello):
                self._ask("hello", (encode(hello),), self._welcomed)
            case e.RequestChanges(since, models):
                request = ChangesRequest(since=since, models=list(models) if models else None)
                self._ask("changes", (encode(request),), self._paged)
            case e.ApplyUpdates() | e.BeginReset() | e.SaveCursor() | e.DropStage():
                self._store_effect(effect)
            case e.SendUpdates(push_id):
                self._push(push_id)
            case e.Acknowledge(push_id):
                self._acknowledge(push_id, effect)
            case e.SendHeartbeat(cursor, heard):
                self._ask("heartbeat", ({"cursor": cursor, "heard": heard},), self._headed)
            case _:
                assert_never(effect)

    def _connect(self) -> None:
        self._drop()
        self._answers.clear()
        wire = Wire(self, self.door)
        self.wire = wire
        self.world.timeline.after(
            self.world.options.latency_s, lambda: self.process.guarded(lambda: self._opened(wire))
        )

    def _opened(self, wire: Wire) -> None:
        if self.is_shut or wire is not self.wire:
            return
        if not self.door.process.is_up or self.world.is_barred(self.process.name):
            self.wire = None
            self.run(self.session.disconnected(self.now, "unreachable"))
            return
        self.door.accept(wire)
        self.run(self.session.connected(self.now))

    def _drop(self) -> None:
        wire, self.wire = self.wire, None
        if wire is not None:
            self.world.network.close(wire, told_down=False)

    def _ask(self, event: str, parts: Parts, answer: _Answer) -> None:
        wire = self.wire
        if wire is None:
            return
        self._acks += 1
        self._answers[self._acks] = (wire, answer)
        self.world.network.send(wire, is_up=True, event=event, parts=parts, ack=self._acks)

    def _store_effect(
        self, effect: e.ApplyUpdates | e.BeginReset | e.SaveCursor | e.DropStage
    ) -> None:
        if isinstance(effect, e.ApplyUpdates):
            interval = effect.interval
            self.world.note(
                f"{self.process.name} applies ({interval.since}, {interval.checkpoint}] of "
                f"{interval.head} {effect.mode.value}: "
                + " ".join(f"{u.model}/{u.record_id}@{u.seq}={u.rev}" for u in interval.updates)
            )
        elif isinstance(effect, e.BeginReset):
            self.world.note(f"{self.process.name} resets, shared {effect.shared}")
        with self.process.transaction(type(effect).__name__) as tx:
            outcome = self.process.engine.carry_out(tx, effect)
        self.process.take_outcome(outcome)
        self.process.nudge()
        self._must_push |= outcome.must_push
        if outcome.lacks_anchor:
            self.world.note(f"{self.process.name} does not hold what that was made upon")
            with self.process.store.read() as reader:
                self.session.reload(self.process.engine.cursor(reader))
            self._must_pull = True

    def _push(self, push_id: int) -> None:
        engine = self.process.engine
        with self.process.store.read() as reader:
            updates, has_more = engine.collect(
                reader, items_max=PUSH_ITEMS, bytes_max=4096, in_flight=self._in_flight()
            )
        if not updates:
            self.run(self.session.nothing_to_push(self.now, push_id))
            return
        self.pushed[push_id] = updates
        self.world.ledger.pushed |= {(self.process.name, str(update.rev)) for update in updates}
        self.process.may_die()
        self.world.note(
            f"{self.process.name} pushes "
            + " ".join(f"{u.model}/{u.record_id}={u.rev} over {u.prev}" for u in updates)
        )
        header = encode(Push(epoch=self.session.cursor.epoch, cursor=self.session.cursor.seq))
        self._ask(
            "bulk_update", (header, encode_page(updates)), lambda got: self._pushed(push_id, got)
        )
        self.run(self.session.collected(self.now, has_more=has_more))

    def _in_flight(self) -> list[Update]:
        waiting = self.session.pushes
        self.pushed = {push_id: made for push_id, made in self.pushed.items() if push_id in waiting}
        return [update for made in self.pushed.values() for update in made]

    def _acknowledge(self, push_id: int, effect: e.Acknowledge) -> None:
        updates = self.pushed.pop(push_id, None)
        if updates is None:
            return
        self.world.note(
            f"{self.process.name} hears "
            + " ".join(
                f"{r.rev} {r.answer.value}@{r.seq} {r.current.rev if r.current else ''}"
                for r in effect.answer.results
            )
        )
        with self.process.transaction("Acknowledge") as tx:
            outcome = self.process.engine.acknowledge(tx, updates, effect)
        self.process.take_outcome(outcome)
        self.process.nudge()
        self._must_push |= outcome.must_push

    # ---- answers ------------------------------------------------------------------------

    def _welcomed(self, got: Parts) -> list[e.Effect]:
        if "error" in got[0]:
            return self.session.refused(self.now, "error", is_auth=False, retryable=True)
        return self.session.welcomed(
            self.now, decode(Welcome, got[0]), offers_back=self.world.options.offers_back
        )

    def _paged(self, got: Parts) -> list[e.Effect]:
        if "error" in got[0]:
            return self.session.lost_page(self.now, "error")
        header = decode(PageHeader, got[0])
        return self.session.page(self.now, header.interval(decode_page(got[1])))

    def _pushed(self, push_id: int, got: Parts) -> list[e.Effect]:
        if "error" in got[0]:
            return self.session.push_failed(self.now, push_id, "error")
        header: Any = decode(PushAnswer, got[0])
        answer = BulkResult(
            epoch=header.epoch, checkpoint=header.checkpoint, results=decode_results(got[1])
        )
        return self.session.answered(self.now, push_id, answer)

    def _headed(self, got: Parts) -> list[e.Effect]:
        head = decode(Head, got[0])
        return self.session.beat_answered(self.now, head.epoch, head.head)
