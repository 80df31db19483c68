"""Change streams in both of LoopBack's formats, and the bare `changed` of its printed recipe."""

import http.client
import json
import urllib.parse

import pytest


class Stream:
    """An open change stream, read a line at a time."""

    def __init__(self, server, path, *, method="GET", headers=None, body=None):
        where = urllib.parse.urlsplit(server.api)
        self._link = http.client.HTTPConnection(where.hostname, where.port, timeout=20)
        self._link.request(method, where.path + path, body=body, headers=headers or {})
        self.answer = self._link.getresponse()

    def line(self):
        return self.answer.readline()

    def event(self):
        """Return the next server-sent event as (name, data)."""
        fields = {}
        while True:
            line = self.line().decode().rstrip("\n")
            if not line and "event" in fields:
                return fields["event"], json.loads(fields["data"])
            name, _, value = line.partition(": ")
            fields[name] = value

    def close(self):
        self._link.close()


@pytest.fixture
def stream(daemon):
    streams = []

    def open_stream(path, **options):
        streams.append(Stream(daemon, path, **options))
        return streams[-1]

    yield open_stream
    for one in streams:
        one.close()


EVENTS = {"Accept": "text/event-stream"}


def test_events_tell_of_creates_updates_and_deletes(daemon, stream):
    daemon.post("/Car", {"id": "c0"})
    told = stream("/Cars/change-stream", headers=EVENTS)
    assert b":ok\n" == told.line()

    daemon.post("/Car", {"id": "c1", "maker": "Ford"})
    created = told.event()
    daemon.patch("/Car/c1", {"maker": "Audi"})
    updated = told.event()
    daemon.delete("/Car/c1")
    removed = told.event()

    first = {"target": "c1", "data": {"id": "c1", "maker": "Ford"}, "type": "create"}
    second = {"target": "c1", "data": {"id": "c1", "maker": "Audi"}, "type": "update"}
    third = {"target": "c1", "where": {"id": "c1"}, "type": "remove"}
    assert [("data", first), ("data", second), ("data", third)] == [created, updated, removed]
    expected = {
        "Content-Type": "text/event-stream",
        "Cache-Control": "no-cache, no-transform",
        "Content-Encoding": "x-no-compression",
        "X-Accel-Buffering": "no",
    }
    assert expected == {name: told.answer.headers[name] for name in expected}


def test_events_are_narrowed_and_shaped(daemon, stream):
    asked = {"where": {"maker": "Ford"}, "fields": ["id"]}
    query = urllib.parse.urlencode({"options": json.dumps(asked)})
    told = stream(f"/Car/change-stream?{query}&_format=event-stream")
    assert b":ok\n" == told.line()

    daemon.post("/Car", {"id": "c1", "maker": "Audi"})
    daemon.post("/Car", {"id": "c2", "maker": "Ford"})

    assert ("data", {"target": "c2", "data": {"id": "c2"}, "type": "create"}) == told.event()


def test_a_removal_is_told_whatever_the_filter(daemon, stream):
    """LoopBack itself never tells it."""
    daemon.post("/Car", {"id": "c1", "maker": "Ford"})
    query = urllib.parse.urlencode({"options": json.dumps({"where": {"maker": "Ford"}})})
    told = stream(f"/Car/change-stream?{query}", headers=EVENTS)
    assert b":ok\n" == told.line()

    daemon.delete("/Car/c1")

    assert "remove" == told.event()[1]["type"]


def test_loopbacks_own_client_gets_lines(daemon, stream):
    told = stream(
        "/Car/change-stream",
        method="POST",
        headers={"Accept": "application/json", "Content-Type": "application/json"},
        body="{}",
    )
    channel, kind, options = json.loads(told.line())
    daemon.post("/Car", {"id": "c1"})

    assert ("new", {"opts": {"writable": False, "readable": True}}) == (kind, options)
    event = {"target": "c1", "data": {"id": "c1"}, "type": "create"}
    assert [channel, "data", event] == json.loads(told.line())
    assert "application/json; boundary=NL" == told.answer.headers["Content-Type"]


def test_the_stock_remote_model_hears_changes(shared_agent, daemon):
    lb = shared_agent
    lb.local("listening", model="Listening")
    lb.remote("listening-remote", model="Car", url=daemon.api, beside="listening")
    daemon.post("/Car", {"id": "c0"})
    lb.listen("listening-remote")

    daemon.post("/Cars", {"id": "c1", "maker": "Ford"})

    heard = lb.heard("listening-remote", count=1)
    assert [("c1", "create")] == [(one["target"], one["type"]) for one in heard]


def test_streams_end_with_the_daemon(daemon, stream):
    told = stream("/Car/change-stream", headers=EVENTS)
    assert b":ok\n" == told.line()

    assert 0 == daemon.end()
    assert ("end", None) == told.event()


def test_the_printed_recipe_replicates_on_a_bare_changed(shared_agent, daemon):
    """A stock socket.io client that never says hello hears a model's name, and replicates."""
    lb = shared_agent
    lb.local("recipe", model="RecipeCar")
    lb.remote("recipe-remote", model="Car", url=daemon.api, beside="recipe")
    daemon.post("/Car", {"id": "c0"})
    lb.follow("recipe", remote="recipe-remote", url=daemon.url)

    daemon.post("/Cars", {"id": "c1", "maker": "Ford"})
    first = lb.until("recipe", key="c1", data={"maker": "Ford"})
    daemon.patch("/Cars/c1", {"maker": "Audi"})
    second = lb.until("recipe", key="c1", data={"maker": "Audi"})

    assert ["Ford", "Audi"] == [first["maker"], second["maker"]]
