"""
Where a replica may be used: on the event loop that opened it, in that process, until it is closed.

Elsewhere a call would wait for ever: what wakes it happens on another loop, on another thread, or
in the process that was forked.
"""

import asyncio
import os
import threading
import weakref

from syncline.errors import ReplicaClosed, WrongLoop, WrongPlace, WrongProcess


_CLOSED = object()
_FORKED = object()

_CLOSED_HINT = "open it again; a `with` block closes it at its end"
_LOOP_HINT = (
    "asyncio.run_coroutine_threadsafe(…, loop) reaches it from another thread; "
    "syncline.blocking serves any thread"
)
_FORK_HINT = "open a replica in each process, after the fork; they may share a file"

_places: "weakref.WeakSet[Place]" = weakref.WeakSet()


class Place:
    """The place of one replica; that of the first check, unless it is made on a running loop."""

    def __init__(self) -> None:
        # One comparison is all that a call costs: a replica that is closed, or that was forked
        # away, is at home on no loop.
        self._home: object = asyncio._get_running_loop()  # noqa: SLF001 - listed in its __all__
        self._thread = threading.get_ident()
        _places.add(self)

    def check(self) -> None:
        """
        Do nothing on the replica's own running loop.

        Raises:
            ReplicaClosed, WrongLoop, WrongProcess: by name.
        """
        loop = asyncio._get_running_loop()  # noqa: SLF001 - as above
        if loop is self._home and loop is not None:
            return
        if self._home is None and loop is not None:
            self._home, self._thread = loop, threading.get_ident()
            return
        raise self._error("called on another event loop" if loop else "called on no running loop")

    def check_thread(self) -> None:
        """Do as `check`, for what waits for nothing: its thread will do, whether a loop runs."""
        if self._home in (_CLOSED, _FORKED):
            raise self._error("")
        if threading.get_ident() != self._thread:
            raise self._error("called on another thread")

    @property
    def is_forked(self) -> bool:
        """Whether this is another process than the replica's."""
        return self._home is _FORKED

    def leave(self) -> None:
        """Be at home nowhere any more: the replica is closed."""
        if self._home is not _FORKED:
            self._home = _CLOSED

    def leave_process(self) -> None:
        """Be at home nowhere: this is a forked process."""
        self._home = _FORKED

    def _error(self, said: str) -> WrongPlace:
        if self._home is _CLOSED:
            return ReplicaClosed("the replica is closed", hint=_CLOSED_HINT)
        if self._home is _FORKED:
            return WrongProcess(
                "the replica was opened before this process was forked", hint=_FORK_HINT
            )
        return WrongLoop(f"the replica was opened on another loop: {said}", hint=_LOOP_HINT)


def _note_fork() -> None:
    for place in list(_places):
        place.leave_process()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)
