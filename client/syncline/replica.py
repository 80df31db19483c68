"""A replica: a database with a change list, its models and its conflicts."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import msgspec

from syncline.beside import Beside
from syncline.brake import SHARE_MAX, Brake
from syncline.clock import stamp_at
from syncline.core import Core
from syncline.ending import CLOSE_TIMEOUT_S, Ending
from syncline.engine import Engine
from syncline.errors import ConfigError
from syncline.foreign import ForeignWrites
from syncline.hooks import Hooks
from syncline.linked import Linked
from syncline.logs import Logger
from syncline.model import Model
from syncline.models import (
    BulkResult,
    Conflict,
    Interval,
    Resolution,
    Update,
)
from syncline.opening import Models, StoreLike, open_store, read_models
from syncline.parking import unpark
from syncline.place import Place
from syncline.protocol import PAGE_BYTES_MAX, RECORD_BYTES_MAX
from syncline.quarantine import Quarantined, open_engine
from syncline.receiving import Receiving
from syncline.resolving import OpenConflict, Resolving, Strategies, strategy_of
from syncline.revision import Revision
from syncline.schema import ModelSchema
from syncline.store.contract import ParkedRow
from syncline.transaction import ReplicaTransaction
from syncline.writer import Writer


log = Logger("syncline")

ALLOWED_S = 3600.0
PURGE_WEIGHT = 10_000


class Compaction(msgspec.Struct, frozen=True, kw_only=True):
    """
    What came of purging old tombstones.

    Attributes:
        purged: how many went.
        horizon: the seq up to which tombstones may be gone; a cursor behind it must resync.
    """

    purged: int
    horizon: int


class Replica(Linked):
    """
    A database with a change list.

    Open one with `Replica.open`, or with `syncline.connect` to have it follow a daemon.

    Attributes:
        quarantined: the damaged store that was put aside at the opening, or None.
    """

    def __init__(self, core: Core, resolving: Resolving, ending: Ending) -> None:
        super().__init__(core, ending)
        self.quarantined: Quarantined | None = None
        self._models: dict[str, Model] = {}
        self._receiving = Receiving(core)
        self._beside = Beside(core)
        self._resolving = resolving
        core.on_conflicts = resolving.settle_by_function

    @classmethod
    async def open(
        cls,
        store: StoreLike = "memory:",
        models: Models = None,
        *,
        strategies: Strategies = "manual",
        hooks: Hooks | None = None,
        follows: bool = False,
        listens: bool = False,
        synchronous: str = "normal",
        ancestors_max: int = 64,
        record_bytes_max: int = RECORD_BYTES_MAX,
        hook_deadline_s: float = 5.0,
        deletion_share_max: float = SHARE_MAX,
        close_timeout_s: float = CLOSE_TIMEOUT_S,
        now_ms: Callable[[], int] | None = None,
    ) -> Self:
        """
        Open a replica.

        Args:
            store: `"memory:"`, `"sqlite:///path"`, a path, or a `Store`.
            models: what it holds: names of schemaless models, `ModelSchema`s, SQLAlchemy tables
                or mapped classes, or a mapping of names to these; None lets every name be a
                schemaless model.
            strategies: the conflict strategy, or one a model; see `syncline.conflicts`.
            follows: its writes wait to be acknowledged by an upstream.
            listens: others will follow it.
            synchronous: `"normal"` or `"full"`, what a commit waits for; see `SqlStore`.
            deletion_share_max: the share of a model's records, 0 to 1, that a link deletes
                unasked; 1 for all. See `syncline.brake`.
            close_timeout_s: how long `close` goes on sending, in seconds.

        Raises:
            ConfigError: a model, a strategy or a deadline can't be.
            StoreError: the store can't be opened, by name.
        """
        names, schemas, tables = read_models(models)
        chosen = strategy_of(strategies)
        engine = Engine(
            open_store(store, tables=tables, synchronous=synchronous),
            new_nonce=_new_nonce,
            now_ms=now_ms or _now_ms,
            follows=follows,
            listens=listens,
            strategy_of=chosen,
            needs_ruling=_ruled_by(hooks or Hooks()),
            ancestors_max=ancestors_max,
            brake=Brake(share_max=deletion_share_max),
        )
        quarantined = await asyncio.get_running_loop().run_in_executor(
            None, open_engine, engine, schemas
        )
        declared: dict[str, ModelSchema | None] = dict.fromkeys(names)
        declared.update({schema.name: schema for schema in schemas})
        given = getattr(engine.store, "schemas", None)
        if given is not None:
            declared.update(given())
        place = Place()
        core = Core(
            engine,
            Writer(engine.store, groups=listens, place=place),
            place=place,
            schemas=declared,
            is_open=models is None,
            hooks=hooks or Hooks(),
            hook_deadline_s=hook_deadline_s,
            record_bytes_max=record_bytes_max,
        )
        # In memory of its own it is lost; a store that was handed in is the program's.
        is_kept = engine.store.is_shared or not isinstance(store, str)
        ending = Ending(core, timeout_s=close_timeout_s, is_kept=is_kept)
        replica = cls(core, Resolving(core, chosen), ending)
        replica.quarantined = quarantined
        await core.telling.start()
        if engine.store.typed_models:
            core.look_beside = replica._beside.look
        if engine.store.is_shared:
            ForeignWrites(core).start()
        if tables:
            await replica._beside.look()
        return replica

    def use_hooks(self, hooks: Hooks) -> None:
        """Ask these hooks from now on, in the place of those given before."""
        self.core.hooks = hooks
        self.core.engine.needs_ruling = _ruled_by(hooks)

    # ---- models and writes --------------------------------------------------------------

    @property
    def replica_id(self) -> str:
        """Who this replica is, to its upstream and in the origin of its changes."""
        return self.core.engine.author.replica_id

    def model(self, name: str) -> Model:
        """Return the handle of a model; raise `ModelUnknown`."""
        self.core.schema_of(name)
        handle = self._models.get(name)
        if handle is None:
            handle = self._models[name] = Model(self.core, name, self.bulk_update)
        return handle

    async def model_names(self) -> list[str]:
        """Return the names of the declared models, and of those that hold anything."""
        held = await self.core.read(lambda reader: reader.models())
        return sorted({*self.core.schemas, *held})

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["ReplicaTransaction"]:
        """
        Group writes to several records and models: one commit, one interval, whole everywhere.

        ``async with replica.transaction() as tx: tx.model("todo").put("1", {...})``
        The writes are made when the block ends, none if it raises.
        """
        transaction = ReplicaTransaction(self.core)
        yield transaction
        await transaction.commit()

    # ---- what others push here ----------------------------------------------------------

    async def bulk_update(
        self,
        updates: Sequence[Update],
        *,
        principal: Any = None,
        pusher: str = "",
        amended: Mapping[Revision, bytes] | None = None,
    ) -> BulkResult:
        """
        Apply updates that others made, each by its own verdict.

        Validation hooks are asked before the commit and without a lock; if the record moved
        meanwhile they are asked again.

        Args:
            principal: who pushes, for the hooks. pusher: the replica that pushes.
            amended: what this side keeps in the place of pushed data, by revision; see `BulkRules`.

        Raises:
            StoreUnavailable: the records moved faster than the hooks could rule; push again.
        """
        return await self._receiving.bulk_update(
            updates, principal=principal, pusher=pusher, amended=amended
        )

    async def interval(
        self, since: int, *, models: Sequence[str] | None, bytes_max: int = PAGE_BYTES_MAX
    ) -> Interval:
        """Return a page of changes of several models with their data."""
        return await self.core.read(
            lambda reader: self.core.engine.interval(
                reader, since, models=models, bytes_max=bytes_max
            ),
            large=True,
        )

    async def head(self) -> int:
        """Return the seq of the last change."""
        return await self.core.read(self.core.engine.head)

    # ---- conflicts ----------------------------------------------------------------------

    async def conflicts(
        self, *, open_only: bool = True, model: str | None = None
    ) -> list[OpenConflict]:
        """Return the conflict log, oldest first; with `open_only=False` the settled ones too."""
        found = await self.core.read(
            lambda reader: reader.conflicts(open_only=open_only, model=model)
        )
        return [OpenConflict(self._resolving, conflict) for conflict in found]

    async def resolve(
        self,
        conflict: Conflict,
        resolution: Resolution | str,
        data: Mapping[str, Any] | None = None,
    ) -> bool:
        """
        Settle an open conflict; the resolution replicates.

        Args:
            resolution: `"ours"`, `"theirs"`, `"latest"`, or `"manual"` with `data` (None deletes).

        Returns:
            whether it still stood as it was looked at; if not, look again.
        """
        return await self._resolving.resolve(conflict, resolution, data)

    # ---- upkeep, and the end ------------------------------------------------------------

    def allow_deletions(self, *, for_s: float = ALLOWED_S) -> None:
        """
        Let mass deletions through for a while; a link that was stopped by one goes on.

        Args:
            for_s: how long, in seconds; then the brake is on again.
        """
        self.core.place.check_thread()
        now_ms = self.core.engine.author.now_ms()
        self.core.engine.brake.lift(now_ms + int(for_s * 1000))
        if self.link is not None:
            self.link.go_on()

    async def compact(self, older_than_s: float) -> Compaction:
        """
        Purge the tombstones older than that, in seconds; what waits for an upstream stays.

        A follower that was away for longer takes the whole list again, and can't bring a deleted
        record back.

        Raises:
            ConfigError: a negative age.
        """
        if not older_than_s >= 0:
            raise ConfigError(f"older_than_s is {older_than_s}", hint="0 or more, in seconds")
        before = stamp_at(self.core.engine.author.now_ms() - int(older_than_s * 1000))
        upto = await self.core.read(
            lambda reader: self.core.engine.purgeable(reader, before), large=True
        )
        purged = 0
        if upto is not None:
            purged = await self.core.writer.run(
                lambda tx: self.core.engine.compact(tx, upto), weight=PURGE_WEIGHT
            )
            await self.core.telling.look()
            log.info("list.compacted", count=purged, checkpoint=upto)
        return Compaction(purged=purged, horizon=self.core.engine.horizon)

    def parked_rows(self) -> list[ParkedRow]:
        """
        Return the rows of models' own tables that make no record, or that can't hold theirs.

        All else goes on; what the rows hold is replicated once it can be read. Each is named in
        the log too.
        """
        return self._beside.parked()

    async def retry_parked(self) -> int:
        """Push again what the upstream could not rule on; return how many."""
        count = await self.core.writer.run(unpark)
        self.core.wake(None)
        return count

    async def close(self, timeout_s: float | None = None) -> int:
        """
        Send what waits, and close the link and the store; closing twice is harmless.

        It goes on sending until all is sent, up to a deadline; a daemon that is not reached at
        once is not waited for. The end of an `async with` block closes likewise. When the block,
        or the close, is cancelled, it sends for a second at most, or no more.

        Args:
            timeout_s: how long to go on sending, in seconds; None for what the replica was opened
                with, 0 for not at all.

        Returns:
            how many writes stay in the store, unsent; they are sent when it is next connected.

        Raises:
            UnsentWrites: they don't stay, for the store was in memory. It is closed all the same.
        """
        try:
            return await self._ending.run(self.link, timeout_s)
        finally:
            if self._ending.is_begun:
                self.link = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._ending.leave(self.link, error)
        finally:
            if self._ending.is_begun:
                self.link = None


def _ruled_by(hooks: Hooks) -> Callable[[str], bool]:
    """Return what tells whether a model has a validation hook."""
    ruled = frozenset(hooks.validate)
    return lambda model: model in ruled or "*" in ruled


def _new_nonce() -> str:
    return secrets.token_hex(8)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
