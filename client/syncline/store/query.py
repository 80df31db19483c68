"""What a find asks of a store."""

import msgspec

from syncline.filters import Condition
from syncline.ordering import Order


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """
    A find, parsed.

    Attributes:
        after: the id of the last record of the page before; None for the first page.
        limit: the most records to answer; None for all.
    """

    condition: Condition
    order: tuple[Order, ...] = ()
    limit: int | None = None
    after: str | None = None
