"""
The one writer of a store: group commit, inline when small, on a thread when not.

What arrives while a transaction runs goes together into the next one; callers are answered after
the commit. A larger job can also be taken in steps, on the loop.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Any, Final, TypeVar

from syncline.errors import StoreUnavailable
from syncline.place import Place
from syncline.steps import Steps, at_once, in_turns
from syncline.store.contract import Reader, Store, Transaction


GROUP_WEIGHT_MAX = 10_000
TEND_AFTER_WEIGHT = 20_000
TEND_AFTER_S = 10.0
"""So long after a write the store is tended, however few there were."""
SLOW_COMMIT_S = 0.002
"""While large commits take longer, they are left to the thread, and the loop goes on."""


class NotNow(Enum):
    """What `run_now` answers when a job would have to wait."""

    NOT_NOW = "not now"


NOT_NOW: Final = NotNow.NOT_NOW

_T = TypeVar("_T")
_Job = Callable[[Transaction], Any]
_Waiting = tuple[_Job, int, "asyncio.Future[Any]"]


class Writer:
    """
    Runs jobs against a store, in order, several to a transaction.

    A job may run twice, when another one of its transaction failed, so it must change nothing
    but the store.

    Args:
        groups: only the first write in a turn of the loop commits at once; what several
            connections sent in the same turn shares one commit. A client's writes all commit
            at once.
        place: where it may be asked; elsewhere it refuses by name.
    """

    def __init__(self, store: Store, *, groups: bool = False, place: Place | None = None) -> None:
        self._store = store
        self._groups = groups
        self._place = place or Place()
        self._queue: deque[_Waiting] = deque()
        self._is_running = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="syncline-writer")
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="syncline-reader")
        self._untended = 0
        self._tending: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._turn_taken = False
        self._is_slow = False
        self._idle: asyncio.Future[None] | None = None

    async def run(self, job: Callable[[Transaction], _T], *, weight: int = 1) -> _T:
        """
        Run a job in a transaction and return its answer after the commit.

        Args:
            weight: about how many records it writes.
        """
        answer = self.run_now(job, weight=weight)
        if answer is not NOT_NOW:
            return answer
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._queue.append((job, weight, future))
        if not self._is_running:
            self._is_running = True
            asyncio.get_running_loop().call_soon(self._pump)
        return await future

    async def run_in_steps(self, job: Callable[[Transaction], Steps[_T]], *, weight: int = 1) -> _T:
        """
        Run a job as `run` does, a large one on the loop if it can be, with turns for others.

        That saves bulk work a sixth, which handing it to a thread and back costs.
        """
        self._place.check()
        store = self._store
        is_free = not (self._is_running or self._queue)
        if is_free and not self._is_slow and store.inline_max < weight <= store.steps_max:
            answer = await self._step(job, weight)
            if answer is not NOT_NOW:
                return answer
        return await self.run(lambda tx: at_once(job(tx)), weight=weight)

    async def _step(self, job: Callable[[Transaction], Steps[_T]], weight: int) -> _T | NotNow:
        self._is_running = True
        written = 0
        try:
            with self._store.write(wait=False) as tx:
                answer = await in_turns(job(tx))
            written = weight
        except StoreUnavailable:
            return NOT_NOW  # As in `run_now`.
        finally:
            self._go_on(written)
        return answer

    def run_now(self, job: Callable[[Transaction], _T], *, weight: int = 1) -> _T | NotNow:
        """Run a small job before anything else happens; `NOT_NOW` when it would have to wait."""
        self._place.check()
        small = weight <= self._store.inline_max
        if not small or self._is_running or self._queue or self._turn_taken:
            return NOT_NOW
        self._take_turn()
        try:
            with self._store.write(wait=False) as tx:
                answer = job(tx)
        except StoreUnavailable:
            return NOT_NOW  # Another process holds the lock: wait for it on the thread.
        self._count(weight)
        return answer

    def _take_turn(self) -> None:
        # The first of a turn of the loop commits at once; what else arrives in it shares the next.
        if self._groups:
            self._turn_taken = True
            asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._turn_taken = False

    async def read(self, job: Callable[[Reader], _T], *, large: bool = False) -> _T:
        """Run a job on a snapshot; a large one on a thread."""
        self._place.check()
        if not large and self._store.inline_max:
            return self.read_now(job)
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, job)

    def read_now(self, job: Callable[[Reader], _T]) -> _T:
        """Run a job on a snapshot, here."""
        with self._store.read() as reader:
            return job(reader)

    async def close(self) -> None:
        """Finish what was asked for, refuse the rest, and let go of the threads."""
        self._is_closed = True
        self._place.leave()
        if self._tending is not None:
            self._tending.cancel()
        if self._is_running:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle
        self._pool.shutdown(wait=True)
        self._readers.shutdown(wait=True)

    def _pump(self) -> None:
        batch: list[_Waiting] = []
        weight = 0
        while self._queue and weight < GROUP_WEIGHT_MAX:
            waiting = self._queue.popleft()
            if not waiting[2].cancelled():
                batch.append(waiting)
                weight += waiting[1]
        if not batch:
            self._rest()
            return
        if weight <= self._store.inline_max:
            outcome = _run_batch(self._store, batch, wait=False)
            if not isinstance(outcome, StoreUnavailable):
                self._finish(batch, outcome, weight)
                return
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._pool, _run_on_thread, self._store, batch)
        running.add_done_callback(lambda f: self._finish(batch, f.result(), weight))

    def _finish(self, batch: list[_Waiting], outcome: Any, weight: int) -> None:
        for (_, _, future), answer in zip(batch, outcome, strict=True):
            if future.done():
                continue
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        self._go_on(weight)

    def _go_on(self, written: int) -> None:
        """Take what waits, after so many records were written."""
        self._count(written)
        if written > self._store.inline_max:
            self._is_slow = self._store.commit_s > SLOW_COMMIT_S
        if self._queue:
            asyncio.get_running_loop().call_soon(self._pump)
        else:
            self._rest()

    def _rest(self) -> None:
        self._is_running = False
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _count(self, weight: int) -> None:
        self._untended += weight
        if self._untended >= TEND_AFTER_WEIGHT:
            self._tend()
        elif self._tending is None:
            self._tend_later()

    def _tend_later(self) -> None:
        if not self._is_closed:
            self._tending = asyncio.get_running_loop().call_later(TEND_AFTER_S, self._tend)

    def _tend(self) -> None:
        if self._tending is not None:
            self._tending.cancel()
            self._tending = None
        if not self._is_closed:
            self._untended = 0
            loop = asyncio.get_running_loop()
            loop.run_in_executor(self._readers, self._store.tend).add_done_callback(self._tended)

    def _tended(self, tending: "asyncio.Future[bool]") -> None:
        # What hinders it is met, and told, by whoever writes next.
        failed = tending.cancelled() or tending.exception() is not None
        if self._tending is None and (failed or not tending.result()):
            self._tend_later()


def _run_on_thread(store: Store, batch: list[_Waiting]) -> list[Any]:
    outcome = _run_batch(store, batch, wait=True)
    return [outcome] * len(batch) if isinstance(outcome, StoreUnavailable) else outcome


def _run_batch(store: Store, batch: list[_Waiting], *, wait: bool) -> Any:
    """
    Run all jobs in one transaction; when one fails, each in its own.

    Returns a `StoreUnavailable` itself when none was run to its end.
    """
    try:
        with store.write(wait=wait) as tx:
            return [job(tx) for job, _, _ in batch]
    except StoreUnavailable as error:
        return error
    except Exception as error:  # noqa: BLE001 - it goes to the job's caller
        if len(batch) == 1:
            return [error]
        if not wait:
            return StoreUnavailable("one of them failed: each in its own, on the thread")
    return [_run_single(store, job) for job, _, _ in batch]


def _run_single(store: Store, job: _Job) -> Any:
    try:
        with store.write(wait=True) as tx:
            return job(tx)
    except Exception as error:  # noqa: BLE001 - it goes to the job's caller
        return error
