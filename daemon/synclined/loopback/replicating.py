"""
LoopBack's replication, served from the change list.

A LoopBack checkpoint is the seq that the next change will get: `since` is inclusive there, and
every change at or beyond it is one that its holder hasn't seen.
Nothing needs to be written to make a checkpoint, since every write moves the list by itself.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from syncline.digest import digest_of
from syncline.digests import (
    GONE,
    Known,
    Place,
    based_revision,
    level_with,
    names_at,
    place_of,
    shown_revision,
    told_of,
    told_prev,
)
from syncline.errors import MessageInvalid, RecordError, RecordNotFound
from syncline.filters import matches
from syncline.logs import Logger
from syncline.models import ItemResult, Record, Update
from syncline.ordering import sort_records
from syncline.replicate import Replication
from syncline.store.contract import Reader
from synclined.access import Principal
from synclined.loopback.filters import LoopBackFilter
from synclined.loopback.names import change_id
from synclined.loopback.serving import Held, Serving, held_of, is_taken, known_of, refusal_of
from synclined.loopback.wire import BulkConflict, BulkRefused, SentChange
from synclined.refusals import log_refused


log = Logger("synclined")

PAGE_ROWS = 2000
SLICE = 2000
"""Entries of a bulk update that are decided and committed at once."""
KINDS = ("create", "update", "delete")


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a bulk update, as a LoopBack client sends it."""

    kind: str
    change: SentChange
    data: Record | None = None


