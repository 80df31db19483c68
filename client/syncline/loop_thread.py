"""An event loop on a thread of its own, for programs without one."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from syncline.errors import HookFailed, ReplicaClosed, WrongLoop, WrongPlace, WrongProcess


_T = TypeVar("_T")

END_S = 5.0
"""How long what still runs on the loop is given when that ends; it was cancelled."""


class LoopThread:
    """
    An event loop on a daemon thread; any other thread may call.

    A call returns, or raises by name: also when the loop is closed meanwhile, or was left behind
    by a fork.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._calls: set[concurrent.futures.Future[Any]] = set()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="syncline-loop", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._cancel_all())
        finally:
            self._loop.close()

    async def _cancel_all(self) -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest, timeout=END_S)

    @property
    def is_forked(self) -> bool:
        """Whether this is another process than the loop's."""
        return os.getpid() != self._process

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._is_closed

    @property
    def is_own_thread(self) -> bool:
        """Whether the caller is on the loop's thread."""
        return threading.current_thread() is self._thread

    def call(self, work: Coroutine[Any, Any, _T]) -> _T:
        """
        Run a coroutine on the loop and return its answer.

        Raises:
            ReplicaClosed, WrongProcess: the loop does not run any more, or not here. WrongLoop:
                this is the loop's own thread, which would wait for itself.
        """
        future = self._begin(work)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            if self._is_closed:
                raise _closed() from None
            raise
        except BaseException:
            # Interrupted: nobody wants the answer any more.
            future.cancel()
            raise
        finally:
            self._calls.discard(future)

    def ask(self, question: Callable[[], _T]) -> _T:
        """Return what a function returns on the loop."""

        async def asked() -> _T:
            return question()

        return self.call(asked())

    def soon(self, function: Callable[[], object]) -> None:
        """Call a function on the loop; not at all where that has ended."""
        if self.is_forked:
            return
        with self._lock:
            if not self._is_closed:
                self._loop.call_soon_threadsafe(function)

    def _begin(self, work: Coroutine[Any, Any, _T]) -> concurrent.futures.Future[_T]:
        refusal = self._refusal()
        if refusal is None:
            # Not before: in a forked process nobody would ever give the lock back.
            with self._lock:
                if not self._is_closed:
                    future = asyncio.run_coroutine_threadsafe(work, self._loop)
                    self._calls.add(future)
                    return future
            refusal = _closed()
        work.close()
        raise refusal

    def _refusal(self) -> WrongPlace | None:
        if self.is_forked:
            return WrongProcess(
                "the replica was opened before this process was forked",
                hint="open a replica in each process, after the fork; they may share a file",
            )
        if self.is_own_thread:
            return WrongLoop(
                "a blocking call on the replica's own thread would wait for itself",
                hint="in an `async def` callback; write it as `def`, which has a thread of its own",
            )
        return _closed() if self._is_closed else None

    def close(self) -> None:
        """Stop the loop, and wait for its thread; closing twice is harmless."""
        if self.is_forked:
            return
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        # What was asked at the last moment was never begun.
        for future in tuple(self._calls):
            future.cancel()


def _closed() -> ReplicaClosed:
    return ReplicaClosed(
        "the replica is closed", hint="open it again; a `with` block closes it at its end"
    )


async def on_thread(function: Callable[..., _T], *args: Any) -> _T:
    """
    Call a user's function on a thread of its own, and return its answer.

    It may do whatever a program does, for as long as it likes; a program that ends leaves it.
    """
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[_T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(answer: _T | None, error: Exception | None) -> None:
        if answered.done():
            return
        if error is not None:
            answered.set_exception(error)
        else:
            answered.set_result(answer)  # type: ignore[arg-type] # None may be an answer

    def run() -> None:
        answer: _T | None = None
        failure: Exception | None = None
        try:
            answer = context.run(function, *args)
        except StopIteration as error:
            failure = _failed(error)
        except Exception as error:  # noqa: BLE001 - it goes to whoever asked
            failure = error
        except BaseException as error:  # noqa: BLE001 - `sys.exit` ends no loop but the program's
            failure = _failed(error)
        # Where the loop is closed nobody waits any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, answer, failure)

    threading.Thread(target=run, name="syncline-callback", daemon=True).start()
    return await answered


def _failed(error: BaseException) -> HookFailed:
    failure = HookFailed(f"a callback raised {error!r}")
    failure.__cause__ = error
    return failure
