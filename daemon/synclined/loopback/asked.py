"""One request to a model at the LoopBack door: who asks, and what."""

from typing import Any

from aiohttp import web

from syncline.schema import ModelSchema, record_id_of
from synclined.access import Principal
from synclined.loopback.filters import (
    LoopBackFilter,
    kinds_of,
    nested_query,
    read_filter,
    read_where,
)
from synclined.loopback.serving import Peer
from synclined.loopback.wire import parse_json, read_json


class Asked:
    """
    One request to a model.

    Attributes:
        model: the model's name. principal: who asks. peer: under which name it is remembered.
        bytes_max: the largest body that is read. kinds: of the declared properties.
    """

    def __init__(
        self,
        request: web.Request,
        principal: Principal,
        model: str,
        *,
        bytes_max: int,
        schema: ModelSchema | None = None,
    ) -> None:
        self.kinds = kinds_of(schema)
        self.request = request
        self.bytes_max = bytes_max
        self.principal = principal
        self.model = model
        peername = request.transport.get_extra_info("peername") if request.transport else None
        self.peer = Peer(f"{principal.name} {peername}", f"{principal.name} {request.remote}")

    @property
    def record_id(self) -> str:
        """The id in the path."""
        return record_id_of(self.request.match_info["id"])

    def argument(self, name: str) -> Any:
        """Return a query argument that is JSON, or written with brackets; None without it."""
        text = self.request.query.get(name)
        if text is None:
            return nested_query(self.request.query.items(), name)
        return parse_json(text, name) if text else None

    def filter(self) -> LoopBackFilter:
        """Return the query's `filter`."""
        return read_filter(self.argument("filter"), self.kinds)

    def where(self) -> dict[str, Any] | None:
        """Return the query's `where`."""
        return read_where(self.argument("where"), self.kinds)

    async def body(self) -> Any:
        """Return the decoded body."""
        return await read_json(self.request, bytes_max=self.bytes_max)
