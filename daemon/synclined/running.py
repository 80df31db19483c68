"""Runs a daemon as a process: it listens, tells the service manager, reloads, and drains."""

import asyncio
import contextlib
import gc
import os
import signal
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from syncline.errors import ConfigError
from syncline.logs import Logger
from synclined.app import Daemon
from synclined.health import store_answers
from synclined.http_log import http_logger
from synclined.notify import Notifier


log = Logger("synclined")

STATUS_EVERY_S = 5.0
"""How often the service manager may be told something new."""


async def serve(
    daemon: Daemon,
    *,
    host: str,
    port: int,
    base_path: str = "",
    drain_timeout_s: float,
    notifier: Notifier,
    on_ready: Callable[[str], None],
    on_reload: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """
    Serve until SIGTERM or SIGINT, then drain; a second signal ends at once.

    Args:
        base_path: what all of the daemon's paths lie below, as `/sync`; empty for nothing.
        on_ready: called with the URL once everything is open.
        on_reload: called for a SIGHUP, once everything is open; such a signal never ends the
            daemon.
    """
    stop, reload = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stopper(stop, number))
    # From the beginning: by itself the signal would end the process, also while it starts.
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    await daemon.start()
    app = daemon.app if not base_path else _below(base_path, daemon)
    runner = web.AppRunner(
        app,
        handle_signals=False,
        logger=http_logger(),
        access_log=None,
        shutdown_timeout=1.0,
    )
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
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{runner.addresses[0][1]}{base_path}"
    log.info("daemon.started", url=url)
    tasks = [
        asyncio.create_task(_feed(daemon, notifier), name="syncline-watchdog"),
        asyncio.create_task(_tell_status(daemon, notifier, url), name="syncline-status"),
        asyncio.create_task(_reload(reload, notifier, on_reload), name="syncline-reload"),
    ]
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
        notifier.status("draining: clients are told when to come back")
        log.info("daemon.draining")
        await site.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_timeout_s):
                await daemon.drain(drain_timeout_s / 2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await runner.cleanup()
        log.info("daemon.stopped", duration_ms=round((time.monotonic() - started) * 1000))


def _below(base_path: str, daemon: Daemon) -> web.Application:
    """Return an application that has the daemon below a path, and leads there from its root."""

    async def lead_there(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": f"{base_path}/"})

    app = web.Application(client_max_size=daemon.body_bytes_max)
    app.router.add_get("/", lead_there)
    app.router.add_get(base_path, lead_there)
    app.add_subapp(base_path, daemon.app)
    return app


async def _feed(daemon: Daemon, notifier: Notifier) -> None:
    """Feed the watchdog while the loop turns and the store answers."""
    interval_s = notifier.watchdog_interval_s
    if not interval_s:
        return
    while True:
        if await store_answers(daemon.replica):
            notifier.watchdog()
        await asyncio.sleep(interval_s / 2)


async def _tell_status(daemon: Daemon, notifier: Notifier, url: str) -> None:
    """Keep what ``systemctl status`` shows up to date."""
    told = ""
    while True:
        count = len(daemon.sockets.peers)
        now = f"serving at {url}, {count} {'connection' if count == 1 else 'connections'}"
        if now != told and not notifier.status(now):
            return  # Nobody asked.
        told = now
        await asyncio.sleep(STATUS_EVERY_S)


async def _reload(
    asked: asyncio.Event, notifier: Notifier, on_reload: Callable[[], Awaitable[None]] | None
) -> None:
    """Read the settings again for each SIGHUP; several that come at once are one."""
    while True:
        await asked.wait()
        asked.clear()
        notifier.reloading()
        try:
            if on_reload is not None:
                await on_reload()
        except Exception:
            log.exception("settings.broke")
        # Also where nothing was taken over: the daemon serves as before.
        notifier.ready()


def _stopper(stop: asyncio.Event, number: int) -> Callable[[], None]:
    def on_signal() -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()

    return on_signal
