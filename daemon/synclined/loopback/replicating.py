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

from syncline.digest import digest_of
from syncline.digests import (
    GONE,
    Collided,
    Known,
    Place,
    based_revision,
    shown_revision,
    told_of,
)
from syncline.errors import MessageInvalid, RecordError, RecordNotFound
from syncline.filters import matches
from syncline.logs import Logger
from syncline.models import Record, Update
from syncline.replicate import Replication
from syncline.store.contract import Reader
from synclined.access import Principal
from synclined.loopback.filters import LoopBackFilter
from synclined.loopback.serving import Held, Peer, Serving, held_of, is_taken, known_of, refusal_of
from synclined.loopback.telling import (
    Event,
    Sent,
    change_of,
    crossed,
    cut,
    echoed,
    given,
    place_in,
    reshown,
    update_for,
)
from synclined.loopback.wire import BulkConflict, BulkRefused, SentChange
from synclined.refusals import log_refused


log = Logger("synclined")

PAGE_ROWS = 2000
SLICE = 2000
"""Entries of a bulk update that are decided and committed at once."""


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
        self, model: str, since: int, asked: LoopBackFilter, peer: Peer
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
        listed = await self._settled(model, since, asked) + listed
        chosen = cut(listed, asked)
        return await self._tell(model, chosen, since, peer)

    async def _settled(
        self, model: str, since: int, asked: LoopBackFilter
    ) -> list[tuple[Update, Record | None]]:
        """Return the older changes whose conflict was settled since the asker last listed."""
        ids = [i for i, upto in (await self._serving.settled(model)).items() if since <= upto]
        if not ids or since <= 0:
            return []
        entries = await self._serving.replica.core.read(
            lambda reader: reader.entries([(model, record_id) for record_id in ids])
        )
        updates = [entry.update for entry in entries.values() if entry.update.seq < since]
        return [
            (update, update.data)
            for update in updates
            if update.data is None or matches(asked.condition, update.data)
        ]

    async def _page(self, model: str, position: int, head: int) -> list[Update]:
        def job(reader: Reader) -> list[Update]:
            return reader.changes(position, models=[model], limit=PAGE_ROWS, upto=head)

        return await self._serving.replica.core.read(job, large=head - position > 64)

    async def _tell(
        self, model: str, chosen: Sequence[tuple[Update, Record | None]], since: int, peer: Peer
    ) -> list[dict[str, Any]]:
        ids = [update.record_id for update, _ in chosen]
        stored = await self._serving.replica.core.read(
            lambda reader: reader.digests(model, ids), large=len(ids) > 64
        )
        told: list[dict[str, Any]] = []
        for index, (update, _) in enumerate(chosen):
            held = held_of(update, stored.get(update.record_id))
            hint = self._serving.hint(peer.line, model, update.record_id)
            told.append(change_of(model, held, since=since, hint=hint))
            await self._serving.turn(index)
        return told

    async def last_change(
        self, model: str, record_id: str, peer: Peer, *, may_write: bool
    ) -> dict[str, Any] | None:
        """Return a record's change; None when there was never one."""
        held = await self._serving.look_at(model, record_id)
        if held.current is None:
            return None
        self._serving.look_into_doubt(model, record_id)
        if may_write:
            # Who settles a conflict takes it from here, without asking for the update.
            read = known_of(held.digest, held.current, held.data, given=1)
            await self._serving.keep(model, {record_id: [read]})
        return change_of(model, held, hint=self._serving.hint(peer.line, model, record_id))

    async def rebase_change(
        self, model: str, record_id: str, fields: Mapping[str, Any]
    ) -> dict[str, Any]:
        """
        Set the `prev` of a record's change: LoopBack's way to resolve a conflict at its source.

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
            if (held.current.rev, prev or GONE) != held.digests.rebased:
                await self._serving.rebase(model, record_id, held.current.rev, prev or GONE)
                held = await self._serving.look_at(model, record_id)
        return change_of(model, held)

    async def create_updates(
        self, model: str, deltas: Sequence[SentChange], peer: Peer
    ) -> list[dict[str, Any]]:
        """
        Return the updates that a client asked for, with the records as they are now.

        A record that vanished since it was listed travels as its deletion.
        """
        deltas = [delta for delta in deltas if not delta.is_too_long]
        views = await self._serving.look(model, [delta.record_id for delta in deltas])
        made: list[dict[str, Any]] = []
        seen: dict[str, list[Event]] = {}
        for index, delta in enumerate(deltas):
            held = views[delta.record_id]
            update, known = update_for(delta, held)
            if update is not None:
                made.append(update)
            if update is not None and held.current is not None:
                seen[delta.record_id] = given(delta, known)
                self._serving.note_hint(peer.line, model, delta.record_id, known[-1].digest)
            await self._serving.turn(index)
        await self._serving.keep(model, seen)
        return made

    # ---- what changed there -------------------------------------------------------------

    async def diff(
        self,
        model: str,
        changes: Sequence[SentChange],
        peer: Peer,
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
        # What no record can be called is refused by name when it is sent.
        deltas = [{**change.fields, "prev": None} for change in changes if change.is_too_long]
        changes = [change for change in changes if not change.is_too_long]
        views = await self._serving.look(model, [change.record_id for change in changes])
        reshows = reshown(views, changes, peer)
        conflicts: list[dict[str, Any]] = []
        seen: dict[str, list[Event]] = {}
        for index, change in enumerate(changes):
            held, client = views[change.record_id], peer.client(change)
            place = place_in(
                held, change, change.rev, client, reshows=bool(reshows - {change.record_id})
            )
            match self._decided(model, place, held, change, client, since):
                case Place.FORWARD:
                    prev = held.digest or None
                    deltas.append({**change.fields, "prev": prev})
                    if held.current is not None:
                        shown = self._shown(held, held.current, change, client)
                        seen[change.record_id] = [shown]
                case Place.CONFLICT | Place.DOUBTFUL:
                    conflicts.append(change_of(model, held))
                    seen[change.record_id] = [Collided(change.rev)]
                case Place.KNOWN | Place.SAME if held.current is not None:
                    self._serving.note_hint(peer.line, model, change.record_id, change.rev)
                    noted = echoed(held, held.current, change, client, place)
                    if noted:
                        seen[change.record_id] = noted
            await self._serving.turn(index)
        if may_write:
            await self._serving.keep(model, seen)
        return {"deltas": deltas, "conflicts": conflicts}

    def _decided(
        self,
        model: str,
        place: Place,
        held: Held,
        change: SentChange,
        client: str,
        since: int | None,
    ) -> Place:
        current = held.current
        if current is None:
            return place
        if place is Place.CONFLICT and since is not None and current.seq < since:
            return Place.FORWARD  # It says that it has seen all before.
        if place is Place.DOUBTFUL:
            if self._serving.is_settled(model, change, client, current):
                return Place.FORWARD
            self._serving.note_doubt(model, change, client, current)
        return place

    def _shown(self, held: Held, current: Update, change: SentChange, client: str) -> Known:
        rev = shown_revision(held.digests, current, change.rev, client)
        rev = rev or self._serving.new_revision(current, deleted=change.rev == GONE)
        told = told_of(change.prev or GONE, change.checkpoint)
        return Known(change.rev, rev, 0, current.rev, (), told, client, 0)

    async def bulk_update(
        self, principal: Principal, model: str, entries: Sequence[Sent], peer: Peer
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
        peer: Peer,
        conflicts: list[Any],
        refused: dict[str, str],
    ) -> None:
        for entry in entries:
            if entry.change.is_too_long:
                refused[entry.change.record_id[:80]] = "an id has at most 255 characters"
        entries = [entry for entry in entries if not entry.change.is_too_long]
        views = await self._serving.look(model, [entry.change.record_id for entry in entries])
        repeats = len(views) < len(entries)
        updates: list[Update] = []
        pushed: list[Sent] = []
        for index, entry in enumerate(entries):
            record_id = entry.change.record_id
            try:
                client = peer.client(entry.change)
                update = self._update_of(model, entry, views[record_id], client)
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
        seen: dict[str, list[Event]] = {}
        for entry, update, result in zip(pushed, updates, results, strict=True):
            record_id = entry.change.record_id
            if is_taken(result):
                client = peer.client(entry.change)
                seen.setdefault(record_id, []).extend(crossed(entry, update, result, client))
                self._serving.note_hint(peer.line, model, record_id, entry.change.rev)
            elif result.answer.value == "conflict":
                conflicts.append(entry.change.fields)
            else:
                refused[record_id] = result.reason or result.answer.value
        await self._serving.keep(model, seen)

    def _update_of(self, model: str, entry: Sent, held: Held, client: str) -> Update | None:
        """Return what to push for an entry; None when it is held already."""
        change, current = entry.change, held.current
        rev = GONE if entry.kind == "delete" else change.rev
        data = None if entry.kind == "delete" else entry.data
        if data is not None:
            # The client sends the record as it is now, which may be newer than its change says.
            rev = digest_of(data)
        place = place_in(held, change, rev, client, is_sent=True)
        if place is Place.CONFLICT and change.rev != rev:
            place = place_in(held, change, change.rev, client, is_sent=True)
        if place in (Place.SAME, Place.KNOWN):
            return None
        if place is Place.FORWARD and current is None and entry.kind != "create" and change.prev:
            place = Place.CONFLICT
        if place is Place.CONFLICT and entry.kind == "create" and change.prev in (None, GONE):
            # LoopBack's create: upon nothing, a deletion included.
            is_free = current is not None and current.is_deletion
            place = Place.FORWARD if is_free else place
        if place is Place.FORWARD:
            shown = shown_revision(held.digests, current, rev, client)
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
