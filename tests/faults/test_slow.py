"""Slow readers: bounded, cut when they read nothing, level later; the others get everything."""

import pytest
import slow
from harness import Daemon


LISTENERS = 8
WRITES = 500
RSS_KIB_MAX = 16 * 1024
"""Both slow ones, each with a window; the rest is what a daemon takes while it writes at all."""


@pytest.fixture
def daemon(tmp_path):
    made = Daemon(tmp_path, toml=slow.TOML)
    made.start()
    yield made
    made.close()


async def test_slow_readers_are_bounded_and_level_later_and_the_others_get_everything(daemon):
    figures = await slow.told(daemon, listeners=LISTENERS, writes=WRITES, with_slow=True)

    assert LISTENERS * WRITES == len(figures.late)
    assert figures.rss_kib[-1] - figures.rss_kib[0] < RSS_KIB_MAX
    assert "subscriber.behind" in daemon.child.log
    assert "subscriber.cut" in daemon.child.log
