"""A real daemon, a real Chromium, and a site that serves the bundle."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import syncline


# The programs of the tests import each other by name.
sys.path.insert(0, str(Path(__file__).parent))
from headless import CHROMIUM, FLAGS  # noqa: E402 - found beside this file


WAIT_S = 30
PACKAGE = Path(__file__).resolve().parents[2] / "client" / "browser"
PAGE = """<!doctype html>
<meta charset="utf-8">
<title>syncline</title>
<script src="/syncline.js"></script>
"""


def needs_node():
    """Skip where the package can't be run."""
    if shutil.which("node") is None:
        pytest.skip("install node: apt install nodejs npm")
    if not (PACKAGE / "node_modules").is_dir():
        pytest.skip("install the package's dependencies: npm ci --prefix client/browser")


@pytest.fixture(scope="session")
def node():
    """Run `node` with these arguments to its end; return what it printed."""
    needs_node()

    def run(*args, env=None, code=0):
        done = subprocess.run(
            ["node", *map(str, args)],
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S * 3,
            env={**os.environ, **(env or {})},
        )
        assert code == done.returncode, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """Build the bundle as the wheel does, and return its path."""
    needs_node()
    path = tmp_path_factory.mktemp("bundle") / "syncline.js"
    command = ["npm", "run", "--silent", "bundle", "--", f"--outfile={path}", "--log-level=error"]
    subprocess.run(command, cwd=PACKAGE, check=True, timeout=WAIT_S)
    return path


class Daemon:
    """`syncline serve` on a free port, to be killed and started again on the same one."""

    def __init__(self, folder, origins=()):
        self.folder = folder
        self.port = 0
        self._origins = ",".join(["same", *origins])
        self.start()

    def start(self):
        command = [sys.executable, "-m", "synclined", "serve", "--store", "daemon.db"]
        command += ["--port", str(self.port), "--log-level", "warning"]
        self._log = (self.folder / "daemon.log").open("ab")
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=self.folder,
            env={**os.environ, "SYNCLINE_ORIGINS": self._origins},
        )
        for line in self._process.stdout:
            if "serving at" in line:
                self.url = next(word for word in line.split() if word.startswith("http"))
                break
        else:
            raise AssertionError((self.folder / "daemon.log").read_text())
        self.port = int(self.url.rpartition(":")[2])

    def end(self, number=signal.SIGTERM):
        if self._process.poll() is None:
            os.kill(self._process.pid, number)
        self._process.wait(WAIT_S)
        self._process.stdout.close()
        self._log.close()


@pytest.fixture
def new_daemon(tmp_path):
    made = []

    def start(origins=()):
        folder = tmp_path / f"daemon{len(made)}"
        folder.mkdir()
        made.append(Daemon(folder, origins))
        return made[-1]

    yield start
    for daemon in made:
        daemon.end()


@pytest.fixture
def site(bundle, tmp_path):
    """Serve a page with one script tag; return its address."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_text(PAGE)
    (folder / "other.html").write_text("<!doctype html><title>other</title>")
    shutil.copy(bundle, folder / "syncline.js")
    handler = partial(_Quiet, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def daemon(new_daemon, site):
    """A daemon that lets the site's pages in."""
    return new_daemon([site])


@pytest.fixture(scope="module")
def playwright():
    """Playwright's driver, for a module only: while it is there its loop runs on this thread."""
    api = pytest.importorskip(
        "playwright.sync_api", reason="install playwright: pip install playwright"
    )
    if not Path(CHROMIUM).exists():
        pytest.skip("install Chromium: apt install chromium")
    with api.sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="module")
def chromium(playwright):
    """One Chromium for a module."""
    made = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    yield made
    made.close()


@pytest.fixture
def private(chromium):
    """A private window: nothing that was there before, and nothing left of it afterwards."""
    context = chromium.new_context()
    context.set_default_timeout(WAIT_S * 1000)
    yield context
    context.close()


@pytest.fixture
def new_browser(playwright, tmp_path):
    """Start Chromium with an empty profile of its own, or with one that was used before."""
    made = []

    def start(profile="profile", **options):
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path / profile),
            executable_path=CHROMIUM,
            args=[*FLAGS, *options.pop("flags", ())],
            **options,
        )
        context.set_default_timeout(WAIT_S * 1000)
        made.append(context)
        return context

    yield start
    for context in made:
        context.close()


@pytest.fixture
def browser(new_browser):
    return new_browser()


def ask(url, question):
    """Return what `question(remote)` returns, asked of a daemon, on a thread with its own loop."""

    async def asking():
        async with await syncline.connect_remote(url) as remote:
            return await question(remote)

    # The browser's driver has a loop running on this thread.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, asking()).result(WAIT_S)


@pytest.fixture
def records():
    """Return a daemon's records by id."""

    def look(daemon, model="todo"):
        async def find(remote):
            return {record["id"]: record for record in await remote.model(model).find()}

        return ask(daemon.url, find)

    return look


@pytest.fixture
def head():
    """Return how many changes a daemon has listed."""

    def look(daemon):
        async def question(remote):
            return (await remote.head()).head

        return ask(daemon.url, question)

    return look


@pytest.fixture
def seeded(tmp_path):
    """Have a daemon hold so many records, pushed by a replica."""

    def seed(daemon, count):
        async def push():
            options = {"store": f"{tmp_path}/seed.db", "models": ["todo"]}
            async with syncline.connect(daemon.url, **options) as replica:
                rows = [{"id": f"{number:05}", "n": number} for number in range(count)]
                await replica.model("todo").put_many(rows)
                await replica.link.wait_live(WAIT_S)

        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, push()).result(2 * WAIT_S)

    return seed


CONNECT = """async ([url, store, options]) => {
  window.events = [];
  syncline.setLogger((level, event, fields) => events.push([level, event, fields]));
  window.replica = await syncline.connect(url, {models: ["todo"], store, ...options});
  window.todo = replica.model("todo");
}"""


@pytest.fixture
def open_page(site, daemon):
    """Open a page that follows the daemon as `replica`, and once it is live, return it."""

    def open_it(browser, store="indexeddb:todos", *, live=True, page=None, url=None, **options):
        page = page or browser.new_page()
        page.goto(site)
        page.evaluate(CONNECT, [url or daemon.url, store, options])
        if live:
            page.evaluate("replica.link.waitLive(20000)")
        return page

    return open_it
