"""
What stands between a replica and its daemon: proxies, paths, certificates, gateways, applications.

Each way in is tried with real programs; each that does not lead in is named, with what to do.
"""

import asyncio
import io
import json
import shutil
import socket
import ssl
import subprocess
import sys

import aiohttp
import pytest
from aiohttp import web

import syncline
from syncline.errors import ConfigError
from synclined.access import Principal
from synclined.app import DAEMON, build_app


WAIT_S = 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def until_it_listens(port, process):
    async with asyncio.timeout(WAIT_S):
        while True:
            assert process.returncode is None, "it ended"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return


@pytest.fixture
async def serve_app():
    """Serve an application on a free port, and return its address."""
    runners = []

    async def serve(app, **options):
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, **options).start()
        runners.append(runner)
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield serve
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
def new_daemon():
    """Return the application of a daemon."""

    def new(**options):
        return build_app(access="anyone", store="memory:", models=["todo"], pages=True, **options)

    return new


@pytest.fixture
async def run_program(tmp_path):
    """Run a program that listens on a port until the test ends."""
    running = []

    async def run(port, *command):
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=tmp_path,
        )
        running.append(process)
        await until_it_listens(port, process)

    yield run
    for process in running:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@pytest.fixture
async def proxy(run_program, tmp_path):
    """Start a forward proxy that makes tunnels; return its address."""
    program = shutil.which("tinyproxy")
    if program is None:
        pytest.skip("tinyproxy is not installed: apt install tinyproxy-bin")
    port = free_port()
    (tmp_path / "tinyproxy.conf").write_text(
        f"Port {port}\nListen 127.0.0.1\nTimeout 60\nAllow 127.0.0.1\n"
    )
    await run_program(port, program, "-d", "-c", str(tmp_path / "tinyproxy.conf"))
    return f"http://127.0.0.1:{port}"


async def reaches(url, daemon, **options):
    """Tell whether a write through that address is at the daemon, whose replica is asked."""
    async with syncline.connect(url, models=["todo"], **options) as replica:
        await replica.link.wait_live(WAIT_S)
        await replica.model("todo").put("1", {"title": "milk"})
        await replica.link.wait_live(WAIT_S)
    return await daemon.model("todo").get("1") == {"id": "1", "title": "milk"}


async def status_at(url, **options):
    """Return the status with which a replica does not reach that address."""
    async with syncline.connect(url, models=["todo"], **options) as replica:
        seen = asyncio.get_running_loop().create_future()

        def look(status):
            if status.reason and not seen.done():
                seen.set_result(status)

        replica.link.on_status(look)
        look(replica.status)
        async with asyncio.timeout(WAIT_S):
            return await seen


# ---- ways in ----------------------------------------------------------------------------


@pytest.mark.parametrize("taken_off", [True, False], ids=["path taken off", "whole path"])
async def test_behind_nginx_below_a_path(nginx, serve_app, run_program, taken_off, tmp_path):
    port = free_port()
    below = [] if taken_off else ["--base-path", "/sync"]
    await run_program(
        port,
        *(sys.executable, "-m", "synclined", "serve", "--store", "s.db", "--model", "todo"),
        *("--port", str(port), *below),
    )
    target = f"http://127.0.0.1:{port}" + ("/" if taken_off else "")
    front = nginx(f"location /sync/ {{ proxy_pass {target}; {nginx.upgrade} }}")
    url = f"{front}/sync"

    async with syncline.connect(url, models=["todo"]) as one:
        await one.link.wait_live(WAIT_S)
        await one.model("todo").put("1", {"title": "milk"})
        await one.link.wait_live(WAIT_S)
    async with await syncline.connect_remote(url) as remote:
        assert {"id": "1", "title": "milk"} == await remote.model("todo").get("1")
    async with aiohttp.ClientSession() as session:
        for path in ("/", "/demo", "/pages/shell.js", "/api/todos", "/readyz", "/metrics"):
            async with session.get(url + path) as answer:
                assert (path, 200) == (path, answer.status)
        async with session.get(f"{url}/api/openapi.json") as answer:
            assert all(
                path.startswith(("/sync/", "/api/")) for path in (await answer.json())["paths"]
            )
    status = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "synclined", "status", url), stdout=subprocess.PIPE
    )
    assert b"todo (1)" in (await status.communicate())[0]


async def test_mounted_in_another_application(serve_app, new_daemon):
    shop, daemon = web.Application(), new_daemon()
    shop.add_subapp("/sync", daemon)
    url = await serve_app(shop) + "/sync"

    assert await reaches(url, daemon[DAEMON].replica)
    async with aiohttp.ClientSession() as session:
        for path in ("/", "/demo", "/pages/shell.js", "/api/todos", "/readyz", "/api/"):
            async with session.get(url + path) as answer:
                assert (path, 200) == (path, answer.status)
        # More than a body of the application around it may have.
        body = json.dumps([{"id": f"large {n}", "text": "x" * 400_000} for n in range(4)]).encode()
        headers = {"Content-Type": "application/json"}
        async with session.post(
            f"{url}/api/todos", data=io.BytesIO(body), headers=headers
        ) as answer:
            assert (200, 4) == (answer.status, len(await answer.json()))


async def test_through_a_proxy(proxy, serve_app, new_daemon):
    daemon = new_daemon()
    url = await serve_app(daemon)

    assert await reaches(url, daemon[DAEMON].replica, proxy=proxy)


