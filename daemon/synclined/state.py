"""
The daemon's own state, as a replicated read-only data source.

It lives in memory, beside the application's data and in a namespace of its own, so that its writes
never move an application's cursor.
Whatever looks at a daemon (its pages, a program, `syncline watch`) follows it as any other list;
while nobody looks it is not written, only sampled.

========== ==================================================================================
daemon     one record: version, start, address of nothing secret, head, connections
models     a record a model: how many records, and changes a second
replicas   a record a replica that follows, or did of late: principal, since when, how far behind,
           what it reports, and when it went away
samples    the last minutes, a record a second in a ring: rates, latency, memory
errors     the last errors, newest last
conflicts  what waits for a person here or at a replica, or did: base, ours and theirs
========== ==================================================================================
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import psutil

from syncline.errors import Forbidden, SynclineError
from syncline.filters import parse_where
from syncline.logs import Logger
from syncline.models import Update
from syncline.replica import Replica
from syncline.store.memory import MemoryStore
from syncline.store.query import Query
from synclined.absent import Absent
from synclined.access import Principal, may_watch, watcher
from synclined.inbox import Inbox
from synclined.loop_lag import Lag
from synclined.peers import Peer


log = Logger("synclined")

MODELS = ("daemon", "models", "replicas", "samples", "errors", "conflicts")
SAMPLES_KEPT = 180
ERRORS_KEPT = 50
TOMBSTONES_MAX = 256
"""With more of them the list is purged: replicas and conflicts come and go without end."""
LOOKS_AGAIN = 10
"""After so many rounds the conflict log is read unasked: another process may have written it."""
INTERVAL_S = 1.0
ALL = Query(condition=parse_where(None))
COUNT_SHARE_MAX = 0.02
"""Counting a model's records may take so much of the time: large ones are counted seldom."""

Authenticate = Callable[[str | None], Principal]


def watchers_only(authenticate: Authenticate) -> Authenticate:
    """Return what lets in who may see the daemon's state, to read and nothing else."""

    def admit(token: str | None) -> Principal:
        principal = authenticate(token)
        if not may_watch(principal):
            raise Forbidden(
                f"{principal.name} may not see the daemon's state",
                hint="it takes the right to read every model",
            )
        return watcher(principal)

    return admit


def _nobody(_here: Collection[str]) -> Sequence[Absent]:
    """Remember nobody."""
    return ()


