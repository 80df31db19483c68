"""
The fan-out: reads the change list, and tells every subscriber.

It is the only source of live events; a nudge says "look now", and a slow poll covers a lost one.
Subscribers of the same models share a room: one position, one reading, one encoded frame.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from syncline.errors import SynclineError
from syncline.logs import Logger
from syncline.models import Interval, Update
from syncline.replica import Replica
from synclined.frames import Direct
from synclined.pace import Pace
from synclined.rooms import NO_END, Frame, Room, RoomKey, Subscriber
from synclined.tail import News, Tail
from synclined.window import Credit, Window


log = Logger("synclined")

LIVE_BYTES_MAX = 128 * 1024
"""A larger interval is only named; subscribers fetch it as pages."""

TURN = 128
"""After this many frames the loop gets a turn."""


class Sender(Protocol):
    """Writes frames to sockets."""

    def event_frame(self, event: str, json_text: str) -> str:
        """Return the frame of an event."""

    def send_text(self, sid: str, frame: str) -> bool:
        """Write a frame now; False when it must be queued."""

    def direct(self, sid: str) -> Direct | None:
        """Return what writes to a socket at once while nothing waits for it, if there is a way."""

    def wire_of(self, frame: str) -> bytes:
        """Return a frame as `direct` takes it."""

    def is_settled(self) -> bool:
        """Tell whether no socket is half connected, or half gone."""

    async def send_queued(self, sid: str, frame: str) -> None:
        """Queue a frame."""

    def buffered(self, sid: str) -> int:
        """Return the bytes that wait for this socket."""

    def cut(self, sid: str) -> bool:
        """End a socket at once."""


class Fanout:
    """
    Tells subscribers of changes.

    Args:
        sender: how to reach a socket.
        window_bytes_max: what may wait for one socket; beyond it, it is told that it is behind.
        send_timeout_s: how long a socket may read nothing before it is cut.
        poll_s: how often to look without a nudge.
    """

    def __init__(
        self,
        replica: Replica,
        sender: Sender,
        *,
        window_bytes_max: int,
        send_timeout_s: float,
        poll_s: float,
    ) -> None:
        self._replica = replica
        self._sender = sender
        self._window_bytes_max = window_bytes_max
        self._send_timeout_s = send_timeout_s
        self._poll_s = poll_s
        self._rooms: dict[RoomKey, Room] = {}
        self._room_of: dict[str, Room] = {}
        self._bare: dict[str, Callable[[str], bool]] = {}
        self._bare_position = 0
        self._tail = Tail(0)
        self._late: dict[str, tuple[Subscriber, list[Frame]]] = {}
        self._is_speaking = False
        self._nudged = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._forget: Callable[[], None] = _nothing

    async def start(self) -> None:
        """Begin; positions start at the head of the list."""
        self._bare_position = await self._replica.head()
        self._tail.restart(self._bare_position)
        self._forget = self._replica.core.observers.listen(self._committed)
        self._task = asyncio.create_task(self._run(), name="syncline-fanout")

    async def stop(self) -> None:
        """End."""
        self._forget()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _committed(self, updates: list[Update]) -> None:
        """Hear of a commit: speak at once when that is quick, else have the task speak."""
        follows_on = self._tail.add(updates)
        if follows_on and not self._is_speaking and self._speak_now():
            return
        self._nudged.set()

    def _speak_now(self) -> bool:
        """Tell the rooms from memory; False when the list must be read, or somebody waits."""
        if self._bare or len(self._room_of) > TURN:
            return False
        done = True
        for room in self._rooms.values():
            news = self._kept_for(room)
            if news is None:
                done = False
                continue
            room.read_to = max(room.read_to, self._tail.head)
            if not news.is_empty:
                frame, author = self._frame_of(room, news, self._tail.head)
                for subscriber in self._send_now(room.subscribers.values(), frame, author):
                    self._spawn_queued(subscriber.sid, frame.text)
        return done

    def _kept_for(self, room: Room) -> News | None:
        return self._tail.after(room.read_to, room.models, bytes_max=LIVE_BYTES_MAX)

    def nudge(self) -> None:
        """Look now."""
        self._nudged.set()

    def join(
        self,
        sid: str,
        models: Iterable[str],
        head: int,
        *,
        replica_id: str,
        is_told: bool = False,
    ) -> None:
        """
        Subscribe a socket to models.

        Args:
            head: where it was told the list stands.
            is_told: it hears `news`, and answers a `beat`.
        """
        self.leave(sid)
        epoch = self._replica.core.engine.lineage.current
        room = Room(tuple(sorted(models)), is_told, epoch, head, head, {})
        room = self._rooms.setdefault(room.key, room)
        if room.epoch != epoch:
            room.epoch = ""
        pace = Pace() if is_told else None
        room.subscribers[sid] = Subscriber(
            sid,
            replica_id,
            Window(self._window_bytes_max, self._send_timeout_s),
            self._sender.direct(sid),
            pace,
            NO_END if pace is None else pace.new_credit(),
        )
        self._room_of[sid] = room

    def join_bare(self, sid: str, may_read: Callable[[str], bool]) -> None:
        """Tell a bare listener the names of models that change, of those that it may read."""
        self._bare[sid] = may_read

    def leave(self, sid: str) -> None:
        """Forget a socket."""
        self._bare.pop(sid, None)
        room = self._room_of.pop(sid, None)
        if room is not None:
            room.subscribers.pop(sid, None)
            if not room.subscribers:
                self._rooms.pop(room.key, None)

    def caught_up(self, sid: str) -> None:
        """A subscriber that was behind has read the list whole: send it live events again."""
        room = self._room_of.get(sid)
        if room is not None and sid in room.subscribers:
            room.subscribers[sid].window.caught_up()

    def answered(self, sid: str, number: int) -> None:
        """
        A subscriber has read all that was sent to it before it was asked by that number.

        Args:
            number: 0 when it only says that it lives.
        """
        room = self._room_of.get(sid)
        subscriber = None if room is None else room.subscribers.get(sid)
        if room is None or subscriber is None or subscriber.pace is None:
            return
        subscriber.pace.answered(number, now_s=time.monotonic())
        since = subscriber.held_from
        if since is None or not self._may_send(subscriber, since):
            return
        subscriber.held_from, head = None, self._tail.head
        news = self._tail.after(since, room.models, bytes_max=LIVE_BYTES_MAX)
        if news is None:
            news = News([], is_small=False)
        if not news.is_empty:
            frame = self._frame(room, news, since, head)
            for waiting in self._send_now((subscriber,), frame):
                self._spawn_queued(waiting.sid, frame.text)

    def held_from(self, sid: str) -> int | None:
        """Return since where a subscriber is told nothing because it does not keep up."""
        room = self._room_of.get(sid)
        subscriber = None if room is None else room.subscribers.get(sid)
        return None if subscriber is None else subscriber.held_from

    def cut_stuck(self, now: float) -> None:
        """End the sockets that have read nothing for too long."""
        for sid, room in tuple(self._room_of.items()):
            buffered = self._sender.buffered(sid)
            if room.subscribers[sid].window.is_stuck(buffered=buffered, now_s=now):
                log.warning("subscriber.cut", sid=sid)
                self._sender.cut(sid)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Rooms, subscribers, bare listeners."""
        return len(self._rooms), len(self._room_of), len(self._bare)

    async def _run(self) -> None:
        while True:
            is_nudged = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s):
                    is_nudged = await self._nudged.wait()
            self._nudged.clear()
            self._is_speaking = True
            try:
                if not is_nudged:
                    await self._look()
                await self._round()
            except SynclineError as error:
                log.warning("fanout.failed", error=error.code, reason=str(error))
            except Exception:
                log.exception("fanout.broke")
            finally:
                self._is_speaking = False

    async def _look(self) -> None:
        """Have the list read where the store has more of it than was heard of."""
        head = await self._replica.head()
        if head > self._tail.head:
            self._tail.restart(head)

    async def _round(self) -> None:
        for room in tuple(self._rooms.values()):
            await self._tell(room)
        if self._bare:
            await self._tell_bare()

    async def _tell(self, room: Room) -> None:
        head = self._tail.head
        news = self._kept_for(room)
        if news is None:
            read = await self._read(room.read_to, room.models)
            head, news = read.head, News(list(read.updates), is_small=read.is_whole)
        if head <= room.read_to:
            return
        room.read_to = head
        if not news.is_empty:
            frame, _ = self._frame_of(room, news, head)
            await self._send(room, frame)

    def _frame_of(self, room: Room, news: News, head: int) -> tuple[Frame, str]:
        """
        Return the frame that leads a room from its position to `head`, and who wrote all of it.

        Who wrote it has it, and hears of it behind the answer to its push; empty for several.
        """
        frame = self._frame(room, news, room.position, head)
        room.position = head
        origins = {update.origin for update in news.updates}
        return frame, origins.pop() if len(origins) == 1 else ""

    def _frame(self, room: Room, news: News, since: int, head: int) -> Frame:
        epoch = self._replica.core.engine.lineage.current
        event = self._sender.event_frame
        return room.frame(news, epoch=epoch, since=since, head=head, event=event)

    def _send_now(
        self, subscribers: Iterable[Subscriber], frame: Frame, author: str = ""
    ) -> list[Subscriber]:
        """
        Send a frame to all of them; return those for whom it must be queued.

        Its author gets it behind the answer to its push.
        """
        late, wire = self._late, self._sender.wire_of(frame.text)
        is_settled, size = self._sender.is_settled(), len(wire)
        others: list[Subscriber] = []
        for subscriber in subscribers:
            window, write = subscriber.window, subscriber.write
            if author and subscriber.replica_id == author:
                self._send_late(subscriber, frame)
            elif (
                write is None
                or window.expected
                or window.is_behind
                or not is_settled
                or (late and subscriber.sid in late)
                or subscriber.credit <= 0
                or not write(wire)
            ):
                others.append(subscriber)
            else:
                subscriber.credit -= size
        return [subscriber for subscriber in others if not self._send_one(subscriber, frame)]

    def _send_late(self, subscriber: Subscriber, frame: Frame) -> None:
        """Send a frame when what runs now is done, and so the answer to a push is sent."""
        if not self._late:
            asyncio.get_running_loop().call_soon(self._flush_late)
        self._late.setdefault(subscriber.sid, (subscriber, []))[1].append(frame)

    def _flush_late(self) -> None:
        late, self._late = self._late, {}
        for subscriber, frames in late.values():
            for frame in frames:
                for waiting in self._send_now((subscriber,), frame):
                    self._spawn_queued(waiting.sid, frame.text)

    async def _send(self, room: Room, frame: Frame) -> None:
        subscribers = list(room.subscribers.values())
        for start in range(0, len(subscribers), TURN):
            for subscriber in self._send_now(subscribers[start : start + TURN], frame):
                await self._sender.send_queued(subscriber.sid, frame.text)
            await asyncio.sleep(0)

    def _send_one(self, subscriber: Subscriber, frame: Frame) -> bool:
        """Send a frame as the subscriber's credit allows; False when it is to be queued."""
        sid = subscriber.sid
        if sid in self._late:
            self._send_late(subscriber, frame)
            return True
        if subscriber.held_from is not None:
            self._ask(subscriber)
            return True
        if not self._may_send(subscriber, frame.since):
            return True
        credit = subscriber.window.offer(
            buffered=self._sender.buffered(sid), frame_bytes=len(frame.text), now_s=time.monotonic()
        )
        match credit:
            case Credit.SEND:
                if subscriber.write is None:
                    # Whoever polled when it joined may have a WebSocket by now.
                    subscriber.write = self._sender.direct(sid)
                is_sent = self._sender.send_text(sid, frame.text)
                subscriber.credit -= len(frame.text)
                self._ask(subscriber)
                return is_sent
            case Credit.BEHIND:
                log.warning("subscriber.behind", sid=sid)
                self._spawn_queued(sid, self._sender.event_frame("behind", "{}"))
            case Credit.SILENT:
                pass
            case Credit.CUT:
                log.warning("subscriber.cut", sid=sid)
                self._sender.cut(sid)
        return True

    def _may_send(self, subscriber: Subscriber, since: int) -> bool:
        """Tell whether a subscriber keeps up; hold back what comes after `since` when not."""
        pace = subscriber.pace
        if pace is None:
            return True
        pace.spend(subscriber.credit)
        unsent = self._sender.buffered(subscriber.sid)
        if pace.may_send(unsent=unsent, now_s=time.monotonic()):
            return True
        subscriber.held_from = since
        self._ask(subscriber)
        return False

    def _ask(self, subscriber: Subscriber) -> None:
        """Ask a subscriber whether it has read all that was sent, where that is due."""
        pace = subscriber.pace
        if pace is None:
            return
        is_held = subscriber.held_from is not None
        pace.spend(subscriber.credit)
        number = pace.ask(now_s=time.monotonic(), is_held=is_held)
        subscriber.credit = pace.new_credit(is_held=is_held)
        if number is not None:
            frame = self._sender.event_frame("beat", f'{{"number":{number}}}')
            if not self._sender.send_text(subscriber.sid, frame):
                self._spawn_queued(subscriber.sid, frame)

    def _spawn_queued(self, sid: str, frame: str) -> None:
        self._replica.core.spawn(self._sender.send_queued(sid, frame))

    async def _tell_bare(self) -> None:
        interval = await self._read(self._bare_position, None)
        if interval.head <= self._bare_position:
            return
        self._bare_position = interval.checkpoint
        names = sorted({update.model for update in interval.updates})
        for sid, may_read in tuple(self._bare.items()):
            for name in names:
                if may_read(name):
                    frame = self._sender.event_frame("changed", msgspec.json.encode(name).decode())
                    if not self._sender.send_text(sid, frame):
                        await self._sender.send_queued(sid, frame)
        if not interval.is_whole:
            self._nudged.set()

    async def _read(self, since: int, models: tuple[str, ...] | None) -> Interval:
        engine = self._replica.core.engine
        return await self._replica.core.read(
            lambda reader: engine.interval(reader, since, models=models, bytes_max=LIVE_BYTES_MAX)
        )


def _nothing() -> None:
    """Forget nobody."""
