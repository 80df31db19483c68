import itertools

import pytest

from syncline.change_log import Write, WriteKind
from syncline.clock import stamp_at
from syncline.engine import Engine
from syncline.models import Update, encode_body
from syncline.revision import new_revision
from syncline.steps import at_once
from syncline.store.memory import MemoryStore


class Listener:
    """A replica that listens, and its clock; several may share a store, as processes do."""

    def __init__(self, store=None, start=1):
        nonces = itertools.count(start)
        self.now_ms = 0
        self.engine = Engine(
            store or MemoryStore(),
            new_nonce=lambda: f"{next(nonces):016x}",
            now_ms=lambda: self.now_ms,
            follows=False,
            listens=start == 1,
        )
        self.engine.open()

    def write(self, record_id, kind=WriteKind.PUT):
        body = encode_body({"id": record_id}) if kind is WriteKind.PUT else b""
        write = Write(kind=kind, model="todo", record_id=record_id, body=body)
        with self.engine.store.write() as tx:
            return self.engine.write(tx, [write])[0]

    def delete(self, record_id):
        return self.write(record_id, WriteKind.DELETE)

    def purgeable(self, before_ms):
        with self.engine.store.read() as reader:
            return self.engine.purgeable(reader, stamp_at(before_ms))

    def compact(self, upto):
        with self.engine.store.write() as tx:
            return self.engine.compact(tx, upto)

    def interval(self, since=0):
        with self.engine.store.read() as reader:
            return self.engine.interval(reader, since, models=None)


@pytest.fixture
def listener():
    made = Listener()
    for number in range(1, 5):
        made.now_ms = number * 1000
        made.write(str(number))
        made.delete(str(number))
    return made


@pytest.mark.parametrize(
    ("before_ms", "upto"),
    [
        pytest.param(1000, None, id="none is older"),
        pytest.param(1001, 2, id="one"),
        pytest.param(3000, 4, id="two"),
        pytest.param(9000, 8, id="all"),
    ],
)
def test_tombstones_are_purgeable_by_age(listener, before_ms, upto):
    assert upto == listener.purgeable(before_ms)


def test_old_deletion_that_arrived_late_is_kept_behind_younger_changes(listener):
    rev = new_revision(1, "f" * 16)
    late = Update(
        model="todo",
        record_id="late",
        rev=new_revision(2, "e" * 16, deleted=True),
        prev=rev,
        stamp=stamp_at(500),
    )
    created = Update(model="todo", record_id="late", rev=rev, body=encode_body({"id": "late"}))
    with listener.engine.store.write() as tx:
        at_once(listener.engine.offer(tx, [created], {}))
        at_once(listener.engine.offer(tx, [late], {}))

    assert 4 == listener.purgeable(3000)


def test_purge_opens_an_epoch_and_raises_the_horizon(listener):
    before = listener.interval()

    purged = listener.compact(4)
    after = listener.interval()

    assert (2, 4) == (purged, listener.engine.horizon)
    assert before.epoch != after.epoch == listener.engine.lineage.current
    assert [6, 8] == [update.seq for update in after.updates]


def test_purge_below_the_horizon_opens_none(listener):
    listener.compact(4)
    before = listener.interval().epoch

    assert 0 == listener.compact(3)
    assert before == listener.interval().epoch


def test_page_after_a_purge_by_another_process_is_of_the_new_epoch(listener):
    other = Listener(listener.engine.store, start=1000)
    before = listener.interval(2)

    other.compact(4)
    after = listener.interval(2)

    assert before.epoch != after.epoch
    assert 4 == listener.engine.horizon
    standing = listener.engine.judge(
        source=listener.engine.lineage.source, epoch=before.epoch, seq=2, reach=2, head=after.head
    )
    assert "horizon" == standing.reason


def test_epoch_that_another_process_opened_is_kept_by_a_purge_of_ours(listener):
    other = Listener(listener.engine.store, start=1000)
    other.compact(4)
    theirs = other.interval().epoch

    listener.compact(6)
    listener.interval()

    assert theirs in [epoch.name for epoch in listener.engine.lineage.epochs]


def test_purge_that_was_rolled_back_leaves_the_epoch_that_is_stored(listener):
    before = listener.interval().epoch

    with pytest.raises(ZeroDivisionError), listener.engine.store.write() as tx:
        listener.engine.compact(tx, 4)
        _ = 1 / 0

    assert before == listener.engine.lineage.current == listener.interval().epoch
    assert 0 == listener.engine.horizon


def test_older_snapshot_does_not_turn_the_lineage_back(listener):
    class Snapshot:
        """What a reader that began earlier sees."""

        def __init__(self, reader):
            self.kept = {name: reader.meta(name) for name in ("lineage", "horizon")}

        def meta(self, name):
            return self.kept[name]

    with listener.engine.store.read() as reader:
        old = Snapshot(reader)
        before = listener.engine.lineage.current
    listener.compact(4)
    now = listener.interval().epoch

    assert before == listener.engine.refresh(old).current
    assert (now, 4) == (listener.engine.lineage.current, listener.engine.horizon)
