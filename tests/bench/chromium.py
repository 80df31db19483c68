"""Drives a real Chromium, headless, with a profile of its own on the disk."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from processes import BenchFailed


sys.path.insert(0, str(Path(__file__).parent.parent / "browser"))
from headless import CHROMIUM, FLAGS  # noqa: E402 - found beside the tests of the browser


WAIT_MS = 120_000
BUNDLE = "/syncline.js"


@contextmanager
def open_browser(profile: Path) -> Iterator[Any]:
    """Start Chromium with that profile and give its context; an empty one is a first visit."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise BenchFailed("install playwright: pip install playwright") from error
    if not Path(CHROMIUM).exists():
        raise BenchFailed("install Chromium: apt install chromium")
    with sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            str(profile), executable_path=CHROMIUM, args=FLAGS, headless=True
        )
        context.set_default_timeout(WAIT_MS)
        try:
            yield context
        finally:
            context.close()


def open_bare_page(context: Any, url: str) -> Any:
    """Open a page of the daemon's origin that has the bundle's names and does nothing."""
    page = context.new_page()
    # Shown as a text it is a page of the daemon like any other; one that the driver answered
    # itself may not connect to this machine.
    page.goto(url + BUNDLE)
    page.add_script_tag(url=BUNDLE)
    return page


def cpu_s(profile: Path) -> float:
    """Return the processor time that the browser of that profile used, all of its processes."""
    wanted = f"--user-data-dir={profile}"
    used = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            if wanted in process.cmdline() and "--type=" not in " ".join(process.cmdline()):
                used += sum(sum(each.cpu_times()[:2]) for each in _family(process))
        except psutil.NoSuchProcess:
            continue
    return used


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]
