"""What an upstream takes at once, and what of that which waits is larger."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec

from syncline.errors import RecordTooLarge
from syncline.models import Update
from syncline.payloads import encode_page, size_of
from syncline.protocol import MESSAGE_BYTES_MAX, PUSH_ITEMS_MAX, RECORD_BYTES_MAX, Welcome


MESSAGE_ROOM_BYTES = 1024
"""What a message holds beside its list: the event, the cursor, the place of the attachment."""
SIZE_SLACK = 8
"""`size_of` is an estimate; what it puts this far below a limit need not be encoded to be sure."""


class PushLimits(msgspec.Struct, frozen=True, kw_only=True):
    """
    How much an upstream takes, as its welcome says; the defaults before the first one.

    Attributes:
        record_bytes_max: of one record. message_bytes_max: of one push. push_items_max: how many
            records are in one.
    """

    record_bytes_max: int = RECORD_BYTES_MAX
    message_bytes_max: int = MESSAGE_BYTES_MAX
    push_items_max: int = PUSH_ITEMS_MAX

    @classmethod
    def of(cls, welcome: Welcome) -> "PushLimits":
        """Return what a welcome says."""
        return cls(
            record_bytes_max=welcome.record_bytes_max,
            message_bytes_max=welcome.message_bytes_max,
            push_items_max=welcome.push_items_max,
        )

    @property
    def writable_bytes_max(self) -> int:
        """The largest record that can be pushed."""
        return min(self.record_bytes_max, self.message_bytes_max - MESSAGE_ROOM_BYTES)

    @property
    def sure_bytes(self) -> int:
        """By the estimate, what is no larger than this in all is too large in no way."""
        return min(self.record_bytes_max, self.message_bytes_max // SIZE_SLACK)


class TooLarge(NamedTuple):
    """What can't be pushed, a record or a whole transaction, and the reason to show."""

    updates: Sequence[Update]
    reason: str


def is_about_size(reason: str) -> bool:
    """Tell whether something was parked, or refused, since it is too large."""
    return reason.startswith(f"{RecordTooLarge.code}:")


def too_large(unit: Sequence[Update], limits: PushLimits) -> str:
    """Return why a record or a transaction can't be pushed; an empty text when it can."""
    if len(unit) > limits.push_items_max:
        return _reason(
            f"a transaction of {len(unit)} records is over the limit of {limits.push_items_max}"
        )
    for update in unit:
        size = len(memoryview(update.body))
        if size > limits.record_bytes_max:
            return _reason(
                f"{update.model}/{update.record_id} has {size} bytes, the limit is "
                f"{limits.record_bytes_max}"
            )
    room = limits.message_bytes_max - MESSAGE_ROOM_BYTES
    if sum(map(size_of, unit)) * SIZE_SLACK <= room or (size := len(encode_page(unit))) <= room:
        return ""
    what = "a transaction" if len(unit) > 1 else f"{unit[0].model}/{unit[0].record_id}"
    return _reason(f"{what} of {size} bytes is over the limit of {room}")


def sort_out(
    updates: Sequence[Update], limits: PushLimits
) -> tuple[list[Update], list[TooLarge], bool]:
    """
    Return what of a push can go, what never can, and whether some has to wait for the next push.

    Args:
        updates: each transaction's together.
    """
    fitting: list[list[Update]] = []
    barred: list[TooLarge] = []
    for unit in units_of(updates):
        reason = too_large(unit, limits)
        if reason:
            barred.append(TooLarge(unit, reason))
        else:
            fitting.append(unit)
    count = len(fitting)
    while count > 1 and too_large(_joined(fitting[:count]), limits):
        count //= 2
    return _joined(fitting[:count]), barred, count < len(fitting)


def units_of(updates: Sequence[Update]) -> list[list[Update]]:
    """Return what travels together: each transaction, and each record that is in none."""
    return [list(unit) for _, unit in groupby(updates, lambda u: u.group or u.key)]


def _joined(units: Sequence[Sequence[Update]]) -> list[Update]:
    return [update for unit in units for update in unit]


def _reason(sentence: str) -> str:
    return f"{RecordTooLarge.code}: {sentence}"
