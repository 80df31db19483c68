"""`syncline sync --live`: keep a database linked to a daemon; the form that a service runs."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import structlog

from syncline.connecting import connect
from syncline.errors import AuthError, ConfigError, ConflictError, Unreachable
from syncline.link import Link
from syncline.status import SessionState, Status
from synclined.cli.errors import OK
from synclined.cli.exchange import CONFLICT_STRATEGIES, Terms, exchange
from synclined.cli.target import (
    Access,
    declared,
    find_store,
    is_follower,
    open_local,
    open_target,
    stored_cursor,
)
from synclined.notify import Notifier


if TYPE_CHECKING:
    from syncline.replica import Replica
    from syncline.store.contract import Store


log = structlog.get_logger("syncline")

_LINKED = (SessionState.CATCHING_UP, SessionState.LIVE)
"""Ready, for a service manager: a first sync may take longer than it waits for a start."""


async def follow(
    path: str,
    url: str,
    models: tuple[str, ...],
    strategy: str,
    access: Access,
    *,
    allow_deletions: bool = False,
) -> int:
    """Keep a database linked to a daemon until SIGTERM or SIGINT."""
    store = find_store(path, creates=True)
    store.open()
    try:
        names = models or await _names_to_follow(store, url, access)
        is_first = not is_follower(store)
    finally:
        store.close()
    if is_first:
        await _make_contact(path, url, names, strategy, access)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with connect(
        url,
        store=find_store(path, creates=True),
        models=declared(names, access),
        **access.to_daemon,
        strategies=strategy,
    ) as replica:
        if allow_deletions:
            replica.allow_deletions()
        await _stay(replica, stop)
    log.info("sync.stopped", url=url)
    return OK


async def _names_to_follow(store: "Store", url: str, access: Access) -> tuple[str, ...]:
    """Return what was followed before, what is held, and what the daemon offers."""
    with store.read() as reader:
        names = {*stored_cursor(store).models, *reader.models()}
    try:
        async with open_target(url, access) as remote:
            names.update(await remote.model_names())
    except Unreachable:
        log.warning("daemon.unreachable", url=url)
    if not names:
        raise ConfigError("no model is known yet to follow", hint="name each with --model")
    return tuple(sorted(names))


async def _make_contact(
    path: str, url: str, names: tuple[str, ...], strategy: str, access: Access
) -> None:
    """
    Bring a database that was never linked level with the daemon, by diff.

    A link takes the daemon's word for every record that has nothing to tell; but what was written
    here before there was a daemon has.
    """
    async with await open_local(path, access, creates=True) as replica:
        if not await replica.head():
            return
        terms = Terms(
            models=names, strategy=strategy if strategy in CONFLICT_STRATEGIES else "manual"
        )
        async with open_target(url, access) as remote:
            found = await exchange(replica, remote, terms, lambda *_: None)
    differing = sum(len(each.conflicts) + len(each.refused) for each in found)
    log.info(
        "sync.contacted",
        url=url,
        sent=sum(each.sent for each in found),
        received=sum(each.received for each in found),
        differing=differing,
    )
    if differing:
        raise ConflictError(
            f"{path} was never linked to {url}, and {differing} records differ",
            hint=f"settle them first: syncline sync {path} {url} --strategy ours|theirs|latest",
        )


async def _stay(replica: "Replica", stop: asyncio.Event) -> None:
    """Stay linked until told to stop, or let in no more."""
    link = replica.link
    assert isinstance(link, Link)
    notifier = Notifier(os.environ)
    refused: list[str] = []
    is_ready = False
    before: tuple[SessionState, int] | None = None

    def look(status: Status) -> None:
        nonlocal is_ready, before
        if status.state is SessionState.AUTH_REQUIRED:
            refused.append(status.reason)
            stop.set()
        if status.state in _LINKED and not is_ready:
            is_ready = True
            notifier.ready()
        if (status.state, status.conflicts) != before:
            before = (status.state, status.conflicts)
            log.info(
                "status.changed",
                state=status.state.value,
                reason=status.reason,
                pending=status.pending,
                conflicts=status.conflicts,
                parked=status.parked,
            )
        waits = f"{status.pending} pending, {status.conflicts} conflicts"
        notifier.status(f"{status.state.value}: {waits}")

    link.on_status(look)
    async with _watchdog(replica, notifier):
        await stop.wait()
    notifier.stopping()
    if refused:
        raise AuthError(
            f"the daemon let us in no more: {refused[0]}", hint="set SYNCLINE_TOKEN to a known one"
        )


@contextlib.asynccontextmanager
async def _watchdog(replica: "Replica", notifier: Notifier) -> AsyncIterator[None]:
    """Feed the watchdog while the loop turns and the store answers."""
    interval_s = notifier.watchdog_interval_s

    async def feed() -> None:
        while interval_s:
            await replica.head()
            notifier.watchdog()
            await asyncio.sleep(interval_s / 2)

    feeding = asyncio.create_task(feed(), name="syncline-watchdog")
    try:
        yield
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
