"""
Configure logging: one event a line on stderr, JSON unless a terminal watches.

What other libraries log by the standard library comes out in the same form.
Where the journal reads, each line begins with its priority, as sd-daemon(3) has it, so that
``journalctl -p warning`` finds what it should; the journal takes that off again.
"""

import contextlib
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO, cast

import orjson
import structlog


_QUIET = {
    # Both add a handler of their own, unless a level was set before their server is made.
    "engineio.server": logging.ERROR,
    "socketio.server": logging.ERROR,
    "asyncio": logging.WARNING,
    # One line for every request; the doors write their own.
    "aiohttp.access": logging.WARNING,
}

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "exception": 3, "critical": 2}
"""By level, as syslog(3) numbers them."""

# Without the local variables: they hold records and tokens.
_tracebacks = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


class _Lasting(io.TextIOBase):
    """
    A stream that may go away: its terminal is closed, or the program at the pipe's other end ends.

    Then lines are lost, and whoever logs goes on.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._try(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(lambda stream: stream.flush())

    def _try(self, act: Callable[[TextIO], object]) -> None:
        if self._stream is None:
            return
        try:
            act(self._stream)
        except ValueError:  # It was closed.
            self._stream = None
        except OSError:
            if self._stream is sys.stderr:
                # What is buffered would be tried again as the process ends, and fail it.
                with contextlib.suppress(OSError), Path(os.devnull).open("w") as nowhere:
                    os.dup2(nowhere.fileno(), self._stream.fileno())

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        if self._stream is None:
            raise OSError("there is no stream")
        return self._stream.fileno()


def configure_logging(
    level: str,
    output: str,
    stream: TextIO | None = None,
    env: Mapping[str, str] = os.environ,
) -> None:
    """
    Configure structlog and the standard library's logging, for the whole process.

    May be called again, with another level or form.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        output: ``json``, ``console``, or ``auto``: ``console`` on a terminal, else ``json``.
        stream: where to; None for stderr.
        env: the environment: ``JOURNAL_STREAM`` says which stream the journal reads.
    """
    lasting = _Lasting(sys.stderr if stream is None else stream)
    is_terminal = lasting.isatty()
    has_colors = is_terminal and not os.environ.get("NO_COLOR")
    is_json = output == "json" or (output == "auto" and not is_terminal)
    level_number = getattr(logging, level.upper())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    ending: list[structlog.typing.Processor] = (
        [_tracebacks, structlog.processors.JSONRenderer(_dumps)]
        if is_json
        else [
            structlog.dev.ConsoleRenderer(
                # The default shows local variables where `rich` is installed.
                colors=has_colors,
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    )
    if _is_journal(lasting, env):
        ending.append(_with_priority)
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(level_number),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", lasting)),
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
    )
    handler = logging.StreamHandler(lasting)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level_number, handlers=[handler], force=True)
    for name, quiet_level in _QUIET.items():
        logging.getLogger(name).setLevel(max(level_number, quiet_level))


def _is_journal(stream: _Lasting, env: Mapping[str, str]) -> bool:
    """Tell whether what is written there goes to the journal, see systemd.exec(5)."""
    try:
        there = os.fstat(stream.fileno())
    except (OSError, ValueError):  # It has no file, or is closed.
        return False
    return env.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"


def _with_priority(_logger: Any, level: str, text: Any) -> str:
    """Begin each line with the priority: the journal makes an entry of each."""
    prefix = f"<{_PRIORITIES.get(level, 6)}>"
    return "\n".join(prefix + line for line in str(text).split("\n"))


def _dumps(event: Any, **_: Any) -> str:
    # A field that JSON has no form for is a reason to see it as text, not to lose the line.
    try:
        return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # Half a surrogate pair, or a huge integer: peers send such things.
        return json.dumps(event, default=repr)
