"""All of the demo's processes together: brought up in order, watched, taken down."""

import asyncio
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from synclined.demo.children import Child
from synclined.demo.lag import Lags
from synclined.demo.rules import PLAYERS
from synclined.demo.wire import Snapshot


MEMORY = "memory:"
REPLICAS = ("replica 1", "replica 2")
_T = TypeVar("_T")


class Cast:
    """
    A daemon and two replicas.

    Attributes:
        lags: of all writes that arrived. arrivals: of those that arrived at each replica.
    """

    def __init__(self, daemon: Child, replicas: tuple[Child, Child]) -> None:
        self.daemon = daemon
        self.replicas = replicas
        self.lags = Lags()
        self.arrivals = (Lags(), Lags())

    @property
    def url(self) -> str:
        """The daemon's address."""
        return self.daemon.ready.result().url

    @property
    def snapshots(self) -> tuple[Snapshot, Snapshot]:
        """The last snapshot of each replica."""
        one, two = self.replicas
        return one.snapshot, two.snapshot

    def gather_lags(self) -> None:
        """Take in the lags that were reported since the last call."""
        unbroken = [snapshot.unbroken_since_us for snapshot in self.snapshots]
        for child, arrivals in zip(self.replicas, self.arrivals, strict=True):
            while not child.snapshots.empty():
                samples = child.snapshots.get_nowait().lags_us
                self.lags.add(samples, unbroken)
                arrivals.add(samples, unbroken)

    async def cut(self, replica: Child, *, on_turn: bool = False) -> None:
        """Cut a replica off; it goes on writing."""
        self.gather_lags()
        await replica.ask("cut", on_turn=on_turn)
        replica.snapshot = msgspec.structs.replace(
            replica.snapshot, state="offline", unbroken_since_us=0
        )

    async def watch_over(self, work: Coroutine[Any, Any, _T]) -> _T:
        """
        Do some work while all processes run, and return what it returns.

        Raises:
            ChildDied: one of them ended, by name; the work was cancelled.
        """
        working = asyncio.create_task(work, name="demo-work")
        children = (self.daemon, *self.replicas)
        waits = {asyncio.create_task(child.died.wait()): child for child in children}
        try:
            await asyncio.wait({working, *waits}, return_when=asyncio.FIRST_COMPLETED)
            for wait, child in waits.items():
                if wait.done():
                    raise child.death()
            return await working
        finally:
            for task in (working, *waits):
                task.cancel()
            await asyncio.gather(working, *waits, return_exceptions=True)


@asynccontextmanager
async def raised(folder: Path | None, pace: str) -> AsyncIterator[Cast]:
    """
    Bring up the cast, and end it with the block, whatever happens.

    Args:
        folder: where the databases are; None to keep all in memory.
        pace: how the players play, one of `PACES`.
    """
    children: dict[str, Child] = {}

    async def start(name: str, module: str, **options: str) -> None:
        file = name.replace(" ", "-")
        store = MEMORY if folder is None else f"sqlite:///{folder / file}.db"
        children[name] = await Child.start(name, f"{__package__}.{module}", store=store, **options)

    try:
        await start("daemon", "daemon_process")
        daemon = children["daemon"]
        url = daemon.ready.result().url
        try:
            async with asyncio.TaskGroup() as group:
                for name, player in zip(REPLICAS, PLAYERS, strict=True):
                    options = {"url": url, "player": player, "pace": pace}
                    group.create_task(start(name, "replica_process", **options))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        yield Cast(daemon, (children[REPLICAS[0]], children[REPLICAS[1]]))
    finally:
        ending = asyncio.create_task(_end_all(children), name="demo-ending")
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            # A signal that comes this late changes nothing: they are being ended.
            await ending
            raise


async def _end_all(children: dict[str, Child]) -> None:
    """End the replicas, then the daemon."""
    daemon = children.pop("daemon", None)
    await asyncio.gather(*(child.end() for child in children.values()))
    if daemon is not None:
        await daemon.end()


@contextmanager
def stage(store: str, keep: str | None) -> Iterator[Path | None]:
    """Give the folder for the databases: None in memory, `keep`, or one that is removed."""
    if store == MEMORY:
        yield None
    elif keep is not None:
        folder = Path(keep).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    else:
        folder = Path(tempfile.mkdtemp(prefix="syncline-demo-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class Stopped(Exception):  # noqa: N818 - it is an end, not an error
    """A signal asked for the end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@asynccontextmanager
async def stopped_by_signals() -> AsyncIterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into `Stopped`, raised where the block waits."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    heard: list[int] = []

    def stop(number: int) -> None:
        if not heard:
            task.cancel()
        heard.append(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    except asyncio.CancelledError:
        if not heard:
            raise
        task.uncancel()
        raise Stopped(heard[0]) from None
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
