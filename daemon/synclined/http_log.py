"""aiohttp's log, in which what a peer did wrong is one line, and no traceback."""

import logging

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import RequestPayloadError

from syncline.logs import Logger


log = Logger("synclined")

NAME = "aiohttp.server.synclined"

OF_PEERS = (HttpProcessingError, RequestPayloadError, aiohttp.ClientError, ConnectionError)
"""What is raised where a request can't be read, or whoever sent it has left."""


class _PeersFaults(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, OF_PEERS):
            return True
        log.info("request.unreadable", reason=" ".join(str(error).split())[:200])
        return False


def http_logger() -> logging.Logger:
    """Return the logger to give to a runner of aiohttp's."""
    logger = logging.getLogger(NAME)
    if not logger.filters:
        logger.addFilter(_PeersFaults())
    return logger
