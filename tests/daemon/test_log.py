import contextlib
import io
import json
import logging
import os
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


def test_the_journal_is_told_the_priority_of_each_line(tmp_path):
    with (tmp_path / "journal").open("w+") as stream:
        there = os.fstat(stream.fileno())
        env = {"JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"}
        configure_logging("debug", "json", stream, env)
        for level in ("debug", "info", "warning", "error"):
            getattr(structlog.get_logger(), level)("link.connected")
        logging.getLogger("somebody").critical("took long")
        stream.seek(0)
        lines = stream.read().splitlines()

    assert ["<7>", "<6>", "<4>", "<3>", "<2>"] == [line[:3] for line in lines]
    assert "took long" == json.loads(lines[-1][3:])["event"]


def test_each_line_of_a_traceback_has_its_priority(tmp_path):
    """The journal makes an entry of each line."""
    with (tmp_path / "journal").open("w+") as stream:
        there = os.fstat(stream.fileno())
        configure_logging(
            "info", "console", stream, {"JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"}
        )
        try:
            raise ValueError("boom")  # noqa: TRY301  it is what is logged
        except ValueError:
            structlog.get_logger().exception("fanout.broke")
        stream.seek(0)
        lines = stream.read().splitlines()

    assert len(lines) > 2
    assert {"<3>"} == {line[:3] for line in lines}


def test_another_stream_than_the_journals_has_no_priorities(tmp_path):
    with (tmp_path / "file").open("w+") as stream:
        configure_logging("info", "json", stream, {"JOURNAL_STREAM": "1:1"})
        structlog.get_logger().info("link.connected")
        stream.seek(0)

        assert stream.read().startswith("{")


def test_a_stream_that_went_away_ends_nobody():
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w", buffering=1)
    configure_logging("info", "json", stream)

    structlog.get_logger().info("link.connected")
    logging.getLogger("somebody").warning("took long")

    with contextlib.suppress(BrokenPipeError):
        stream.close()


def test_without_a_stream_nothing_is_logged_and_nothing_fails(monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    configure_logging("info", "auto")

    structlog.get_logger().info("link.connected")
    logging.getLogger("somebody").warning("took long")
