"""
The socket door: who comes and goes, and which event goes to whom.

A connection's events are handled one at a time, in order; what is wrong with one is answered to
its sender by name and disturbs nobody else.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import msgspec
import socketio

from syncline.connection import wire_error
from syncline.errors import (
    Busy,
    EventUnknown,
    Forbidden,
    MessageInvalid,
    MessageTooLarge,
    ProtocolError,
    SynclineError,
)
from syncline.logs import Logger
from syncline.protocol import Hello, Welcome, decode, encode
from syncline.replica import Replica
from synclined.absent import Absentees
from synclined.access import Right, allows
from synclined.arriving import Arriving, Authenticate, is_bare, text_of
from synclined.asking import Asking
from synclined.doorway import Doorway
from synclined.fanout import Fanout
from synclined.fencing import Fencing
from synclined.following import Following
from synclined.frames import FrameWriter, install
from synclined.inbox import Inbox
from synclined.origins import Origins
from synclined.packets import MALFORMED, DoorPacket, DoorServer
from synclined.peers import Limits, Peer
from synclined.pushing import Pushing
from synclined.reporting import CONFLICTS_MAX, Reporting
from synclined.websocket import MAIN


log = Logger("synclined")

HEARTBEATS_MISSED_MAX = 1.75
SWEEPS_A_HEARTBEAT = 4
"""So that a silent connection is cut within two heartbeats."""
STATE = "/state"
"""The namespace of the daemon's own state."""

Handler = Callable[..., Awaitable[Any]]


