#!/usr/bin/env bash
# How large a body an application may read that is mounted in another one (aiohttp).
#
# Version:     aiohttp 3.14.5.
# Expected:    `add_subapp("/inner", Application(client_max_size=10 MiB))` keeps what the inner
#              application allows, as it keeps its middlewares, its router and its own state.
# What it does: the limit is read from the application that the server runs, once a request, before
#              it is routed. So a body of 2 MiB, which the inner application takes when it is served
#              by itself, is answered 413 below one with the default of 1 MiB.
#              `request.clone(client_max_size=…)` reads with another limit.
# Output:      inner alone, 10 MiB allowed: 200
#              mounted, 10 MiB allowed: 413
#              mounted, read through a clone: 200
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet aiohttp==3.14.5

cat >"$folder/try.py" <<'PROGRAM'
import asyncio
import io

import aiohttp
from aiohttp import web

MIB = 1024 * 1024


async def read(request):
    await request.read()
    return web.Response()


async def read_clone(request):
    await request.clone(client_max_size=10 * MIB).read()
    return web.Response()


def inner(limit):
    app = web.Application(client_max_size=limit)
    app.router.add_post("/read", read)
    app.router.add_post("/clone", read_clone)
    return app


def mounted(app):
    outer = web.Application()
    outer.add_subapp("/inner", app)
    return outer


async def status(app, path, size):
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
    async with aiohttp.ClientSession() as session:
        async with session.post(url, data=io.BytesIO(b"x" * size)) as answer:
            found = answer.status
    await runner.cleanup()
    return found


async def main():
    large = 2 * MIB
    print("inner alone, 10 MiB allowed:", await status(inner(10 * MIB), "/read", large))
    print("mounted, 10 MiB allowed:", await status(mounted(inner(10 * MIB)), "/inner/read", large))
    print(
        "mounted, read through a clone:",
        await status(mounted(inner(10 * MIB)), "/inner/clone", large),
    )


asyncio.run(main())
PROGRAM
said=$("$folder/venv/bin/python" "$folder/try.py")
echo "$said"
expected='inner alone, 10 MiB allowed: 200
mounted, 10 MiB allowed: 413
mounted, read through a clone: 200'
[ "$said" = "$expected" ] || { echo "this has changed" >&2; exit 1; }
