"""The page that the README prints runs as it stands there."""

import re
from pathlib import Path


README = (Path(__file__).resolve().parents[2] / "README.md").read_text()


def test_the_page_of_the_readme_writes_and_hears(browser, site, daemon, records, tmp_path):
    (snippet,) = re.findall(r"```html\n(.*?)```", README, re.DOTALL)
    html = "<!doctype html>\n" + snippet.replace("http://127.0.0.1:8765", daemon.url)
    (tmp_path / "site" / "readme.html").write_text(html)
    page = browser.new_page()
    with page.expect_console_message(lambda message: message.text == "1 todos"):
        page.goto(f"{site}/readme.html")

    while not records(daemon):
        page.wait_for_timeout(50)
    assert {"2": {"id": "2", "title": "bread"}} == records(daemon)
