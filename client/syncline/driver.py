"""
The loop that drives a session.

It takes inputs in order, tells each to the session, and carries out the effects before it takes the
next.
"""

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, assert_never

from syncline import effects as e
from syncline.brake import Direction
from syncline.connection import checked
from syncline.core import Core
from syncline.errors import (
    AuthError,
    Busy,
    LinkError,
    MassDeletion,
    ProtocolError,
    StoreError,
    SynclineError,
)
from syncline.heard import answer_heard, event_heard, head_heard, page_heard, too_large_said
from syncline.holding import Holding, StoreEffect
from syncline.http_options import HttpOptions
from syncline.line import Line
from syncline.logs import Logger
from syncline.models import Update
from syncline.outcome import Outcome
from syncline.outgoing import Outgoing
from syncline.payloads import encode_page, inline
from syncline.protocol import (
    INLINE_BYTES_MAX,
    ChangesRequest,
    Push,
    Welcome,
    decode,
    encode,
)
from syncline.reporting import Reporting
from syncline.session import Session
from syncline.stall import StallWatch
from syncline.status import SessionState


log = Logger("syncline")

FLUSH_TURNS = 3
LEASE_TAKEN = "another process holds the link of this database"
LEASE_RETRY_S = 1.0
CANCEL_AGAIN_S = 1.0
QUIET_S = 0.005
"""A write is pushed where it is made when none was for so long."""
TRACE_MAX = 40
"""How many of its last steps a link can tell when it is stuck."""
Input = Callable[[], list[e.Effect]]
Token = str | Callable[[], str] | None