class Replicating:
    """Answers LoopBack's replication endpoints."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    # ---- checkpoints --------------------------------------------------------------------

    async def current_checkpoint(self) -> int:
        """Return the checkpoint that the next change will belong to."""
        return await self._serving.replica.head() + 1

    async def checkpoint(self) -> dict[str, Any]:
        """Return a checkpoint that all later writes belong to."""
        now = datetime.fromtimestamp(time.time(), UTC)
        text = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"seq": await self.current_checkpoint(), "time": text, "id": 1}

    # ---- what changed here --------------------------------------------------------------

    async def changes(
        self, model: str, since: int, asked: LoopBackFilter, peer: str
    ) -> list[dict[str, Any]]:
        """
        Return the changes at or beyond a checkpoint: every delete, and what matches the filter.

        A page of a chunked pull is cut from both together, so that it ends when they end.
        """
        head = await self._serving.replica.head()
        if since > head + 1:
            # The list never came so far: it is a restored one, so everything is told again.
            since = -1
        listed: list[tuple[Update, Record | None]] = []
        position = max(0, since - 1)
        while True:
            page = await self._page(model, position, head)
            for index, update in enumerate(page):
                data = update.data
                if data is None or matches(asked.condition, data):
                    listed.append((update, data))
                await self._serving.turn(index)
            if len(page) < PAGE_ROWS:
                break
            position = page[-1].seq
        chosen = _cut(listed, asked)
        return await self._tell(model, chosen, since, peer)

    async def _page(self, model: str, position: int, head: int) -> list[Update]:
        def job(reader: Reader) -> list[Update]:
            return reader.changes(position, models=[model], limit=PAGE_ROWS, upto=head)

        return await self._serving.replica.core.read(job, large=head - position > 64)

    async def _tell(
        self, model: str, chosen: Sequence[tuple[Update, Record | None]], since: int, peer: str
    ) -> list[dict[str, Any]]:
        ids = [update.record_id for update, _ in chosen]
        stored = await self._serving.replica.core.read(
            lambda reader: reader.digests(model, ids), large=len(ids) > 64
        )
        told: list[dict[str, Any]] = []
        for index, (update, _) in enumerate(chosen):
            held = held_of(update, stored.get(update.record_id))
            hint = self._serving.hint(peer, model, update.record_id)
            told.append(change_of(model, held, since=since, hint=hint))
            await self._serving.turn(index)
        return told

    async def last_change(self, model: str, record_id: str, peer: str) -> dict[str, Any] | None:
        """Return a record's change; None when there was never one."""
        held = await self._serving.look_at(model, record_id)
        if held.current is None:
            return None
        return change_of(model, held, hint=self._serving.hint(peer, model, record_id))

    async def rebase_change(
        self, principal: Principal, model: str, record_id: str, fields: Mapping[str, Any]
    ) -> dict[str, Any]:
        """
        Set the `prev` of a record's change: LoopBack's way to resolve a conflict at its source.

        The change moves to the end of the list, so that the resolution travels whatever
        checkpoint its other side goes on from.

        Raises:
            RecordNotFound: there is no such change.
        """
        held = await self._serving.look_at(model, record_id)
        if held.current is None:
            raise RecordNotFound(f"No change record found for {model} model with id {record_id}")
        if "prev" in fields:
            prev = fields["prev"]
            if prev is not None and (not isinstance(prev, str) or len(prev) > 128):
                raise MessageInvalid("prev must be a text or null")
            # The same data under a new revision, which descends from the one held.
            again = self._serving.next_update(model, record_id, held.current, held.data)
            result = (await self._serving.push(principal, [again]))[0]
            rev = again.rev if is_taken(result) else held.current.rev
            await self._serving.rebase(model, record_id, rev, prev or GONE)
            held = await self._serving.look_at(model, record_id)
        return change_of(model, held)

    async def create_updates(
        self, model: str, deltas: Sequence[SentChange], peer: str
    ) -> list[dict[str, Any]]:
        """
        Return the updates that a client asked for, with the records as they are now.

        A record that vanished since it was listed travels as its deletion.
        """
        views = await self._serving.look(model, [delta.record_id for delta in deltas])
        made: list[dict[str, Any]] = []
        seen: dict[str, list[Known]] = {}
        for index, delta in enumerate(deltas):
            held = views[delta.record_id]
            update, known = _update_for(delta, held)
            if update is not None and held.current is not None:
                made.append(update)
                seen[delta.record_id] = known
                self._serving.note_hint(peer, model, delta.record_id, known[-1].digest)
            await self._serving.turn(index)
        await self._serving.keep(model, seen)
        return made

    # ---- what changed there -------------------------------------------------------------

    async def diff(
        self,
        model: str,
        changes: Sequence[SentChange],
        peer: str,
        *,
        since: int | None = None,
        may_write: bool,
    ) -> dict[str, Any]:
        """
        Compare a client's changes with what is held.

        Args:
            since: the checkpoint up to which the client says that it has seen everything.
            may_write: whether what it shows may be remembered.
        """
        views = await self._serving.look(model, [change.record_id for change in changes])
        deltas: list[dict[str, Any]] = []
        conflicts: list[dict[str, Any]] = []
        seen: dict[str, list[Known]] = {}
        for index, change in enumerate(changes):
            held = views[change.record_id]
            place = _place(held, change, change.rev)
            if place is Place.CONFLICT and held.current is not None and since is not None:
                place = Place.FORWARD if held.current.seq < since else place
            match place:
                case Place.FORWARD:
                    prev = held.digest or None
                    deltas.append({**change.fields, "prev": prev})
                    if held.current is not None:
                        seen[change.record_id] = [self._shown(held, held.current, change)]
                case Place.CONFLICT:
                    conflicts.append(change_of(model, held))
                case Place.KNOWN:
                    seen[change.record_id] = [
                        one for one in held.digests.known if one.digest == change.rev
                    ][-1:]
                    self._serving.note_hint(peer, model, change.record_id, change.rev)
                case Place.SAME if held.current is not None:
                    self._serving.note_hint(peer, model, change.record_id, change.rev)
                    names = names_at(held.digests, change.rev) or (held.data or {})
                    level = level_with(
                        held.current,
                        held.digests,
                        change.rev,
                        change.prev,
                        change.checkpoint,
                        names,
                    )
                    if level is not None:
                        seen[change.record_id] = [level]
            await self._serving.turn(index)
        if may_write:
            await self._serving.keep(model, seen)
        return {"deltas": deltas, "conflicts": conflicts}

    def _shown(self, held: Held, current: Update, change: SentChange) -> Known:
        rev = shown_revision(held.digests, current, change.rev)
        rev = rev or self._serving.new_revision(current, deleted=change.rev == GONE)
        told = told_of(change.prev, change.checkpoint)
        return Known(change.rev, rev, 0, current.rev, (), told)

    async def bulk_update(
        self, principal: Principal, model: str, entries: Sequence[Sent], peer: str
    ) -> None:
        """
        Apply a client's updates, each by its own verdict; all good ones stay applied.

        Raises:
            BulkConflict: some collided. BulkRefused: the daemon's own rules refused some.
        """
        conflicts: list[Any] = []
        refused: dict[str, str] = {}
        started = time.perf_counter()
        for start in range(0, len(entries), SLICE):
            part = entries[start : start + SLICE]
            await self._apply(principal, model, part, peer, conflicts, refused)
        log.debug(
            "bulk_update.committed",
            principal=principal.name,
            model=model,
            count=len(entries),
            conflicts=len(conflicts),
            refused=len(refused),
            duration_ms=round((time.perf_counter() - started) * 1000, 3),
        )
        if conflicts or refused:
            self._serving.on_clash()
        if conflicts:
            raise BulkConflict(conflicts, refused)
        if refused:
            raise BulkRefused(refused)

    async def _apply(
        self,
        principal: Principal,
        model: str,
        entries: Sequence[Sent],
        peer: str,
        conflicts: list[Any],
        refused: dict[str, str],
    ) -> None:
        views = await self._serving.look(model, [entry.change.record_id for entry in entries])
        repeats = len(views) < len(entries)
        updates: list[Update] = []
        pushed: list[Sent] = []
        for index, entry in enumerate(entries):
            record_id = entry.change.record_id
            try:
                update = self._update_of(model, entry, views[record_id])
            except RecordError as error:
                refused[record_id] = refusal_of(error)
                log_refused(principal, model, record_id, f"{error.code}: {error}")
                continue
            except RecursionError:
                refused[record_id] = "the record is nested too deep"
                continue
            if update is not None:
                updates.append(update)
                pushed.append(entry)
                held = views[record_id]
                if repeats and update.prev == held.rev:
                    # The next entry for this record meets what this one leaves.
                    left = held_of(update, None)
                    views[record_id] = Held(update, left.data, left.digest, held.digests)
            await self._serving.turn(index)
        results = await self._serving.push(principal, updates)
        seen: dict[str, list[Known]] = {}
        for entry, update, result in zip(pushed, updates, results, strict=True):
            record_id = entry.change.record_id
            if is_taken(result):
                seen.setdefault(record_id, []).extend(_crossed(entry, update, result))
                self._serving.note_hint(peer, model, record_id, entry.change.rev)
            elif result.answer.value == "conflict":
                conflicts.append(entry.change.fields)
            else:
                refused[record_id] = result.reason or result.answer.value
        await self._serving.keep(model, seen)

    def _update_of(self, model: str, entry: Sent, held: Held) -> Update | None:
        """Return what to push for an entry; None when it is held already."""
        change, current = entry.change, held.current
        rev = GONE if entry.kind == "delete" else change.rev
        data = None if entry.kind == "delete" else entry.data
        if data is not None:
            # The client sends the record as it is now, which may be newer than its change says.
            rev = digest_of(data)
        place = _place(held, change, rev)
        if place is Place.CONFLICT and change.rev != rev:
            place = _place(held, change, change.rev)
        if place in (Place.SAME, Place.KNOWN):
            return None
        if place is Place.FORWARD and current is None and entry.kind != "create" and change.prev:
            place = Place.CONFLICT
        if place is Place.CONFLICT and entry.kind == "create" and change.prev in (None, GONE):
            # LoopBack's create: upon nothing, a deletion included.
            is_free = current is not None and current.is_deletion
            place = Place.FORWARD if is_free else place
        if place is Place.FORWARD:
            shown = shown_revision(held.digests, current, rev)
            return self._serving.next_update(model, change.record_id, current, data, rev=shown)
        # Offered all the same: the daemon's strategy may settle it, and its log keeps it.
        based = None if current is None else based_revision(held.digests, current, change.prev)
        prev = based or self._serving.new_revision(None, deleted=False)
        return self._serving.next_update(
            model, change.record_id, current, data, prev=prev, is_upon=False
        )

    # ---- between two models -------------------------------------------------------------

    async def replicate(
        self,
        source: str,
        target: str,
        since: int | None,
        filter: Mapping[str, Any] | None,  # noqa: A002 - LoopBack's name
    ) -> dict[str, Any]:
        """Replicate one of the daemon's models to another, and tell what it came to."""
        replica = self._serving.replica
        begin = None if since is None else max(0, since - 1)
        done: Replication = await replica.model(source).replicate(
            replica.model(target), begin, filter
        )
        views = await self._serving.look(target, [one.record_id for one in done.conflicts])
        return {
            "conflicts": [change_of(target, view) for view in views.values() if view.current],
            "checkpoints": {
                "source": done.checkpoints.source + 1,
                "target": done.checkpoints.target + 1,
            },
        }


