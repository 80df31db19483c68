"""Orders of records, and the pages that are cut from what is in order."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from syncline.errors import FilterInvalid
from syncline.filters import kind_of, path_of, value_at
from syncline.models import Record


ORDERS_MAX = 32


class Order(msgspec.Struct, frozen=True):
    """Order by the property at a path; null and missing come first when ascending."""

    path: tuple[str, ...]
    descending: bool = False


def parse_order(order: str | Iterable[str] | None) -> tuple[Order, ...]:
    """
    Return the order of ``"name ASC"`` or ``["year DESC", "name"]``.

    Raises:
        FilterInvalid: naming what can't be read.
    """
    if order is None:
        return ()
    if not isinstance(order, Iterable):
        raise FilterInvalid(f"{order!r} is no order", hint="'name', or a list of such")
    parts = [order] if isinstance(order, str) else list(order)
    if len(parts) > ORDERS_MAX:
        raise FilterInvalid(f"an order has more than {ORDERS_MAX} parts")
    return tuple(_order(part) for part in parts)


_WORDS = re.compile(r"(?:\\.|[^\s\\]|\\$)+", re.DOTALL)


def _order(text: Any) -> Order:
    words = _WORDS.findall(text) if isinstance(text, str) else []
    if not 1 <= len(words) <= 2 or (len(words) == 2 and words[1].upper() not in ("ASC", "DESC")):
        raise FilterInvalid(
            f"{text!r} is no order",
            hint=r"'name', 'name ASC' or 'name DESC'; a blank in a name is written '\ '",
        )
    return Order(path_of(words[0]), len(words) == 2 and words[1].upper() == "DESC")


_RANK = {"null": 0, "boolean": 1, "number": 2, "text": 3, "other": 4}


def _sort_key(value: Any) -> tuple[int, Any]:
    kind = kind_of(value)
    return _RANK[kind], value if kind in ("boolean", "number", "text") else 0


def sort_records(
    records: Iterable[tuple[str, Record]], order: tuple[Order, ...]
) -> list[tuple[str, Record]]:
    """Return (id, record) pairs in order; ties, and all without an order, by id."""
    found = sorted(records, key=lambda pair: pair[0])
    for one in reversed(order):
        found.sort(
            key=lambda pair: _sort_key(value_at(pair[1], one.path)),  # noqa: B023 - used at once
            reverse=one.descending,
        )
    return found


def page_of(
    records: list[tuple[str, Record]], *, after: str | None, limit: int | None
) -> list[Record]:
    """
    Return the page that follows the record `after`.

    Raises:
        FilterInvalid: no record of that id is among them.
    """
    start = 0
    if after is not None:
        places = {record_id: index for index, (record_id, _) in enumerate(records)}
        if after not in places:
            raise FilterInvalid(
                f"after: no record {after!r} is among those that match",
                hint="begin again from the first page",
            )
        start = places[after] + 1
    end = None if limit is None else start + max(limit, 0)
    return [record for _, record in records[start:end]]
