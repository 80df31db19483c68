"""Read single keys from the terminal, and leave it as it was."""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager


ESCAPE = "\x1b"
KEYS_MAX = 16


@contextmanager
def keys() -> Iterator["asyncio.Queue[str]"]:
    """
    Give a queue of the keys that are pressed, without echo.

    A key that sends several characters, such as an arrow, counts as Escape; Ctrl-C stays a signal.
    """
    file = sys.stdin.fileno()
    before = termios.tcgetattr(file)
    pressed: asyncio.Queue[str] = asyncio.Queue(KEYS_MAX)
    loop = asyncio.get_running_loop()

    def read() -> None:
        text = os.read(file, 64).decode(errors="ignore")
        for key in [ESCAPE] if text.startswith(ESCAPE) else text:
            if not pressed.full():
                pressed.put_nowait(key)
        if not text:
            # The terminal is gone.
            loop.remove_reader(file)
            pressed.put_nowait("q")

    tty.setcbreak(file)
    # Ctrl-Z would leave the alternate screen standing.
    raw = termios.tcgetattr(file)
    raw[6][termios.VSUSP] = b"\0"
    termios.tcsetattr(file, termios.TCSANOW, raw)
    loop.add_reader(file, read)
    try:
        yield pressed
    finally:
        loop.remove_reader(file)
        termios.tcsetattr(file, termios.TCSAFLUSH, before)
