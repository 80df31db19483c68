"""
The library's logger: structlog's where the program configured it, else quiet.

Unconfigured, structlog prints everything to stdout, which belongs to the program; so then warnings
and errors go to the standard library's logging, which shows them on stderr.
"""

import logging
from typing import Any

import structlog


class Logger:
    """Log events with fields, as structlog does."""

    def __init__(self, name: str) -> None:
        self._structured = structlog.get_logger(name)
        self._plain = logging.getLogger(name)

    def debug(self, event: str, **fields: Any) -> None:
        """Log what only a developer wants to see."""
        self._log("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Log a state or a commit."""
        self._log("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Log what was repaired by itself."""
        self._log("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Log what a person should look at."""
        self._log("error", event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """Log a bug of ours, with its traceback."""
        self._log("exception", event, fields)

    def _log(self, method: str, event: str, fields: dict[str, Any]) -> None:
        if structlog.is_configured():
            getattr(self._structured, method)(event, **fields)
        else:
            said = " ".join(f"{name}={value}" for name, value in fields.items())
            getattr(self._plain, method)("%s %s", event, said)
