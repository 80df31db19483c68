"""What an SQL store knows of the models' own tables: when it looked, and what is parked."""

import msgspec

from syncline.models import Key
from syncline.store.contract import ParkedRow


UNFIT_PREFIX = "unfit:"

_decoder = msgspec.json.Decoder(type=ParkedRow)
_encode = msgspec.json.Encoder().encode


def unfit_name(key: Key) -> str:
    """Return the name that a record which its row can't hold is kept under."""
    return UNFIT_PREFIX + _encode(key).decode()


def decode_unfit(stored: str) -> ParkedRow:
    """Return what is kept of a record that its row can't hold."""
    return _decoder.decode(stored)


class Looks:
    """
    What is known of the models' own tables.

    Attributes:
        version: SQLite's `data_version`, as it is now: it moves when anybody else commits.
        level_at: that of the last look at all tables; None before the first.
        was_whole: whether every row could be read then.
        unfit: the records that their rows can't hold.
    """

    __slots__ = ("level_at", "unfit", "version", "was_whole")

    def __init__(self) -> None:
        self.version = 0
        self.level_at: int | None = None
        self.was_whole = False
        self.unfit: dict[Key, ParkedRow] = {}

    @property
    def is_level(self) -> bool:
        """Whether nobody else has committed since the last look."""
        return self.level_at == self.version

    @property
    def is_whole(self) -> bool:
        """Whether each row holds its record."""
        return self.is_level and self.was_whole and not self.unfit

    def take(self, parked: dict[Key, ParkedRow | None]) -> None:
        """Take what a transaction parked, or found to fit again, once it is committed."""
        for key, row in parked.items():
            if row is None:
                self.unfit.pop(key, None)
            else:
                self.unfit[key] = row
