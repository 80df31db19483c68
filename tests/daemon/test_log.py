import io
import json
import logging
import re

import pytest
import structlog

from synclined.log import configure_logging


TOKEN = "secret"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def lines_of(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_without_a_terminal_a_line_is_a_json_object():
    stream = io.StringIO()
    configure_logging("info", "auto", stream)

    structlog.get_logger().info("link.connected", sid="s1", count=2)

    (line,) = lines_of(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line.pop("timestamp"))
    assert {"event": "link.connected", "level": "info", "sid": "s1", "count": 2} == line


def test_on_a_terminal_a_line_is_for_people(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    configure_logging("info", "auto", stream)

    structlog.get_logger().info("link.connected", sid="s1")

    assert "link.connected" in stream.getvalue()
    assert "{" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_form_may_be_asked_for():
    terminal, pipe = Terminal(), io.StringIO()
    configure_logging("info", "json", terminal)
    structlog.get_logger().info("link.connected")
    configure_logging("info", "console", pipe)
    structlog.get_logger().info("link.connected")

    assert "link.connected" == lines_of(terminal)[0]["event"]
    assert not pipe.getvalue().startswith("{")


def test_less_severe_events_are_left_out():
    stream = io.StringIO()
    configure_logging("warning", "json", stream)

    structlog.get_logger().info("link.connected")
    structlog.get_logger().warning("subscriber.behind")

    assert ["subscriber.behind"] == [line["event"] for line in lines_of(stream)]


def test_other_libraries_come_out_in_the_same_form():
    stream = io.StringIO()
    configure_logging("info", "json", stream)

    logging.getLogger("somebody").warning("took %s", "long")

    (line,) = lines_of(stream)
    assert ("took long", "warning", "somebody") == (line["event"], line["level"], line["logger"])


def test_traceback_stays_in_its_line():
    stream = io.StringIO()
    configure_logging("info", "json", stream)

    try:
        raise ValueError("boom")  # noqa: TRY301  it is what is logged
    except ValueError:
        structlog.get_logger().exception("fanout.broke")
        logging.getLogger("somebody").exception("broke")

    ours, theirs = lines_of(stream)
    assert "ValueError" == ours["exception"][0]["exc_type"]
    assert "ValueError" == theirs["exception"][0]["exc_type"]


def test_field_without_a_json_form_does_not_lose_the_line():
    stream = io.StringIO()
    configure_logging("info", "json", stream)

    structlog.get_logger().info("store.opened", path=re.compile("x"))
    structlog.get_logger().info("auth.refused", token_name="\ud800", big=1 << 70)

    ours, theirs = lines_of(stream)
    assert "re.compile('x')" == ours["path"]
    assert ("\ud800", 1 << 70) == (theirs["token_name"], theirs["big"])


@pytest.mark.parametrize("output", ["json", "console"])
def test_a_traceback_shows_no_local_variable(output):
    """They hold records and tokens, and a library logs them by our handler too."""
    stream = io.StringIO()
    configure_logging("info", output, stream)

    def fail(token):
        raise ValueError(len(token))

    for log in (structlog.get_logger().exception, logging.getLogger("engineio").exception):
        try:
            fail(TOKEN)
        except ValueError:
            log("event.broke")

    assert 2 == stream.getvalue().count("event.broke")
    assert "ValueError" in stream.getvalue()
    assert "secret" not in stream.getvalue()
