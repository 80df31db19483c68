"""
The loggers of the library and of the daemon: structlog's where the program configured it.

Unconfigured, structlog prints everything to stdout, which belongs to the program, and fails where
there is none; so then events go to the standard library's logging, under the name of the logger.
"""

import logging
from typing import Any

import structlog


_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "exception": logging.ERROR,
}


class Logger:
    """
    Log events with fields, as structlog does.

    Args:
        name: of the standard library's logger that events go to where structlog is not configured.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._plain = logging.getLogger(name)
        self._bound: Any = None
        self._wrapper: Any = None
        self._processors: Any = None

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
            getattr(self._structured(), method)(event, **fields)
        elif self._plain.isEnabledFor(_LEVELS[method]):
            said = " ".join(f"{name}={value}" for name, value in fields.items())
            getattr(self._plain, method)("%s %s", event, said)

    def _structured(self) -> Any:
        """Return a bound logger; structlog's own proxy puts one together for every line."""
        config = structlog.get_config()
        # It is made anew when the program configures structlog anew, for instance at a reload:
        # each call makes another class and another list.
        if (
            self._wrapper is not config["wrapper_class"]
            or self._processors is not config["processors"]
        ):
            self._wrapper, self._processors = config["wrapper_class"], config["processors"]
            self._bound = structlog.get_logger(self._name).bind()
        return self._bound
