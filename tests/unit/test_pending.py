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

    def collect(self, items_max=10, bytes_max=10_000, in_flight=()):
        with self.engine.store.read() as reader:
            return self.engine.collect(
                reader, items_max=items_max, bytes_max=bytes_max, in_flight=in_flight
            )

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


def test_a_record_is_in_one_push_at_a_time(leaf):
    for record_id in ("1", "2", "3"):
        leaf.put(record_id=record_id)
    first, has_more = leaf.collect(items_max=2)
    leaf.put(record_id="1", a=2)

    second, _ = leaf.collect(in_flight=first)
    assert (["1", "2"], True) == ([u.record_id for u in first], has_more)
    assert ["3"] == [u.record_id for u in second]


def test_a_group_waits_for_its_member_that_is_on_its_way(leaf):
    leaf.put(record_id="1")
    first, _ = leaf.collect()
    leaf.put(record_id="1", group="g", a=2)
    leaf.put(record_id="2", group="g")
    leaf.put(record_id="3")

    second, _ = leaf.collect(in_flight=first)
    assert ["3"] == [u.record_id for u in second]
    third, _ = leaf.collect()
    assert ["1", "2"] == sorted(u.record_id for u in third if u.group == "g")


def test_a_group_is_never_cut_by_bytes(leaf):
    leaf.put(record_id="1", text="x" * 300)
    for record_id in ("2", "3", "4"):
        leaf.put(record_id=record_id, group="g", text="x" * 300)

    first, has_more = leaf.collect(bytes_max=1000)
    assert (["1"], True) == ([u.record_id for u in first], has_more)
    second, has_more = leaf.collect(bytes_max=1000, in_flight=first)
    assert (["2", "3", "4"], False) == ([u.record_id for u in second], has_more)
