"""Assembles the daemon; starts and stops its parts in order."""

import logging
from collections.abc import AsyncIterator, Collection
from typing import Any

from aiohttp import web

from syncline.errors import ConfigError
from syncline.hooks import Hooks
from syncline.logs import Logger
from syncline.opening import Models, StoreLike
from syncline.replica import Replica
from syncline.resolving import Strategies
from synclined.access import ANYONE, Principal
from synclined.arriving import Authenticate
from synclined.auth import Tokens
from synclined.compacting import Compacting
from synclined.health import add_health
from synclined.hook_loading import load_hooks
from synclined.inbox import Inbox
from synclined.loop_lag import LoopLag
from synclined.loopback.door import LoopBackDoor
from synclined.metrics import DaemonCollector, Tallies, add_metrics
from synclined.origins import Origins
from synclined.pages.own import OwnPages
from synclined.pages.serving import add_pages
from synclined.peers import Limits
from synclined.settings import Settings
from synclined.sockets import STATE, Sockets
from synclined.state import State, watchers_only


log = Logger("synclined")

RETURN_DELAY_MS = 2000
"""About when clients are told to come back after a drain."""

SOCKETIO_PATH = "/socket.io/"
Access = Authenticate | str
DAEMON: web.AppKey["Daemon"] = web.AppKey("daemon")


