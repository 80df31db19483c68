"""LoopBack's ordinary model endpoints: plain reads and writes over HTTP."""

from collections.abc import Callable, Mapping
from typing import Any

from syncline.digest import digest_of
from syncline.errors import (
    ConflictError,
    KeyInvalid,
    RecordError,
    RecordInvalid,
    RecordNotFound,
    StoreUnavailable,
    WriteRefused,
)
from syncline.model import new_id
from syncline.models import Answer, ItemResult, Record, Update
from syncline.schema import record_id_of
from synclined.access import Principal
from synclined.loopback.filters import LoopBackFilter
from synclined.loopback.serving import Serving, is_taken, known_of
from synclined.loopback.wire import DuplicateRecord, RecordMissing, read_object
from synclined.refusals import log_refused


ROUNDS_MAX = 16
"""How often a write is tried again that others overtook."""
MATCHES_MAX = 100_000

Change = Callable[[Record | None], Record | None]


class Records:
    """Reads and writes records as LoopBack's models do."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    # ---- reading ------------------------------------------------------------------------

    async def find(self, model: str, asked: LoopBackFilter) -> list[Record]:
        """Return the records that match."""
        limit = None if asked.limit is None else asked.skip + asked.limit
        handle = self._serving.replica.model(model)
        found = await handle.find(asked.where, list(asked.orders) or None, limit)
        return [asked.fields.of(record) for record in found[asked.skip :]]

    async def find_one(self, model: str, asked: LoopBackFilter) -> Record:
        """Return the first that matches; raise `RecordMissing` without one."""
        handle = self._serving.replica.model(model)
        found = await handle.find(asked.where, list(asked.orders) or None, asked.skip + 1)
        if len(found) <= asked.skip:
            raise RecordMissing(model, "undefined")
        return asked.fields.of(found[asked.skip])

    async def get(self, model: str, record_id: str, asked: LoopBackFilter) -> Record:
        """Return a record; raise `RecordMissing`."""
        found = await self._serving.replica.model(model).get(record_id)
        if found is None:
            raise RecordMissing(model, record_id)
        return asked.fields.of(found)

    async def exists(self, model: str, record_id: str) -> bool:
        """Tell whether there is such a record."""
        return await self._serving.replica.model(model).get(record_id) is not None

    async def count(self, model: str, where: Mapping[str, Any] | None) -> int:
        """Return how many match."""
        return await self._serving.replica.model(model).count(where)

    # ---- writing ------------------------------------------------------------------------

    async def create(self, principal: Principal, model: str, body: Any) -> Any:
        """
        Store one new record, or a list of them; return it, or them, as kept.

        Raises:
            DuplicateRecord: there is one of that id.
        """
        if isinstance(body, list):
            return await self._create_all(principal, model, body)
        return await self._create(principal, model, {} if body is None else body)

    async def _create_all(self, principal: Principal, model: str, body: list[Any]) -> list[Record]:
        # One that is there already keeps none of the others out.
        for index, one in enumerate(body):
            read_object(one, f"record {index}")
        made: list[Record] = []
        duplicate: DuplicateRecord | None = None
        for one in body:
            try:
                made.append(await self._create(principal, model, one))
            except DuplicateRecord as error:
                duplicate = duplicate or error
        if duplicate is not None:
            raise duplicate
        return made

    async def _create(self, principal: Principal, model: str, body: Any) -> Record:
        data = read_object(body, "a record")
        record_id = self._id_of(principal, model, data)

        def make(before: Record | None) -> Record:
            if before is not None:
                raise DuplicateRecord(f"Duplicate entry for {model}.{self._id_name(model)}")
            return data

        return await self._write(principal, model, record_id, make)

    async def patch_or_create(self, principal: Principal, model: str, body: Any) -> Record:
        """Set properties of the record that the body names, or make it."""
        data = read_object(body, "a record")
        record_id = self._id_of(principal, model, data)
        return await self._write(
            principal, model, record_id, lambda before: {**(before or {}), **data}
        )

    async def replace_or_create(self, principal: Principal, model: str, body: Any) -> Record:
        """Store the record that the body names, whatever was there."""
        data = read_object(body, "a record")
        record_id = self._id_of(principal, model, data)
        return await self._write(principal, model, record_id, lambda _: data)

    async def replace(self, principal: Principal, model: str, record_id: str, body: Any) -> Record:
        """Replace a record that is there; raise `RecordMissing`."""
        data = self._under_id(model, record_id, read_object(body, "a record"))

        def make(before: Record | None) -> Record:
            if before is None:
                raise RecordMissing(model, record_id)
            return data

        return await self._write(principal, model, record_id, make)

    async def patch(self, principal: Principal, model: str, record_id: str, body: Any) -> Record:
        """Set properties of a record that is there; raise `RecordMissing`."""
        data = self._under_id(model, record_id, read_object(body, "a record"))

        def make(before: Record | None) -> Record:
            if before is None:
                raise RecordMissing(model, record_id)
            return {**before, **data}

        return await self._write(principal, model, record_id, make)

    async def update_all(
        self, principal: Principal, model: str, where: Mapping[str, Any] | None, body: Any
    ) -> int:
        """Set properties of all that match; return how many there were."""
        data = read_object(body, "the properties")
        if self._id_name(model) in data:
            raise RecordInvalid(f"{self._id_name(model)} can't be set for all that match")
        found = await self._matching(model, where)
        for record_id in found:
            await self.patch(principal, model, record_id, data)
        return len(found)

    async def upsert_with_where(
        self, principal: Principal, model: str, where: Mapping[str, Any] | None, body: Any
    ) -> Record:
        """Set properties of the one that matches, or make a record; more than one is an error."""
        data = read_object(body, "a record")
        found = await self._matching(model, where)
        if len(found) > 1:
            raise RecordInvalid(
                "There are multiple instances found. Upsert Operation will not be performed!"
            )
        if found:
            return await self.patch(principal, model, found[0], data)
        created: Record = await self._create(principal, model, data)
        return created

    async def delete(self, principal: Principal, model: str, record_id: str) -> int:
        """Delete a record; return how many were there, 0 or 1."""
        try:
            await self._write(principal, model, record_id, _delete)
        except RecordNotFound:
            return 0
        return 1

    async def _matching(self, model: str, where: Mapping[str, Any] | None) -> list[str]:
        handle = self._serving.replica.model(model)
        found = await handle.find(where, None, MATCHES_MAX)
        return [record_id_of(record[self._id_name(model)]) for record in found]

    async def _write(
        self, principal: Principal, model: str, record_id: str, make: Change
    ) -> Record:
        """Store what `make` makes of the record; again when somebody else was faster."""
        record_id = record_id_of(record_id)
        for _ in range(ROUNDS_MAX):
            held = await self._serving.look_at(model, record_id)
            data = make(held.data)
            try:
                update = self._serving.next_update(model, record_id, held.current, data)
            except RecordError as error:
                log_refused(principal, model, record_id, f"{error.code}: {error}")
                raise
            kept = update.data
            if data is not None and held.data is not None and digest_of(kept) == held.digest:
                return held.data
            result = (await self._serving.push(principal, [update]))[0]
            if is_taken(result):
                return await self._taken(model, update, result)
            if result.answer is not Answer.CONFLICT:
                raise WriteRefused(result.reason or f"{model}/{record_id} was not taken")
        raise StoreUnavailable("the record moves faster than it can be written", hint="try again")

    async def _taken(self, model: str, update: Update, result: ItemResult) -> Record:
        kept = result.current or update
        data = kept.data
        if data is None:
            return {}
        seq = kept.seq or result.seq
        known = known_of(digest_of(data), kept, data, seq=seq)
        await self._serving.keep(model, {update.record_id: [known]})
        return data

    # ---- ids ----------------------------------------------------------------------------

    def _id_name(self, model: str) -> str:
        schema = self._serving.replica.core.schema_of(model)
        return "id" if schema is None else schema.id_name

    def _id_of(self, principal: Principal, model: str, data: Mapping[str, Any]) -> str:
        """Return the id that a record names, or a new one."""
        try:
            return self._id_in(model, data) or self._fresh_id(model)
        except RecordError as error:
            log_refused(principal, model, "", f"{error.code}: {error}")
            raise

    def _id_in(self, model: str, data: Mapping[str, Any]) -> str | None:
        found = data.get(self._id_name(model))
        return None if found is None else record_id_of(found)

    def _fresh_id(self, model: str) -> str:
        schema = self._serving.replica.core.schema_of(model)
        if schema is not None and schema.id_kind == "integer":
            raise KeyInvalid(
                f"{model} has integer ids, which two sides would give twice", hint="send the id"
            )
        return new_id()

    def _under_id(self, model: str, record_id: str, data: Record) -> Record:
        found = self._id_in(model, data)
        if found is not None and found != record_id:
            raise ConflictError(f"the body is of {found!r}, the path of {record_id!r}")
        return {name: value for name, value in data.items() if name != self._id_name(model)}


def _delete(before: Record | None) -> Record | None:
    if before is None:
        raise RecordNotFound("it is gone")
    return None
