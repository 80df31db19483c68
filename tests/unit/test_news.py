import json
from pathlib import Path

import msgspec
import pytest

from syncline.effects import ApplyUpdates, Mode
from syncline.engine import Engine
from syncline.errors import MessageInvalid
from syncline.models import ANCESTORS_MAX, Cursor, Entry, Interval, Pending, Update, encode_body
from syncline.news import Held, Told, completed
from syncline.payloads import decode_news, encode_news, update_of
from syncline.store.memory import MemoryStore


VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "news.json").read_text())


def _cases(kind):
    return [pytest.param(case, id=case["name"]) for case in VECTORS[kind]]


def _update(item):
    return None if item is None else update_of(item)


def _told(item):
    return msgspec.convert(
        {**item, "data": msgspec.Raw(msgspec.json.encode(item["data"]))}, Told
    ).placed_in("", 0)


@pytest.mark.parametrize("case", _cases("told"))
def test_telling_follows_the_vectors(case):
    update = update_of(case["update"])
    before = case["before"]
    held = None if before is None else Held(before["rev"], tuple(before["ancestors"]))
    told = Told.of(update, model="", seq=update.seq, held=held)

    assert case["told"] == msgspec.json.decode(msgspec.json.encode(told))


@pytest.mark.parametrize("case", _cases("completed"))
def test_completing_follows_the_vectors(case):
    told, local = _told(case["told"]), _update(case["local"])
    pending = None
    if case["base_rev"] is not None:
        pending = Pending(model="todo", record_id="1", base_rev=case["base_rev"])
    found = completed(
        told,
        None if local is None else Entry(local, 1, pending),
        _update(case["theirs"]),
        ancestors_max=case.get("ancestors_max", ANCESTORS_MAX),
    )

    assert case["completed"] == (
        None if found is None else {"prev": found.prev, "ancestors": list(found.ancestors)}
    )
    assert found is None or (type(found), found.rev, found.data) == (Update, told.rev, told.data)


def rev(number):
    return f"{number}-{number:016x}"


def state(number):
    """Return what the list holds after so many edits."""
    return Held(rev(number), tuple(rev(n) for n in range(1, number)))


def update(number, seq, *, record_id="a"):
    """Return the state of so many edits."""
    return Update(
        model="todo",
        record_id=record_id,
        seq=seq,
        rev=rev(number),
        prev=rev(number - 1),
        ancestors=tuple(rev(n) for n in range(1, number)),
        body=encode_body({"id": record_id, "n": number}),
    )


def news(since, *told, checkpoint=None):
    """Return an interval as it is heard, from (update, what was held before)."""
    checkpoint = checkpoint or told[-1][0].seq
    interval = Interval(epoch="e", since=since, checkpoint=checkpoint, head=checkpoint)
    sent = [
        Told.of(one, model="", seq=0 if one.seq == checkpoint else one.seq, held=held)
        for one, held in told
    ]
    heard = decode_news(encode_news(interval, sent).encode())
    return heard.interval("e", "todo", carries=True)


def test_what_is_left_out_of_an_interval_is_filled_in():
    interval = news(4, (update(3, 6), state(2)), (update(2, 7, record_id="b"), None))

    assert ("e", 4, 7, 7) == (
        interval.epoch,
        interval.since,
        interval.checkpoint,
        interval.head,
    )
    assert [("todo", "a", 6), ("todo", "b", 7)] == [
        (one.model, one.record_id, one.seq) for one in interval.updates
    ]


def test_another_epoch_than_that_of_the_welcome_is_named():
    interval = Interval(epoch="later", since=0, checkpoint=1, head=1)
    text = encode_news(interval, (), epoch="later")

    assert "later" == decode_news(text.encode()).interval("e", "", carries=False).epoch


@pytest.mark.parametrize(
    "payload", [b"{}", b"[]", b'{"since":0,"checkpoint":1,"updates":[{"rev":1}]}']
)
def test_nonsense_is_no_news(payload):
    with pytest.raises(MessageInvalid):
        decode_news(payload).interval("e", "todo", carries=True)


def test_ancestors_are_no_part_of_what_an_edit_costs():
    """However long the history is, only what came since is told."""
    short = Told.of(update(2, 9), model="", seq=0, held=state(1))
    long = Told.of(update(60, 9), model="", seq=0, held=state(59))

    assert len(msgspec.json.encode(short)) + 2 == len(msgspec.json.encode(long))


@pytest.fixture
def engine():
    made = Engine(
        MemoryStore(), new_nonce=lambda: "0" * 16, now_ms=lambda: 0, follows=True, listens=False
    )
    made.open()
    return made


def take(engine, interval):
    cursor = Cursor(source="s", epoch="e", seq=interval.checkpoint, is_whole=True, models=("todo",))
    with engine.store.write() as tx:
        return engine.carry_out(tx, ApplyUpdates(interval, Mode.WHOLE, cursor))


def held(engine, record_id="a"):
    with engine.store.read() as reader:
        entry = reader.entry("todo", record_id)
        return None if entry is None else entry.update, engine.cursor(reader).seq


def test_a_follower_keeps_the_ancestors_that_it_was_not_told(engine):
    take(engine, Interval(epoch="e", since=0, checkpoint=5, head=5, updates=(update(3, 5),)))

    outcome = take(engine, news(5, (update(5, 7), state(3))))

    assert not outcome.lacks_anchor
    stored, seq = held(engine)
    assert (update(5, 7).ancestors, rev(4), 7) == (stored.ancestors, stored.prev, seq)


def test_where_the_anchor_is_not_held_nothing_is_done(engine):
    take(engine, Interval(epoch="e", since=0, checkpoint=5, head=5, updates=(update(3, 5),)))

    outcome = take(engine, news(5, (update(1, 6, record_id="b"), None), (update(9, 7), state(8))))

    assert outcome.lacks_anchor
    assert not outcome.visible
    assert (rev(3), 5) == (held(engine)[0].rev, held(engine)[1])
    assert held(engine, "b")[0] is None
