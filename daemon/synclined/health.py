"""The health door: whether the process lives, and whether it can serve."""

import asyncio
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from aiohttp import web

from syncline.errors import SynclineError
from syncline.logs import Logger
from syncline.protocol import PROTOCOL_VERSION
from syncline.replica import Replica
from synclined.loop_lag import Lag
from synclined.origins import Origins


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
    origins: Origins,
) -> None:
    """
    Add `/healthz`, `/readyz` and `/version`.

    Any page may read `/version`, which tells it whether pages of its origin are let in: a browser
    does not say why a WebSocket was refused.
    """

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_request: web.Request) -> web.Response:
        open_replica = replica()
        if is_draining():
            return web.json_response({"status": "draining"}, status=503)
        if open_replica is None or not await store_answers(open_replica):
            return web.json_response({"status": "store does not answer"}, status=503)
        return web.json_response({"status": "ready", "loop_lag": loop_lag()._asdict()})

    async def show_version(request: web.Request) -> web.Response:
        told: dict[str, Any] = {"syncline": version("syncline"), "protocol": PROTOCOL_VERSION}
        origin = request.headers.get("Origin")
        if origin is not None:
            told["origin"], told["origin_allowed"] = origin, origins.allow(request, origin)
        return web.json_response(told, headers={"Access-Control-Allow-Origin": "*"})

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/version", show_version)
