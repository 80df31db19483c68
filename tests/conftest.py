"""What holds for all tests."""

import logging
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest
import structlog


ARE_SKIPS_FORBIDDEN = os.environ.get("NO_SKIPS") == "1"
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
NGINX_WAIT_S = 30
NGINX_UPGRADE = """
  proxy_http_version 1.1;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection upgrade;
  proxy_set_header Host $http_host;
"""


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


@pytest.fixture
def nginx(tmp_path):
    """
    Start nginx with these locations; return its address.

    `nginx.upgrade` is what a location needs so that WebSockets come through.
    """
    if not shutil.which(NGINX):
        pytest.skip("nginx is not installed: apt install nginx-light")
    running = []

    def start(locations):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        temporary = "".join(
            f"{name}_temp_path {tmp_path}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (tmp_path / "nginx.conf").write_text(
            f"daemon off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log; events {{}}\n"
            f"http {{ access_log off; {temporary}\n"
            f"server {{ listen 127.0.0.1:{port}; {locations} }} }}\n"
        )
        command = [NGINX, "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]
        running.append(
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        end = time.monotonic() + NGINX_WAIT_S
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return f"http://127.0.0.1:{port}"
        raise AssertionError("nginx did not start")

    start.upgrade = NGINX_UPGRADE
    yield start
    for process in running:
        process.terminate()
        process.wait(NGINX_WAIT_S)


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
