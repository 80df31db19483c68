"""Slow readers: bounded, cut when they read nothing, level later; the others get everything."""

import pytest
import slow
from harness import Daemon


LISTENERS = 8
WRITES = 500
RSS_KIB_MAX = 16 * 1024
"""Both slow ones, each with a window; the rest is what a daemon takes while it writes at all."""


ENDLESS = slow.TOML.replace(
    f"window_bytes_max = {slow.WINDOW_BYTES}", "window_bytes_max = 268435456"
).replace("send_timeout_s = 1.0", "send_timeout_s = 600")


@pytest.fixture
def new_daemon(tmp_path):
    made = []

    def start(toml):
        made.append(Daemon(tmp_path, toml=toml))
        made[-1].start()
        return made[-1]

    yield start
    for daemon in made:
        daemon.close()


async def test_slow_readers_are_bounded_and_level_later_and_the_others_get_everything(new_daemon):
    daemon = new_daemon(slow.TOML)
    figures = await slow.told(daemon, listeners=LISTENERS, writes=WRITES, with_slow=True)

    assert LISTENERS * WRITES == len(figures.late)
    assert figures.rss_kib[-1] - figures.rss_kib[0] < RSS_KIB_MAX
    assert "subscriber.behind" in daemon.child.log
    assert "subscriber.cut" in daemon.child.log


async def test_with_a_window_without_end_nobody_is_cut_and_the_harness_sees_it(new_daemon):
    daemon = new_daemon(ENDLESS)
    await slow.told(daemon, listeners=1, writes=WRITES, with_slow=True)

    assert "subscriber.behind" not in daemon.child.log
    assert "subscriber.cut" not in daemon.child.log
