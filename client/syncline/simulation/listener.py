"""The listening side of a node: a door for followers, and a fan-out that follows the list."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import orjson

from syncline.bulk import Ruling, RulingKind, plan_bulk_update
from syncline.errors import StoreUnavailable
from syncline.lineage import Standing
from syncline.models import Interval, Key, Update
from syncline.news import Held, Told
from syncline.payloads import decode_pushed, encode_hint, encode_live, encode_news, encode_page
from syncline.protocol import (
    Bye,
    ChangesRequest,
    Head,
    Heartbeat,
    Hello,
    PageHeader,
    Push,
    PushAnswer,
    Welcome,
    decode,
    encode,
)
from syncline.receiving import RULING_ROUNDS_MAX
from syncline.simulation.checks import Broken
from syncline.simulation.network import Parts, Wire
from syncline.simulation.process import Process
from syncline.steps import at_once


HEARTBEAT_S = 2.0
POLL_S = 5.0

NEWS = 0.8
"""How many followers are told `news`; the others `changed`, as by an older daemon."""
HELD = 0.1
"""How often a follower is held back, as one on a slow link is, until it answers a `beat`."""
FORGOTTEN = 0.2
"""How often it is not known what the list held before, so that nothing is left out."""

Room = tuple[str, ...]

Meddle = Callable[[Process], None]
"""Write something else at a process, while it is about to commit."""


class Listener:
    """
    A daemon's door in virtual time.

    Attributes:
        wires: the open connections; a message of any other is not heard.
        rooms: how far the fan-out has spoken to each subscription.
        told: the wires that hear `news`.
    """

    def __init__(self, process: Process, meddle: Meddle) -> None:
        self.process = process
        self._meddle = meddle
        self.world = process.world
        self.wires: list[Wire] = []
        self.members: dict[Wire, Room] = {}
        self.rooms: dict[Room, int] = {}
        self.told: set[Wire] = set()
        self._held: dict[Room, dict[Key, Held]] = {}
        # Of their welcomes; empty when they had several.
        self._epochs: dict[Room, str] = {}
        self._held_back: dict[Wire, tuple[int, dict[Key, Held]]] = {}
        self._is_nudged = False
        self._lives = 0
        # Of its own, so that the histories of older seeds stay as they were.
        seed = f"news {process.world.options.seed} {process.name}"
        self._news = random.Random(seed)  # noqa: S311 - a simulation must repeat itself

    def start(self) -> None:
        """Begin to listen; the slow poll covers a lost nudge."""
        self._lives += 1
        life = self._lives
        self.world.timeline.after(POLL_S, lambda: self._poll(life))

    def die(self) -> None:
        """Forget everybody; who is told that the connection is gone, and who isn't, is chance."""
        for wire in self.wires:
            self.world.network.close(
                wire, told_up=False, told_down=self.world.chance.random() < 0.7
            )
        self.wires, self.members, self.rooms = [], {}, {}
        self.told, self._held, self._held_back = set(), {}, {}
        self._is_nudged = False
        self._lives += 1

    def accept(self, wire: Wire) -> None:
        """Take a new connection."""
        self.wires.append(wire)

    def lost(self, wire: Wire) -> None:
        """Forget a connection."""
        if wire in self.wires:
            self.wires.remove(wire)
        self.members.pop(wire, None)
        self.told.discard(wire)
        self._held_back.pop(wire, None)

    def close(self, wire: Wire) -> None:
        """End a connection from this side."""
        self.lost(wire)
        self.world.network.close(wire, told_up=False)

    def say_bye(self) -> None:
        """Send everybody away for a while."""
        for wire in list(self.wires):
            bye = encode(Bye(delay_ms=self.world.chance.randint(0, 2000), reason="drain"))
            self.world.network.send(wire, is_up=False, event="bye", parts=(bye,))

    # ---- the door -----------------------------------------------------------------------

    def heard(self, wire: Wire, event: str, parts: Parts, ack: int) -> None:
        """Take a message of a follower; one of a connection that was fenced off is dropped."""
        if wire in self.wires:
            self.process.guarded(lambda: self._take(wire, event, parts, ack))

    def _take(self, wire: Wire, event: str, parts: Parts, ack: int) -> None:
        self.process.may_die()
        try:
            answer = self._answer(wire, event, parts)
        except StoreUnavailable:
            answer = ({"error": {"code": "store_unavailable"}},)
        self.process.may_die()
        self.world.network.send(wire, is_up=False, event="answer", parts=answer, ack=ack)

    def _answer(self, wire: Wire, event: str, parts: Parts) -> Parts:
        match event:
            case "hello":
                return (encode(self._welcome(wire, decode(Hello, parts[0]))),)
            case _ if wire not in self.members:
                return ({"error": {"code": "hello_first"}},)
            case "changes":
                return self._page(wire, decode(ChangesRequest, parts[0]))
            case "bulk_update":
                return self._bulk_update(wire, decode(Push, parts[0]), decode_pushed(parts[1]))
            case "heartbeat":
                if decode(Heartbeat, parts[0]).heard:
                    self._let_go(wire)
                with self.process.store.read() as reader:
                    head = self.process.engine.head(reader)
                return (encode(Head(epoch=self.process.engine.lineage.current, head=head)),)
            case _:
                raise AssertionError(event)

    def _welcome(self, wire: Wire, hello: Hello) -> Welcome:
        for older in list(self.wires):
            if older is not wire and older.replica == hello.replica:
                self.close(older)
        wire.replica = hello.replica
        engine = self.process.engine
        room = tuple(sorted(hello.models))
        with self.process.store.read() as reader:
            head = engine.head(reader)
        standing = engine.judge(
            source=hello.source, epoch=hello.epoch, seq=hello.seq, reach=hello.reach, head=head
        )
        self._check(hello, standing)
        self.members[wire] = room
        if hello.news and self._news.random() < NEWS:
            self.told.add(wire)
        epoch = engine.lineage.current
        if room not in self.rooms:
            self.rooms[room], self._held[room] = head, {}
            self._epochs[room] = epoch
        if self._epochs[room] != epoch:
            self._epochs[room] = ""
        self.world.note(
            f"{self.process.name} welcomes {hello.replica} at {hello.seq} of {head}: "
            f"{'good' if standing.is_good else 'reset, ' + standing.reason}"
        )
        return Welcome(
            source=engine.lineage.source,
            epoch=engine.lineage.current,
            head=head,
            standing="good" if standing.is_good else "reset",
            shared=standing.shared,
            reason=standing.reason,
            heartbeat_s=HEARTBEAT_S,
            models=dict.fromkeys(room, "write"),
        )

    def _check(self, hello: Hello, standing: Standing) -> None:
        """P5: who was never told of what a list has lost is not judged to know more than it."""
        if standing.reason == "ahead" and not self.world.has_restored:
            raise Broken(
                f"P5: {hello.replica} was told of seqs at {self.process.name} under an epoch "
                f"that had ended: {hello.reach} of {standing.shared}"
            )

    def _page(self, wire: Wire, request: ChangesRequest) -> Parts:
        models = self.members[wire] if request.models is None else tuple(request.models)
        with self.process.store.read() as reader:
            interval = self.process.engine.interval(
                reader, request.since, models=models, rows_max=self.world.options.page_rows
            )
        return encode(PageHeader.of(interval)), encode_page(interval.updates)

    # ---- what is pushed -----------------------------------------------------------------

    def _bulk_update(self, wire: Wire, push: Push, updates: Sequence[Update]) -> Parts:
        engine = self.process.engine
        if push.epoch != engine.lineage.current or push.cursor < engine.horizon:
            return ({"error": {"code": "cursor_stale"}},)
        rulings: dict[int, Ruling] = {}
        for _ in range(RULING_ROUNDS_MAX):
            held = self._rule(updates, rulings)
            if rulings and self.world.happens(0.2):
                # The record moves between the hook's word and the commit.
                self._meddle(self.process)
            with self.process.store.read() as reader:
                held = {k: e.update for k, e in reader.entries([u.key for u in updates]).items()}
            with self.process.transaction("bulk_update") as tx:
                plan = at_once(engine.offer(tx, updates, dict(rulings), pusher=wire.replica))
                result = engine.answer(tx, plan)
            if not plan.unruled:
                self.process.judge.after_offer(self.process, held, updates, plan)
                if plan.writes:
                    self.process.wrote()
                answer = PushAnswer(epoch=result.epoch, checkpoint=result.checkpoint)
                return encode(answer), encode_page(result.results)
        return ({"error": {"code": "store_unavailable"}},)

    def _rule(self, updates: Sequence[Update], rulings: dict[int, Ruling]) -> dict[Key, Update]:
        with self.process.store.read() as reader:
            held = {k: e.update for k, e in reader.entries([u.key for u in updates]).items()}
            rules = self.process.engine.rules(reader)
        for _ in range(RULING_ROUNDS_MAX):
            plan = plan_bulk_update(held, updates, rulings, rules)
            if not plan.unruled:
                break
            staged = dict(held)
            for index in plan.unruled:
                update = updates[index]
                mine = staged.get(update.key)
                rulings[index] = self._hook(update, None if mine is None else mine.rev)
        return held

    def _hook(self, update: Update, seen: Any) -> Ruling:
        """Refuse some numbers, amend the great ones, fail at others."""
        data = update.data
        number = data.get("n", 0) if data is not None else 0
        if number % 10 == 7:
            return Ruling(kind=RulingKind.REFUSED, seen=seen, reason="no sevens")
        if number % 10 == 5 and self.world.is_parking:
            return Ruling(kind=RulingKind.PARKED, seen=seen, reason="the hook failed")
        if data is not None and number > 80:
            body = msgspec.Raw(msgspec.json.encode({**data, "n": 80}))
            return Ruling(kind=RulingKind.AMENDED, seen=seen, body=body)
        return Ruling(kind=RulingKind.PASSED, seen=seen)

    # ---- the fan-out --------------------------------------------------------------------

    def nudge(self) -> None:
        """Look at the list soon; a nudge may be lost."""
        if self._is_nudged or self.world.happens(self.world.options.lost_nudge):
            return
        self._is_nudged = True
        life = self._lives
        delay = self.world.chance.uniform(0.0, 0.05)
        self.world.timeline.after(delay, lambda: self._round(life))

    def _poll(self, life: int) -> None:
        if life == self._lives and self.process.is_up:
            self._round(life)
            self.world.timeline.after(POLL_S, lambda: self._poll(life))

    def _round(self, life: int) -> None:
        if life != self._lives:
            return
        self._is_nudged = False
        self.process.guarded(self._speak)

    def _speak(self) -> None:
        for room, position in list(self.rooms.items()):
            members = [wire for wire, at in self.members.items() if at == room]
            if not members:
                del self.rooms[room], self._held[room]
                continue
            with self.process.store.read() as reader:
                interval = self.process.engine.interval(
                    reader, position, models=room, rows_max=self.world.options.page_rows
                )
            if interval.checkpoint <= position:
                continue
            in_parts = not interval.is_whole and self.world.chance.random() < 0.3
            self.rooms[room] = interval.checkpoint if in_parts else interval.head
            before = dict(self._held[room])
            told = self._told(room, interval, before)
            if not in_parts and not interval.is_whole:
                self._held[room].clear()
            self._held[room].update({u.key: Held(u.rev, u.ancestors) for u in interval.updates})
            heard = [wire for wire in members if not self._holds_back(wire, position, before)]
            self._tell(heard, interval, told, in_parts=in_parts)
            if in_parts:
                self.nudge()

    def _let_go(self, wire: Wire) -> None:
        """Tell a follower that was held back what came since, in one interval or by a hint."""
        if wire not in self._held_back:
            return
        since, held = self._held_back.pop(wire)
        with self.process.store.read() as reader:
            interval = self.process.engine.interval(
                reader, since, models=self.members[wire], rows_max=self.world.options.page_rows
            )
        whole = msgspec.structs.replace(interval, checkpoint=interval.head)
        event = "news" if interval.is_whole else "changed"
        room = self.members[wire]
        text = self._told(room, interval, held) if interval.is_whole else encode_hint(whole)
        self.world.network.send(wire, is_up=False, event=event, parts=(orjson.loads(text),))

    def _holds_back(self, wire: Wire, since: int, held: dict[Key, Held]) -> bool:
        if wire not in self.told:
            return False
        if wire not in self._held_back:
            if self._news.random() >= HELD:
                return False
            self._held_back[wire] = since, held
            self.world.network.send(wire, is_up=False, event="beat", parts=({"number": 1},))
        return True

    def _told(self, room: Room, interval: Interval, held: dict[Key, Held]) -> str:
        told = []
        for update in interval.updates:
            is_known = self._news.random() >= FORGOTTEN
            before = held.get(update.key) if is_known else None
            told.append(Told.of(update, model=update.model, seq=update.seq, held=before))
        epoch = "" if interval.epoch == self._epochs[room] else interval.epoch
        return encode_news(interval, told, epoch=epoch)

    def _tell(
        self, members: Sequence[Wire], interval: Interval, told: str, *, in_parts: bool
    ) -> None:
        world = self.world
        for wire in members:
            if in_parts:
                text = orjson.loads(encode_live(interval))
                world.network.send(wire, is_up=False, event="changed", parts=(text,))
                continue
            if not interval.is_whole and world.chance.random() < 0.5:
                world.network.send(wire, is_up=False, event="behind", parts=())
                continue
            if not interval.is_whole or world.chance.random() < world.options.hint:
                whole = msgspec.structs.replace(interval, checkpoint=interval.head)
                text = encode_hint(whole)
            elif not interval.updates:
                # Nothing of the room's: the heartbeat carries the head.
                continue
            else:
                event = "news" if wire in self.told else "changed"
                text = told if wire in self.told else encode_live(interval)
                world.network.send(wire, is_up=False, event=event, parts=(orjson.loads(text),))
                continue
            world.network.send(wire, is_up=False, event="changed", parts=(orjson.loads(text),))
