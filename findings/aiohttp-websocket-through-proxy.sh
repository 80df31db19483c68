#!/usr/bin/env bash
# aiohttp's WebSockets and a forward proxy.
#
# Versions:    aiohttp 3.14.5, tinyproxy 1.11.1 (Debian 12, package tinyproxy-bin).
# Expected:    `ws_connect("ws://…", proxy="http://…")` reaches the server: RFC 6455, section 4.1,
#              has a client that uses a proxy ask it to open a TCP connection (CONNECT), whether or
#              not there is TLS in it.
# What it does: a tunnel is made for wss:// only. For ws:// the upgrade request itself is sent to the
#              proxy as "GET http://…"; the proxy passes that on without the hop-by-hop headers, as
#              RFC 9110 asks, so the server never sees an upgrade. The same proxy opens a
#              tunnel to the same server when it is asked to (by aiohttp-socks 0.12.0).
# Output:      proxy=            no WebSocket: 400, the server saw Upgrade: None
#              a tunnel          hello
set -euo pipefail
command -v tinyproxy >/dev/null || { echo "install the Debian package tinyproxy-bin" >&2; exit 2; }

folder=$(mktemp -d)
proxy=
finish() {
  [ -z "$proxy" ] || kill "$proxy" 2>/dev/null || true
  rm -rf "$folder"
}
trap finish EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet aiohttp==3.14.5 aiohttp-socks==0.12.0

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
printf 'Port %s\nListen 127.0.0.1\nAllow 127.0.0.1\n' "$port" >"$folder/tinyproxy.conf"
tinyproxy -d -c "$folder/tinyproxy.conf" >/dev/null 2>&1 &
proxy=$!

cat >"$folder/try.py" <<'PROGRAM'
import asyncio
import sys

import aiohttp
from aiohttp import web
from aiohttp_socks import ProxyConnector

proxy = f"http://127.0.0.1:{sys.argv[1]}"
seen = []


async def serve(request):
    seen.append(request.headers.get("Upgrade"))
    socket = web.WebSocketResponse()
    if not socket.can_prepare(request).ok:
        return web.Response(status=400)
    await socket.prepare(request)
    await socket.send_str("hello")
    await socket.close()
    return socket


async def attempt(session, url, **options):
    try:
        async with session, session.ws_connect(url, **options) as socket:
            return (await socket.receive()).data
    except aiohttp.WSServerHandshakeError as error:
        return f"no WebSocket: {error.status}, the server saw Upgrade: {seen[-1]}"


async def until_it_listens():
    for _ in range(500):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return
    raise SystemExit("the proxy does not listen")


async def main():
    await until_it_listens()
    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    print("proxy=           ", await attempt(aiohttp.ClientSession(), url, proxy=proxy))
    tunnel = aiohttp.ClientSession(connector=ProxyConnector.from_url(proxy))
    print("a tunnel         ", await attempt(tunnel, url))
    await runner.cleanup()


asyncio.run(main())
PROGRAM
said=$("$folder/venv/bin/python" "$folder/try.py" "$port")
echo "$said"
expected='proxy=            no WebSocket: 400, the server saw Upgrade: None
a tunnel          hello'
[ "$said" = "$expected" ] || { echo "this has changed" >&2; exit 1; }
