"""What stands between a page and its daemon is named, though a browser does not say it."""

import shutil
import socket
import subprocess
import time

import pytest


WAIT_S = 30
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
UPGRADE = """
  proxy_http_version 1.1;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection upgrade;
  proxy_set_header Host $http_host;
"""
CONNECT = """async (url) => {
  syncline.setLogger(() => {});
  window.replica = await syncline.connect(url, {models: ["todo"], store: "memory:"});
}"""


@pytest.fixture
def nginx(tmp_path):
    """Start nginx with these locations; return its address."""
    if not shutil.which(NGINX):
        pytest.skip("nginx is not installed: apt install nginx-light")
    running = []

    def start(locations):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        temporary = "".join(
            f"{name}_temp_path {tmp_path}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (tmp_path / "nginx.conf").write_text(
            f"daemon off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log; events {{}}\n"
            f"http {{ access_log off; {temporary}\n"
            f"server {{ listen 127.0.0.1:{port}; {locations} }} }}\n"
        )
        command = [NGINX, "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]
        running.append(
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return f"http://127.0.0.1:{port}"
        raise AssertionError("nginx did not start")

    yield start
    for process in running:
        process.terminate()
        process.wait(WAIT_S)


def status_at(private, site, url):
    """Return the status of a page's replica that does not reach its daemon."""
    page = private.new_page()
    page.goto(site)
    page.evaluate(CONNECT, url)
    page.wait_for_function("replica.status.reason && replica.status.hint")
    return page.evaluate("replica.status")


def test_a_page_of_an_origin_that_is_not_let_in(private, site, new_daemon):
    status = status_at(private, site, new_daemon().url)

    assert ("offline", "origin_refused") == (status["state"], status["reason"])
    assert f"--origin {site}" in status["hint"]


def test_nothing_listens(private, site):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    status = status_at(private, site, f"http://127.0.0.1:{port}")

    assert "unreachable" == status["reason"]
    assert "syncline serve" in status["hint"]


@pytest.mark.parametrize(
    ("location", "reason", "word"),
    [
        pytest.param("{seen} return 200 'hello';", "no_daemon", "path", id="a page"),
        pytest.param("{seen} return 403;", "gateway_refused", "log in", id="a gateway"),
        pytest.param("proxy_pass {url};", "websocket_refused", "Upgrade", id="no upgrade"),
    ],
)
def test_what_stands_before_the_daemon(private, site, nginx, daemon, location, reason, word):
    seen = f"add_header Access-Control-Allow-Origin {site} always;"
    front = nginx(f"location / {{ {location.format(seen=seen, url=daemon.url)} }}")

    status = status_at(private, site, front)

    assert reason == status["reason"]
    assert word in status["hint"]


def test_a_daemon_below_a_path_is_followed_and_has_its_pages_there(
    private, site, nginx, daemon, records
):
    front = nginx(f"location /sync/ {{ proxy_pass {daemon.url}/; {UPGRADE} }}")
    page = private.new_page()
    page.goto(site)
    page.evaluate(CONNECT, f"{front}/sync")
    page.evaluate("replica.link.waitLive(20000)")
    page.evaluate("replica.model('todo').put('1', {}).then(() => replica.link.waitLive(20000))")
    assert {"1"} == set(records(daemon))

    for name in ("", "demo", "conflicts"):
        page.goto(f"{front}/sync/{name}")
        page.locator(".badge[data-state=live]").first.wait_for()
    page.get_by_role("link", name="Dashboard").click()
    page.wait_for_url(f"{front}/sync/dashboard")
