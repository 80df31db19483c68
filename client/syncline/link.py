"""
The link: drives a replica's session over Socket.IO.

One task takes inputs in order, hands each to the session, and carries out the effects before it
takes the next.
"""

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, assert_never

from syncline import effects as e
from syncline import session as s
from syncline.brake import Direction
from syncline.connection import Connection, checked
from syncline.core import Core
from syncline.errors import (
    AuthError,
    Busy,
    LinkClosed,
    LinkError,
    MassDeletion,
    ProtocolError,
    StoreError,
    SynclineError,
)
from syncline.heard import answer_heard, event_heard, head_heard, page_heard
from syncline.logs import Logger
from syncline.models import Key, Update
from syncline.onlookers import Onlookers
from syncline.outcome import Outcome
from syncline.outgoing import Outgoing
from syncline.protocol import (
    INLINE_BYTES_MAX,
    ChangesRequest,
    Head,
    Heartbeat,
    Push,
    Welcome,
    decode,
    encode,
    encode_page,
    inline,
)
from syncline.replica import Replica
from syncline.reporting import Reporting
from syncline.stall import StallWatch
from syncline.status import SessionState, Status, state_shown
from syncline.store.contract import Transaction


log = Logger("syncline")

LARGE_WEIGHT = 10_000
URL = "upstream_url"
FLUSH_TURNS = 3
LEASE_TAKEN = "another process holds the link of this database"
LEASE_RETRY_S = 1.0
CANCEL_AGAIN_S = 1.0
QUIET_S = 0.005
"""A write is pushed where it is made when none was for so long."""
TRACE_MAX = 40
"""How many of its last steps a link can tell when it is stuck."""
_Input = Callable[[], list[e.Effect]]


