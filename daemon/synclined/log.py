"""
Configure logging: one event a line on stderr, JSON unless a terminal watches.

What other libraries log by the standard library comes out in the same form.
"""

import json
import logging
import os
import sys
from typing import Any, TextIO

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


# Without the local variables: they hold records and tokens.
_tracebacks = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def configure_logging(level: str, output: str, stream: TextIO | None = None) -> None:
    """
    Configure structlog and the standard library's logging, for the whole process.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        output: ``json``, ``console``, or ``auto``: ``console`` on a terminal, else ``json``.
        stream: where to; None for stderr.
    """
    stream = sys.stderr if stream is None else stream
    is_terminal = stream.isatty()
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
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(level_number),
        logger_factory=structlog.WriteLoggerFactory(stream),
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level_number, handlers=[handler], force=True)
    for name, quiet_level in _QUIET.items():
        logging.getLogger(name).setLevel(max(level_number, quiet_level))


def _dumps(event: Any, **_: Any) -> str:
    # A field that JSON has no form for is a reason to see it as text, not to lose the line.
    try:
        return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # Half a surrogate pair, or a huge integer: peers send such things.
        return json.dumps(event, default=repr)