def _place(held: Held, change: SentChange, rev: str) -> Place:
    return place_of(held.current, held.digest, held.digests, rev, change.prev, change.checkpoint)


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
    prev = told_prev(current, held.digest, held.digests, since=since, hint=hint)
    if prev is not None:
        change["prev"] = prev or None
    return {
        **change,
        "checkpoint": current.seq,
        "modelName": model,
        "modelId": current.record_id,
    }


def _cut(
    listed: list[tuple[Update, Record | None]], asked: LoopBackFilter
) -> list[tuple[Update, Record | None]]:
    if asked.order:
        by_id = {update.record_id: (update, data) for update, data in listed}
        alive = [(update.record_id, data) for update, data in listed if data is not None]
        in_order = [by_id[record_id] for record_id, _ in sort_records(alive, asked.order)]
        listed = in_order + [pair for pair in listed if pair[1] is None]
    end = None if asked.limit is None else asked.skip + asked.limit
    return listed[asked.skip : end]


def _update_for(delta: SentChange, held: Held) -> tuple[dict[str, Any] | None, list[Known]]:
    """Return the update for a delta, and what the client will hold by it."""
    current, data = held.current, held.data
    if current is None:
        return None, []
    change = {**delta.fields, "rev": held.digest or None}
    if data is None:
        if delta.rev and not delta.prev:
            # Created and deleted since this client last looked.
            return None, []
        return {"type": "delete", "change": change}, [known_of(GONE, current, None)]
    if not delta.prev:
        return (
            {"type": "create", "change": change, "data": data},
            [known_of(held.digest, current, data)],
        )
    # LoopBack sets what it is given and keeps the rest: what was taken away is given as null.
    removed = {name: None for name in names_at(held.digests, delta.prev) if name not in data}
    told = {**data, **removed}
    known = [known_of(held.digest, current, data)]
    if removed:
        known.append(known_of(digest_of(told), current, told))
    return {"type": "update", "change": change, "data": told}, known


def _crossed(entry: Sent, update: Update, result: ItemResult) -> list[Known]:
    """Return what to remember of an entry that was taken."""
    kept = result.current or update
    seq = kept.seq or result.seq
    data = kept.data
    digest = GONE if data is None else digest_of(data)
    known = [known_of(digest, kept, data, seq=seq)]
    sent = GONE if entry.kind == "delete" else entry.change.rev
    if sent != digest:
        # What the client holds is another form of the same: an amendment, or another profile.
        stands_for = update if kept.rev != update.rev else kept
        known.append(known_of(sent, stands_for, entry.data, seq=seq))
    return known
