"""A LoopBack server's models as replication ends: its REST endpoints behind the verbs of `End`."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Self

import msgspec
import orjson

from syncline.diff import diff
from syncline.digest import digest_of
from syncline.errors import ConflictError, RecordNotFound, SynclineError, WriteRefused
from syncline.filters import plain_where
from syncline.loopback.requests import BulkConflicted, LoopBackRequests, path_of
from syncline.loopback.shadow import Shadow, Shadows, without_data
from syncline.models import (
    NO_BODY,
    Answer,
    BulkResult,
    Change,
    Checkpoint,
    Diff,
    Interval,
    ItemResult,
    Record,
    Update,
    Verdict,
    encode_body,
    result_of,
)
from syncline.rebase import adopt, keep_greater
from syncline.replica import Replica
from syncline.schema import check_record, record_id_of
from syncline.verdicts import offer


BODY_BYTES_MAX = 64 * 1024
"""A request to LoopBack stays under its default limit of 100 kB."""
RECORD_BYTES_MAX = 2**40
CHECKPOINT_MAX = 2**53


class LoopBackServer:
    """
    A LoopBack server, spoken to over its REST API.

    Open it with `connect_loopback`.
    """

    def __init__(
        self, requests: LoopBackRequests, keeper: Replica, plurals: Mapping[str, str]
    ) -> None:
        self.requests = requests
        self.keeper = keeper
        self._plurals = dict(plurals)
        self._models: dict[str, LoopBackModel] = {}

    def model(self, name: str) -> "LoopBackModel":
        """Return the end of a model; its path is its name and an `s`, unless told otherwise."""
        if name not in self._models:
            self._models[name] = LoopBackModel(self, name, self._plurals.get(name, f"{name}s"))
        return self._models[name]

    async def close(self) -> None:
        """Disconnect."""
        await self.requests.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()


def connect_loopback(
    url: str,
    *,
    keeper: Replica,
    token: str | None = None,
    plurals: Mapping[str, str] | None = None,
) -> LoopBackServer:
    """
    Return a LoopBack server as a place of replication ends; it connects at the first request.

    Args:
        url: the root of its REST API, such as `http://host:3000/api`.
        keeper: the replica whose store remembers which revision each of LoopBack's digests means.
        token: an access token. It needs READ and REPLICATE to pull, READ and WRITE to push.
        plurals: the paths of models, where they are not the name with an `s`.
    """
    return LoopBackServer(LoopBackRequests(url, token), keeper, plurals or {})


class LoopBackModel:
    """
    A model at a LoopBack server: an end for `syncline.replicate`.

    Attributes:
        name: the model's name, at both ends. path: LoopBack's plural.
    """

    def __init__(self, server: LoopBackServer, name: str, path: str) -> None:
        self.name = name
        self.path = path
        self._requests = server.requests
        self._shadows = Shadows(server.keeper, f"{server.requests.url}/{path}", name)
        self._turn = asyncio.Lock()

    # ---- what the server holds ----------------------------------------------------------

    async def get(self, record_id: str | int) -> Record | None:
        """Return a record, or None."""
        change = await self.get_change(record_id)
        return None if change is None else change.data

    async def get_change(self, record_id: str | int) -> Update | None:
        """Return a record with the revision that it stands for; None when it was never there."""
        text = record_id_of(record_id)
        async with self._turn:
            return (await self._read([text])).get(text)

    async def _read(self, ids: Sequence[str]) -> dict[str, Update]:
        """Return records as they are at the server now, without those that were never there."""
        found = await self._requests.find(self.path, ids)
        records = {record_id: self._checked(record_id, data) for record_id, data in found.items()}
        digests = ((i, digest_of(found[i]) if i in found else "") for i in ids)
        shadows = await self._shadows.observe(digests)
        return {
            record_id: msgspec.structs.replace(
                shadow.update,
                body=encode_body(records[record_id]) if record_id in records else NO_BODY,
            )
            for record_id, shadow in shadows.items()
        }

    def _checked(self, record_id: str, data: Mapping[str, Any]) -> Record:
        return check_record(None, record_id, data, bytes_max=RECORD_BYTES_MAX)[0]

    async def interval(
        self,
        since: int = 0,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - LoopBack's name
        *,
        limit: int | None = None,  # noqa: ARG002 - LoopBack's checkpoints can't be cut
        bytes_max: int = 0,  # noqa: ARG002 - likewise
    ) -> Interval:
        """Return all changes from a checkpoint on, with their data."""
        async with self._turn:
            head = int((await self._requests.ask("POST", f"/{self.path}/checkpoint"))["seq"])
            await self._look(head)
            listed = await self._list(since or -1, filter)
            updates = await self._read([change["modelId"] for change in listed])
            places = {change["modelId"]: int(change["checkpoint"]) for change in listed}
            return Interval(
                epoch="",
                since=since,
                checkpoint=head,
                head=head,
                updates=tuple(
                    msgspec.structs.replace(update, seq=places[record_id])
                    for record_id, update in updates.items()
                ),
            )

    async def _list(
        self,
        since: int,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - LoopBack's name
    ) -> list[dict[str, Any]]:
        plain = plain_where(filter or {})
        query = {"since": str(since), "filter": orjson.dumps(plain).decode()}
        listed: list[dict[str, Any]] = await self._requests.ask(
            "GET", f"/{self.path}/changes", query=query
        )
        return listed

    async def _look(self, checkpoint: int) -> None:
        """Learn what moved at the server since it was last looked at."""
        mark = await self._shadows.load_mark()
        if mark > checkpoint:
            # Another server, or a restored one: what is known of it is of no use.
            await self._shadows.forget()
            mark = -1
        listed = await self._list(mark)
        await self._shadows.observe((one["modelId"], one["rev"] or "") for one in listed)
        if mark != checkpoint:
            await self._shadows.save_mark(checkpoint)

    async def current_checkpoint(self) -> Checkpoint:
        """Return the server's checkpoint."""
        return Checkpoint(int(await self._requests.ask("GET", f"/{self.path}/checkpoint")))

    async def checkpoint(self) -> Checkpoint:
        """Make a new checkpoint at the server, and return it."""
        made = await self._requests.ask("POST", f"/{self.path}/checkpoint")
        return Checkpoint(int(made["seq"]))

    async def get_source_id(self) -> str:
        """Return the server's address: LoopBack has no id of its own that is unique."""
        return self._requests.url

    # ---- what is sent there -------------------------------------------------------------

    async def diff(self, since: int, changes: Sequence[Change]) -> Diff:  # noqa: ARG002 - LoopBack's
        """Compare a source's changes with the server's, by ancestry."""
        async with self._turn:
            await self._look(await self.current_checkpoint())
            shadows = await self._shadows.load([change.record_id for change in changes])
            held = {shadow.update.key: shadow.update for shadow in shadows.values()}
            return diff(held, changes)

    async def create_updates(self, deltas: Sequence[Change]) -> list[Update]:
        """Return the updates of a diff's deltas, with the records as they are now."""
        async with self._turn:
            found = await self._read([delta.record_id for delta in deltas])
            return [
                msgspec.structs.replace(found[delta.record_id], prev=delta.prev)
                for delta in deltas
                if delta.record_id in found
            ]

    async def bulk_update(self, updates: Sequence[Update]) -> BulkResult:
        """Apply updates at the server, each by its own verdict."""
        async with self._turn:
            start = int((await self._requests.ask("POST", f"/{self.path}/checkpoint"))["seq"])
            await self._look(start)
            results: dict[int, ItemResult] = {}
            held = await self._read([update.record_id for update in updates])
            shadows = await self._shadows.load([update.record_id for update in updates])
            sending: list[tuple[int, Update, Shadow | None]] = []
            settled: dict[str, Shadow] = {}
            for index, update in enumerate(updates):
                current = held.get(update.record_id)
                shadow = shadows.get(update.record_id)
                word = self._decide(current, update)
                if word is not None:
                    result, kept = word
                    results[index] = result
                    if kept is not None and shadow is not None:
                        settled[update.record_id] = Shadow(shadow.digest, without_data(kept))
                else:
                    sending.append((index, update, shadow))
            await self._shadows.save(settled)
            await self._send(sending, held, results)
            await self._verify(start, [update for _, update, _ in sending])
            ordered = tuple(results[index] for index in range(len(updates)))
            return BulkResult(epoch="", checkpoint=start, results=ordered)

    def _decide(
        self, current: Update | None, update: Update
    ) -> tuple[ItemResult, Update | None] | None:
        """Return the word on an update that needs no sending, and what then stands; else None."""
        verdict = offer(current, update)
        if verdict is Verdict.FORWARD and (current is None or not _is_equal(current, update)):
            return None
        if current is None:
            return result_of(update, Answer.CONFLICT), None
        match verdict:
            case Verdict.SAME:
                return result_of(update, Answer.APPLIED), None
            case Verdict.FORWARD:
                return result_of(update, Answer.APPLIED), adopt(update, current)
            case Verdict.EQUAL:
                kept = keep_greater(current, update)
                is_ours = kept.rev == update.rev
                answer = Answer.APPLIED if is_ours else Answer.KNOWN
                return result_of(update, answer, current=None if is_ours else kept), kept
            case Verdict.KNOWN:
                return result_of(update, Answer.KNOWN, current=current), None
            case _:
                return result_of(update, Answer.CONFLICT, current=current), None

    async def _send(
        self,
        sending: Sequence[tuple[int, Update, Shadow | None]],
        held: Mapping[str, Update],
        results: dict[int, ItemResult],
    ) -> None:
        batch: list[tuple[int, Update, dict[str, Any]]] = []
        size = 0
        for index, update, shadow in sending:
            current = held.get(update.record_id)
            adopted = update if current is None else adopt(update, current)
            old = None if current is None else current.data
            if old is not None and _needs_replacing(old, update.data):
                results[index] = await self._replace(adopted)
                continue
            entry = self._entry(update, shadow)
            weight = len(msgspec.json.encode(entry))
            if batch and size + weight > BODY_BYTES_MAX:
                await self._send_batch(batch, results)
                batch, size = [], 0
            batch.append((index, adopted, entry))
            size += weight
        if batch:
            await self._send_batch(batch, results)

    def _entry(self, update: Update, shadow: Shadow | None) -> dict[str, Any]:
        data = update.data
        prev = None if shadow is None or not shadow.digest else shadow.digest
        change = {
            "rev": None if data is None else digest_of(data),
            "prev": prev,
            "checkpoint": 1,
            "modelName": self.name,
            "modelId": update.record_id,
        }
        if data is None:
            return {"type": "delete", "change": change}
        return {"type": "update" if prev else "create", "change": change, "data": data}

    async def _send_batch(
        self, batch: Sequence[tuple[int, Update, dict[str, Any]]], results: dict[int, ItemResult]
    ) -> None:
        collided: tuple[str, ...] = ()
        failure: SynclineError | None = None
        try:
            body = {"updates": [entry for _, _, entry in batch]}
            await self._requests.ask("POST", f"/{self.path}/bulk-update", body)
        except BulkConflicted as conflict:
            collided = conflict.record_ids
        except WriteRefused as error:
            if len(batch) > 1:
                # LoopBack doesn't say which: each for itself.
                for one in batch:
                    await self._send_batch([one], results)
                return
            failure = error
        now = await self._read(collided) if collided else {}
        applied: dict[str, Shadow] = {}
        for index, update, entry in batch:
            if update.record_id in collided:
                results[index] = result_of(
                    update, Answer.CONFLICT, current=now.get(update.record_id)
                )
            elif failure is not None:
                results[index] = result_of(update, Answer.REFUSED, reason=str(failure))
            else:
                results[index] = result_of(update, Answer.APPLIED)
                digest = entry["change"]["rev"] or ""
                applied[update.record_id] = Shadow(digest, without_data(update))
        await self._shadows.save(applied)

    async def _replace(self, update: Update) -> ItemResult:
        """
        Replace or delete one record by LoopBack's plain endpoints.

        Its bulk update can neither take a property away nor touch a record that holds nested
        values. What the server holds was compared just before; what comes between is overwritten.
        """
        path = f"/{self.path}/{path_of(update.record_id)}"
        data = update.data
        try:
            if data is None:
                await self._requests.ask("DELETE", path)
            else:
                await self._requests.ask("PUT", path, data)
        except RecordNotFound:
            return result_of(update, Answer.CONFLICT)
        except (WriteRefused, ConflictError) as error:
            return result_of(update, Answer.REFUSED, reason=str(error))
        digest = "" if data is None else digest_of(data)
        await self._shadows.save({update.record_id: Shadow(digest, without_data(update))})
        return result_of(update, Answer.APPLIED)

    async def _verify(self, start: int, sent: Sequence[Update]) -> None:
        """
        Learn in which form the server keeps what was sent.

        A strict model adds nulls, so that its digest is another; the record is the same.
        """
        if not sent:
            return
        listed = {one["modelId"]: one["rev"] or "" for one in await self._list(start)}
        shadows = await self._shadows.load([update.record_id for update in sent])
        doubted = [
            update
            for update in sent
            if (shadow := shadows.get(update.record_id)) is not None
            and shadow.update.rev == update.rev
            and listed.get(update.record_id, shadow.digest) != shadow.digest
        ]
        found = await self._requests.find(self.path, [update.record_id for update in doubted])
        same = {
            update.record_id: Shadow(
                digest_of(found[update.record_id]), shadows[update.record_id].update
            )
            for update in doubted
            if update.record_id in found and _differ_by_nulls(found[update.record_id], update.data)
        }
        await self._shadows.save(same)


def _is_equal(current: Update, update: Update) -> bool:
    data = update.data
    if data is None or current.is_deletion:
        return data is None and current.is_deletion
    return digest_of(current.data) == digest_of(data)


def _needs_replacing(old: Record, new: Record | None) -> bool:
    has_nested = any(isinstance(value, dict | list) for value in old.values())
    return has_nested or (new is not None and any(name not in new for name in old))


def _differ_by_nulls(one: Mapping[str, Any], other: Record | None) -> bool:
    if other is None:
        return False
    kept = [{name: v for name, v in each.items() if v is not None} for each in (one, other)]
    return digest_of(kept[0]) == digest_of(kept[1])
