"""A daemon's models as replication ends, without a local replica: for `replicate` and tools."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

import aiohttp
import msgspec

from syncline.clock import next_stamp
from syncline.connection import Connection
from syncline.core import fields_of
from syncline.errors import (
    ConflictError,
    Forbidden,
    MessageTooLarge,
    ProtocolError,
    RecordNotFound,
    WriteRefused,
)
from syncline.filters import matches, parse_where, plain_where
from syncline.http_options import Headers, HttpOptions
from syncline.limits import units_of
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
    encode_body,
    join_ancestors,
)
from syncline.payloads import decode_page, decode_results, decode_summaries, encode_page, update_of
from syncline.protocol import (
    ChangesRequest,
    DiffRequest,
    FindRequest,
    GetRequest,
    Head,
    PageHeader,
    Push,
    PushAnswer,
    SummariesRequest,
    decode,
    encode,
)
from syncline.ranges import Range, Summary
from syncline.replicate import PAGE_BYTES, random_nonce
from syncline.revision import new_revision, next_generation, short_of
from syncline.schema import check_record, record_id_of, under_its_id


FIND_LIMIT_MAX = 10_000
"""How many records a daemon gives at once."""
PAGES_MAX = 100_000


class RemoteReplica:
    """
    A daemon, spoken to directly.

    Open it with `connect_remote`.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._models: dict[str, RemoteModel] = {}

    async def request(self, event: str, *args: Any) -> tuple[Any, ...]:
        """Send a request of the protocol and return its answer."""
        return await self._connection.request(event, *args)

    def model(self, name: str) -> "RemoteModel":
        """Return the handle of a model; whether the daemon has it shows at the first use."""
        return self._models.setdefault(name, RemoteModel(self, name))

    async def model_names(self) -> list[str]:
        """Return the names of the daemon's models that may be read."""
        answer = await self.request("models", {})
        return list(answer[0]["models"])

    async def head(self) -> Head:
        """Return where the daemon's list stands."""
        return decode(Head, (await self.request("barrier", {}))[0])

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()

    def __repr__(self) -> str:
        """Where it leads, whether it is connected, and how many requests wait for an answer."""
        connection = self._connection
        state = "open" if connection.is_open else "closed"
        return f"RemoteReplica(url={connection.url!r}, {state=}, pending={connection.waiting})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()


