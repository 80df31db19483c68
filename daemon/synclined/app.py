"""Assembles the daemon; starts and stops its parts in order."""

import asyncio
import contextlib
import gc
import importlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import structlog
from aiohttp import web

from syncline.errors import ConfigError
from syncline.hooks import Hooks
from syncline.opening import Models
from syncline.replica import Replica
from syncline.resolving import Strategies
from syncline.store.contract import Store
from synclined.access import ANYONE, Principal
from synclined.auth import authenticate
from synclined.compacting import Compacting
from synclined.health import add_health, store_answers
from synclined.inbox import Inbox
from synclined.loop_lag import LoopLag
from synclined.loopback.door import LoopBackDoor
from synclined.metrics import DaemonCollector, Tallies, add_metrics
from synclined.notify import Notifier
from synclined.pages.serving import add_pages
from synclined.peers import Limits
from synclined.settings import Settings
from synclined.sockets import STATE, Authenticate, Sockets
from synclined.state import State, watchers_only


log = structlog.get_logger("synclined")

RETURN_DELAY_MS = 2000
"""About when clients are told to come back after a drain."""

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
        store: str | Store,
        models: Models,
        authenticate: Authenticate,
        strategies: Strategies = "manual",
        hooks: Hooks | None = None,
        limits: Limits | None = None,
        api: str | None = "/api",
        pages: bool = False,
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
        self._loop_lag = LoopLag(self._limits.loop_lag_warn_s)
        add_health(
            self.app,
            lambda: self._replica,
            lambda: self._is_draining,
            lambda: self._loop_lag.lag,
        )
        self._loopback: LoopBackDoor | None = None
        if api is not None:
            self._loopback = LoopBackDoor(authenticate, self._limits, root=api)
            self._loopback.attach(self.app)
        add_metrics(self.app, authenticate, lambda: self._collector)
        if pages:
            add_pages(self.app)

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
        self._sockets = Sockets(self._replica, self._authenticate, self._limits, inbox=inbox)
        self._sockets.sio.attach(self.app)
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

    async def _start_state(self, replica: Replica, sockets: Sockets, inbox: Inbox) -> None:
        """Serve the daemon's own state beside the application's data."""
        state = self._state = State(
            replica, lambda: tuple(sockets.peers.values()), lambda: self._loop_lag.lag, inbox
        )
        await state.start()
        tallies = Tallies()
        tallies.pushed = sockets.pushing.pushed
        self._collector = DaemonCollector(
            tallies,
            lambda: replica.core.writer.read_now(lambda reader: reader.head()),
            lambda: tuple(sockets.peers.values()),
            lambda: self._loop_lag.lag,
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


def daemon_of(settings: Settings) -> Daemon:
    """
    Return the daemon that settings describe.

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
        authenticate=lambda token: authenticate(settings, token),
        hooks=load_hooks(settings.hooks),
        limits=Limits(
            heartbeat_s=timings.heartbeat_s,
            send_timeout_s=timings.send_timeout_s,
            poll_s=timings.poll_s,
            loop_lag_warn_s=timings.loop_lag_warn_s,
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
        tombstones_kept_days=settings.list.tombstones_kept_days,
        compact_every_s=settings.list.compact_every_s,
        synchronous=settings.store.synchronous,
        ancestors_max=settings.ancestors_max,
        hook_deadline_s=timings.hook_timeout_s,
    )


def load_hooks(references: Iterable[str]) -> Hooks | None:
    """
    Return the hooks that ``module:name`` references lead to, later ones over earlier ones.

    Each names a `Hooks`, or a function that returns one.

    Raises:
        ConfigError: it can't be imported, or is something else.
    """
    found: Hooks | None = None
    for reference in references:
        module, _, name = reference.partition(":")
        try:
            value = getattr(importlib.import_module(module), name)
            hooks = value if isinstance(value, Hooks) else value()
        except Exception as error:
            raise ConfigError(f"hooks: {reference!r} can't be loaded: {error!r}") from error
        if not isinstance(hooks, Hooks):
            raise ConfigError(f"hooks: {reference!r} is no syncline.Hooks, nor returns one")
        found = hooks if found is None else _joined(found, hooks)
    return found


def _joined(one: Hooks, other: Hooks) -> Hooks:
    return Hooks(
        validate={**one.validate, **other.validate},
        on_change=other.on_change or one.on_change,
        on_conflict=other.on_conflict or one.on_conflict,
        on_refused=other.on_refused or one.on_refused,
        handle_change_error=other.handle_change_error or one.handle_change_error,
    )


def build_app(
    *,
    access: Access,
    store: str | Store = "sqlite:///syncline.db",
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
        pages: whether to serve the daemon's pages too, at `/`, `/demo` and `/conflicts`, and the
            browser replica at `/syncline.js`.

    ``request.app[DAEMON].replica`` is the replica, for the program's own reads and writes.
    """
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


async def serve(
    daemon: Daemon,
    *,
    host: str,
    port: int,
    drain_timeout_s: float,
    notifier: Notifier,
    on_ready: Callable[[str], None],
) -> None:
    """
    Serve until SIGTERM or SIGINT, then drain; a second signal ends at once.

    Args:
        on_ready: called with the URL once everything is open.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stopper(stop, number))
    await daemon.start()
    runner = web.AppRunner(daemon.app, handle_signals=False, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, host, port, backlog=1024)
    try:
        await site.start()
    except OSError as error:
        await daemon.drain(1.0)
        await runner.cleanup()
        raise ConfigError(
            f"can't listen on {host}:{port}: {os.strerror(error.errno) if error.errno else error}",
            hint="another program may hold the port: choose another with --port",
        ) from None
    url = f"http://{host}:{runner.addresses[0][1]}"
    log.info("daemon.started", url=url)
    feeding = asyncio.create_task(_feed(daemon, notifier), name="syncline-watchdog")
    # What is here now stays: the collector need not walk it again, at 40 ms a time.
    gc.collect()
    gc.freeze()
    notifier.ready()
    on_ready(url)
    try:
        await stop.wait()
    finally:
        started = time.monotonic()
        notifier.stopping()
        log.info("daemon.draining")
        await site.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_timeout_s):
                await daemon.drain(drain_timeout_s / 2)
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        await runner.cleanup()
        log.info("daemon.stopped", duration_ms=round((time.monotonic() - started) * 1000))


async def _feed(daemon: Daemon, notifier: Notifier) -> None:
    """Feed the watchdog while the loop turns and the store answers."""
    interval_s = notifier.watchdog_interval_s
    if not interval_s:
        return
    while True:
        if await store_answers(daemon.replica):
            notifier.watchdog()
        await asyncio.sleep(interval_s / 2)


def _stopper(stop: asyncio.Event, number: int) -> Callable[[], None]:
    def on_signal() -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()

    return on_signal
