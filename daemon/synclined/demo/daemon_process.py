"""
The demo's daemon, the whole of its process: ``python -m synclined.demo.daemon_process``.

It reports its address on stdout, and drains when stdin ends or a signal comes.
"""

import argparse
import asyncio
import os
import signal

from synclined.app import Daemon
from synclined.demo.pipes import read_lines, write_line
from synclined.demo.rules import HOOKS, MODELS, authenticate
from synclined.demo.wire import Ready
from synclined.log import configure_logging
from synclined.notify import Notifier
from synclined.running import serve


DRAIN_TIMEOUT_S = 2.0


async def main(store: str) -> None:
    """Serve on a free port of the loopback interface."""
    daemon = Daemon(store=store, models=MODELS, authenticate=authenticate, hooks=HOOKS, pages=True)
    watching = asyncio.create_task(_end_with_parent(), name="demo-parent")
    await serve(
        daemon,
        host="127.0.0.1",
        port=0,
        drain_timeout_s=DRAIN_TIMEOUT_S,
        notifier=Notifier({}),
        on_ready=lambda url: write_line(Ready(url=url)),
    )
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def _end_with_parent() -> None:
    async for _ in read_lines():
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", required=True)
    configure_logging("error", "json")
    asyncio.run(main(parser.parse_args().store))
