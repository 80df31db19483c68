#!/usr/bin/env bash
# A long-polling POST without a Content-Length, and python-engineio.
#
# Versions:    python-engineio 4.15.1 with its aiohttp driver, python-socketio 5.18.1, aiohttp 3.14.5.
# Expected:    the packets of a POST with "Transfer-Encoding: chunked" are read, as HTTP/1.1 has it
#              (RFC 9112, section 7.1), or the POST is refused (411).
# What it does: it answers 200 OK and reads nothing: the server takes as many bytes as
#              Content-Length says, none when it is missing. Go's client
#              (zishang520/socket.io/clients/socket/v3 3.0.6) sends every POST so with its default
#              transports, and its CONNECT is lost; so is that of any client behind a proxy that
#              sends bodies on in chunks.
# Output:      with a length:  OK, then CONNECT is answered
#              in chunks:      OK, then nothing is answered
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet python-engineio==4.15.1 python-socketio==5.18.1 aiohttp==3.14.5

cat >"$folder/try.py" <<'PROGRAM'
import asyncio
import json

import aiohttp
import socketio
from aiohttp import web


async def chunks():
    yield b"40"


async def attempt(session, url, body):
    query = "EIO=4&transport=polling"
    async with session.get(f"{url}?{query}") as answer:
        sid = json.loads((await answer.text())[1:])["sid"]
    async with session.post(f"{url}?{query}&sid={sid}", data=body) as answer:
        said = await answer.text()
    try:
        async with asyncio.timeout(1), session.get(f"{url}?{query}&sid={sid}") as answer:
            heard = (await answer.text())[:2]
    except TimeoutError:
        heard = ""
    return f"{said}, then {'CONNECT' if heard == '40' else 'nothing'} is answered"


async def main():
    server = socketio.AsyncServer(async_mode="aiohttp")
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/socket.io/"
    async with aiohttp.ClientSession() as session:
        print("with a length: ", await attempt(session, url, b"40"))
        print("in chunks:     ", await attempt(session, url, chunks()))
    await runner.cleanup()


asyncio.run(main())
PROGRAM
said=$("$folder/venv/bin/python" "$folder/try.py")
echo "$said"
expected='with a length:  OK, then CONNECT is answered
in chunks:      OK, then nothing is answered'
[ "$said" = "$expected" ] || { echo "this has changed" >&2; exit 1; }
