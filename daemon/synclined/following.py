"""What a client asks in order to follow: pages of the list, and where it stands."""

from typing import Any

import msgspec

from syncline.errors import MessageInvalid
from syncline.models import Interval
from syncline.payloads import encode_page
from syncline.protocol import ChangesRequest, Head, Heartbeat, PageHeader, decode, encode
from syncline.replica import Replica
from syncline.replicate import PAGE_BYTES
from synclined.access import Right
from synclined.fanout import Fanout
from synclined.peers import Limits, Peer, require


SEQ_MAX = 2**63 - 1
LARGE_READ = 64
"""A page of more changes is read on a thread."""


class Following:
    """
    Answers the events of those who follow.

    Each method takes the peer and the event's arguments, and returns the acknowledgement.
    """

    def __init__(self, replica: Replica, limits: Limits, fanout: Fanout) -> None:
        self._replica = replica
        self._limits = limits
        self._fanout = fanout

    async def changes(self, peer: Peer, payload: Any) -> Any:
        """Answer a page of the list."""
        request = decode(ChangesRequest, payload)
        models = peer.models if request.models is None else tuple(request.models)
        for model in models:
            require(peer, Right.READ, model)
            self._replica.core.schema_of(model)
        if not models:
            raise MessageInvalid("changes: name the models, or say hello first")
        if not 0 <= request.since <= SEQ_MAX:
            raise MessageInvalid(f"changes.since: 0 to {SEQ_MAX}")
        if request.limit is not None and not 1 <= request.limit <= SEQ_MAX:
            raise MessageInvalid("changes.limit: 1 at least")
        bytes_max = self._limits.page_bytes_max if request.limit is None else PAGE_BYTES
        engine = self._replica.core.engine

        def job(reader: Any) -> tuple[Interval, bytes]:
            interval = engine.interval(
                reader, request.since, models=models, bytes_max=bytes_max, rows_max=request.limit
            )
            return interval, encode_page(interval.updates)

        behind = await self._replica.head() - request.since
        interval, page = await self._replica.core.read(job, large=behind > LARGE_READ)
        if interval.is_whole and request.models is None:
            self._fanout.caught_up(peer.sid)
        if request.models is None and peer.replica_id:
            # It has what came before; the page is on its way to it.
            at = interval.checkpoint if interval.is_whole else request.since
            peer.note_cursor(at, interval.head, heartbeat_s=self._limits.heartbeat_s)
        return encode(PageHeader.of(interval)), page

    async def barrier(self, _peer: Peer, _payload: Any = None) -> Any:
        """Answer where the list stands."""
        return encode(await self._head())

    async def heartbeat(self, peer: Peer, payload: Any = None) -> Any:
        """Take note of how a follower stands; answer where the list does."""
        beat = decode(Heartbeat, payload or {})
        peer.pending, peer.conflicts = beat.pending, beat.conflicts
        peer.is_stalled = beat.stalled
        self._fanout.answered(peer.sid, beat.heard)
        head = await self._head()
        peer.note_cursor(beat.cursor, head.head, heartbeat_s=self._limits.heartbeat_s)
        held_from = self._fanout.held_from(peer.sid)
        if held_from is not None:
            # It would fetch what is held back because its link can't take it.
            head = msgspec.structs.replace(head, head=held_from)
        return encode(head)

    async def _head(self) -> Head:
        # In this order: a head is told under its own epoch, or a later one.
        head = await self._replica.head()
        lineage = self._replica.core.engine.lineage
        return Head(epoch=lineage.current, head=head, source=lineage.source)
