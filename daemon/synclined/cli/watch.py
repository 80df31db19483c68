"""`syncline watch`: print changes as they happen."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

import click

from syncline.errors import AuthError, ConfigError
from synclined.cli.examples import examples
from synclined.cli.output import Output, cell, output_options
from synclined.cli.records import change_of
from synclined.cli.target import (
    MEMORY,
    TARGET,
    Access,
    access_options,
    is_url,
    open_local,
    open_target,
    run,
)


if TYPE_CHECKING:
    from syncline.models import Update
    from syncline.replica import Replica


POLL_S = 0.25
"""How often a database is looked at: another process writes it, and tells nobody."""

PAGE_CHANGES = 2000


@click.command(
    "watch",
    epilog=examples(
        "syncline watch http://127.0.0.1:8765 todo", "syncline watch todos.db todo --since 0 --json"
    ),
)
@click.argument("target", type=TARGET)
@click.argument("model")
@click.option(
    "--since", type=click.IntRange(min=0), help="Begin after this position; 0 for the whole list."
)
@click.option("--limit", type=click.IntRange(min=1), help="End after so many changes.")
@access_options
@output_options
def command(
    target: str, model: str, since: int | None, limit: int | None, access: Access, out: Output
) -> None:
    """
    Print changes as they happen, until Ctrl-C.

    Of changes that follow each other quickly on one record, the last is sure to be shown.
    """
    if target in MEMORY:
        raise ConfigError("memory: is empty and nobody else writes there", hint="watch a file")
    run(_watch(target, model, since, limit, access, out))


async def _watch(
    target: str, model: str, since: int | None, limit: int | None, access: Access, out: Output
) -> None:
    changes = _of_daemon if is_url(target) else _of_store
    left = limit
    # Closed here, or its link would be ended by the loop's own end, half.
    async with contextlib.aclosing(changes(target, model, since, access, out)) as updates:
        async for update in updates:
            if out.as_json:
                out.json_line(change_of(update))
            else:
                data = "" if update.is_deletion else cell(update.data)
                line = f"{update.seq:>6}  {update.kind.value}  {model}/{update.record_id}  {data}"
                out.line(line.rstrip())
            left = None if left is None else left - 1
            if left == 0:
                return


async def _of_daemon(
    url: str, model: str, since: int | None, access: Access, out: Output
) -> AsyncGenerator["Update"]:
    """Follow a daemon with a replica in memory that claims to hold all up to `since`."""
    import msgspec

    from syncline.connecting import connect
    from syncline.following import CURSOR
    from syncline.models import Cursor
    from syncline.store.memory import MemoryStore

    async with open_target(url, access) as remote:
        # A refusal for want of a token or of the model shows here, by name.
        await remote.model(model).count()
        head = await remote.head()
    assert not isinstance(head, int), "a daemon names its epoch too"
    position = head.head if since is None else min(since, head.head)
    cursor = Cursor(
        source=head.source, epoch=head.epoch, seq=position, is_whole=True, models=(model,)
    )
    store = MemoryStore()
    store.open()
    if position:
        with store.write() as tx:
            tx.set_meta(CURSOR, msgspec.json.encode(cursor))
    # One that listens hears of the deletion of records that it never held, too.
    async with connect(
        url, store=store, models=[model], listens=True, **access.to_daemon
    ) as replica:
        watch = replica.model(model).watch()
        ended = _end_on_refusal(replica)
        out.note(f"watching {model} at {url} from change {position} on")
        while True:
            reading = asyncio.ensure_future(anext(watch))
            either: set[asyncio.Future[Any]] = {reading, ended}
            try:
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                reading.cancel()
            if ended.done():
                ended.result()
            yield await _with_daemons_seq(replica, reading.result())


async def _with_daemons_seq(replica: "Replica", update: "Update") -> "Update":
    """Return a change with its place in the daemon's list instead of the place here."""
    import msgspec

    entry = await replica.core.read(lambda reader: reader.entry(*update.key))
    held = None if entry is None else entry.base_seq
    return msgspec.structs.replace(update, seq=held or 0)


def _end_on_refusal(replica: "Replica") -> "asyncio.Future[None]":
    """Return what fails when the daemon lets us in no more."""
    from syncline.link import Link
    from syncline.status import SessionState, Status

    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def look(status: Status) -> None:
        if status.state is SessionState.AUTH_REQUIRED and not ended.done():
            ended.set_exception(AuthError(f"the daemon let us in no more: {status.reason}"))

    assert isinstance(replica.link, Link)
    replica.link.on_status(look)
    return ended


async def _of_store(
    target: str, model: str, since: int | None, access: Access, out: Output
) -> AsyncGenerator["Update"]:
    """Read on in the change list of a database, which other processes write."""
    async with await open_local(target, access) as replica:
        handle = replica.model(model)
        position = await replica.head() if since is None else since
        out.note(f"watching {model} in {target} from change {position} on")
        while True:
            page = await handle.interval(position, limit=PAGE_CHANGES)
            for update in page.updates:
                yield update
            position = page.checkpoint
            if page.is_whole:
                await asyncio.sleep(POLL_S)