class RemoteModel:
    """A model at a daemon: the same verbs as `Model`, each a question to the daemon."""

    def __init__(self, remote: RemoteReplica, name: str) -> None:
        self._remote = remote
        self.name = name

    def __repr__(self) -> str:
        """Its name and its daemon."""
        return f"RemoteModel({self.name!r}, {self._remote!r})"

    # ---- records ------------------------------------------------------------------------

    async def get(self, record_id: str | int) -> Record | None:
        """Return a record, or None."""
        change = await self.get_change(record_id)
        return None if change is None else change.data

    async def get_change(self, record_id: str | int) -> Update | None:
        """Return a record with its change; None when it was never there."""
        request = GetRequest(model=self.name, id=record_id_of(record_id))
        answer = await self._remote.request("get", encode(request))
        found = answer[0]["change"]
        return None if found is None else update_of(found)

    async def find(
        self,
        where: Mapping[str, Any] | None = None,
        order: str | Sequence[str] | None = None,
        limit: int | None = None,
        after: str | int | None = None,
    ) -> list[Record]:
        """
        Return the records that match, all of them unless a limit is given.

        What the daemon does not give at once is asked for page by page, so of many records not
        all are of one moment.
        """
        found: list[Record] = []
        for _ in range(PAGES_MAX):
            left = None if limit is None else limit - len(found)
            answer = await self._remote.request("find", self._query(where, order, left, after))
            page: list[Record] = msgspec.json.decode(answer[1])
            found += page
            after = _goes_on_after(answer[0], page, left)
            if after is None or (limit is not None and len(found) >= limit):
                break
        return found

    async def count(self, where: Mapping[str, Any] | None = None) -> int:
        """Return how many records match."""
        answer = await self._remote.request("count", self._query(where, None, None, None))
        return int(answer[0]["count"])

    def _query(
        self,
        where: Mapping[str, Any] | None,
        order: str | Sequence[str] | None,
        limit: int | None,
        after: str | int | None,
    ) -> dict[str, Any]:
        orders = order if order is None or isinstance(order, str) else list(order)
        return encode(
            FindRequest(
                model=self.name,
                where=plain_where(where),
                order=orders,
                limit=limit,
                after=None if after is None else record_id_of(after),
            )
        )

    async def summaries(
        self, ranges: Sequence[Range], *, every: int | None = None
    ) -> tuple[Summary, ...]:
        """Return the summaries of ranges of record ids, as many as the daemon gives at once."""
        request = SummariesRequest(model=self.name, ranges=list(ranges), every=every)
        answer = await self._remote.request("summaries", encode(request))
        return decode_summaries(answer[1])

    async def put(self, record_id: str | int, data: Mapping[str, Any]) -> Update:
        """
        Store a whole record at the daemon, upon what it holds now.

        Raises:
            ConflictError: somebody else wrote it at the same moment.
            Forbidden: the token has no right to write it.
            WriteRefused: the daemon refused it, with the reason.
        """
        return await self._write(record_id, fields_of(data), is_patch=False)

    async def patch(self, record_id: str | int, data: Mapping[str, Any]) -> Update:
        """Set some properties of a record at the daemon."""
        return await self._write(record_id, fields_of(data), is_patch=True)

    async def delete(self, record_id: str | int) -> Update:
        """Delete a record at the daemon; raise `RecordNotFound` when there is none."""
        return await self._write(record_id, None, is_patch=False)

    async def _write(self, given: str | int, data: Record | None, *, is_patch: bool) -> Update:
        record_id = record_id_of(given)
        current = await self.get_change(record_id)
        is_there = current is not None and not current.is_deletion
        if not is_there and (data is None or is_patch):
            raise RecordNotFound(f"there is no {self.name} {record_id!r}")
        if data is not None:
            if is_patch and current is not None:
                data = {**(current.data or {}), **data}
            before = None if current is None else current.data
            named = under_its_id(None, data, before)
            data, _ = check_record(None, given, named, bytes_max=2**40)
        update = next_update(self.name, record_id, current, data)
        result = (await self.bulk_update([update])).results[0]
        match result.answer:
            case Answer.CONFLICT:
                raise ConflictError(f"{self.name}/{record_id} was written by somebody else")
            case Answer.REFUSED if is_forbidden(result):
                raise Forbidden(f"{self.name}/{record_id}: {result.reason.partition(': ')[2]}")
            case Answer.REFUSED | Answer.PARKED | Answer.HELD:
                raise WriteRefused(f"{self.name}/{record_id}: {result.reason}")
            case Answer.APPLIED | Answer.KNOWN:
                return result.current or msgspec.structs.replace(update, seq=result.seq)

    # ---- LoopBack's sync methods --------------------------------------------------------

    async def changes(
        self,
        since: int = 0,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - LoopBack's name
    ) -> list[Change]:
        """Return the changes after `since`."""
        found: list[Change] = []
        while True:
            page = await self.interval(since, filter)
            found.extend(page.updates)
            since = page.checkpoint
            if page.is_whole:
                return found

    async def interval(
        self,
        since: int = 0,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - LoopBack's name
        *,
        limit: int | None = None,
        bytes_max: int = PAGE_BYTES,  # noqa: ARG002 - the daemon cuts by its own limit
    ) -> Interval:
        """Return a page of changes with their data, and how far it reaches."""
        request = ChangesRequest(since=since, models=[self.name], limit=limit)
        answer = await self._remote.request("changes", encode(request))
        header = decode(PageHeader, answer[0])
        updates = decode_page(answer[1])
        if filter is not None:
            condition = parse_where(dict(filter).get("where"))
            updates = tuple(
                u for u in updates if (data := u.data) is None or matches(condition, data)
            )
        return header.interval(updates)

    async def diff(self, since: int, changes: Sequence[Change]) -> Diff:
        """Compare a source's changes with the daemon's."""
        answer = await self._remote.request(
            "diff", encode(DiffRequest(since=since)), encode_page(changes)
        )
        return decode(Diff, answer[0])

    async def create_updates(self, deltas: Sequence[Change]) -> list[Update]:
        """Return the updates of a diff's deltas, with the records as they are now."""
        found = [await self.get_change(delta.record_id) for delta in deltas]
        return [
            msgspec.structs.replace(update, prev=delta.prev)
            for update, delta in zip(found, deltas, strict=True)
            if update is not None
        ]

    async def bulk_update(self, updates: Sequence[Update]) -> BulkResult:
        """
        Apply updates at the daemon, each by its own verdict.

        What the daemon finds too much for one push is made in several, transactions whole.

        Raises:
            MessageTooLarge: one record or transaction is too large by itself.
        """
        try:
            return await self._push(updates)
        except MessageTooLarge:
            units = units_of(updates)
            if len(units) == 1:
                raise
        middle = sum(map(len, units[: len(units) // 2]))
        first = await self.bulk_update(updates[:middle])
        rest = await self.bulk_update(updates[middle:])
        return msgspec.structs.replace(rest, results=first.results + rest.results)

    async def _push(self, updates: Sequence[Update]) -> BulkResult:
        answer = await self._remote.request("bulk_update", encode(Push()), encode_page(updates))
        header = decode(PushAnswer, answer[0])
        results: tuple[ItemResult, ...] = decode_results(answer[1])
        return BulkResult(epoch=header.epoch, checkpoint=header.checkpoint, results=results)

    async def current_checkpoint(self) -> Checkpoint:
        """Return the head of the daemon's list."""
        return Checkpoint((await self._remote.head()).head)

    async def checkpoint(self) -> Checkpoint:
        """Return a checkpoint that all later writes lie beyond."""
        return await self.current_checkpoint()

    async def get_source_id(self) -> str:
        """Return the id of the daemon's data source."""
        return (await self._remote.head()).source


async def connect_remote(
    url: str,
    *,
    token: str | None = None,
    proxy: str | None = None,
    headers: Headers | None = None,
    session: aiohttp.ClientSession | None = None,
) -> RemoteReplica:
    """
    Connect to a daemon without a local replica.

    Args:
        proxy, headers, session: how the daemon is reached over HTTP; see `HttpOptions`.

    Raises:
        ConfigError: the address is none. LinkError: why the daemon is not reached. AuthError,
            VersionNotSupported: by name.
    """
    http = HttpOptions(proxy=proxy, headers=headers, session=session)
    connection = Connection(url, token=token, http=http)
    await connection.open()
    return RemoteReplica(connection)


def _goes_on_after(header: Mapping[str, Any], page: Sequence[Record], left: int | None) -> Any:
    """Return the id of a page's last record, where the daemon has more that was asked for."""
    if "after" in header:
        return header["after"]
    # A daemon that does not say so yet gives no more at once.
    if len(page) < FIND_LIMIT_MAX or (left is not None and left <= FIND_LIMIT_MAX):
        return None
    if "id" not in page[-1]:
        raise ProtocolError(
            f"the daemon gives {len(page)} records at once, and no id to go on from",
            hint="ask for fewer, and go on with `after`; a newer daemon gives all",
        )
    return page[-1]["id"]


def is_forbidden(result: ItemResult) -> bool:
    """Tell whether an update was refused since its sender had no right to write."""
    return result.answer is Answer.REFUSED and result.reason.startswith(f"{Forbidden.code}: ")


def next_update(model: str, record_id: str, current: Update | None, data: Record | None) -> Update:
    """Return the next update of a record at a daemon, upon what it holds; None deletes."""
    ancestors: tuple[str, ...] = ()
    if current is not None:
        ancestors = join_ancestors(current.ancestors, (short_of(current.rev),))
    generation = next_generation(None if current is None else current.rev, ancestors=ancestors)
    return Update(
        model=model,
        record_id=record_id,
        rev=new_revision(generation, random_nonce(), deleted=data is None),
        prev=None if current is None else current.rev,
        stamp=next_stamp(0 if current is None else current.stamp, time.time_ns() // 1_000_000),
        ancestors=ancestors,
        origin="remote",
        body=NO_BODY if data is None else encode_body(data),
    )
