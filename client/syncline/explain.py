"""
Why a record did or did not travel: everything that decides, for one record, in plain sentences.

The facts are gathered from one end or two, and judged by `syncline.reasons`; nothing is changed.
"""

from typing import Any

import msgspec

from syncline.errors import RecordNotFound
from syncline.models import Entry
from syncline.reasons import Explanation, Facts, follows, judge
from syncline.replica import Replica
from syncline.schema import record_id_of
from syncline.store.contract import Reader


async def explain(
    here: Any,
    model: str,
    record_id: str | int,
    there: Any = None,
    *,
    names: tuple[str, str] = ("here", "there"),
) -> Explanation:
    """
    Explain a record of one replica or daemon, and how it stands to that of another.

    Args:
        here, there: each a `Replica` or a `RemoteReplica`; `there` may be None. A follower is
            told from its side, also when it is the second.
        names: what the sentences call them.

    Raises:
        RecordNotFound: it was never at either end, or its tombstone was purged.
        ModelUnknown, LinkError, StoreError: by name.
    """
    text = record_id_of(record_id)
    ours = await gather(here, model, text, names[0])
    theirs = None if there is None else await gather(there, model, text, names[1])
    if theirs is not None and follows(theirs, ours) and not follows(ours, theirs):
        # The follower knows most, so it is told from its side.
        ours, theirs, there = theirs, ours, here
    if ours.update is None and (theirs is None or theirs.update is None):
        who = (
            f"{names[0]} holds no" if theirs is None else f"neither {names[0]} nor {names[1]} holds"
        )
        raise RecordNotFound(
            f"{who} {model} {text!r}, nor a tombstone of it",
            hint="it was never there, or its tombstone was purged",
        )
    standing = None
    if theirs is not None and follows(ours, theirs) and isinstance(there, Replica):
        assert ours.cursor is not None
        standing = there.core.engine.judge(
            source=ours.cursor.source,
            epoch=ours.cursor.epoch,
            seq=ours.cursor.seq,
            reach=max(ours.cursor.reach, ours.cursor.seq),
            head=theirs.head,
        )
    return judge(model, text, ours, theirs, standing)


async def gather(end: Any, model: str, record_id: str, name: str) -> Facts:
    """Return what an end knows of a record."""
    if isinstance(end, Replica):
        return await _gather_local(end, model, record_id, name)
    head = await end.head()
    update = await end.model(model).get_change(record_id)
    return Facts(name=name, source=head.source, epoch=head.epoch, head=head.head, update=update)


async def _gather_local(replica: Replica, model: str, record_id: str, name: str) -> Facts:
    replica.core.schema_of(model)
    engine = replica.core.engine

    def job(reader: Reader) -> Facts:
        lineage = engine.refresh(reader)
        entry = reader.entry(model, record_id)
        cursor = engine.cursor(reader)
        return Facts(
            name=name,
            source=lineage.source,
            epoch=lineage.current,
            head=reader.head(),
            horizon=engine.horizon,
            update=None if entry is None else entry.update,
            entry=entry,
            cursor=cursor if cursor.source or engine.author.follows else None,
            conflict=reader.open_conflict(model, record_id),
            barred_by=_barred_by(reader, entry),
        )

    facts = await replica.core.read(job)
    link = replica.link
    if link is not None and link.is_in_flight((model, record_id)):
        facts = msgspec.structs.replace(facts, in_flight=True)
    return facts


def _barred_by(reader: Reader, entry: Entry | None) -> str:
    if entry is None or entry.pending is None or entry.pending.hold or entry.update.group is None:
        return ""
    for member in (*reader.held("conflict"), *reader.held("parked")):
        if member.update.group == entry.update.group:
            return f"{member.update.model}/{member.update.record_id}"
    return ""