class Sockets:
    """
    The Socket.IO door of one data source.

    Args:
        authenticate: turns a token into a principal, or raises `Unauthenticated`.
        beside: the door of the application's data, when this is another data source's, in a
            namespace of its own on the same sockets.
        inbox: where conflicts that wait at followers are listed; None when they are not.
        origins: the browser origins let in; None for those of the limits.

    Attributes:
        on_error: is told who was refused what. on_arrival: is awaited before a newcomer is let in.
    """

    def __init__(
        self,
        replica: Replica,
        authenticate: Authenticate,
        limits: Limits,
        *,
        beside: "Sockets | None" = None,
        namespace: str = MAIN,
        inbox: Inbox | None = None,
        origins: Origins | None = None,
    ) -> None:
        self._replica = replica
        self._authenticate = authenticate
        self._limits = limits
        self._namespace = namespace
        self._origins = origins or Origins(limits.origins)
        self.sio: socketio.AsyncServer = self._new_server() if beside is None else beside.sio
        self._writer = FrameWriter(self.sio, namespace)
        self.fanout = Fanout(
            replica,
            self._writer,
            window_bytes_max=limits.window_bytes_max,
            send_timeout_s=limits.send_timeout_s,
            poll_s=limits.poll_s,
        )
        self._following = Following(replica, limits, self.fanout)
        self._asking = Asking(replica)
        self.pushing = Pushing(replica, limits)
        self._inbox = inbox
        self.reporting = None if inbox is None else Reporting(replica, inbox)
        self.peers: dict[str, Peer] = {}
        self.absent = Absentees(limits.absent_kept_s)
        self._fencing = Fencing()
        self._arriving = Arriving(authenticate, limits.connects_per_s, is_crowded=beside is None)
        self._sweeper: asyncio.Task[None] | None = None
        self.on_error: Callable[[str, str, str], None] = _unheard
        self.on_arrival: Callable[[], Awaitable[None]] = _unattended
        self.sio.on("connect", self._connect, namespace)
        self.sio.on("disconnect", self._disconnect, namespace)
        self._events: dict[str, Handler] = {
            "hello": self._hello,
            "changes": self._following.changes,
            "bulk_update": self.pushing.bulk_update,
            "diff": self._asking.diff,
            "barrier": self._following.barrier,
            "heartbeat": self._following.heartbeat,
            "checkpoint": self._following.barrier,
            "get": self._asking.get,
            "find": self._asking.find,
            "count": self._asking.count,
            "models": self._asking.models,
            "summaries": self._asking.summaries,
            "renew": self._renew,
        }
        if self.reporting is not None:
            self._events["report_conflicts"] = self.reporting.report_conflicts
        for event, handler in self._events.items():
            self.sio.on(event, self._guarded(event, handler), namespace)
        self.sio.on(MALFORMED, self._guarded("message", self._malformed), namespace)
        self.sio.on("*", self._unknown, namespace)

    def _new_server(self) -> socketio.AsyncServer:
        limits = self._limits
        for name in ("socketio.server", "engineio.server"):
            # Unless a level is set, each adds a handler of its own, that writes to stderr.
            if logging.getLogger(name).level == logging.NOTSET:
                logging.getLogger(name).setLevel(logging.ERROR)
        sio = DoorServer(
            async_mode="aiohttp",
            async_handlers=False,
            serializer=DoorPacket,
            max_http_buffer_size=limits.message_bytes_max,
            ping_interval=25,
            ping_timeout=20,
            cors_allowed_origins=self._allows_origin,
            http_compression=False,
            logger=False,
            engineio_logger=False,
        )
        install(
            sio,
            compress=limits.compression,
            message_bytes_max=limits.message_bytes_max,
            on_oversized=self._oversized,
            on_orphan=sio.meet_binary,
        )
        Doorway(
            sio,
            body_bytes_max=limits.message_bytes_max,
            sockets_max=limits.connections_max,
        )
        return sio

    async def start(self) -> None:
        """Begin to serve."""
        await self.fanout.start()
        self._sweeper = asyncio.create_task(self._sweep(), name="syncline-sweeper")

    async def say_bye(self, *, delay_ms: int, reason: str) -> None:
        """Refuse newcomers, and say bye to everybody with a delay of their own."""
        self._arriving.return_delay_s = delay_ms / 1000
        await self.fanout.stop()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        # Each has a time of its own, in an order of chance, as wide as coming in takes.
        told = [peer for peer in self.peers.values() if not peer.is_bare]
        random.shuffle(told)
        window_ms = max(delay_ms, self._arriving.window_s(len(told)) * 1000)
        for place, peer in enumerate(told):
            if peer.sid in self.peers:
                spread = delay_ms / 2 + window_ms * (place + random.random()) / len(told)  # noqa: S311 - it spreads a load
                bye = {"delay_ms": round(spread), "reason": reason}
                frame = self._writer.event_frame("bye", msgspec.json.encode(bye).decode())
                await self._writer.send_queued(peer.sid, frame)

    async def drain(self, *, delay_ms: int, reason: str, deadline_s: float) -> None:
        """Say bye, disconnect all, and end the server; the doors beside it said bye before."""
        await self.say_bye(delay_ms=delay_ms, reason=reason)
        transports = [self._transport_of(sid) for sid in self.peers]
        closing = [self._part(peer) for peer in tuple(self.peers.values())]
        try:
            async with asyncio.timeout(deadline_s):
                await asyncio.gather(*closing, return_exceptions=True)
                links = tuple(self.sio.eio.sockets.values())
                # Whoever has left reads nothing more.
                written = [link.queue.join() for link in links if not link.closed]
                await asyncio.gather(*written, return_exceptions=True)
        except TimeoutError:
            for sid in tuple(self.peers):
                self._writer.cut(sid)
        # Once aiohttp shuts down it reads nothing more, so a peer's goodbye would not be heard.
        for transport in transports:
            if transport is not None:
                transport.close()
        await self.sio.shutdown()

    async def _part(self, peer: Peer) -> None:
        """End a connection so that its client comes back by itself, or knows that it must."""
        if peer.is_bare:
            await self._writer.hang_up(peer.sid)
        else:
            await self.sio.disconnect(peer.sid, self._namespace)

    def _transport_of(self, sid: str) -> asyncio.BaseTransport | None:
        request = (self.sio.get_environ(sid, self._namespace) or {}).get("aiohttp.request")
        return None if request is None else request.transport

    def _allows_origin(self, origin: str | None, environ: Mapping[str, Any]) -> bool:
        return self._origins.allow(environ["aiohttp.request"], origin)

    # ---- coming and going ---------------------------------------------------------------

    async def _connect(self, sid: str, _environ: Mapping[str, Any], auth: Any = None) -> None:
        try:
            newcomer = await self._arriving.admit(auth)
            await self.on_arrival()
            self._arriving.require_open()
            if self.sio.manager.eio_sid_from_sid(sid, self._namespace) not in self.sio.environ:
                # One that polls may go while it waits, and is no connection yet that could end.
                raise ProtocolError("it left before it was let in")
        except SynclineError as error:
            refused = log.debug if isinstance(error, Busy) else log.warning
            refused("connection.refused", sid=sid, error=error.code)
            if isinstance(error, Busy) and is_bare(auth):
                # It would take a refusal for the last word; a transport that ends it tries again.
                await self._writer.hang_up(sid)
            refusal = wire_error(error)
            raise socketio.exceptions.ConnectionRefusedError(
                error.told(), refusal["error"]
            ) from None
        principal = newcomer.principal
        peer = Peer(
            sid,
            principal,
            is_bare=newcomer.is_bare,
            since_ms=time.time_ns() // 1_000_000,
            heard_at=time.monotonic(),
        )
        self.peers[sid] = peer
        if peer.is_bare:
            # Asked at each event, since a new token may be worth less than the first.
            self.fanout.join_bare(sid, lambda model: allows(peer.principal, Right.READ, model))
        log.debug("connection.opened", sid=sid, principal=principal.name)

    async def _disconnect(self, sid: str, reason: str = "") -> None:
        peer = self.peers.pop(sid, None)
        self.fanout.leave(sid)
        if peer is None:
            return
        self._fencing.leave(peer.replica_id, sid)
        self.absent.left(peer)
        log.debug("connection.closed", sid=sid, replica_id=peer.replica_id, reason=str(reason))

    async def _sweep(self) -> None:
        """Cut connections whose replica has fallen silent."""
        silence = self._limits.heartbeat_s * HEARTBEATS_MISSED_MAX
        pause = self._limits.heartbeat_s / SWEEPS_A_HEARTBEAT
        slept_at = time.monotonic()
        while True:
            await asyncio.sleep(pause)
            now, before = time.monotonic(), slept_at
            slept_at = now
            if now - before > 2 * pause:
                # The loop was held, or the process stopped: what they said is yet to be read.
                continue
            for peer in tuple(self.peers.values()):
                if peer.replica_id and now - peer.heard_at > silence:
                    log.warning("connection.silent", sid=peer.sid, replica_id=peer.replica_id)
                    await self._cut(peer.sid)
            self.fanout.cut_stuck(now)
            for eio_sid in self.sio.waiting.overdue(now):
                log.warning("connection.late", reason="it was connected to nothing")
                await self._writer.hang_up_socket(eio_sid)

    def _guarded(self, event: str, handler: Handler) -> Handler:
        async def guarded(sid: str, *args: Any) -> Any:
            peer = self.peers.get(sid)
            if peer is None:
                return wire_error(ProtocolError("the connection is closing"))
            peer.heard_at = time.monotonic()
            try:
                return await handler(peer, *args)
            except SynclineError as error:
                self._note_error(peer, event, error)
                return wire_error(error)
            except TypeError as error:
                if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                    log.exception("event.broke", handled=event, sid=sid)
                    return wire_error(SynclineError("internal error"))
                wrong = MessageInvalid(f"{event}: wrong number of arguments")
                self._note_error(peer, event, wrong)
                return wire_error(wrong)
            except Exception:
                log.exception("event.broke", handled=event, sid=sid)
                return wire_error(SynclineError("internal error"))

        return guarded

    def _note_error(self, peer: Peer, event: str, error: SynclineError) -> None:
        """Log a sender's first mistake; more of them would only fill the log."""
        if not peer.has_erred or not isinstance(error, ProtocolError):
            log.warning(
                "event.refused",
                handled=event,
                sid=peer.sid,
                principal=peer.principal.name,
                error=error.code,
                reason=str(error),
            )
        peer.has_erred = True
        self.on_error(peer.replica_id or peer.principal.name, error.code, error.told())

    async def _unknown(self, event: str, sid: str, *_args: Any) -> Any:
        error = EventUnknown(
            f"there is no event {event[:64]!r}", hint=f"known: {', '.join(sorted(self._events))}"
        )
        peer = self.peers.get(sid)
        if peer is not None:
            self._note_error(peer, event[:64], error)
        return wire_error(error)

    async def _malformed(self, _peer: Peer, reason: str, *_attached: Any) -> Any:
        raise MessageInvalid(f"the packet can't be read: {reason}")

    def _oversized(self, sid: str, size: int) -> str | None:
        error = MessageTooLarge(
            f"a message of {size} bytes is over the limit of {self._limits.message_bytes_max}",
            hint="send fewer records at once",
        )
        peer = self.peers.get(sid)
        if peer is not None:
            self._note_error(peer, "message", error)
        return msgspec.json.encode([wire_error(error)]).decode()

    # ---- hello ----------------------------------------------------------------------

    async def _hello(self, peer: Peer, payload: Any) -> Any:
        hello = decode(Hello, payload)
        if not hello.replica or len(hello.replica) > 64:
            raise MessageInvalid("hello.replica: 1 to 64 characters")
        rights: dict[str, str] = {}
        for model in hello.models:
            self._replica.core.schema_of(model)
            if not allows(peer.principal, Right.READ, model):
                raise Forbidden(f"{peer.principal.name} may not read {model!r}")
            can_write = allows(peer.principal, Right.WRITE, model)
            rights[model] = "write" if can_write else "read"
        await self._fence(peer, hello.replica)
        head = await self._replica.head()
        if peer.sid not in self.peers:
            raise ProtocolError("the connection is closing")
        engine = self._replica.core.engine
        standing = engine.judge(
            source=hello.source, epoch=hello.epoch, seq=hello.seq, reach=hello.reach, head=head
        )
        peer.note_hello(hello, rights, head=head, good=standing.is_good)
        self.fanout.join(peer.sid, peer.models, head, replica_id=hello.replica, is_told=hello.news)
        log.info(
            "replica.joined",
            sid=peer.sid,
            replica_id=hello.replica,
            principal=peer.principal.name,
            checkpoint=hello.seq,
            standing="good" if standing.is_good else f"reset: {standing.reason}",
        )
        return encode(
            Welcome(
                source=engine.lineage.source,
                epoch=engine.lineage.current,
                head=head,
                standing="good" if standing.is_good else "reset",
                shared=standing.shared,
                reason=standing.reason,
                heartbeat_s=self._limits.heartbeat_s,
                record_bytes_max=self._limits.record_bytes_max,
                message_bytes_max=self._limits.message_bytes_max,
                push_items_max=self._limits.push_items_max,
                models=rights,
                principal=peer.principal.name,
                conflicts_max=0 if self._inbox is None else CONFLICTS_MAX,
                conflicts=0 if self._inbox is None else self._inbox.waiting_at[hello.replica],
                transient=self._namespace == STATE,
            )
        )

    async def _fence(self, peer: Peer, replica_id: str) -> None:
        """End the older connection of the same replica."""
        older = self._fencing.enter(replica_id, peer.sid, was=peer.replica_id)
        if older is not None and older in self.peers:
            self._fencing.ended(replica_id, older, now_s=time.monotonic())
            self.fanout.leave(older)
            await self._cut(older)

    async def _cut(self, sid: str) -> None:
        """End a connection at once; one that polls is told, and heard no more."""
        if self._namespace != MAIN or not self._writer.cut(sid):
            await self.sio.disconnect(sid, self._namespace)

    async def revoke(self, names: Collection[str]) -> None:
        """End the connections of principals that are no longer what they were: by their names."""
        for peer in tuple(self.peers.values()):
            if peer.principal.name in names:
                log.warning(
                    "connection.revoked",
                    sid=peer.sid,
                    replica_id=peer.replica_id,
                    principal=peer.principal.name,
                )
                await self._cut(peer.sid)

    async def _renew(self, peer: Peer, payload: Any = None) -> Any:
        if payload is not None and not isinstance(payload, Mapping):
            raise MessageInvalid("renew: an object is expected")
        token = text_of(payload or {}, "token", "renew")
        principal = self._authenticate(token)
        for model in peer.models:
            if not allows(principal, Right.READ, model):
                raise Forbidden(f"{principal.name} may not read {model!r}")
        peer.principal = principal
        return {"principal": principal.name}


def _unheard(_who: str, _code: str, _reason: str) -> None:
    """Tell nobody."""


async def _unattended() -> None:
    """Prepare nothing."""
