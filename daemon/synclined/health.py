"""The health door: whether the process lives, and whether it can serve."""

import asyncio
from collections.abc import Callable
from importlib.metadata import version

from aiohttp import web

from syncline.errors import SynclineError
from syncline.logs import Logger
from syncline.protocol import PROTOCOL_VERSION
from syncline.replica import Replica
from synclined.loop_lag import Lag


log = Logger("synclined")

STORE_TIMEOUT_S = 5.0


async def store_answers(replica: Replica) -> bool:
    """Tell whether the store answers within its time."""
    try:
        async with asyncio.timeout(STORE_TIMEOUT_S):
            await replica.head()
    except (SynclineError, TimeoutError):
        return False
    except Exception:
        log.exception("store.broke")
        return False
    return True


def add_health(
    app: web.Application,
    replica: Callable[[], Replica | None],
    is_draining: Callable[[], bool],
    loop_lag: Callable[[], Lag],
) -> None:
    """Add `/healthz`, `/readyz` and `/version`."""

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_request: web.Request) -> web.Response:
        open_replica = replica()
        if is_draining():
            return web.json_response({"status": "draining"}, status=503)
        if open_replica is None or not await store_answers(open_replica):
            return web.json_response({"status": "store does not answer"}, status=503)
        return web.json_response({"status": "ready", "loop_lag": loop_lag()._asdict()})

    async def show_version(_request: web.Request) -> web.Response:
        return web.json_response({"syncline": version("syncline"), "protocol": PROTOCOL_VERSION})

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/version", show_version)
