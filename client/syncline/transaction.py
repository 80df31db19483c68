"""Writes to several records and models that are made together."""

from collections.abc import Mapping
from typing import Any

from syncline.change_log import Write
from syncline.core import Core
from syncline.errors import RecordTooLarge
from syncline.models import Update
from syncline.protocol import GROUP_BYTES_MAX
from syncline.schema import record_id_of


class ReplicaTransaction:
    """Writes that are made together, when the block ends."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._writes: list[Write] = []

    def model(self, name: str) -> "TransactionModel":
        """Return the handle of a model; raise `ModelUnknown`."""
        self._core.schema_of(name)
        return TransactionModel(self._core, name, self._writes)

    async def commit(self) -> list[Update]:
        """Make the writes; called by the block's end."""
        if not self._writes:
            return []
        size = sum(len(bytes(write.body)) for write in self._writes)
        if size > GROUP_BYTES_MAX:
            raise RecordTooLarge(
                f"a transaction of {size} bytes is over the limit of {GROUP_BYTES_MAX}",
                hint="write in several transactions, or use put_many",
            )
        group = self._core.engine.author.new_nonce() if len(self._writes) > 1 else None
        return await self._core.write(self._writes, group=group)


class TransactionModel:
    """The verbs that write, inside a transaction."""

    def __init__(self, core: Core, name: str, writes: list[Write]) -> None:
        self._core = core
        self._name = name
        self._writes = writes

    def put(self, record_id: str | int, data: Mapping[str, Any]) -> None:
        """Store a whole record."""
        self._writes.append(self._core.put_of(self._name, record_id, data))

    def patch(self, record_id: str | int, data: Mapping[str, Any]) -> None:
        """Set some properties of a record."""
        self._writes.append(self._core.patch_of(self._name, record_id_of(record_id), data))

    def delete(self, record_id: str | int) -> None:
        """Delete a record."""
        self._writes.append(self._core.delete_of(self._name, record_id_of(record_id)))