class Link:
    """
    Keeps a replica level with a daemon.

    Args:
        url: the daemon, `http://host:port`.
        token: a text, or a function that gives one at each connection.
        offers_back: whether a daemon that lost what this replica holds is offered it again. None:
            yes, unless the replica followed another daemon's data before, at another address;
            then the store is copied aside, and only what was pending is offered.
    """

    def __init__(
        self,
        replica: Replica,
        url: str,
        *,
        models: tuple[str, ...],
        token: str | Callable[[], str] | None = None,
        settings: s.SessionSettings | None = None,
        offers_back: bool | None = None,
    ) -> None:
        self._replica = replica
        self._core: Core = replica.core
        self._url = url
        self._url_before = ""
        self._offers_back = offers_back
        self._token = token
        self._models = models
        self._settings = settings or s.SessionSettings()
        self._inputs: deque[_Input] = deque()
        self._wake = asyncio.Event()
        self._is_waiting = False
        self._socket: Connection | None = None
        self._welcome: Welcome | None = None
        self._onlookers = Onlookers(lambda: self.status)
        self._level_at = time.monotonic()
        self._task: asyncio.Task[None] | None = None
        self._session: s.Session | None = None
        self._pushed_at = 0.0
        self._is_told = False
        self._is_closed = False
        self._is_paused = False
        self._is_ahead = False
        self._is_cursor_lost = False
        self._ticket = ""
        self._halted: MassDeletion | None = None
        self._outgoing = Outgoing(self._core)
        self._stall = StallWatch(self._settings.stall_timeout_s)
        self._reporting = Reporting(self._core)
        self._trace: deque[tuple[float, str]] = deque(maxlen=TRACE_MAX)

    # ---- what users ask -----------------------------------------------------------------

    async def start(self) -> None:
        """Begin to connect, and keep on until `close`."""
        cursor, pending = await self._core.read(
            lambda reader: (self._core.engine.cursor(reader), bool(reader.pending_counts()))
        )
        self._session = s.Session(
            replica_id=self._replica.replica_id,
            models=self._models,
            cursor=cursor,
            has_pending=pending,
            chance=random.random,
            settings=self._settings,
        )
        self._url_before = await self._core.writer.run(_begin)
        self._core.wake = self._wrote
        session = self._session
        self._put(lambda: session.start(_now()))
        self._task = asyncio.create_task(self._run(), name="syncline-link")

    @property
    def status(self) -> Status:
        """How the replica stands to the daemon, as of the last step."""
        session = self._session
        if session is None:
            return Status()
        outgoing = self._outgoing
        outgoing.count_now()
        done, total = session.progress
        state = state_shown(
            session.state,
            is_level=session.is_level and not self._is_ahead,
            pending=outgoing.pending + session.has_unsent + session.is_pushing,
        )
        is_live = state is SessionState.LIVE
        reason = session.reason
        if self._stall.is_stalled and state is SessionState.CATCHING_UP:
            state = SessionState.STALLED
            reason = f"no progress for {self._stall.idle_s(_now()):.0f} s"
        return Status(
            state=state,
            reason=reason,
            pending=outgoing.pending,
            conflicts=outgoing.conflicts,
            parked=outgoing.parked,
            behind=session.behind,
            done=done,
            total=total,
            lag_ms=0.0 if is_live else (time.monotonic() - self._level_at) * 1000,
        )

    @property
    def welcome(self) -> Welcome | None:
        """What the daemon said at the last hello; None before the first."""
        return self._welcome

    def on_status(self, listener: Callable[[Status], Any]) -> Callable[[], None]:
        """Call `listener` with the status whenever it changes; return what ends that."""
        return self._onlookers.listen(listener)

    async def barrier(self, timeout_s: float | None = None) -> None:
        """Return when the replica holds all that the daemon had at the call."""
        async with asyncio.timeout(timeout_s):
            while True:
                await self._until(self._is_welcome)
                try:
                    head = await self._ask_head()
                except LinkError:
                    await asyncio.sleep(0)
                    continue
                session = self._get_session()
                epoch = session.cursor.epoch
                if head.epoch != epoch:
                    continue
                self._put(lambda: session.heard_head(_now(), head.epoch, head.head))  # noqa: B023 - runs in order
                await self._until(
                    lambda: (
                        session.cursor.epoch != epoch  # noqa: B023 - of this round
                        or (session.cursor.is_whole and session.cursor.seq >= head.head)  # noqa: B023
                    )
                )
                if session.cursor.epoch == epoch:
                    return

    async def wait_live(self, timeout_s: float | None = None) -> None:
        """Return when the status is `live`: level, and nothing left to push."""
        async with asyncio.timeout(timeout_s):
            await self._until(lambda: self._is_level and self.status.state is SessionState.LIVE)

    async def pause(self) -> None:
        """Cut the link and stay offline until `resume`; writes wait."""
        session = self._get_session()
        self._is_paused = True
        self._put(session.paused)
        await self._until(lambda: self._socket is None)

    def resume(self) -> None:
        """Connect again."""
        session = self._get_session()
        if self._is_paused:
            self._is_paused = False
            self._halted = None
            self._put(lambda: session.start(_now()))

    @property
    def halted(self) -> MassDeletion | None:
        """What stopped the link for good; None unless it waits for `go_on`."""
        return self._halted

    def go_on(self) -> None:
        """Connect again after what stopped the link was allowed."""
        session = self._get_session()
        if self._halted is not None:
            self._halted = None
            self._put(lambda: session.start(_now()))

    def is_in_flight(self, key: Key) -> bool:
        """Tell whether a record is in a push that was not answered yet."""
        return self._outgoing.is_in_flight(key, self._get_session().pushes)

    async def close(self) -> None:
        """Disconnect and end."""
        self._core.wake = lambda _written: None
        self._is_closed = True
        task, self._task = self._task, None
        while task is not None and not task.done():
            # Once is not enough: what is beneath swallows a cancellation now and then.
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_AGAIN_S)
        await self._drop_socket()
        self._core.engine.store.release_lease()
        self._onlookers.end(LinkClosed("the link was closed"))

    # ---- the loop -----------------------------------------------------------------------

    def _get_session(self) -> s.Session:
        if self._session is None:
            raise LinkClosed("the link was not started")
        return self._session

    def _put(self, taken: _Input) -> None:
        self._inputs.append(taken)
        self._wake.set()

    def _wrote(self, written: Sequence[Update] | None) -> None:
        self._outgoing.note_written(written)
        self._reporting.note_written(written)
        session = self._get_session()
        if not session.has_unsent:
            if not self._is_told:
                self._is_told = True
                # In a burst of writes those of a turn go together, a turn later.
                is_quiet = _now() - self._pushed_at > QUIET_S
                (self._take_soon if is_quiet else self._put)(self._tell_of_writes)
        elif self._onlookers.has_listeners and not self._inputs:
            self._put(_nothing_to_do)  # Only to have the status shown: it counts what waits.

    def _tell_of_writes(self) -> list[e.Effect]:
        self._is_told = False
        return self._get_session().wrote(_now())

    async def _run(self) -> None:
        session = self._get_session()
        while not self._is_closed:
            if not self._inputs:
                await self._wait(session.next_deadline())
            # Until the effects are carried out the session is ahead of the store, and no status
            # may be read off it.
            self._is_ahead = True
            try:
                effects = self._inputs.popleft()() if self._inputs else session.tick(_now())
                await self._take(effects)
                self._report()
            except MassDeletion as error:
                log.error("link.halted", error=error.code, reason=str(error), hint=error.hint)  # noqa: TRY400
                self._halted = error
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
            self._is_ahead = False
            self._note_status()

    async def _take(self, effects: list[e.Effect]) -> None:
        for effect in effects:
            self._trace.append((_now(), type(effect).__name__))
            await self._carry_out(effect)

    async def _wait(self, deadline: float | None) -> None:
        self._wake.clear()
        if self._inputs:
            return
        self._is_waiting = True
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

    async def _store_failed(self, session: s.Session, error: StoreError) -> None:
        log.error("link.blocked", error=error.code, reason=str(error), hint=error.hint)  # noqa: TRY400
        await self._take(session.blocked(_now(), f"storage: {error.code}"))
        self._is_cursor_lost = True

    @property
    def _is_level(self) -> bool:
        """Whether nothing is known to be missing on either side; cheaper than the status."""
        session = self._get_session()
        return session.is_level and not session.has_unsent and not session.is_pushing

    def _note_status(self) -> None:
        if self._is_level:
            self._level_at = time.monotonic()
        self._onlookers.look()

    async def _until(self, condition: Callable[[], bool]) -> None:
        if self._is_ahead or not condition():
            await self._onlookers.until(condition)

    def _is_welcome(self) -> bool:
        session = self._get_session()
        return session.state in (SessionState.LIVE, SessionState.CATCHING_UP)

    async def _ask_head(self) -> Head:
        if self._socket is None:
            raise LinkClosed("not connected")
        answer = await self._socket.request("barrier", {}, timeout_s=self._settings.ack_timeout_s)
        return decode(Head, answer[0])

    # ---- effects ------------------------------------------------------------------------

    async def _carry_out(self, effect: e.Effect) -> None:
        match effect:
            case e.Connect():
                await self._connect()
            case e.Disconnect(reason):
                log.info("link.closed", url=self._url, reason=reason)
                await self._drop_socket()
            case e.SendHello(hello):
                self._send("hello", encode(hello), answer=self._welcomed)
            case e.RequestChanges(since, models):
                request = ChangesRequest(since=since, models=list(models) if models else None)
                self._send("changes", encode(request), answer=self._paged)
                await _flushed()
            case e.ApplyUpdates() | e.BeginReset() | e.SaveCursor() | e.DropStage():
                await self._store_effect(effect)
            case e.SendUpdates(push_id):
                await self._push(push_id)
            case e.Acknowledge():
                await self._acknowledge(effect)
            case e.SendHeartbeat(cursor):
                self._outgoing.count_now()
                beat = Heartbeat(
                    cursor=cursor,
                    pending=self._outgoing.pending,
                    conflicts=self._outgoing.conflicts,
                    stalled=self._stall.is_stalled,
                )
                self._send("heartbeat", encode(beat), answer=self._headed)
                self._reporting.beat()
                self._look_for_a_stall()
            case _:
                assert_never(effect)

    async def _connect(self) -> None:
        session = self._get_session()
        await self._drop_socket()
        if not self._core.engine.store.take_lease():
            session.disconnected(_now(), LEASE_TAKEN, delay_s=LEASE_RETRY_S)
            return
        # Whoever holds the link knows what was handed out, and so what may still be squashed.
        self._core.engine.outbox.may_squash = not self._core.engine.author.listens
        if self._is_cursor_lost:
            # The session ran ahead of a store that failed: what is stored is where we are.
            session.reload(await self._core.read(self._core.engine.cursor))
            self._is_cursor_lost = False
        token = self._token() if callable(self._token) else self._token
        socket = Connection(
            self._url,
            token=token,
            on_event=lambda event, payload: self._heard(socket, event, payload),
            on_close=lambda reason: self._lost(socket, reason),
            ticket=self._ticket,
        )
        self._ticket = ""
        self._socket = socket
        try:
            await socket.open()
        except AuthError as error:
            await self._refused(session, error, is_auth=True)
        except ProtocolError as error:
            await self._refused(session, error, is_auth=False)
        except Busy as error:
            self._socket = None
            self._ticket = error.ticket
            session.disconnected(_now(), error.code, delay_s=error.delay_s)
        except LinkError as error:
            self._socket = None
            session.disconnected(_now(), error.code)
        else:
            log.info("link.connected", url=self._url, replica_id=self._replica.replica_id)
            await self._take(session.connected(_now()))

    async def _refused(self, session: s.Session, error: SynclineError, *, is_auth: bool) -> None:
        log.error(  # noqa: TRY400 - a named refusal, no bug
            "link.refused", url=self._url, error=error.code, reason=str(error), hint=error.hint
        )
        await self._take(
            session.refused(_now(), error.code, is_auth=is_auth, retryable=error.retryable)
        )

    async def _drop_socket(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    def _send(self, event: str, *args: Any, answer: Callable[[tuple[Any, ...]], None]) -> None:
        socket = self._socket
        if socket is None or not socket.is_open:
            return

        def answered(got: tuple[Any, ...]) -> None:
            # The answers of a former socket are nobody's.
            if socket is self._socket:
                answer(got)

        socket.send(event, *args, answer=answered)

    def _heard(self, socket: Connection, event: str, payload: Any) -> None:
        if socket is not self._socket:
            return

        def take() -> list[e.Effect]:
            try:
                return event_heard(self._get_session(), _now(), event, payload)
            except ProtocolError as error:
                log.warning("link.nonsense", handled=event, error=error.code, reason=str(error))
                self._lost(socket, error.code)
                return []

        if event == "changed":
            self._take_soon(take)
        else:
            self._put(take)

    def _take_soon(self, take: _Input) -> None:
        """Take an input here where nothing else is going on, which saves a turn of the loop."""
        if self._is_waiting and not self._inputs and not self._wake.is_set():
            self._take_at_once(take)
        else:
            self._put(take)

    def _take_at_once(self, take: _Input) -> None:
        """Take an input while the link's task waits; leave to it what can't be done at once."""
        # As in `_run`: until then no status may be read off the session.
        self._is_ahead = True
        try:
            effects = take()
        except Exception as error:  # noqa: BLE001 - it is dealt with where inputs are taken
            self._put(_failing(error))
            return
        # What fails is done again, and fails again, where failures are dealt with.
        with contextlib.suppress(Exception):
            match effects:
                case [e.ApplyUpdates() as effect]:
                    effects = self._apply_at_once(effect)
                case [e.SendUpdates() as effect]:
                    effects = self._push_at_once(effect)
        if effects or self._inputs:
            self._inputs.appendleft(lambda: effects)
            self._wake.set()
            return
        self._is_ahead = False
        self._note_status()

    def _lost(self, socket: Connection, reason: str) -> None:
        if socket is not self._socket:
            return
        session = self._get_session()

        def gone() -> list[e.Effect]:
            if socket is not self._socket:
                return []
            session.disconnected(_now(), reason)
            return [e.Disconnect(reason)]

        self._put(gone)

    def _welcomed(self, got: tuple[Any, ...]) -> None:
        session = self._get_session()

        def take() -> list[e.Effect]:
            try:
                self._welcome = decode(Welcome, checked(got)[0])
            except SynclineError as error:
                is_auth = isinstance(error, AuthError)
                log.error("link.refused", error=error.code, reason=str(error), hint=error.hint)  # noqa: TRY400
                return session.refused(
                    _now(), error.code, is_auth=is_auth, retryable=error.retryable
                )
            self._reporting.welcomed(self._welcome)
            return session.welcomed(
                _now(), self._welcome, offers_back=self._does_offer_back(self._welcome)
            )

        self._put(take)

    def _does_offer_back(self, welcome: Welcome) -> bool:
        if self._offers_back is not None:
            return self._offers_back
        return welcome.reason != "source" or self._url_before in ("", self._url)

    def _paged(self, got: tuple[Any, ...]) -> None:
        self._put(lambda: page_heard(self._get_session(), _now(), got))

    def _headed(self, got: tuple[Any, ...]) -> None:
        self._put(lambda: head_heard(self._get_session(), _now(), got))

    async def _store_effect(
        self, effect: e.ApplyUpdates | e.BeginReset | e.SaveCursor | e.DropStage
    ) -> None:
        def job(tx: Transaction) -> Outcome:
            if is_new_place:
                tx.set_meta(URL, self._url.encode())
            return self._core.engine.carry_out(tx, effect)

        weight = 1 if isinstance(effect, e.SaveCursor) else LARGE_WEIGHT
        is_new_place = self._url != self._url_before and isinstance(
            effect, e.BeginReset | e.SaveCursor
        )
        if isinstance(effect, e.BeginReset):
            await self._note_reset(effect)
        if isinstance(effect, e.ApplyUpdates) and not effect.with_stage:
            weight = max(len(effect.interval.updates), 1)
            self._outgoing.note_met(effect.interval.updates)
        else:
            self._outgoing.forget()
        outcome = await self._core.carry_out(job, weight=weight)
        self._note_outcome(outcome)
        if is_new_place:
            self._url_before = self._url
        is_apply = isinstance(effect, e.ApplyUpdates)
        if self._outgoing.has_any or not is_apply:
            await self._outgoing.count()

    def _apply_at_once(self, effect: e.ApplyUpdates) -> list[e.Effect]:
        """Apply a small interval here and now; return the effect when that can't be."""
        if effect.with_stage or self._outgoing.has_any or self._reporting.is_due:
            return [effect]
        self._outgoing.note_met(effect.interval.updates)
        outcome = self._core.carry_out_now(
            lambda tx: self._core.engine.carry_out(tx, effect),
            weight=max(len(effect.interval.updates), 1),
        )
        if outcome is None:
            return [effect]
        self._trace.append((_now(), f"{type(effect).__name__} at once"))
        self._note_outcome(outcome)
        return []

    async def _note_reset(self, effect: e.BeginReset) -> None:
        """Say why the list is taken anew; keep a copy of what the upstream's word may end."""
        copy = None
        if not effect.offers_back:
            copy = await asyncio.get_running_loop().run_in_executor(
                None, self._core.engine.store.copy_aside, "replaced"
            )
        log.warning(
            "reset.began",
            url=self._url,
            reason="" if self._welcome is None else self._welcome.reason,
            shared=effect.shared,
            offers_back=effect.offers_back,
            copy=copy,
        )

    async def _push(self, push_id: int) -> None:
        session = self._get_session()
        updates, has_more = self._outgoing.collect(session.pushes, self._welcome)
        if not updates:
            await self._outgoing.count()
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
        session = self._get_session()
        updates = self._outgoing.collect_known(session.pushes, self._welcome)
        if updates is None:
            return [effect]
        self._trace.append((_now(), f"{type(effect).__name__} at once"))
        self._report()
        self._send_push(effect.push_id, updates)
        return session.collected(_now(), has_more=False)

    def _send_push(self, push_id: int, updates: list[Update]) -> None:
        self._pushed_at = _now()
        self._outgoing.note_push(push_id, updates)
        cursor = self._get_session().cursor
        header = encode(Push(epoch=cursor.epoch, cursor=cursor.seq))
        page = encode_page(updates)
        is_small = len(page) <= INLINE_BYTES_MAX
        args = ({**header, "updates": inline(page)},) if is_small else (header, page)
        self._send("bulk_update", *args, answer=lambda got: self._answered(push_id, got))

    def _answered(self, push_id: int, got: tuple[Any, ...]) -> None:
        self._put(lambda: answer_heard(self._get_session(), _now(), got, push_id))

    async def _acknowledge(self, effect: e.Acknowledge) -> None:
        session = self._get_session()
        outcome = await self._outgoing.acknowledge(
            effect, session.pushes, has_more=session.has_unsent
        )
        if outcome is None:
            return
        if effect.answer.conflicts:
            self._reporting.note_collision()
        self._note_outcome(outcome)

    def _look_for_a_stall(self) -> None:
        """Once a heartbeat: say so when there is something to do and nothing moves."""
        session = self._get_session()
        now = _now()
        # Not the status: while effects are carried out, as now, that never says live.
        is_busy = self._outgoing.pending or session.has_unsent or session.is_pushing
        has_work = self._is_welcome() and bool(is_busy or not session.is_level)
        progress = (session.position, self._outgoing.settled)
        if not self._stall.look(now, has_work=has_work, progress=progress):
            return
        log.error(
            "link.stalled",
            url=self._url,
            replica_id=self._replica.replica_id,
            duration_ms=round(self._stall.idle_s(now) * 1000),
            pending=self._outgoing.pending,
            pushing=len(session.pushes),
            cursor=session.cursor.seq,
            head=session.known_head,
            trace=" ".join(f"{at - now:.1f}s:{name}" for at, name in self._trace),
            hint="the link starts anew; if it stays so, report it with this line",
        )
        self._put(lambda: session.stalled(_now()))

    def _report(self) -> None:
        """Tell the daemon which conflicts wait here, when that has changed."""
        is_due = self._reporting.is_due and self._get_session().is_level
        if not is_due or self._outgoing.in_flight(self._get_session().pushes):
            return
        report = self._reporting.next_report()
        if report is None:
            return
        names, message = report

        def take(got: tuple[Any, ...]) -> list[e.Effect]:
            self._reporting.answered(names, got)
            return []

        self._send("report_conflicts", *message, answer=lambda got: self._put(lambda: take(got)))

    def _note_outcome(self, outcome: Outcome) -> None:
        self._reporting.note_outcome(outcome)
        if outcome.deleted:
            self._core.engine.note_deletions(Direction.PULL, outcome.deleted)
        if outcome.offered or outcome.dropped:
            log.warning("reset.settled", offered=outcome.offered, dropped=outcome.dropped)
        # Before the session hears of it: until then only the count says that we are not live.
        self._outgoing.note_outcome(outcome)
        if outcome.must_push:
            session = self._get_session()
            self._put(lambda: session.wrote(_now()))


async def _flushed() -> None:
    """
    Let what was sent reach the socket before a thread takes the interpreter for its own.

    The daemon then reads the next page while this one is stored.
    """
    for _ in range(FLUSH_TURNS):
        await asyncio.sleep(0)


def _nothing_to_do() -> list[e.Effect]:
    return []


def _failing(error: Exception) -> _Input:
    def fail() -> list[e.Effect]:
        raise error

    return fail


def _begin(tx: Transaction) -> str:
    """Empty the stage of a former life; return the address that was followed then."""
    tx.clear_stage()
    return (tx.meta(URL) or b"").decode()


def _now() -> float:
    return time.monotonic()
