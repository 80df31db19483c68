import itertools

import msgspec
import pytest

from syncline.change_log import Write, WriteKind
from syncline.engine import Engine
from syncline.models import encode_body
from syncline.store.memory import MemoryStore


class Leaf:
    """A replica that follows, without a link."""

    def __init__(self, *, listens=False):
        nonces = itertools.count(1)
        self.engine = Engine(
            MemoryStore(),
            new_nonce=lambda: f"{next(nonces):016x}",
            now_ms=lambda: 0,
            follows=True,
            listens=listens,
        )
        self.engine.open()
        self.engine.outbox.may_squash = not listens

    def put(self, group=None, record_id="1", **fields):
        body = encode_body({"id": record_id, **fields})
        write = Write(kind=WriteKind.PUT, model="todo", record_id=record_id, body=body)
        with self.engine.store.write() as tx:
            return self.engine.write(tx, [write], group=group)[0]

    def delete(self, record_id="1"):
        write = Write(kind=WriteKind.DELETE, model="todo", record_id=record_id)
        with self.engine.store.write() as tx:
            return self.engine.write(tx, [write])[0]

    def collect(self, items_max=10, bytes_max=10_000):
        with self.engine.store.read() as reader:
            return self.engine.collect(reader, items_max=items_max, bytes_max=bytes_max)

    def entry(self, record_id="1"):
        with self.engine.store.read() as reader:
            return reader.entry("todo", record_id)


@pytest.fixture
def leaf():
    return Leaf()


def test_edit_of_a_never_sent_revision_is_squashed(leaf):
    first = leaf.put(a=1)
    second = leaf.put(a=2)

    assert first.rev != second.rev
    assert (1, ()) == (second.generation, second.ancestors)


def test_edit_of_a_sent_revision_is_a_new_generation(leaf):
    first = leaf.put(a=1)
    leaf.collect()
    second = leaf.put(a=2)

    assert (2, (first.rev,)) == (second.generation, second.ancestors)


def test_every_pending_revision_counts_as_sent_after_a_restart(leaf):
    leaf.put(a=1)
    leaf.engine.outbox.forget_all()

    assert 2 == leaf.put(a=2).generation


def test_replica_that_listens_never_squashes():
    daemon = Leaf(listens=True)
    daemon.put(a=1)

    assert 2 == daemon.put(a=2).generation


def test_deleting_a_never_sent_create_leaves_nothing(leaf):
    leaf.put(a=1)
    leaf.delete()

    assert leaf.entry() is None
    assert ([], False) == leaf.collect()


def test_writing_the_same_again_makes_no_revision(leaf):
    first = leaf.put(a=1)

    assert first.rev == leaf.put(a=1).rev


def test_push_names_the_base_and_not_the_last_edit(leaf):
    leaf.put(a=1)
    leaf.collect()
    leaf.put(a=2)

    updates, _ = leaf.collect()

    assert [None] == [update.prev for update in updates]


def test_group_is_pushed_whole_though_the_page_is_full(leaf):
    for number in range(3):
        leaf.put(record_id=str(number), group="g", a=1)

    updates, has_more = leaf.collect(items_max=1)

    assert ["0", "1", "2"] == [update.record_id for update in updates]
    assert has_more


def test_groups_that_share_a_record_are_one(leaf):
    leaf.put(record_id="1", group="g", a=1)
    leaf.put(record_id="2", group="g", a=1)
    leaf.put(record_id="2", group="h", a=2)

    updates, _ = leaf.collect()

    assert {"h"} == {update.group for update in updates}


def test_held_record_holds_its_group_back(leaf):
    leaf.put(record_id="1", group="g", a=1)
    leaf.put(record_id="2", group="g", a=1)
    leaf.put(record_id="3", a=1)
    with leaf.engine.store.write() as tx:
        entry = tx.entry("todo", "1")
        tx.write_pending([msgspec.structs.replace(entry.pending, hold="parked")])

    updates, _ = leaf.collect()

    assert ["3"] == [update.record_id for update in updates]
