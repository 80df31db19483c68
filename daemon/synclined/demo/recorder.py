"""How the demo writes to a replica: each record stamped, each write counted."""

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from syncline.errors import RecordNotFound
from syncline.model import Model
from syncline.models import Update
from syncline.replica import Replica
from synclined.demo.wire import Event, Tally


EVENTS_MAX = 40


class Recorder:
    """
    Writes to one replica and keeps account.

    Attributes:
        tally: what was counted. events: what is worth telling, the last ones.
    """

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.tally = Tally()
        self.events: deque[Event] = deque(maxlen=EVENTS_MAX)

    def model(self, name: str) -> Model:
        """Return the handle of a model."""
        return self.replica.model(name)

    async def put(self, model: str, record_id: str, fields: Mapping[str, Any]) -> Update:
        """Store a record with the time, `at_us`, from which its lag is measured elsewhere."""
        stamped = {**fields, "at_us": now_us()}
        self.tally.writes += 1
        return await self.model(model).put(record_id, stamped)

    async def delete(self, model: str, record_id: str) -> None:
        """Delete a record, if it is there."""
        try:
            await self.model(model).delete(record_id)
        except RecordNotFound:
            return
        self.tally.writes += 1

    async def ids_of(self, model: str) -> list[str]:
        """Return the ids of a model's records."""
        return [str(row["id"]) for row in await self.model(model).find()]

    def tell(self, kind: str, text: str) -> None:
        """Note an event."""
        self.events.append(Event(at_us=now_us(), kind=kind, text=text))


def now_us() -> int:
    """Return the microseconds since 1970: nanoseconds would be no number that JSON keeps."""
    return time.time_ns() // 1000
