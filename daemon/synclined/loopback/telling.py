"""
What a client's changes come to, and what is remembered of them and of what it is told. Pure.

A record's digests speak of clients: who sent a state, who showed it, who was given it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from syncline.digest import digest_of
from syncline.digests import (
    GONE,
    Collided,
    Known,
    Place,
    Taken,
    given_upon,
    has_shown,
    level_with,
    names_at,
    place_of,
    settled_prev,
    told_prev,
)
from syncline.errors import MessageInvalid
from syncline.models import ItemResult, Record, Update
from syncline.ordering import sort_records
from synclined.loopback.filters import LoopBackFilter
from synclined.loopback.names import change_id
from synclined.loopback.serving import Held, Peer, known_of
from synclined.loopback.wire import SentChange, read_change, read_object


Event = Known | Collided | Taken
KINDS = ("create", "update", "delete")


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a bulk update, as a LoopBack client sends it."""

    kind: str
    change: SentChange
    data: Record | None = None


def read_entry(value: Any, what: str) -> Sent:
    """Return an entry of a bulk update; raise `MessageInvalid`."""
    fields: Mapping[str, Any] = read_object(value, what)
    kind = fields.get("type")
    if kind not in KINDS:
        raise MessageInvalid(f"{what}.type is {str(kind)[:40]!r}", hint="create, update or delete")
    change = read_change(fields.get("change"), f"{what}.change")
    data = None if kind == "delete" else read_object(fields.get("data"), f"{what}.data")
    return Sent(kind=kind, change=change, data=data)


def place_in(
    held: Held,
    change: SentChange,
    rev: str,
    client: str,
    *,
    reshows: bool = False,
    is_sent: bool = False,
) -> Place:
    """Decide on a change that a client shows, or sends to be stored."""
    return place_of(
        held.current,
        held.digest,
        held.digests,
        rev,
        change.prev,
        change.checkpoint,
        by=client,
        reshows=reshows,
        is_sent=is_sent,
    )


def reshown(views: Mapping[str, Held], changes: Sequence[SentChange], peer: Peer) -> frozenset[str]:
    """Return the records, two at most, of which the client shows again what it has shown before."""
    found: list[str] = []
    for change in changes:
        digests = views[change.record_id].digests
        client = peer.client(change)
        if has_shown(digests, change.rev, change.prev, change.checkpoint, client):
            found.append(change.record_id)
            if len(found) > 1:
                break
    return frozenset(found)


def echoed(
    held: Held, current: Update, change: SentChange, client: str, place: Place
) -> list[Event]:
    """Return what to remember of a client that shows a state that is held, or was."""
    digests, rev = held.digests, change.rev
    if place is Place.SAME:
        names = names_at(digests, rev) or (held.data or {})
        level = level_with(current, digests, rev, change.prev, change.checkpoint, names, by=client)
        return [] if level is None else [level]
    last = [one for one in digests.known if one.digest == rev][-1:]
    return [msgspec.structs.replace(one, given=min(one.given, 0)) for one in last]


def change_of(
    model: str, held: Held, *, since: int = -1, hint: str | None = None
) -> dict[str, Any]:
    """Return a record's change as LoopBack has it."""
    current = held.current
    assert current is not None, "a change of nothing"
    change: dict[str, Any] = {
        "id": change_id(model, current.record_id),
        "rev": held.digest or None,
    }
    prev = settled_prev(current, held.digests)
    if prev is None:
        prev = told_prev(current, held.digest, held.digests, since=since, hint=hint)
    if prev is not None:
        change["prev"] = prev or None
    return {
        **change,
        "checkpoint": current.seq,
        "modelName": model,
        "modelId": current.record_id,
    }


def cut(
    listed: list[tuple[Update, Record | None]], asked: LoopBackFilter
) -> list[tuple[Update, Record | None]]:
    """Return the page of a listing that is asked for, in the order that is."""
    if asked.order:
        by_id = {update.record_id: (update, data) for update, data in listed}
        alive = [(update.record_id, data) for update, data in listed if data is not None]
        in_order = [by_id[record_id] for record_id, _ in sort_records(alive, asked.order)]
        listed = in_order + [pair for pair in listed if pair[1] is None]
    end = None if asked.limit is None else asked.skip + asked.limit
    return listed[asked.skip : end]


def update_for(delta: SentChange, held: Held) -> tuple[dict[str, Any] | None, list[Known]]:
    """Return the update for a delta, and what the client will hold by it."""
    current, data = held.current, held.data
    if current is None:
        # Of what was never here only the deletion can be told.
        return (None if delta.rev else {"type": "delete", "change": delta.fields}), []
    change = {**delta.fields, "rev": held.digest or None}
    if data is None:
        if delta.rev and not delta.prev:
            # Created and deleted since this client last looked.
            return None, []
        return {"type": "delete", "change": change}, [known_of(GONE, current, None, given=1)]
    if not delta.prev:
        return (
            {"type": "create", "change": change, "data": data},
            [known_of(held.digest, current, data, given=1)],
        )
    # LoopBack sets what it is given and keeps the rest: what was taken away is given as null.
    removed = {name: None for name in names_at(held.digests, delta.prev) if name not in data}
    told = {**data, **removed}
    known = [known_of(held.digest, current, data, given=1)]
    if removed:
        known.append(known_of(digest_of(told), current, told, given=1))
    return {"type": "update", "change": change, "data": told}, known


def given(delta: SentChange, known: list[Known]) -> list[Event]:
    """Return what to remember of a state that a client takes, upon the one that it names."""
    told = given_upon(delta.prev or GONE)
    known = [msgspec.structs.replace(one, told=told) for one in known]
    if delta.prev is None:
        return [*known]
    return [Taken(delta.prev), *known]


def crossed(entry: Sent, update: Update, result: ItemResult, client: str) -> list[Event]:
    """Return what to remember of an entry that was taken."""
    kept, change = result.current or update, entry.change
    seq = kept.seq or result.seq
    data = kept.data
    digest = GONE if data is None else digest_of(data)
    sent = GONE if entry.kind == "delete" else change.rev
    if sent == digest:
        return [known_of(digest, kept, data, seq=seq, sent=change, by=client)]
    # What the client holds is another form of the same: an amendment, or another profile.
    stands_for = update if kept.rev != update.rev else kept
    return [
        known_of(digest, kept, data, seq=seq),
        known_of(sent, stands_for, entry.data, seq=seq, sent=change, by=client),
    ]
