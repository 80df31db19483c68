"""Bring a database that follows a daemon level with it once, over its own link."""

import asyncio
from collections import Counter
from typing import Any

from syncline.connecting import connect
from syncline.errors import AuthError, LinkClosed, SynclineError
from syncline.hooks import Hooks
from syncline.link import Link
from syncline.models import Answer, Conflict, ItemResult, Key, Update, result_of
from syncline.status import SessionState, Status
from synclined.cli.exchange import Collision, Exchanged
from synclined.cli.target import Access, declared, find_store, open_target, stored_cursor


OUTBOX_MAX = 1_000_000


async def catch_up(
    path: str, url: str, access: Access, strategy: str, *, allow_deletions: bool = False
) -> list[Exchanged] | None:
    """
    Send what waits, take what is new, and log conflicts where `syncline conflicts` finds them.

    Returns:
        None when the database does not follow this daemon: then `exchange` is the way.

    Raises:
        AuthError, LinkError, StoreError: by name. MassDeletion: most of a model would go.
    """
    store = find_store(path)
    store.open()
    try:
        cursor = stored_cursor(store)
        with store.read() as reader:
            names = {*cursor.models, *reader.models()}
            waiting = reader.outbox(limit=OUTBOX_MAX)
    finally:
        store.close()
    if not cursor.source:
        return None
    async with open_target(url, access) as remote:
        head = await remote.head()
        if isinstance(head, int) or head.source != cursor.source:
            return None
        names.update(await remote.model_names())
    refused: list[ItemResult] = []

    async def note_refused(update: Update, reason: str) -> None:
        refused.append(result_of(update, Answer.REFUSED, reason=reason))

    taken: set[Key] = set()
    async with connect(
        url,
        store=find_store(path),
        models=declared(sorted(names), access),
        **access.to_daemon,
        strategies=strategy,
        hooks=Hooks(on_refused=note_refused),
    ) as replica:
        replica.core.engine.guards_pushes = True
        if allow_deletions:
            replica.allow_deletions()
        own = replica.replica_id
        replica.core.observers.listen(
            lambda updates: taken.update(u.key for u in updates if u.origin != own)
        )
        assert isinstance(replica.link, Link)
        await _until_live(replica.link)
        await replica.barrier()
        conflicts = [each.conflict for each in await replica.conflicts()]
        parked = await replica.core.read(lambda reader: reader.held("parked"))
    refused += [
        result_of(e.update, Answer.REFUSED, reason=e.pending.reason if e.pending else "")
        for e in parked
    ]
    return _summed_up(sorted(names), waiting, taken, conflicts, refused)


async def _until_live(link: Link) -> None:
    """Return when level with the daemon, or raise what keeps us from it."""
    level: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def look(status: Status) -> None:
        if level.done():
            return
        match status.state:
            case SessionState.LIVE:
                level.set_result(None)
            case SessionState.AUTH_REQUIRED:
                level.set_exception(AuthError(f"the daemon refused us: {status.reason}"))
            case SessionState.BLOCKED:
                blocked = SynclineError(f"the link is blocked: {status.reason}")
                level.set_exception(link.halted or blocked)
            case SessionState.OFFLINE:
                level.set_exception(LinkClosed(f"the link was lost: {status.reason}"))

    forget = link.on_status(look)
    look_now = link.status
    if look_now.state is SessionState.LIVE:
        look(look_now)
    try:
        await level
    finally:
        forget()


def _summed_up(
    names: list[str],
    waiting: list[Update],
    taken: set[Key],
    conflicts: list[Conflict],
    refused: list[ItemResult],
) -> list[Exchanged]:
    # What a strategy settled for the daemon's side was taken, not sent.
    not_sent = {*taken, *(c.key for c in conflicts), *(r.key for r in refused)}
    sent = Counter(update.model for update in waiting if update.key not in not_sent)
    received = Counter(model for model, _ in taken)
    return [
        Exchanged(
            model=name,
            sent=sent[name],
            received=received[name],
            conflicts=tuple(_collision(c) for c in conflicts if c.model == name),
            refused=tuple(r for r in refused if r.model == name),
            is_logged=True,
        )
        for name in names
    ]


def _collision(conflict: Conflict) -> Collision:
    sides: dict[str, Any] = {"ours": conflict.ours.data, "theirs": conflict.theirs.data}
    return Collision(record_id=conflict.record_id, **sides)