async def test_through_the_proxy_that_the_environment_names(
    proxy, serve_app, new_daemon, monkeypatch
):
    daemon = new_daemon()
    url = await serve_app(daemon)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    assert "proxy_failed" == (await status_at(url, proxy="environment")).reason

    monkeypatch.setenv("http_proxy", proxy)

    assert await reaches(url, daemon[DAEMON].replica, proxy="environment")


async def test_with_what_a_gateway_asks_for(serve_app, new_daemon, nginx):
    daemon = new_daemon()
    url = await serve_app(daemon)
    gate = "if ($http_x_gate != open) { return 403; }"
    front = nginx(f"location / {{ {gate} proxy_pass {url}; {nginx.upgrade} }}")

    assert await reaches(front, daemon[DAEMON].replica, headers={"X-Gate": "open"})
    assert await reaches(front, daemon[DAEMON].replica, headers=lambda: {"X-Gate": "open"})
    async with aiohttp.ClientSession(headers={"X-Gate": "open"}) as session:
        assert await reaches(front, daemon[DAEMON].replica, session=session)
        assert not session.closed
        async with await syncline.connect_remote(front, session=session) as remote:
            assert ["todo"] == await remote.model_names()


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that nobody else trusts."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt install openssl")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(key), "-out", str(cert)),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, ssl.create_default_context(cafile=cert)


async def test_with_a_certificate_of_ones_own(serve_app, new_daemon, certificate):
    daemon = new_daemon()
    url = await serve_app(daemon, ssl_context=certificate[0])
    url = url.replace("http", "https")
    refused = await status_at(url)

    assert ("certificate_invalid", "offline") == (refused.reason, refused.state)
    assert "ssl" in refused.hint
    connector = aiohttp.TCPConnector(ssl=certificate[1])
    async with aiohttp.ClientSession(connector=connector) as session:
        assert await reaches(url, daemon[DAEMON].replica, session=session)


# ---- ways that do not lead in -----------------------------------------------------------


async def test_nothing_listens():
    seen = await status_at(f"http://127.0.0.1:{free_port()}")

    assert "unreachable" == seen.reason
    assert "syncline serve" in seen.hint


async def test_no_tls_where_some_is_asked_for(serve_app, new_daemon):
    url = await serve_app(new_daemon())

    seen = await status_at(url.replace("http", "https"))

    assert "unreachable" == seen.reason
    assert url in seen.hint


@pytest.mark.parametrize(
    ("location", "reason", "word"),
    [
        pytest.param("location / {{ return 404; }}", "no_daemon", "path", id="something else"),
        pytest.param("location / {{ return 200 'hello'; }}", "no_daemon", "path", id="a page"),
        pytest.param("location / {{ return 403; }}", "gateway_refused", "headers", id="a gateway"),
        pytest.param(
            "location / {{ return 302 https://login.example/; }}",
            "gateway_refused",
            "headers",
            id="a login page",
        ),
        pytest.param(
            "location / {{ proxy_pass http://127.0.0.1:9; }}",
            "unreachable",
            "syncline serve",
            id="nothing behind it",
        ),
        pytest.param(
            "location / {{ proxy_pass {url}; }}",
            "websocket_refused",
            "Upgrade",
            id="upgrades are not passed on",
        ),
        pytest.param(
            "location / {{ proxy_pass {url}; proxy_set_header Origin http://elsewhere.example; }}",
            "origin_refused",
            "--origin http://elsewhere.example",
            id="an origin that is not let in",
        ),
    ],
)
async def test_what_stands_before_the_daemon_is_named(
    nginx, serve_app, new_daemon, location, reason, word
):
    front = nginx(location.format(url=await serve_app(new_daemon())))

    seen = await status_at(front)

    assert reason == seen.reason
    assert word in seen.hint


@pytest.mark.parametrize("token", [None, "unknown"])
async def test_a_token_that_is_missing_or_unknown(serve_app, token):
    def access(offered):
        if offered != "known":
            raise syncline.errors.Unauthenticated("the token is not known", hint="auth={...}")
        return Principal(name="ann")

    url = await serve_app(build_app(access=access, store="memory:", models=["todo"]))

    seen = await status_at(url, token=token)

    assert ("auth_required", "unauthenticated") == (seen.state, seen.reason)
    assert "token=" in seen.hint


async def test_a_proxy_that_is_not_there(serve_app, new_daemon):
    url = await serve_app(new_daemon())

    seen = await status_at(url, proxy="http://127.0.0.1:9")

    assert "proxy_failed" == seen.reason
    assert "proxy=" in seen.hint


@pytest.mark.parametrize("url", ["http://", "http:///sync", "127.0.0.1:8765", "http://a:b@host"])
def test_what_is_no_address_is_refused_at_once(url):
    with pytest.raises(ConfigError):
        syncline.connect(url, models=["todo"])


@pytest.mark.parametrize(
    "options",
    [{"proxy": "proxy:3128"}, {"proxy": "ftp://proxy"}, {"headers": {"X": 1}}, {"session": 1}],
    ids=str,
)
def test_options_that_can_not_be_are_refused_at_once(options):
    with pytest.raises(ConfigError):
        syncline.connect("http://127.0.0.1:8765", models=["todo"], **options)
