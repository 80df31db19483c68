"""A folder of somebody's own pages, beside the daemon's: what goes out of it, and what does not."""

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from syncline.errors import ConfigError
from synclined.app import daemon_of
from synclined.config import load_settings
from synclined.pages.own import OwnPages


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "pages"
    (made / "deep").mkdir(parents=True)
    (made / ".git").mkdir()
    files = {
        "index.html": "<title>mine</title>",
        "app.mjs": "export {}",
        "deep/index.html": "<title>deep</title>",
        "demo": "never",
        ".env.html": "SECRET",
        ".git/config.txt": "SECRET",
        "syncline.db": "SECRET",
        "synclined.toml": "SECRET",
        "key.pem": "SECRET",
    }
    for name, text in files.items():
        (made / name).write_text(text)
    (tmp_path / "outside.html").write_text("SECRET")
    (made / "led.html").symlink_to(tmp_path / "outside.html")
    return made


@pytest.fixture
async def ask(folder):
    """Ask a daemon that serves the folder for a path as it stands."""
    settings = load_settings(None, {}, {"listen.pages_folder": str(folder), "store.url": "memory:"})
    daemon = daemon_of(settings)
    await daemon.start()
    runner = web.AppRunner(daemon.app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as session:

        async def get(path, **options):
            asked = URL(url + path, encoded=True)
            async with session.get(asked, allow_redirects=False, **options) as answer:
                return answer.status, await answer.text(), answer.headers

        yield get
    await daemon.drain(1.0)
    await runner.cleanup()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/", "mine"),
        ("/index.html", "mine"),
        ("/app.mjs", "export {}"),
        ("/deep/", "deep"),
        ("/dashboard", "syncline"),
        ("/demo", "syncline demo"),
        ("/pages/base.css", "color-scheme"),
        ("/api/note", "[]"),
    ],
)
async def test_what_pages_are_made_of_is_served_beside_what_the_daemon_has(ask, path, text):
    status, body, headers = await ask(path)

    assert 200 == status
    assert text in body
    if path in ("/app.mjs", "/"):
        # A page of one's own may have scripts in it, which the daemon's own may not.
        assert "Content-Security-Policy" not in headers
        assert "nosniff" == headers["X-Content-Type-Options"]


@pytest.mark.parametrize(
    "path",
    [
        "/syncline.db",
        "/synclined.toml",
        "/key.pem",
        "/.env.html",
        "/.git/config.txt",
        "/led.html",
        "/../outside.html",
        "/%2e%2e/outside.html",
        "/..%2foutside.html",
        "/deep/..%2f..%2foutside.html",
        "/index.html%00.css",
        "/none.html",
        "/deep/none/",
    ],
)
async def test_nothing_else_of_the_folder_goes_out(ask, path):
    status, body, _headers = await ask(path)

    assert 404 == status
    assert "SECRET" not in body


async def test_folder_without_its_slash_leads_to_the_one_with_it(ask):
    status, _body, headers = await ask("/deep")

    assert (302, "./deep/") == (status, headers["Location"])


async def test_page_that_a_browser_has_is_not_sent_again(ask):
    _status, _body, headers = await ask("/index.html")

    status, body, _headers = await ask("/index.html", headers={"If-None-Match": headers["ETag"]})

    assert (304, "") == (status, body)


async def test_page_that_is_written_later_takes_the_root(ask, folder):
    (folder / "index.html").unlink()
    assert "syncline" in (await ask("/"))[1]

    (folder / "index.html").write_text("<title>later</title>")

    assert "later" in (await ask("/"))[1]


def test_folder_that_is_not_there_is_said_at_the_start(tmp_path):
    with pytest.raises(ConfigError, match="there is no folder"):
        OwnPages(str(tmp_path / "none"))