class Daemon:
    """
    A replica that listens.

    Attributes:
        replica: open between `start` and `drain`.
        app: the aiohttp application with its doors.
    """

    def __init__(
        self,
        *,
        store: StoreLike,
        models: Models,
        authenticate: Authenticate,
        strategies: Strategies = "manual",
        hooks: Hooks | None = None,
        limits: Limits | None = None,
        api: str | None = "/api",
        pages: bool = False,
        own_pages: OwnPages | None = None,
        tombstones_kept_days: float = 0.0,
        compact_every_s: float = 3600.0,
        **options: Any,
    ) -> None:
        self._kept_days = tombstones_kept_days
        self._compact_every_s = compact_every_s
        self._compacting: Compacting | None = None
        self._store = store
        self._models = models
        self._authenticate = authenticate
        self._strategies = strategies
        self._hooks = hooks
        self._limits = limits or Limits()
        self._options = options
        self._sockets: Sockets | None = None
        self._state: State | None = None
        self._collector: DaemonCollector | None = None
        self._state_sockets: Sockets | None = None
        self._replica: Replica | None = None
        self._is_draining = False
        self.app = web.Application(client_max_size=self._limits.message_bytes_max)
        self.app[DAEMON] = self
        self._origins = Origins(self._limits.origins)
        self._loop_lag = LoopLag(self._limits.loop_lag_warn_s)
        add_health(
            self.app,
            lambda: self._replica,
            lambda: self._is_draining,
            lambda: self._loop_lag.lag,
            self._origins,
        )
        self._loopback: LoopBackDoor | None = None
        if api is not None:
            self._loopback = LoopBackDoor(
                authenticate, self._limits, root=api, origins=self._origins
            )
            self._loopback.attach(self.app)
        # Now, since an application that is mounted in another one takes no more routes; what
        # answers is there once the replica is open.
        for method in ("GET", "POST", "OPTIONS"):
            for path in (SOCKETIO_PATH, SOCKETIO_PATH.rstrip("/")):
                self.app.router.add_route(method, path, self._speak)
        add_metrics(self.app, authenticate, lambda: self._collector)
        if pages or own_pages is not None:
            # The last, since a folder's names come after all others.
            add_pages(self.app, own=own_pages, are_ours_shown=pages)

    @property
    def body_bytes_max(self) -> int:
        """The largest body of a request."""
        return self._limits.message_bytes_max

    @property
    def replica(self) -> Replica:
        """The replica itself, for the program that carries the daemon."""
        assert self._replica is not None, "the daemon was not started"
        return self._replica

    @property
    def sockets(self) -> Sockets:
        """The socket door."""
        assert self._sockets is not None, "the daemon was not started"
        return self._sockets

    async def start(self) -> None:
        """Open the store, and begin to serve."""
        self._replica = await Replica.open(
            self._store,
            self._models,
            strategies=self._strategies,
            hooks=self._hooks,
            listens=True,
            record_bytes_max=self._limits.record_bytes_max,
            **self._options,
        )
        inbox = Inbox(self._replica)
        self._sockets = Sockets(
            self._replica,
            self._authenticate,
            self._limits,
            inbox=inbox,
            origins=self._origins,
        )
        await self._sockets.start()
        self._loop_lag.start()
        await self._start_state(self._replica, self._sockets, inbox)
        self._compacting = Compacting(
            self._replica, kept_days=self._kept_days, every_s=self._compact_every_s
        )
        self._compacting.start()
        if self._loopback is not None:
            assert self._state is not None
            self._loopback.open(self._replica, on_clash=self._state.note_clash)

    async def _speak(self, request: web.Request) -> Any:
        """Hand a request on to the Socket.IO door."""
        if self._sockets is None:
            raise web.HTTPServiceUnavailable(text="the daemon is starting\n")
        return await self._sockets.sio.handle_request(request)

    async def _start_state(self, replica: Replica, sockets: Sockets, inbox: Inbox) -> None:
        """Serve the daemon's own state beside the application's data."""
        state = self._state = State(
            replica,
            lambda: tuple(sockets.peers.values()),
            lambda: self._loop_lag.lag,
            inbox,
            absent=sockets.absent.known,
        )
        await state.start()
        tallies = Tallies()
        tallies.pushed = sockets.pushing.pushed
        self._collector = DaemonCollector(
            tallies,
            lambda: replica.core.writer.read_now(lambda reader: reader.head()),
            lambda: tuple(sockets.peers.values()),
            lambda: self._loop_lag.lag,
            sockets.absent.known,
        )

        def note_error(who: str, code: str, reason: str) -> None:
            tallies.errors[code] += 1
            state.note_error(who, code, reason)

        sockets.on_error = note_error
        sockets.pushing.on_clash = state.note_clash
        assert sockets.reporting is not None, "this door has an inbox"
        sockets.reporting.on_report = state.note_clash
        self._state_sockets = Sockets(
            state.replica,
            watchers_only(self._authenticate),
            self._limits,
            beside=sockets,
            namespace=STATE,
        )
        watchers = self._state_sockets.peers
        state.is_watched = lambda: bool(watchers)
        self._state_sockets.on_arrival = state.catch_up
        await self._state_sockets.start()

    def use_hooks(self, hooks: Hooks | None) -> None:
        """Ask these hooks from now on; what is being asked now is asked to the end."""
        self._hooks = hooks
        self.replica.use_hooks(hooks or Hooks())

    def allow_origins(self, origins: Collection[str]) -> None:
        """Let in pages of these origins, and of no others, from now on."""
        self._origins.allowed = origins

    async def revoke(self, names: Collection[str]) -> None:
        """End the connections of principals that are no longer what they were, by their names."""
        for door in (self._sockets, self._state_sockets):
            if door is not None:
                await door.revoke(names)

    @property
    def is_draining(self) -> bool:
        """Whether it is about to end."""
        return self._is_draining

    async def say_bye(self, deadline_s: float) -> None:
        """Say bye to everybody and take nobody in; the store stays open."""
        if self._is_draining:
            return
        self._is_draining = True
        if self._state_sockets is not None:
            await self._state_sockets.say_bye(delay_ms=RETURN_DELAY_MS, reason="stopping")
        if self._loopback is not None:
            self._loopback.close()
        if self._sockets is not None:
            await self._sockets.drain(
                delay_ms=RETURN_DELAY_MS, reason="stopping", deadline_s=deadline_s
            )

    async def drain(self, deadline_s: float) -> None:
        """Say bye to everybody, finish what is running, and close the store."""
        await self.say_bye(deadline_s)
        self._loop_lag.stop()
        if self._compacting is not None:
            await self._compacting.stop()
        if self._state is not None:
            await self._state.stop()
        if self._replica is not None:
            await self._replica.close()
            self._replica = None