class Driver:
    """
    Drives the session of one link.

    Args:
        url: the daemon. token: a text, or a function that gives one at each connection.
        http: how the daemon is reached.
        holding: the hold on the replica's store.
        on_step: called after each input, when its effects are carried out.

    Attributes:
        welcome: what the daemon said at the last hello.
        halted: what stopped the link until `restart`.
        hint: what to do about the connection that could not be made last, or empty.
        is_ahead: whether effects are being carried out: no status may be read off the session
            meanwhile, which is ahead of the store.
    """

    def __init__(
        self,
        core: Core,
        session: Session,
        url: str,
        *,
        token: Token,
        http: HttpOptions,
        holding: Holding,
        on_step: Callable[[], None],
    ) -> None:
        self._core = core
        self.session = session
        self._url = url
        self._token = token
        self._holding = holding
        self._on_step = on_step
        self.line = Line(url, http=http, on_event=self._heard, on_close=self._lost)
        self.outgoing = Outgoing(core)
        self.reporting = Reporting(core)
        self.stall = StallWatch(session.settings.stall_timeout_s)
        self.welcome: Welcome | None = None
        self.halted: MassDeletion | None = None
        self.hint = ""
        self.is_ahead = False
        self._inputs: deque[Input] = deque()
        self._wake = asyncio.Event()
        self._is_waiting = False
        self._waits_until = math.inf
        self._is_closed = False
        self._is_told = False
        self._is_cursor_lost = False
        self._pushed_at = 0.0
        self._ticket = ""
        self._task: asyncio.Task[None] | None = None
        self._trace: deque[tuple[float, str]] = deque(maxlen=TRACE_MAX)

    # ---- what the link asks -------------------------------------------------------------

    def run(self) -> None:
        """Begin to take inputs."""
        self._task = asyncio.create_task(self._run(), name="syncline-link")

    def put(self, taken: Input) -> None:
        """Tell the session something when it is its turn."""
        self._inputs.append(taken)
        self._wake.set()

    def restart(self) -> None:
        """Connect, whatever it was that stopped the link."""
        self.halted = None
        self.put(lambda: self.session.start(_now()))

    def note_written(self, written: Sequence[Update] | None) -> bool:
        """Take note of a commit; tell whether a step comes of it, or came."""
        self.outgoing.note_written(written)
        self.reporting.note_written(written)
        if self.session.has_unsent:
            return bool(self._inputs)
        if not self._is_told:
            self._is_told = True
            # In a burst of writes those of a turn go together, a turn later.
            is_quiet = _now() - self._pushed_at > QUIET_S
            (self._take_soon if is_quiet else self.put)(self._tell_of_writes)
        return True

    async def close(self) -> None:
        """Take no more inputs, and disconnect."""
        self._is_closed = True
        task, self._task = self._task, None
        while task is not None and not task.done():
            # Once is not enough: what is beneath swallows a cancellation now and then.
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_AGAIN_S)
        await self.line.drop()

    @property
    def is_level(self) -> bool:
        """Whether nothing is known to be missing on either side; cheaper than the status."""
        session = self.session
        return session.is_level and not session.has_unsent and not session.is_pushing

    @property
    def is_welcome(self) -> bool:
        """Whether the daemon has answered our hello."""
        return self.session.state in (SessionState.LIVE, SessionState.CATCHING_UP)

    # ---- the loop -----------------------------------------------------------------------

    def _tell_of_writes(self) -> list[e.Effect]:
        self._is_told = False
        return self.session.wrote(_now())

    async def _run(self) -> None:
        session = self.session
        while not self._is_closed:
            if not self._inputs:
                await self._wait(session.next_deadline())
            # Until the effects are carried out the session is ahead of the store, and no status
            # may be read off it.
            self.is_ahead = True
            try:
                effects = self._inputs.popleft()() if self._inputs else session.tick(_now())
                await self._take(effects)
                # Here, so that a write that comes later finds nothing in its way.
                await self.outgoing.mind_limits()
                self._report()
            except MassDeletion as error:
                log.error("link.halted", error=error.code, reason=str(error), hint=error.hint)  # noqa: TRY400
                self.halted = error
                await self._take(session.halted(f"{error.code}: {error}"))
                self._is_cursor_lost = True
            except StoreError as error:
                await self._store_failed(session, error)
            except SynclineError as error:
                log.error("link.failed", error=error.code, reason=str(error))  # noqa: TRY400
                await self._take(session.blocked(_now(), error.code))
            except asyncio.CancelledError:
                raise
            except Exception:
                # A bug of ours must not end the link silently: say it, leave, come back.
                log.exception("link.broke")
                await self._take(session.blocked(_now(), "internal error"))
            self.is_ahead = False
            self._on_step()

    def _take_soon(self, take: Input) -> None:
        """Take an input here where nothing else is going on, which saves a turn of the loop."""
        if self._is_waiting and not self._inputs and not self._wake.is_set():
            self._take_at_once(take)
        else:
            self.put(take)

    def _take_at_once(self, take: Input) -> None:
        """Take an input while the link's task waits; leave to it what can't be done at once."""
        # As in `_run`: until then no status may be read off the session.
        self.is_ahead = True
        try:
            effects = take()
        except Exception as error:  # noqa: BLE001 - it is dealt with where inputs are taken
            self.put(_failing(error))
            return
        # What fails is done again, and fails again, where failures are dealt with.
        with contextlib.suppress(Exception):
            match effects:
                case [e.ApplyUpdates() as effect]:
                    effects = self._apply_at_once(effect)
                case [e.SendUpdates() as effect]:
                    effects = self._push_at_once(effect)
                case [e.SendHeartbeat(heard=heard) as effect] if heard:
                    effects = self._send_beat(effect)
        if effects or self._inputs:
            self._inputs.appendleft(lambda: effects)
            self._wake.set()
            return
        self.is_ahead = False
        deadline = self.session.next_deadline()
        if deadline is not None and deadline < self._waits_until:
            self._wake.set()
        self._on_step()

    async def _take(self, effects: list[e.Effect]) -> None:
        for effect in effects:
            self._trace.append((_now(), type(effect).__name__))
            await self._carry_out(effect)

    async def _wait(self, deadline: float | None) -> None:
        self._wake.clear()
        if self._inputs:
            return
        self._is_waiting = True
        self._waits_until = math.inf if deadline is None else deadline
        try:
            if deadline is None:
                await self._wake.wait()
                return
            loop = asyncio.get_running_loop()
            timer = loop.call_at(loop.time() + max(deadline - _now(), 0.0), self._wake.set)
            try:
                await self._wake.wait()
            finally:
                timer.cancel()
        finally:
            self._is_waiting = False

    async def _store_failed(self, session: Session, error: StoreError) -> None:
        log.error("link.blocked", error=error.code, reason=str(error), hint=error.hint)  # noqa: TRY400
        await self._take(session.blocked(_now(), f"storage: {error.code}"))
        self._is_cursor_lost = True

    # ---- effects ------------------------------------------------------------------------

    async def _carry_out(self, effect: e.Effect) -> None:
        match effect:
            case e.Connect():
                await self._connect()
            case e.Disconnect(reason):
                log.info("link.closed", url=self._url, reason=reason)
                await self.line.drop()
            case e.SendHello(hello):
                self.line.send("hello", encode(hello), answer=self._welcomed)
            case e.RequestChanges(since, models):
                request = ChangesRequest(since=since, models=list(models) if models else None)
                self.line.send("changes", encode(request), answer=self._paged)
                await _flushed()
            case e.ApplyUpdates() | e.BeginReset() | e.SaveCursor() | e.DropStage():
                await self._store_effect(effect)
            case e.SendUpdates(push_id):
                await self._push(push_id)
            case e.Acknowledge():
                await self._acknowledge(effect)
            case e.SendHeartbeat():
                self._send_beat(effect)
                self.reporting.beat()
                self._look_for_a_stall()
            case _:
                assert_never(effect)

    async def _connect(self) -> None:
        session = self.session
        await self.line.drop()
        if not self._holding.take():
            session.disconnected(_now(), LEASE_TAKEN, delay_s=LEASE_RETRY_S)
            return
        if self._is_cursor_lost:
            # The session ran ahead of a store that failed: what is stored is where we are.
            session.reload(await self._core.read(self._core.engine.cursor))
            self._is_cursor_lost = False
        token = self._token() if callable(self._token) else self._token
        ticket, self._ticket = self._ticket, ""
        try:
            await self.line.open(token, ticket)
        except AuthError as error:
            await self._refused(session, error, is_auth=True)
        except ProtocolError as error:
            await self._refused(session, error, is_auth=False)
        except Busy as error:
            self.line.forget()
            self._ticket = error.ticket
            session.disconnected(_now(), error.code, delay_s=error.delay_s or None)
        except LinkError as error:
            self.line.forget()
            if error.hint != self.hint:
                # Once: it may be tried again for days.
                log.warning(
                    "link.unreached",
                    url=self._url,
                    error=error.code,
                    reason=str(error),
                    hint=error.hint,
                )
            self.hint = error.hint
            session.disconnected(_now(), error.code)
        else:
            self.hint = ""
            log.info("link.connected", url=self._url, replica_id=session.replica_id)
            await self._take(session.connected(_now()))

    async def _refused(self, session: Session, error: SynclineError, *, is_auth: bool) -> None:
        log.error(  # noqa: TRY400 - a named refusal, no bug
            "link.refused", url=self._url, error=error.code, reason=str(error), hint=error.hint
        )
        self.hint = error.hint
        await self._take(
            session.refused(_now(), error.code, is_auth=is_auth, retryable=error.retryable)
        )

    def _heard(self, event: str, payload: Any) -> None:
        def take() -> list[e.Effect]:
            try:
                return event_heard(self.session, _now(), event, payload)
            except ProtocolError as error:
                log.warning("link.nonsense", handled=event, error=error.code, reason=str(error))
                self._lost(error.code)
                return []

        if event in ("changed", "news", "beat"):
            self._take_soon(take)
        else:
            self.put(take)

    def _lost(self, reason: str) -> None:
        socket = self.line.socket

        def gone() -> list[e.Effect]:
            if socket is not self.line.socket:
                return []
            self.session.disconnected(_now(), reason)
            return [e.Disconnect(reason)]

        self.put(gone)

    def _welcomed(self, got: tuple[Any, ...]) -> None:
        session = self.session

        def take() -> list[e.Effect]:
            try:
                self.welcome = decode(Welcome, checked(got)[0])
            except SynclineError as error:
                is_auth = isinstance(error, AuthError)
                log.error("link.refused", error=error.code, reason=str(error), hint=error.hint)  # noqa: TRY400
                return session.refused(
                    _now(), error.code, is_auth=is_auth, retryable=error.retryable
                )
            self.reporting.welcomed(self.welcome)
            self.outgoing.note_welcome(self.welcome)
            welcome = self.welcome
            self._core.principal = welcome.principal
            self._core.engine.brake.is_off = welcome.transient
            offers_back = self._holding.does_offer_back(welcome.reason, transient=welcome.transient)
            return session.welcomed(_now(), welcome, offers_back=offers_back)

        self.put(take)

    def _paged(self, got: tuple[Any, ...]) -> None:
        self.put(lambda: page_heard(self.session, _now(), got))

    def _headed(self, got: tuple[Any, ...]) -> None:
        self._take_soon(lambda: head_heard(self.session, _now(), got))

    def _send_beat(self, effect: e.SendHeartbeat) -> list[e.Effect]:
        cursor, heard = effect.cursor, effect.heard
        beat = self.outgoing.heartbeat(cursor, heard, stalled=self.stall.is_stalled)
        self.line.send("heartbeat", encode(beat), answer=self._headed)
        return []

    async def _store_effect(self, effect: StoreEffect) -> None:
        is_apply = isinstance(effect, e.ApplyUpdates)
        if isinstance(effect, e.ApplyUpdates) and not effect.with_stage:
            self.outgoing.note_met(effect.interval.updates)
        else:
            self.outgoing.forget()
        reason = "" if self.welcome is None else self.welcome.reason
        outcome = await self._holding.carry_out(effect, reason=reason)
        if outcome.lacks_anchor:
            # The session is ahead of what was stored: from there the list is read.
            session = self.session
            session.reload(await self._core.read(self._core.engine.cursor))
            self.put(lambda: session.behind_told(_now()))
        self._note_outcome(outcome)
        if self.outgoing.has_any or not is_apply:
            await self.outgoing.count()

    def _apply_at_once(self, effect: e.ApplyUpdates) -> list[e.Effect]:
        """Apply a small interval here and now; return the effect when that can't be."""
        if effect.with_stage or self.outgoing.has_any or self.reporting.is_due:
            return [effect]
        self.outgoing.note_met(effect.interval.updates)
        outcome = self._holding.apply_now(effect)
        if outcome is None or outcome.lacks_anchor:
            return [effect]
        self._trace.append((_now(), f"{type(effect).__name__} at once"))
        self._note_outcome(outcome)
        return []

    async def _push(self, push_id: int) -> None:
        session = self.session
        updates, has_more = await self.outgoing.collect(session.pushes, self.welcome)
        if not updates:
            await self.outgoing.count()
            await self._take(session.nothing_to_push(_now(), push_id))
            return
        # While pushes follow each other without a pause, this is where none is out.
        self._report()
        self._send_push(push_id, updates)
        if has_more:
            await _flushed()
        await self._take(session.collected(_now(), has_more=has_more))

    def _push_at_once(self, effect: e.SendUpdates) -> list[e.Effect]:
        """Push what was just written; return the effect when the store must be asked what else."""
        session = self.session
        updates = self.outgoing.collect_known(session.pushes, self.welcome)
        if updates is None:
            return [effect]
        self._trace.append((_now(), f"{type(effect).__name__} at once"))
        self._report()
        self._send_push(effect.push_id, updates)
        return session.collected(_now(), has_more=False)

    def _send_push(self, push_id: int, updates: list[Update]) -> None:
        self._pushed_at = _now()
        self.outgoing.note_push(push_id, updates)
        cursor = self.session.cursor
        header = encode(Push(epoch=cursor.epoch, cursor=cursor.seq))
        page = encode_page(updates)
        is_small = len(page) <= INLINE_BYTES_MAX
        args = ({**header, "updates": inline(page)},) if is_small else (header, page)
        self.line.send("bulk_update", *args, answer=lambda got: self._answered(push_id, got))

    def _answered(self, push_id: int, got: tuple[Any, ...]) -> None:
        def take() -> list[e.Effect]:
            if reason := too_large_said(got):
                self.outgoing.note_too_large(push_id, reason)
            return answer_heard(self.session, _now(), got, push_id)

        self.put(take)

    async def _acknowledge(self, effect: e.Acknowledge) -> None:
        session = self.session
        outcome = await self.outgoing.acknowledge(
            effect, session.pushes, has_more=session.has_unsent
        )
        if outcome is None:
            return
        if effect.answer.conflicts:
            self.reporting.note_collision()
        self._note_outcome(outcome)

    def _look_for_a_stall(self) -> None:
        """Once a heartbeat: say so when there is something to do and nothing moves."""
        session = self.session
        now = _now()
        # Not the status: while effects are carried out, as now, that never says live.
        is_busy = self.outgoing.pending or session.has_unsent or session.is_pushing
        has_work = self.is_welcome and bool(is_busy or not session.is_level)
        progress = (session.position, self.outgoing.settled)
        if not self.stall.look(now, has_work=has_work, progress=progress):
            return
        log.error(
            "link.stalled",
            url=self._url,
            replica_id=session.replica_id,
            duration_ms=round(self.stall.idle_s(now) * 1000),
            pending=self.outgoing.pending,
            pushing=len(session.pushes),
            cursor=session.cursor.seq,
            head=session.known_head,
            trace=" ".join(f"{at - now:.1f}s:{name}" for at, name in self._trace),
            hint="the link starts anew; if it stays so, report it with this line",
        )
        self.put(lambda: session.stalled(_now()))

    def _report(self) -> None:
        """Tell the daemon which conflicts wait here, when that has changed."""
        is_due = self.reporting.is_due and self.session.is_level
        if not is_due or self.outgoing.in_flight(self.session.pushes):
            return
        report = self.reporting.next_report()
        if report is None:
            return
        names, message = report

        def take(got: tuple[Any, ...]) -> list[e.Effect]:
            self.reporting.answered(names, got)
            return []

        self.line.send("report_conflicts", *message, answer=lambda got: self.put(lambda: take(got)))

    def _note_outcome(self, outcome: Outcome) -> None:
        self.reporting.note_outcome(outcome)
        if outcome.deleted:
            self._core.engine.note_deletions(Direction.PULL, outcome.deleted)
        if outcome.offered or outcome.dropped:
            log.warning("reset.settled", offered=outcome.offered, dropped=outcome.dropped)
        # Before the session hears of it: until then only the count says that we are not live.
        self.outgoing.note_outcome(outcome)
        if outcome.must_push:
            session = self.session
            self.put(lambda: session.wrote(_now()))


async def _flushed() -> None:
    """
    Let what was sent reach the socket before a thread takes the interpreter for its own.

    The daemon then reads the next page while this one is stored.
    """
    for _ in range(FLUSH_TURNS):
        await asyncio.sleep(0)


def _failing(error: Exception) -> Input:
    def fail() -> list[e.Effect]:
        raise error

    return fail


def _now() -> float:
    return time.monotonic()
