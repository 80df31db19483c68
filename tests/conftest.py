"""What holds for all tests."""

import logging
import os
import signal

import pytest
import structlog


ARE_SKIPS_FORBIDDEN = os.environ.get("NO_SKIPS") == "1"


# A shell that runs the tests in the background has it ignored, and so would every program that
# they start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def logging_as_before():
    """
    Put back how logging was set up.

    `capture_logs` too leaves structlog configured, and a client in a later test would then log to
    stdout.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    was_configured, config = structlog.is_configured(), structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    if was_configured:
        structlog.configure(**config)
    else:
        structlog.reset_defaults()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Turn a skip into a failure where skips are forbidden: there, everything is installed."""
    report = yield
    # An expected failure is reported as a skip too, but it ran.
    if report.skipped and not hasattr(report, "wasxfail"):
        _forbid(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Likewise for a module that skips itself whole."""
    report = yield
    if report.skipped:
        _forbid(report)
    return report


def _forbid(report):
    if not ARE_SKIPS_FORBIDDEN:
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"skipped, and skips are forbidden here: {reason}"
