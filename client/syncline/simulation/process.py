"""A process of the simulated network: a real engine on a store that survives it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import msgspec

from syncline.bulk import BulkPlan
from syncline.change_log import Write
from syncline.conflicts import Strategy
from syncline.engine import Engine
from syncline.errors import ConflictError, RecordNotFound, StoreUnavailable
from syncline.models import Conflict, Key, Resolution, Update
from syncline.outcome import Outcome
from syncline.parking import unpark
from syncline.simulation.environment import Environment
from syncline.simulation.recorded import Fuse, RecordedStore, RecordedTransaction


EPOCH_MS = 1_700_000_000_000


class Crash(Exception):  # noqa: N818 - a planned accident
    """The process dies here."""


class Judge(Protocol):
    """Who looks at all that a process does."""

    def after_commit(self, process: "Process", what: str) -> None:
        """Look at what a commit wrote."""

    def after_offer(
        self,
        process: "Process",
        held: Mapping[Key, Update],
        updates: Sequence[Update],
        plan: BulkPlan,
    ) -> None:
        """Look at what became of a push, where `held` is what was held before."""


class Process(ABC):
    """
    A daemon, a replica, or a daemon that follows another: its store, and what it does with it.

    Attributes:
        upstream: whom it follows, if anybody. listens: whether others may follow it.
        engine: new after every crash. store: the same for ever.
        later_models: those it follows from its first restart on.
        is_up: whether it runs. starts: how often it began to.
    """

    def __init__(
        self,
        world: Environment,
        name: str,
        *,
        upstream: "Process | None",
        listens: bool,
        models: tuple[str, ...],
        strategies: dict[str, Strategy],
        judge: Judge,
    ) -> None:
        self.world = world
        self.name = name
        self.upstream = upstream
        self.listens = listens
        self.models = models
        self.later_models: tuple[str, ...] = ()
        self.strategies = strategies
        self.judge = judge
        self.store = RecordedStore()
        self.skew_s = world.chance.uniform(-1, 1) * world.options.skew_s
        self.is_up = False
        self.starts = 0
        self.settles_by_function = {m for m, s in strategies.items() if callable(s)}
        self.engine = self._new_engine()

    def _new_engine(self) -> Engine:
        options = self.world.options
        return Engine(
            self.store,
            new_nonce=self.world.new_nonce,
            now_ms=self._now_ms,
            follows=self.upstream is not None,
            listens=self.listens,
            strategy_of=lambda model: self.strategies[model],
            needs_ruling=self._needs_ruling,
            replica_id=self.name,
            ancestors_max=options.ancestors_max,
        )

    def _needs_ruling(self, model: str) -> bool:
        return self.listens and self.world.options.hooks and model == "m0"

    def _now_ms(self) -> int:
        return EPOCH_MS + int((self.world.timeline.now + self.skew_s) * 1000)

    # ---- living and dying ---------------------------------------------------------------

    def start(self) -> None:
        """Start the process on what the store holds."""
        if self.is_up:
            return
        self.is_up = True
        self.starts += 1
        self.store.fuse = None
        self.engine = self._new_engine()
        self.engine.open()
        self.engine.outbox.may_squash = not self.listens
        self.world.note(f"{self.name} started in epoch {self.engine.lineage.current[:4]}")
        if self.later_models and self.starts > 1:
            self.models = tuple(sorted({*self.models, *self.later_models}))
        self.began()

    def die(self) -> None:
        """Kill the process: what is not in the store is gone."""
        if not self.is_up:
            return
        self.is_up = False
        self.world.note(f"{self.name} died")
        self.ended()
        self.world.timeline.after(self.world.chance.uniform(0.05, 4.0), self.start)

    def guarded(self, action: Callable[[], object]) -> None:
        """Run an input of this process; a planned accident kills it."""
        if not self.is_up:
            return
        try:
            action()
        except (Crash, Fuse):
            self.die()

    def may_die(self) -> None:
        """Between two effects: perhaps die."""
        if self.world.happens(self.world.options.crash):
            raise Crash

    @abstractmethod
    def began(self) -> None:
        """Begin to talk to others."""

    @abstractmethod
    def ended(self) -> None:
        """Be silent from now on."""

    @abstractmethod
    def nudge(self) -> None:
        """Have those who follow told what is new, if there are any."""

    @abstractmethod
    def wrote(self) -> None:
        """Have all told that something was written here."""

    # ---- the store ----------------------------------------------------------------------

    @contextmanager
    def transaction(self, what: str, *, may_fail: bool = True) -> Iterator[RecordedTransaction]:
        """Return a transaction; what it committed is judged."""
        options = self.world.options
        if may_fail and self.world.happens(options.store_failure):
            raise StoreUnavailable("the disk is full, says the simulation")
        if may_fail and self.world.happens(options.fuse):
            self.store.fuse = self.world.chance.randint(0, 6)
        try:
            with self.store.write() as tx:
                yield tx
                if self.store.fuse is not None and self.world.chance.random() < 0.3:
                    raise Fuse
        finally:
            self.store.fuse = None
        self.judge.after_commit(self, what)

    def held(self) -> dict[Key, Any]:
        """Return all entries with their pending parts."""
        with self.store.read() as reader:
            return reader.entries(self.store.keys())

    # ---- what users do ------------------------------------------------------------------

    def write(self, writes: Sequence[Write], *, group: str | None = None) -> list[Update]:
        """Make local writes in one commit; the empty list when one could not be made."""
        try:
            with self.transaction("write") as tx:
                made = self.engine.write(tx, writes, group=group)
        except (RecordNotFound, ConflictError, StoreUnavailable):
            return []
        for update in made:
            if update.seq:
                self.world.ledger.works.append((self.name, update.key, update.rev))
            self.world.note(
                f"{self.name} wrote {update.model}/{update.record_id} {update.rev} "
                f"{bytes(update.body).decode()} group {group}"
            )
        self.wrote()
        return made

    def take_outcome(self, outcome: Outcome) -> None:
        """Tell whoever wants to know what came of taking the upstream's word."""
        for update, reason in outcome.refusals:
            self.world.ledger.refused.add(update.rev)
            self.world.note(f"{self.name} was refused {update.rev}: {reason}")
        for conflict in outcome.conflicts:
            self.world.note(
                f"{self.name} has a conflict on {conflict.model}/{conflict.record_id}: "
                f"{conflict.ours.rev} with {conflict.theirs.rev}"
            )
            if conflict.model in self.settles_by_function:
                delay = self.world.chance.uniform(0.0, 0.3)
                self.world.timeline.after(
                    delay,
                    lambda c=conflict: self.guarded(lambda: self.settle_by_function(c)),  # type: ignore[misc] # bound now
                )

    def settle_by_function(self, conflict: Conflict) -> None:
        """Do what the user's function says."""
        strategy = self.strategies[conflict.model]
        if callable(strategy):
            word = strategy(conflict)
            if isinstance(word, str):
                self.resolve(conflict, Resolution(word))
            elif word is not None:
                self.resolve(conflict, Resolution.MANUAL, msgspec.Raw(msgspec.json.encode(word)))

    def resolve(
        self, conflict: Conflict, resolution: Resolution, body: msgspec.Raw | None = None
    ) -> bool:
        """Settle a conflict, if it still stands as it was looked at."""
        try:
            with self.transaction("resolve") as tx:
                done, outcome = self.engine.resolve(tx, conflict, resolution, body)
        except StoreUnavailable:
            return False
        self.world.note(
            f"{self.name} resolved {conflict.model}/{conflict.record_id} as {resolution.value}: "
            f"{'done' if done else 'moved on'}"
        )
        self.take_outcome(outcome)
        self.wrote()
        return done

    def retry_parked(self) -> None:
        """Let parked records be pushed again."""
        with self.transaction("unpark", may_fail=False) as tx:
            unpark(tx)
        self.wrote()
