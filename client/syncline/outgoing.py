"""What a link has to tell its upstream: how much waits, what goes next, what is on its way."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from syncline.brake import Direction, deletions_of
from syncline.core import Core
from syncline.effects import Acknowledge
from syncline.errors import RecordTooLarge
from syncline.limits import PushLimits, TooLarge, units_of
from syncline.logs import Logger
from syncline.models import Answer, Key, Update
from syncline.outcome import Outcome
from syncline.parking import mind_limits, park
from syncline.protocol import Heartbeat, Welcome
from syncline.store.contract import Reader, Transaction
from syncline.unsent import Unsent


log = Logger("syncline")

PUSH_BYTES_MAX = 1024 * 1024
PUSH_ITEMS = 1500
"""The most updates of a push: small enough that the daemon and this end work at once."""
FIRST_ITEMS = 250
"""Those of the first push of a backlog: the daemon begins while this end reads the second."""
_FINAL = (Answer.APPLIED, Answer.REFUSED, Answer.PARKED)


class _Push(NamedTuple):
    updates: list[Update]
    deletions: Mapping[str, int]


class Outgoing:
    """
    The outbox, as the link sees it.

    Attributes:
        pending, conflicts, parked: how many records wait to be pushed, to be settled, and for
            their hooks to be mended; as of the last count.
        is_count_old: whether something was written since.
        settled: how many items were answered for good, ever.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._unsent = Unsent()
        self._pushed: dict[int, _Push] = {}
        self._writes = 0
        self._news: PushLimits | None = None
        self._barred: list[TooLarge] = []
        self._units_max = PUSH_ITEMS
        self._version = -1
        self.pending = 0
        self.conflicts = 0
        self.parked = 0
        self.is_count_old = True
        self.settled = 0

    # ---- what waits ---------------------------------------------------------------------

    @property
    def has_any(self) -> bool:
        """Whether anything waits here, or may."""
        return bool(self.pending or self.conflicts or self.is_count_old)

    def note_written(self, written: Sequence[Update] | None) -> None:
        """Take note of a commit; None for one of which nothing is known."""
        self.is_count_old = True
        self._writes += 1
        self._unsent.note_written(written)

    def note_met(self, updates: Sequence[Update]) -> None:
        """The list brought these."""
        self._unsent.note_met(updates)

    def note_outcome(self, outcome: Outcome) -> None:
        """Take note of what the upstream's word did here."""
        if outcome.must_push or outcome.conflicts:
            self._unsent.forget()
        if outcome.must_push:
            self.is_count_old = True

    def forget(self) -> None:
        """Read the store for the next push."""
        self._unsent.forget()

    async def count(self) -> None:
        """Count what waits."""
        written = self._writes
        self._version = self._core.engine.store.foreign_writes()
        self._take_counts(await self._core.read(_counts_of))
        if not (self.pending or self.conflicts or self.parked) and self._writes == written:
            self._unsent.note_empty()

    def count_now(self) -> None:
        """Count what waits, if it was not counted since the last write, whoever made it."""
        version = self._core.engine.store.foreign_writes()
        if self.is_count_old or version != self._version:
            self._version = version
            self._take_counts(self._core.writer.read_now(_counts_of))

    def heartbeat(self, cursor: int, heard: int, *, stalled: bool) -> Heartbeat:
        """Return what a heartbeat says, what waits counted anew."""
        self.count_now()
        return Heartbeat(
            cursor=cursor,
            pending=self.pending,
            conflicts=self.conflicts,
            stalled=stalled,
            heard=heard,
        )

    def _take_counts(self, counts: tuple[int, int, int]) -> None:
        self.pending, self.conflicts, self.parked = counts
        self.is_count_old = False

    # ---- limits -------------------------------------------------------------------------

    def note_welcome(self, welcome: Welcome) -> None:
        """Take note of how much the upstream takes."""
        self._news = PushLimits.of(welcome)
        self._units_max = PUSH_ITEMS
        self._core.learn_limits(self._news)

    def note_too_large(self, push_id: int, reason: str) -> None:
        """The upstream found a push too large, whatever its limits: push less at once."""
        push = self._pushed.pop(push_id, None)
        if push is None:
            return
        units = units_of(push.updates)
        self._units_max = max(len(units) // 2, 1)
        if len(units) == 1:
            self._barred.append(TooLarge(push.updates, f"{RecordTooLarge.code}: {reason}"))
        self.forget()

    async def mind_limits(self) -> None:
        """Once after a welcome, store what it said, and release what had been too large."""
        limits, self._news = self._news, None
        if limits is None:
            return
        released = await self._core.writer.run(lambda tx: mind_limits(tx, limits))
        if released:
            self.is_count_old = True
            log.info("update.released", count=released)

    async def _park(self, barred: Sequence[TooLarge]) -> None:
        """Keep back what can't be pushed, by name, and let the rest go on."""
        parked = await self._core.writer.run(lambda tx: park(tx, barred))
        self.is_count_old = True
        self._unsent.forget()
        for reason, updates in groupby(parked, itemgetter(1)):
            (first, _), *rest = updates
            log.error(
                "update.parked",
                model=first.model,
                record_id=first.record_id,
                rev=first.rev,
                count=1 + len(rest),
                reason=reason,
                principal=self._core.principal,
                hint="raise the daemon's limits, or write less at once",
            )

    # ---- pushes -------------------------------------------------------------------------

    async def collect(
        self, pushes: Sequence[int], welcome: Welcome | None
    ) -> tuple[list[Update], bool]:
        """
        Return what to push, and whether more waits behind it.

        From memory when that is known to be all, else from the store; what the upstream does not
        take is parked.

        Args:
            pushes: those that are on their way.
            welcome: how much the upstream takes at once.
        """
        await self.mind_limits()
        while True:
            barred, self._barred = self._barred, []
            if barred:
                await self._park(barred)
            known = self.collect_known(pushes, welcome)
            if known is not None:
                return known, False
            updates, has_more = self._collect_stored(pushes, welcome)
            self._barred += self._core.engine.outbox.too_large
            if not self._barred:
                return updates, has_more

    def _collect_stored(
        self, pushes: Sequence[int], welcome: Welcome | None
    ) -> tuple[list[Update], bool]:
        items_max, bytes_max = self._room_of(welcome)
        in_flight = self.in_flight(pushes)
        if not in_flight:
            items_max = min(items_max, FIRST_ITEMS)
        return self._core.writer.read_now(
            lambda reader: self._core.engine.collect(
                reader, items_max=items_max, bytes_max=bytes_max, in_flight=in_flight
            )
        )

    def collect_known(self, pushes: Sequence[int], welcome: Welcome | None) -> list[Update] | None:
        """Return all there is to push; None when the store must be read for it."""
        if self._news is not None or self._barred:
            return None
        items_max, bytes_max = self._room_of(welcome)
        known = None
        if not self.in_flight(pushes):
            # All of them together are no larger than one of them may be.
            bytes_max = min(bytes_max, self._core.engine.outbox.limits.sure_bytes)
            known = self._unsent.take(items_max=items_max, bytes_max=bytes_max)
        if known is None:
            self._unsent.forget()
        else:
            self._core.engine.outbox.forget_each(update.key for update in known)
        return known

    def _room_of(self, welcome: Welcome | None) -> tuple[int, int]:
        """Return how many updates, and how many bytes of them, go into a push."""
        if welcome is None:
            return PUSH_ITEMS, PUSH_BYTES_MAX
        bytes_max = min(PUSH_BYTES_MAX, welcome.message_bytes_max // 2)
        return min(self._units_max, welcome.push_items_max), bytes_max

    def note_push(self, push_id: int, updates: list[Update]) -> None:
        """
        Take note of a push that is about to go out.

        Raises:
            MassDeletion: what waits would empty the upstream, and this is a command that asks.
        """
        deletions = deletions_of(updates) if self._core.engine.guards_pushes else {}
        if deletions:
            self._core.writer.read_now(lambda r: self._core.engine.check_push(r, deletions))
        self._pushed[push_id] = _Push(updates, deletions)

    def in_flight(self, pushes: Sequence[int]) -> list[Update]:
        """Return what is on its way; a push that is not among `pushes` any more was lost."""
        self._pushed = {name: made for name, made in self._pushed.items() if name in pushes}
        return [update for made in self._pushed.values() for update in made.updates]

    def is_in_flight(self, key: Key, pushes: Sequence[int]) -> bool:
        """Tell whether a record is in a push that was not answered yet."""
        return any(update.key == key for update in self.in_flight(pushes))

    async def acknowledge(
        self, effect: Acknowledge, pushes: Sequence[int], *, has_more: bool
    ) -> Outcome | None:
        """
        Take the upstream's word on a push; None when that push is nobody's any more.

        Args:
            pushes: those that are still on their way. has_more: whether others follow.
        """
        push = self._pushed.pop(effect.push_id, None)
        if push is None:
            return None
        updates, deletions = push
        results, others = effect.answer.results, effect.answer.others
        self.settled += len(results) - len(others)
        self.settled += sum(result.answer in _FINAL for result in others)

        def job(tx: Transaction) -> Outcome:
            return self._core.engine.acknowledge(tx, updates, effect)

        outcome = await self._core.carry_out(job, weight=len(updates))
        self.note_outcome(outcome)
        if deletions:
            self._core.engine.note_deletions(Direction.PUSH, deletions)
        self._unsent.note_settled(is_clean=not others and outcome.is_empty)
        waiting = self._unsent.count
        if waiting is not None and not pushes:
            self._take_counts((waiting, 0, 0))
        elif has_more:
            self.is_count_old = True  # Counted when somebody asks, and at the backlog's end.
        else:
            await self.count()
        return outcome


def _counts_of(reader: Reader) -> tuple[int, int, int]:
    counts = reader.pending_counts()
    return counts.get("", 0), counts.get("conflict", 0), counts.get("parked", 0)