class State:
    """
    Writes the daemon's state down where it changed, once a second while it is watched.

    Args:
        replica: the application's.
        peers: who is connected to it now. loop_lag: how long the event loop was held.
        absent: who went away of late, given the replicas that are connected.
        inbox: what its conflicts are read from.
        clock: seconds since 1970; the samples' ring goes by it.

    Attributes:
        is_watched: tells whether somebody looks; `catch_up` comes first.
    """

    def __init__(
        self,
        replica: Replica,
        peers: Callable[[], Sequence[Peer]],
        loop_lag: Callable[[], Lag],
        inbox: Inbox,
        clock: Callable[[], float] = time.time,
        absent: Callable[[Collection[str]], Sequence[Absent]] = _nobody,
    ) -> None:
        self._clock = clock
        self._replica = replica
        self._peers = peers
        self._loop_lag = loop_lag
        self._inbox = inbox
        self._absent = absent
        self.is_watched: Callable[[], bool] = _always
        self._process = psutil.Process()
        self._started_ms = time.time_ns() // 1_000_000
        self._errors: deque[dict[str, Any]] = deque(maxlen=ERRORS_KEPT)
        self._error_count = 0
        self._changes: Counter[str] = Counter()
        self._per_s: Mapping[str, int] = {}
        self._samples: dict[str, dict[str, Any]] = {}
        self._counted: dict[str, tuple[float, int]] = {}
        self._uncounted: set[str] = set()
        self._conflicts: dict[str, dict[str, Any]] = {}
        self._has_clashed = True
        self._rounds = 0
        self._tombstones = 0
        # As they were written: comparing with these costs less than asking the store.
        self._written: dict[str, dict[str, Mapping[str, Any]]] = {}
        self._telling = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._forget: Callable[[], None] = _nothing
        self._own: Replica | None = None

    @property
    def replica(self) -> Replica:
        """The replica that holds the state."""
        assert self._own is not None, "the state was not started"
        return self._own

    async def start(self) -> None:
        """Begin."""
        # One writer, and readers who never write: nobody has to know a revision's past.
        self._own = await Replica.open(MemoryStore(), MODELS, listens=True, ancestors_max=1)
        self._forget = self._replica.core.observers.listen(self._changed)
        await self._round()
        self._task = asyncio.create_task(self._run(), name="syncline-state")

    async def stop(self) -> None:
        """End."""
        self._forget()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._own is not None:
            await self._own.close()

    def note_error(self, who: str, code: str, reason: str) -> None:
        """Remember an error that somebody was told."""
        self._error_count += 1
        now_ms = time.time_ns() // 1_000_000
        self._errors.append(
            {"n": self._error_count, "at_ms": now_ms, "who": who, "error": code, "reason": reason}
        )

    def note_clash(self) -> None:
        """Look at the conflict log again."""
        self._has_clashed = True

    def _changed(self, updates: list[Update]) -> None:
        self._changes.update([update.model for update in updates])
        if not self._has_clashed:
            self._has_clashed = self._inbox.concerns(updates)

    async def catch_up(self) -> None:
        """Write down what nobody looked at until now."""
        if self._has_clashed:
            await self._unless_broken(self._look)
        await self._unless_broken(self._tell)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self._unless_broken(self._round)

    async def _unless_broken(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except SynclineError as error:
            log.warning("state.failed", error=error.code, reason=str(error))
        except Exception:
            log.exception("state.broke")

    async def _round(self) -> None:
        self._per_s, self._changes = self._changes, Counter()
        self._uncounted |= self._per_s.keys()
        self._samples.update(self._sample())
        self._rounds += 1
        is_watched = self.is_watched()
        # It reads the whole log, which is long where records collide all the time.
        if (self._has_clashed and is_watched) or self._rounds % LOOKS_AGAIN == 0:
            await self._look()
        if is_watched:
            await self._tell()

    async def _look(self) -> None:
        self._has_clashed = False
        self._conflicts = await self._inbox.look()

    async def _tell(self) -> None:
        """Write down how all is now; what is as it was makes no change."""
        async with self._telling:
            head = await self._replica.head()
            await self._set("daemon", {"daemon": self._daemon(head)}, is_whole=True)
            await self._set("models", await self._models(), is_whole=True)
            await self._set("replicas", self._replicas(head), is_whole=True)
            await self._set("samples", self._samples)
            errors = {f"{one['n'] % ERRORS_KEPT:02}": one for one in self._errors}
            await self._set("errors", errors)
            await self._set("conflicts", self._conflicts, is_whole=True)
            if self._tombstones > TOMBSTONES_MAX:
                # Whoever follows closely goes on from where it is; all others take the list anew.
                await self.replica.compact(0)
                self._tombstones = 0

    async def _set(
        self, model: str, records: Mapping[str, Mapping[str, Any]], *, is_whole: bool = False
    ) -> None:
        """Write records; what is as it was makes no change. A whole set drops all others."""
        written = self._written.setdefault(model, {})
        handle = self.replica.model(model)
        changed = {name: one for name, one in records.items() if written.get(name) != one}
        if changed:
            await handle.put_many([{**one, "id": name} for name, one in changed.items()])
            written.update(changed)
        gone = [name for name in written if name not in records] if is_whole else []
        for name in gone:
            await handle.delete(name)
            del written[name]
            self._tombstones += 1

    # ---- what there is to tell ----------------------------------------------------------

    def _daemon(self, head: int) -> dict[str, Any]:
        lineage = self._replica.core.engine.lineage
        return {
            "version": version("syncline"),
            "started_ms": self._started_ms,
            "source": lineage.source,
            "epoch": lineage.current,
            "head": head,
            "connections": len(self._peers()),
        }

    async def _models(self) -> dict[str, dict[str, Any]]:
        names = await self._replica.model_names()
        return {
            name: {"records": await self._count(name), "per_s": self._per_s.get(name, 0)}
            for name in names
        }

    async def _count(self, model: str) -> int:
        due, count = self._counted.get(model, (0.0, -1))
        if count >= 0 and (model not in self._uncounted or time.monotonic() < due):
            return count
        self._uncounted.discard(model)
        started = time.monotonic()
        count = await self._replica.core.read(lambda reader: reader.count(model, ALL), large=True)
        took = time.monotonic() - started
        self._counted[model] = (time.monotonic() + took / COUNT_SHARE_MAX, count)
        return count

    def _replicas(self, head: int) -> dict[str, dict[str, Any]]:
        here = {peer.replica_id: peer for peer in self._peers() if peer.replica_id}
        # Of those that are away, as it was when they went: their records are written once.
        away = {
            one.peer.replica_id: _replica(one.peer, one.peer.behind, away_ms=one.left_ms)
            for one in self._absent(here)
        }
        return away | {name: _replica(peer, peer.behind_at(head)) for name, peer in here.items()}

    def _sample(self) -> dict[str, dict[str, Any]]:
        now_s = int(self._clock())
        lag = self._loop_lag()
        sample = {
            "at_ms": now_s * 1000,
            "changes": sum(self._per_s.values()),
            "connections": len(self._peers()),
            "rss_mib": round(self._process.memory_info().rss / 2**20, 1),
            "cpu_share": round(self._process.cpu_percent() / 100, 3),
            "loop_lag_ms": lag.last_ms,
        }
        return {f"{now_s % SAMPLES_KEPT:03}": sample}


def _replica(peer: Peer, behind: int, *, away_ms: int = 0) -> dict[str, Any]:
    return {
        "principal": peer.principal.name,
        "since_ms": peer.since_ms,
        "away_ms": away_ms,
        "models": list(peer.models),
        "cursor": peer.cursor,
        "behind": behind,
        "pending": peer.pending,
        "conflicts": peer.conflicts,
        "stalled": peer.is_stalled,
    }


def _nothing() -> None:
    """Forget nobody."""


def _always() -> bool:
    """Take it that somebody looks."""
    return True
