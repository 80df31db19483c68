"""The README's snippets, run as they are printed."""

import re
import subprocess
from pathlib import Path


PACKAGE = Path(__file__).resolve().parents[2] / "client" / "browser"


def snippet(kind):
    return re.search(rf"```{kind}\n(.*?)```", (PACKAGE / "README.md").read_text(), re.DOTALL)[1]


def test_page_of_the_readme_shows_what_it_wrote(site, daemon, browser, tmp_path, records):
    page = snippet("html page").replace("location.origin", f'"{daemon.url}"')
    (tmp_path / "site" / "readme.html").write_text(page)
    tab = browser.new_page()

    tab.goto(f"{site}/readme.html")

    tab.wait_for_function("document.querySelector('#todos').textContent === 'milk'")


def test_service_of_the_readme_finds_what_it_wrote(node, new_daemon, tmp_path, records):
    daemon = new_daemon()
    modules = tmp_path / "node_modules"
    modules.mkdir()
    (modules / "syncline").symlink_to(PACKAGE)
    code = snippet("js node").replace("http://127.0.0.1:8765", daemon.url)
    (tmp_path / "service.mjs").write_text(code)

    command = ["node", "service.mjs"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert "[ { id: '2', title: 'bread' } ]" == done.stdout.strip(), done.stderr
    assert {"2"} == set(records(daemon))
