"""A child's end of the pipes: lines in on stdin, reports out on stdout."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

from synclined.demo.wire import LINE_BYTES_MAX, Report, encode_line


async def read_lines() -> AsyncIterator[bytes]:
    """Yield the lines of stdin until its other end is closed."""
    reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line


def write_line(report: Report) -> None:
    """Write a report; a parent that is gone is no error, stdin tells of it too."""
    try:
        sys.stdout.buffer.write(encode_line(report) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Python would try to flush what is left at its exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
