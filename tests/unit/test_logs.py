import io
import logging

import pytest
import structlog

from syncline.logs import Logger


@pytest.fixture
def unconfigured():
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def configure(stream, level):
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer(["event"])],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
    )


def test_unconfigured_it_is_the_standard_librarys_logger(unconfigured, capsys, caplog):
    with caplog.at_level(logging.INFO, logger="synclined"):
        Logger("synclined").debug("link.connected", sid="s1")
        Logger("synclined").info("link.closed", sid="s1")

    assert ["link.closed sid=s1"] == caplog.messages
    assert ("", "") == capsys.readouterr()


def test_configured_it_is_structlogs(unconfigured):
    stream = io.StringIO()
    configure(stream, logging.INFO)

    Logger("synclined").info("link.connected", sid="s1")

    assert "event='link.connected' sid='s1'\n" == stream.getvalue()


def test_it_follows_whoever_configures_anew(unconfigured):
    log, first, second = Logger("synclined"), io.StringIO(), io.StringIO()
    log.info("unheard")
    configure(first, logging.INFO)
    log.info("one")

    configure(second, logging.WARNING)
    log.info("two")
    log.warning("three")

    assert "event='one'\n" == first.getvalue()
    assert "event='three'\n" == second.getvalue()


def test_capture_hears_it(unconfigured):
    log = Logger("synclined")
    configure(io.StringIO(), logging.INFO)
    log.info("before")

    with structlog.testing.capture_logs() as heard:
        log.info("link.connected")

    assert ["link.connected"] == [line["event"] for line in heard]