def daemon_of(settings: Settings, authenticate: Authenticate | None = None) -> Daemon:
    """
    Return the daemon that settings describe.

    Args:
        authenticate: turns a token into a principal; None for the settings' own tokens.

    Raises:
        ConfigError: a hook can't be imported, or is none.
    """
    limits, timings = settings.limits, settings.timings
    models: Models = {schema.name: schema for schema in settings.models}
    if settings.open_models and not settings.models:
        models = None
    return Daemon(
        store=settings.store.url,
        models=models,
        authenticate=authenticate or Tokens(settings),
        hooks=load_hooks(settings.hooks, folder=settings.folder),
        limits=Limits(
            heartbeat_s=timings.heartbeat_s,
            send_timeout_s=timings.send_timeout_s,
            poll_s=timings.poll_s,
            loop_lag_warn_s=timings.loop_lag_warn_s,
            absent_kept_s=timings.absent_kept_s,
            record_bytes_max=limits.record_bytes_max,
            message_bytes_max=limits.message_bytes_max,
            page_bytes_max=limits.page_bytes_max,
            window_bytes_max=limits.window_bytes_max,
            push_items_max=limits.push_items_max,
            connections_max=limits.connections_max,
            connects_per_s=limits.connects_per_s,
            compression=settings.compression,
            origins=settings.origins,
        ),
        pages=settings.listen.pages,
        own_pages=OwnPages(settings.listen.pages_folder) if settings.listen.pages_folder else None,
        tombstones_kept_days=settings.list.tombstones_kept_days,
        compact_every_s=settings.list.compact_every_s,
        synchronous=settings.store.synchronous,
        ancestors_max=settings.ancestors_max,
        hook_deadline_s=timings.hook_timeout_s,
    )


def build_app(
    *,
    access: Access,
    store: StoreLike = "sqlite:///syncline.db",
    models: Models = None,
    strategies: Strategies = "manual",
    hooks: Hooks | None = None,
    limits: Limits | None = None,
    api: str | None = "/api",
    pages: bool = False,
    drain_timeout_s: float = 10.0,
    **options: Any,
) -> web.Application:
    """
    Return an aiohttp application that carries a daemon; add routes of your own to it.

    The application doesn't know its address, so it must be told who may do what.

    Args:
        access: a function that turns a token (or None) into a `Principal`, or the text
            `"anyone"` for a server that listens on loopback only.
        store, models, strategies, hooks: as for `Replica.open`.
        api: the path of the LoopBack door; None for none.
        pages: whether to serve the daemon's pages too, at `/` (and `/dashboard`), `/demo` and
            `/conflicts`, and the browser replica at `/syncline.js`.

    It may be mounted in another application, below a path: ``shop.add_subapp("/sync", app)``; its
    address is then the shop's with that path behind it.

    ``app[DAEMON].replica`` is the replica, for the program's own reads and writes.

    Nothing is written to standard streams: events go to structlog where the program configured it,
    else to the loggers `syncline` and `synclined` of the standard library, to which the program may
    give handlers.
    """
    for name in ("syncline", "synclined"):
        # Else the standard library writes warnings to stderr while nobody has set up logging.
        logging.getLogger(name).addHandler(logging.NullHandler())
    daemon = Daemon(
        store=store,
        models=models,
        authenticate=_authenticate(access),
        strategies=strategies,
        hooks=hooks,
        limits=limits,
        api=api,
        pages=pages,
        **options,
    )

    async def carry(_app: web.Application) -> AsyncIterator[None]:
        await daemon.start()
        yield
        await daemon.drain(drain_timeout_s)

    async def say_bye(_app: web.Application) -> None:
        # aiohttp waits for all requests to end before it cleans up, and a socket is one.
        await daemon.say_bye(drain_timeout_s)

    daemon.app.cleanup_ctx.append(carry)
    daemon.app.on_shutdown.append(say_bye)
    return daemon.app


def _authenticate(access: Access) -> Authenticate:
    if callable(access):
        return access
    if access == "anyone":
        return _anyone
    raise ConfigError(
        f"access is {access!r}", hint="a function from a token to a Principal, or 'anyone'"
    )


def _anyone(_token: str | None) -> Principal:
    return ANYONE
