"""The page that the README prints runs as it stands there, from wherever it comes."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from synclined.pages import serving


README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
ADDRESS = "http://127.0.0.1:8765"
WAIT_S = 30
(SNIPPET,) = re.findall(r"```html\n(.*?)```", README, re.DOTALL)
NEWS = "document.querySelector('pre').textContent === "


@pytest.fixture(scope="module")
def _served_bundle(bundle):
    """Put a bundle of now where a daemon of this checkout looks for it."""
    place = serving.PLACES[0]
    place.parent.mkdir(exist_ok=True)
    fresh = place.with_name(".readme.js")
    shutil.copy(bundle, fresh)
    fresh.replace(place)


@pytest.fixture
def serve(_served_bundle, tmp_path):
    """Start a daemon as the README says; return its address."""
    running = []

    def start(*options):
        command = [sys.executable, "-m", "synclined", "serve", "--port", "0", *options]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=tmp_path
        )
        running.append(process)
        for line in process.stdout:
            if found := re.search(r"serving at (\S+)", line):
                return found[1]
        raise AssertionError("it did not start")

    yield start
    for process in running:
        process.terminate()
        process.wait(WAIT_S)
        process.stdout.close()


def put(url, record_id, title):
    """Write as another client, the command."""
    command = [sys.executable, "-m", "synclined", "put", url, "todo", record_id, f"title={title}"]
    subprocess.run(command, check=True, timeout=WAIT_S, capture_output=True)


def find(url):
    command = [sys.executable, "-m", "synclined", "find", url, "todo", "--json"]
    return subprocess.run(
        command, check=True, timeout=WAIT_S, capture_output=True, text=True
    ).stdout


def exchange(page, url):
    """The page shows what another wrote, and another gets what is written on the page."""
    put(url, "1", "milk")
    page.wait_for_function(NEWS + "'milk'")
    page.fill("input", "bread")
    page.press("input", "Enter")
    page.wait_for_function("document.querySelector('pre').textContent.includes('bread')")


def until_found(page, url, text):
    for _ in range(100):
        if text in find(url):
            return
        page.wait_for_timeout(50)
    raise AssertionError(find(url))


def write_page(folder, url):
    folder.mkdir(exist_ok=True)
    (folder / "index.html").write_text(SNIPPET.replace(ADDRESS, url))


def test_page_in_a_folder_of_pages_is_one_process(browser, serve, tmp_path):
    folder = tmp_path / "pages"
    folder.mkdir()
    url = serve("--pages", "pages")
    write_page(folder, url)
    one, other = browser.new_page(), browser.new_page()
    one.goto(f"{url}/")
    other.goto(f"{url}/")

    exchange(one, url)

    other.wait_for_function("document.querySelector('pre').textContent.includes('bread')")
    until_found(one, url, "bread")
    one.goto(f"{url}/dashboard")
    one.get_by_role("cell", name="todo", exact=True).wait_for()


def test_page_from_a_dev_server_is_let_in_by_its_origin(browser, serve, site, tmp_path):
    url = serve("--origin", site, "--origin", "file")
    write_page(tmp_path / "site", url)
    page = browser.new_page()
    page.goto(f"{site}/")

    exchange(page, url)

    until_found(page, url, "bread")


def test_page_opened_as_a_file_is_let_in_when_one_says_so(browser, serve, tmp_path):
    url = serve("--origin", "http://localhost:5173", "--origin", "file")
    write_page(tmp_path / "pages", url)
    page = browser.new_page()
    page.goto((tmp_path / "pages" / "index.html").as_uri())

    exchange(page, url)

    until_found(page, url, "bread")


def test_page_opened_as_a_file_is_told_how_it_is_let_in(browser, serve, tmp_path):
    url = serve()
    write_page(tmp_path / "pages", url)
    page = browser.new_page()

    with page.expect_console_message(lambda message: "--origin" in message.text):
        page.goto((tmp_path / "pages" / "index.html").as_uri())
