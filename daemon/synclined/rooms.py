"""Who is told together: the subscribers of the same models, and what one frame tells them."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from syncline.models import Interval
from syncline.news import Told
from syncline.payloads import encode_hint, encode_live, encode_news
from synclined.frames import Direct
from synclined.pace import Pace
from synclined.tail import News
from synclined.window import Window


RoomKey = tuple[tuple[str, ...], bool]
NO_END = 1 << 62
"""The credit of whoever can't be asked whether it keeps up."""


class Frame(NamedTuple):
    """A live event as a socket is given it, and where the interval that it tells of begins."""

    text: str
    since: int


class Subscriber(msgspec.Struct):
    """
    One socket's place in a room.

    Attributes:
        write: the short way to it, as far as it is known.
        pace: whether it keeps up; None for one that can't be asked.
        credit: how many bytes may be written to it before its pace is looked at.
        held_from: since where it is told nothing, when it does not keep up.
    """

    sid: str
    replica_id: str
    window: Window
    write: Direct | None
    pace: Pace | None
    credit: int
    held_from: int | None = None


class Room(msgspec.Struct):
    """
    The subscribers of the same models, who are told in the same way.

    Attributes:
        is_told: whether they hear `news`, which leave out what they hold.
        epoch: of their welcomes; empty when they had several.
        position: how far they were told. read_to: how far the list was read for them; between
            the two nothing of theirs changed.
    """

    models: tuple[str, ...]
    is_told: bool
    epoch: str
    position: int
    read_to: int
    subscribers: dict[str, Subscriber]

    @property
    def key(self) -> RoomKey:
        """What sets it apart."""
        return self.models, self.is_told

    def frame(
        self, news: News, *, epoch: str, since: int, head: int, event: Callable[[str, str], str]
    ) -> Frame:
        """
        Return the frame that leads from `since` to `head`.

        Args:
            event: makes a frame of an event's name and its argument.
        """
        interval = Interval(
            epoch=epoch, since=since, checkpoint=head, head=head, updates=tuple(news.updates)
        )
        if self.is_told and news.before:
            return Frame(event("news", self._text_of_news(news, interval)), since)
        text = encode_live(interval) if news.is_small else encode_hint(interval)
        return Frame(event("changed", text), since)

    def _text_of_news(self, news: News, interval: Interval) -> str:
        is_only = len(self.models) == 1
        told = [
            Told.of(
                update,
                model="" if is_only else update.model,
                seq=0 if update.seq == interval.checkpoint else update.seq,
                held=before,
            )
            for update, before in zip(news.updates, news.before, strict=True)
        ]
        epoch = "" if interval.epoch == self.epoch else interval.epoch
        return encode_news(interval, told, epoch=epoch)
