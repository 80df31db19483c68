"""What stands between a page and its daemon is named, though a browser does not say it."""

import socket

import pytest


CONNECT = """async (url) => {
  syncline.setLogger(() => {});
  window.replica = await syncline.connect(url, {models: ["todo"], store: "memory:"});
}"""


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
    front = nginx(f"location /sync/ {{ proxy_pass {daemon.url}/; {nginx.upgrade} }}")
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
