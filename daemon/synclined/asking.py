"""What a client may ask without following: records, counts, differences."""

from typing import Any

import msgspec

from syncline.digest import normalise
from syncline.ends import FIND_LIMIT_MAX
from syncline.errors import MessageInvalid
from syncline.models import Update
from syncline.payloads import decode_changes, encode_page
from syncline.protocol import DiffRequest, FindRequest, GetRequest, SummariesRequest, decode, encode
from syncline.ranges import RANGES_MAX, in_order
from syncline.replica import Replica
from syncline.schema import record_id_of
from synclined.access import Right, allows
from synclined.peers import Peer, require


class Asking:
    """
    Answers the events that only read.

    Each method takes the peer and the event's arguments, and returns the acknowledgement.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    async def diff(self, peer: Peer, payload: Any, attached: Any = None) -> Any:
        """Compare a source's changes with what is held here."""
        decode(DiffRequest, payload)
        changes = decode_changes(payload.get("changes") if attached is None else attached)
        for model in {change.model for change in changes}:
            require(peer, Right.READ, model)
            self._replica.core.schema_of(model)
        engine = self._replica.core.engine
        found = await self._replica.core.read(
            lambda reader: engine.diff(reader, changes), large=len(changes) > 64
        )
        return encode(found)

    async def get(self, peer: Peer, payload: Any) -> Any:
        """Answer one record with its change."""
        request = decode(GetRequest, payload)
        require(peer, Right.READ, request.model)
        change = await self._replica.model(request.model).get_change(request.id)
        return {"change": None if change is None else _plain(change)}

    async def find(self, peer: Peer, payload: Any) -> Any:
        """Answer the records that match, attached, and where to go on when that is not all."""
        request = decode(FindRequest, payload)
        require(peer, Right.READ, request.model)
        is_cut = request.limit is None or request.limit > FIND_LIMIT_MAX
        # One more than is given tells whether that is all.
        limit = FIND_LIMIT_MAX + 1 if is_cut else request.limit
        records = await self._replica.model(request.model).find(
            request.where, request.order, limit, request.after
        )
        header: dict[str, Any] = {"after": None} if is_cut else {}
        if is_cut and len(records) > FIND_LIMIT_MAX:
            del records[FIND_LIMIT_MAX:]
            schema = self._replica.core.schema_of(request.model)
            last = records[-1]["id" if schema is None else schema.id_name]
            header["after"] = record_id_of(last)
        return {"count": len(records), **header}, msgspec.json.encode(records)

    async def count(self, peer: Peer, payload: Any) -> Any:
        """Answer how many records match."""
        request = decode(FindRequest, payload)
        require(peer, Right.READ, request.model)
        return {"count": await self._replica.model(request.model).count(request.where)}

    async def summaries(self, peer: Peer, payload: Any) -> Any:
        """Answer the summaries of ranges of record ids, attached, as many as are due at once."""
        request = decode(SummariesRequest, payload)
        require(peer, Right.READ, request.model)
        if not 1 <= len(request.ranges) <= RANGES_MAX:
            raise MessageInvalid(f"summaries.ranges: 1 to {RANGES_MAX}")
        if request.every is not None and request.every < 1:
            raise MessageInvalid("summaries.every: 1 at least")
        if not in_order(request.ranges):
            raise MessageInvalid("summaries.ranges: in order of id, none overlapping another")
        model = self._replica.model(request.model)
        found = await model.summaries(request.ranges, every=request.every)
        return {"count": len(found)}, encode_page(found)

    async def models(self, peer: Peer, _payload: Any = None) -> Any:
        """Answer the names of the models that the peer may read."""
        names = await self._replica.model_names()
        return {"models": [n for n in names if allows(peer.principal, Right.READ, n)]}


def _plain(update: Update) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(update))
    # What an older syncline stored may hold integers in more digits than messages can.
    normal: dict[str, Any] = normalise(plain)
    return normal
