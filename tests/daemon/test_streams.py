"""Standard streams: what a daemon in another program writes there, and programs without them."""

import os
import signal
import subprocess
import sys
import urllib.request

import pytest


WAIT_S = 30
EMBEDDED = """
import sys
out = sys.stdout
{first}
import asyncio, logging, syncline
from aiohttp import web
from synclined.app import build_app

async def main():
    runner = web.AppRunner(build_app(access="anyone", store="memory:", models=["t"]))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{{runner.addresses[0][1]}}"
    async with syncline.connect(url, models=["t"]) as replica:
        await replica.model("t").put("1", {{}})
        await replica.link.wait_live(20)
    remote = await syncline.connect_remote(url)
    try:
        # The daemon warns of it.
        await remote.model("nope").get("1")
    except syncline.SynclineError:
        pass
    await remote.close()
    await runner.cleanup()
    out.write("ran")

asyncio.run(main())
"""


def run(first):
    program = EMBEDDED.format(first=first)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=WAIT_S, check=False
    )


def test_an_embedded_daemon_writes_to_no_standard_stream():
    done = run("")

    assert ("ran", "", 0) == (done.stdout, done.stderr, done.returncode)


def test_an_embedded_daemon_needs_no_standard_stream():
    done = run("sys.stdout = sys.stderr = sys.stdin = None")

    assert ("ran", 0) == (done.stdout, done.returncode)


def test_a_daemon_serves_and_drains_where_nobody_reads_its_log(start_unread):
    daemon, url = start_unread

    with urllib.request.urlopen(f"{url}/readyz", timeout=WAIT_S) as answer:
        assert 200 == answer.status
    daemon.send_signal(signal.SIGTERM)

    assert 0 == daemon.wait(WAIT_S)


@pytest.fixture(params=["closed", "nobody reads"])
def start_unread(request):
    command = [sys.executable, "-m", "syncline", "serve", "--port", "0", "--store", "memory:"]
    reading, writing = os.pipe()
    shell = ["sh", "-c", 'exec "$@" 2>&-', "sh"] if request.param == "closed" else []
    daemon = subprocess.Popen(
        [*shell, *command, "--log-level", "debug"],
        stdout=subprocess.PIPE,
        stderr=writing,
        text=True,
    )
    os.close(writing)
    os.close(reading)
    yield daemon, daemon.stdout.readline().split()[-1]
    daemon.kill()
    daemon.wait(WAIT_S)
    daemon.stdout.close()


def test_a_command_without_standard_output_is_no_bug(tmp_path):
    command = [sys.executable, "-m", "syncline"]
    database = str(tmp_path / "a.db")
    subprocess.run([*command, "put", database, "t", "1", "a=1"], check=True, capture_output=True)

    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command, "find", database, "t"],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stderr)
