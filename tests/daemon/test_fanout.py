"""The fan-out follows the list, whoever wrote it; another process is another store on the file."""

import asyncio
import json
import time

import pytest

import syncline
from synclined.fanout import Fanout


WAIT_S = 20
LONG_S = 3600


def in_an_hour():
    """What the clock of the other process says: all that was deleted by now is old to it."""
    return time.time_ns() // 1_000_000 + LONG_S * 1000


class Paper:
    """A sender that takes down what each socket is sent."""

    def __init__(self):
        self.sent = asyncio.Queue()

    def event_frame(self, event, json_text):
        return json.dumps([event, json.loads(json_text)])

    def wire_of(self, frame):
        return frame.encode()

    def direct(self, sid):
        def write(wire):
            self.sent.put_nowait((sid, *json.loads(wire)))
            return True

        return write

    def send_text(self, sid, frame):
        self.sent.put_nowait((sid, *json.loads(frame)))
        return True

    async def send_queued(self, sid, frame):
        self.send_text(sid, frame)

    def is_settled(self):
        return True

    def buffered(self, _sid):
        return 0

    def cut(self, _sid):
        return True

    async def next(self):
        """Return the argument of the next `changed`."""
        _, event, said = await asyncio.wait_for(self.sent.get(), WAIT_S)
        assert "changed" == event
        return said


@pytest.fixture
async def served(tmp_path):
    """A replica that listens, another process on its file, and what makes a fan-out of it."""
    path = str(tmp_path / "shared.db")
    fanouts = []
    async with (
        await syncline.Replica.open(path, ["todo"], listens=True) as replica,
        await syncline.Replica.open(path, ["todo"], now_ms=in_an_hour) as other,
    ):

        async def fan_out(poll_s=LONG_S):
            paper = Paper()
            fanout = Fanout(
                replica, paper, window_bytes_max=2**20, send_timeout_s=WAIT_S, poll_s=poll_s
            )
            await fanout.start()
            fanouts.append(fanout)
            fanout.join("socket", ["todo"], await replica.head(), replica_id="r")
            return fanout, paper

        yield replica, other, fan_out
        for fanout in fanouts:
            await fanout.stop()


async def test_the_slow_poll_asks_the_store_and_not_what_was_heard(served):
    _, other, fan_out = served
    fanout, paper = await fan_out(poll_s=0.01)
    fanout._forget()
    await other.model("todo").put("1", {"n": 1})
    said = await paper.next()

    assert [{"id": "1", "n": 1}] == [update["data"] for update in said["updates"]]


async def test_others_commit_is_told_with_ours_that_came_after_it(served):
    replica, other, fan_out = served
    _, paper = await fan_out()
    before = await replica.head()
    await other.model("todo").put("1", {})
    await replica.model("todo").put("2", {})
    told, at = [], before
    while at < before + 2:
        said = await paper.next()
        assert at == said["since"]
        at = said["checkpoint"]
        told += [update["id"] for update in said["updates"]]

    assert ["1", "2"] == told


async def test_no_seq_of_a_new_epoch_is_told_under_the_one_before(served):
    replica, other, fan_out = served
    _, paper = await fan_out()
    await replica.model("todo").put("1", {})
    await replica.model("todo").delete("1")
    old = replica.core.engine.lineage.current
    assert 1 == (await other.compact(0)).purged
    lineage = other.core.engine.lineage
    await replica.model("todo").put("2", {})
    while True:
        said = await paper.next()
        if said["checkpoint"] > lineage.epochs[-1].first_seq:
            break

    assert old != lineage.current == said["epoch"]


async def test_a_push_after_anothers_purge_is_answered_under_the_new_epoch(served):
    replica, other, _ = served
    await replica.model("todo").put("1", {})
    await replica.model("todo").delete("1")
    assert 1 == (await other.compact(0)).purged
    update = syncline.Update(
        model="todo",
        record_id="2",
        rev=syncline.new_revision(1, "e" * 16),
        body=b'{"id": "2"}',
    )
    result = await replica.bulk_update([update])

    assert other.core.engine.lineage.current == result.epoch


async def test_a_head_after_anothers_purge_is_told_with_the_new_epoch(served):
    replica, other, _ = served
    await replica.model("todo").put("1", {})
    await replica.model("todo").delete("1")
    assert 1 == (await other.compact(0)).purged
    await replica.head()

    assert other.core.engine.lineage.current == replica.core.engine.lineage.current
