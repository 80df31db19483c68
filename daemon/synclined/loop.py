"""The event loop of the daemon's process: uvloop's where it is installed, else asyncio's own."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run the work to its end, as `asyncio.run` does; `pip install syncline[speed]` has uvloop."""
    factory = _loop_factory()
    if factory is None:
        asyncio.run(work)
        return
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    # Not where the work is run: all that it raises would be logged as raised beside this.
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
