"""One contract for all stores: memory, SQLite in a file, SQLite in memory."""

import msgspec
import pytest

from syncline.errors import FilterInvalid
from syncline.filters import parse_where
from syncline.models import VOID, Conflict, Entry, Pending, Sent, Update, encode_body
from syncline.ordering import parse_order
from syncline.ranges import Range
from syncline.revision import new_revision
from syncline.schema import schema_from_config
from syncline.store.contract import Lease
from syncline.store.memory import MemoryStore
from syncline.store.memory_transaction import MemoryTransaction
from syncline.store.query import Query
from syncline.store.sql import SqlStore


@pytest.fixture(params=["memory", "file", "private"])
def store(request, tmp_path):
    made = {
        "memory": MemoryStore,
        "file": lambda: SqlStore(f"sqlite:///{tmp_path / 'store.db'}"),
        "private": lambda: SqlStore("sqlite://"),
    }[request.param]()
    made.open()
    yield made
    made.close()


def update(record_id, data=None, *, model="m", seq=0, generation=1, group=None, **fields):
    rev = new_revision(generation, f"{seq or 1:016x}", deleted=data is None)
    body = msgspec.Raw(b"") if data is None else encode_body({"id": record_id, **data})
    return Update(
        model=model, record_id=record_id, rev=rev, seq=seq, group=group, body=body, **fields
    )


def put(tx, *updates, base_seq=None):
    first = tx.next_seqs(len(updates))
    stored = [msgspec.structs.replace(u, seq=first + n) for n, u in enumerate(updates)]
    tx.write([Entry(u, base_seq) for u in stored])
    return stored


def fill(store, *updates, base_seq=None):
    with store.write() as tx:
        return put(tx, *updates, base_seq=base_seq)


def pend(store, *keys, hold=""):
    with store.write() as tx:
        tx.write_pending([Pending(model=m, record_id=i, hold=hold) for m, i in keys])


def query(where=None, order=None, **fields):
    return Query(condition=parse_where(where), order=parse_order(order), **fields)


def conflict(number, **fields):
    ours = update("1", {"n": number})
    return Conflict(
        conflict_id=f"c{number}", model="m", record_id="1", ours=ours, theirs=ours, **fields
    )


def test_what_is_written_is_read(store):
    (stored,) = fill(
        store,
        update("1", {"n": 1}, group="g", ancestors=("1-00000000000000aa",), origin="r", stamp=7),
        base_seq=5,
    )

    with store.read() as reader:
        assert Entry(stored, 5) == reader.entry("m", "1")
        assert {("m", "1"): Entry(stored, 5)} == reader.entries([("m", "1"), ("m", "2")])
        assert (1, ["m"]) == (reader.head(), reader.models())


def test_a_failed_transaction_leaves_nothing_behind(store):
    fill(store, update("1", {"n": 1}), base_seq=1)
    pend(store, ("m", "1"))
    with store.write() as tx:
        tx.set_meta("name", b"before")
        tx.append_stage(b"page")
        before = tx.entry("m", "1")

    with pytest.raises(RuntimeError), store.write() as tx:
        put(tx, update("1", {"n": 2}), update("2", {"n": 2}))
        tx.clear_pending([("m", "1")])
        tx.set_base_seqs([(("m", "1"), 9)])
        tx.set_meta("name", b"after")
        tx.write_conflict(conflict(1))
        tx.clear_stage()
        tx.remove([("m", "1")])
        raise RuntimeError

    with store.read() as reader:
        assert before == reader.entry("m", "1")
        assert reader.entry("m", "2") is None
        assert (1, b"before", {"": 1}) == (
            reader.head(),
            reader.meta("name"),
            reader.pending_counts(),
        )
        assert ([], [b"page"]) == (reader.conflicts(open_only=False), list(reader.stage()))
        assert ["1"] == [u.record_id for u in reader.changes(0, models=None, limit=9)]


def test_the_contract_goes_red_on_a_store_that_forgets_to_roll_back(monkeypatch):
    monkeypatch.setattr(MemoryTransaction, "undo", lambda _self: None)
    store = MemoryStore()

    with pytest.raises(AssertionError):
        test_a_failed_transaction_leaves_nothing_behind(store)


def test_changes_are_in_order_of_seq_one_a_record(store):
    fill(store, update("1", {"n": 1}), update("2", {"n": 1}), update("x", {"n": 1}, model="other"))
    fill(store, update("1", {"n": 2}, generation=2))

    with store.read() as reader:
        assert [(2, "2"), (3, "x"), (4, "1")] == [
            (u.seq, u.record_id) for u in reader.changes(0, models=None, limit=9)
        ]
        assert [4] == [u.seq for u in reader.changes(2, models=["m"], limit=9)]
        assert [2] == [u.seq for u in reader.changes(0, models=["m"], limit=1)]
        assert [2, 3] == [u.seq for u in reader.changes(0, models=None, limit=9, upto=3)]


def test_a_seq_is_never_given_twice(store):
    fill(store, update("1", {"n": 1}), update("2", None))
    with store.write() as tx:
        tx.remove([("m", "1")])
        tx.purge(2)

    (stored,) = fill(store, update("3", {"n": 1}))

    assert 3 == stored.seq


def test_base_seqs_move_and_are_voided(store):
    fill(store, update("1", {"n": 1}), base_seq=3)
    fill(store, update("2", {"n": 1}), base_seq=8)
    pend(store, ("m", "2"))
    with store.write() as tx:
        tx.set_base_seqs([(("m", "1"), 4)])
        tx.void_bases(5)

    with store.read() as reader:
        assert 4 == reader.entry("m", "1").base_seq
        assert (VOID, None) == (
            reader.entry("m", "2").base_seq,
            reader.entry("m", "2").pending.base_rev,
        )


def test_bases_are_yielded_of_what_is_not_pending(store):
    fill(store, update("1", {"n": 1}), update("2", {"n": 1}), base_seq=8)
    fill(store, update("3", {"n": 1}), base_seq=5)
    fill(store, update("4", {"n": 1}))
    pend(store, ("m", "2"))
    with store.write() as tx:
        tx.yield_bases(5)

    with store.read() as reader:
        assert [0, 8, 5, None] == [reader.entry("m", str(n)).base_seq for n in range(1, 5)]


def test_the_outbox_holds_back_what_is_held_and_its_whole_group(store):
    fill(
        store,
        update("1", {"n": 1}),
        update("2", {"n": 1}, group="g"),
        update("3", {"n": 1}, group="g"),
        update("4", {"n": 1}),
    )
    pend(store, ("m", "4"), ("m", "2"), ("m", "1"))
    pend(store, ("m", "3"), hold="conflict")

    with store.read() as reader:
        assert ["1", "4"] == [u.record_id for u in reader.outbox(limit=9)]
        assert ["1"] == [u.record_id for u in reader.outbox(limit=1)]
        assert ["2", "3"] == [u.record_id for u in reader.grouped_outbox(["g"])]
        assert ["3"] == [e.update.record_id for e in reader.held("conflict")]
        assert {"": 3, "conflict": 1} == reader.pending_counts()


def test_what_waits_for_a_parked_one_of_its_group_counts_as_parked(store):
    fill(
        store,
        update("1", {"n": 1}),
        update("2", {"n": 1}, group="g"),
        update("3", {"n": 1}, group="g"),
        update("4", {"n": 1}, group="h"),
    )
    pend(store, ("m", "1"), ("m", "2"), ("m", "4"))
    pend(store, ("m", "3"), hold="parked")

    with store.read() as reader:
        assert {"": 2, "parked": 2} == reader.pending_counts()
    with store.write() as tx:
        tx.clear_pending([("m", "1"), ("m", "4")])
        assert {"parked": 2} == tx.pending_counts()


def test_the_outbox_is_read_on_after_a_seq_and_names_what_the_upstream_holds(store):
    fill(store, update("1", {"n": 1}), update("2", {"n": 1}), update("3", {"n": 1}))
    base_rev = new_revision(1, "f" * 16)
    with store.write() as tx:
        held = Pending(model="m", record_id="2", base_rev=base_rev, base_body=b'{"id":"2"}')
        tx.write_pending([held, Pending(model="m", record_id="3")])

    with store.read() as reader:
        assert [("2", base_rev), ("3", None)] == [
            (u.record_id, u.prev) for u in reader.outbox(limit=9)
        ]
        assert ["3"] == [u.record_id for u in reader.outbox(limit=9, after=2)]


def test_an_entry_may_bring_what_is_pending_of_it(store):
    pending = Pending(model="m", record_id="1", base_rev=new_revision(1, "f" * 16))
    with store.write() as tx:
        first = tx.next_seqs(2)
        tx.write(
            [
                Entry(update("1", {"n": 1}, seq=first), None, pending),
                Entry(update("2", {"n": 1}, seq=first + 1)),
            ]
        )
        tx.write([Entry(update("1", {"n": 2}, seq=tx.next_seqs(1)))])

    with store.read() as reader:
        assert (pending, None) == (reader.entry("m", "1").pending, reader.entry("m", "2").pending)


def test_what_stands_as_it_was_pushed_waits_no_more(store):
    names = ("1", "moved", "held", "newer", "idle")
    stored = {
        u.record_id: u for u in fill(store, *(update(n, {"n": 1}) for n in names), base_seq=5)
    }
    pend(store, ("m", "1"), ("m", "moved"), ("m", "newer"))
    pend(store, ("m", "held"), hold="conflict")
    with store.write() as tx:
        # It was pushed as it stood before, and moved on in the list since.
        tx.write([Entry(update("moved", {"n": 2}, seq=tx.next_seqs(1)), 5)])
    applied = [
        (stored["1"], 9),
        (stored["moved"], 10),
        (stored["held"], 11),
        (stored["newer"], 4),
        (stored["idle"], 9),
        (update("absent", {"n": 1}, seq=99), 9),
    ]
    with store.write() as tx:
        left = tx.settle_applied(applied)
        assert {("m", name) for name in ("moved", "held", "newer", "idle", "absent")} == left

    with store.read() as reader:
        held = {name: reader.entry("m", name) for name in names}
    assert [9, 5, 5, 5, 5] == [entry.base_seq for entry in held.values()]
    assert [True, False, False, False, True] == [e.pending is None for e in held.values()]


def test_a_whole_backlog_is_settled_at_the_upstream_s_own_seqs(store):
    stored = fill(store, *(update(str(n), {"n": n}) for n in range(6)))
    pend(store, *(u.key for u in stored))
    # Taken in two pushes, with somebody else's change between, and one of them out of order.
    seqs = [11, 12, 13, 20, 22, 21]
    with store.write() as tx:
        assert set() == tx.settle_applied(list(zip(stored, seqs, strict=True)))

    with store.read() as reader:
        entries = [reader.entry(*u.key) for u in stored]
        assert (seqs, []) == ([e.base_seq for e in entries], reader.outbox(limit=9))


def test_groups_are_renamed_and_pending_rows_cleared(store):
    fill(store, update("1", {"n": 1}, group="old"), update("2", {"n": 1}, group="old"))
    pend(store, ("m", "1"))
    with store.write() as tx:
        tx.set_group("old", "new")
    with store.read() as reader:
        groups = [reader.entry("m", i).update.group for i in ("1", "2")]
    with store.write() as tx:
        tx.clear_pending([("m", "1")])

    with store.read() as reader:
        assert (["new", "old"], []) == (groups, reader.outbox(limit=9))


def test_all_that_no_upstream_saw_is_offered(store):
    fill(store, update("1", {"n": 1}), update("2", None))
    fill(store, update("3", {"n": 1}), base_seq=1)
    with store.write() as tx:
        tx.offer_all()

    with store.read() as reader:
        assert ["1"] == [u.record_id for u in reader.outbox(limit=9)]


def test_the_conflict_log_keeps_the_open_ones_when_it_is_trimmed(store):
    with store.write() as tx:
        tx.write_conflict(conflict(1))
        for number in range(2, 6):
            tx.write_conflict(conflict(number, resolution="ours"))
        tx.trim_conflicts(2)

    with store.read() as reader:
        listed = [c.conflict_id for c in reader.conflicts(open_only=False)]
        assert ["c1", "c4", "c5"] == listed
        assert ["c1"] == [c.conflict_id for c in reader.conflicts(open_only=True, model="m")]
        assert "c1" == reader.open_conflict("m", "1").conflict_id
        assert reader.conflict("c2") is None


def test_open_conflicts_are_dropped_with_what_they_hold(store):
    fill(store, update("1", {"n": 1}))
    pend(store, ("m", "1"), hold="conflict")
    with store.write() as tx:
        tx.write_conflict(conflict(1))
        tx.drop_open_conflicts()

    with store.read() as reader:
        assert ([], {"": 1}) == (reader.conflicts(open_only=False), reader.pending_counts())


def test_a_purge_takes_old_tombstones_that_wait_for_nobody(store):
    fill(store, update("1", None), update("2", None), update("3", {"n": 1}), update("4", None))
    pend(store, ("m", "2"))
    with store.write() as tx:
        purged = tx.purge(3)

    with store.read() as reader:
        assert 1 == purged
        assert {"2", "3", "4"} == {record_id for _, record_id in reader.keys_of(["m"])}


def test_digests_are_kept_by_record_and_go_with_it(store):
    fill(store, update("1", None), update("2", {"n": 1}), update("3", {"n": 1}))
    with store.write() as tx:
        tx.write_digests("m", [("1", b"[1]"), ("2", b"[2]"), ("3", b"[3]")])
        tx.write_digests("m", [("2", b"[4]")])
        tx.write_digests("other", [("2", b"[5]")])
    ids = ["1", "2", "3", "4"]
    with store.read() as reader:
        assert {"1": b"[1]", "2": b"[4]", "3": b"[3]"} == reader.digests("m", ids)

    with store.write() as tx:
        tx.purge(1)
        tx.remove([("m", "3")])
    with pytest.raises(RuntimeError), store.write() as tx:
        tx.write_digests("m", [("2", b"[6]")])
        raise RuntimeError

    with store.read() as reader:
        assert {"2": b"[4]"} == reader.digests("m", ids)
        assert {"2": b"[5]"} == reader.digests("other", ids)


def test_pages_of_the_stage_come_back_in_order(store):
    with store.write() as tx:
        tx.append_stage(b"one")
        tx.append_stage(b"two")
        both = list(tx.stage())
        tx.clear_stage()

    with store.read() as reader:
        assert ([b"one", b"two"], []) == (both, list(reader.stage()))


def test_find_orders_limits_and_goes_on(store):
    fill(store, *(update(str(n), {"n": n % 3, "t": f"x{n}"}) for n in range(6)), update("9", None))

    def ids(*args, **fields):
        with store.read() as reader:
            return [record["id"] for record in reader.find("m", query(*args, **fields))]

    assert ["0", "1", "2", "3", "4", "5"] == ids()
    assert ["2", "5", "1", "4", "0", "3"] == ids(order="n DESC")
    assert ["1", "4"] == ids({"n": 1})
    assert ["2", "3"] == ids(after="1", limit=2)
    assert ["1", "4"] == ids(order="n DESC", after="5", limit=2)
    assert [] == ids(limit=0)
    with store.read() as reader:
        assert 4 == reader.count("m", query({"n": {"gte": 1}}))
    with pytest.raises(FilterInvalid):
        ids({"n": 1}, order="n", after="nobody")


def test_opening_and_closing_twice_is_harmless(store):
    store.open()
    store.tend()
    assert store.take_lease(Lease.LINK)
    store.release_lease(Lease.LINK)
    store.close()
    store.close()


def test_a_failed_transaction_leaves_the_conflict_log_in_its_order(store):
    with store.write() as tx:
        for number in range(1, 5):
            tx.write_conflict(conflict(number, resolution="ours" if number < 4 else ""))

    with pytest.raises(RuntimeError), store.write() as tx:
        tx.write_conflict(conflict(2, resolution="theirs"))
        tx.trim_conflicts(1)
        tx.drop_open_conflicts()
        raise RuntimeError

    with store.read() as reader:
        listed = [(c.conflict_id, c.resolution) for c in reader.conflicts(open_only=False)]
    assert [("c1", "ours"), ("c2", "ours"), ("c3", "ours"), ("c4", "")] == listed


def test_a_failed_transaction_leaves_pending_bases_and_tombstones_as_they_were(store):
    fill(store, update("1", {"n": 1}, group="g"), base_seq=9)
    fill(store, update("2", None), update("3", {"n": 1}))
    pend(store, ("m", "1"))

    def content():
        with store.read() as reader:
            keys = sorted(reader.keys_of(["m"]))
            return reader.head(), reader.entries(keys), reader.changes(0, models=None, limit=9)

    before = content()
    with pytest.raises(RuntimeError), store.write() as tx:
        tx.write_pending([Pending(model="m", record_id="1", hold="parked", reason="no")])
        tx.offer_all()
        tx.set_group("g", "other")
        tx.void_bases(0)
        tx.purge(9)
        tx.append_stage(b"page")
        put(tx, update("1", {"n": 2}, generation=2))
        put(tx, update("1", {"n": 3}, generation=3), update("4", {"n": 1}))
        raise RuntimeError

    assert before == content()
    with store.read() as reader:
        assert [] == list(reader.stage())


def test_a_transaction_reads_what_it_wrote(store):
    with store.write() as tx:
        assert 0 == tx.head()
        (stored,) = put(tx, update("1", {"n": 1}))
        tx.write_pending([Pending(model="m", record_id="1")])
        tx.set_meta("name", b"value")
        tx.write_conflict(conflict(1))

        assert (1, stored) == (tx.head(), tx.entry("m", "1").update)
        assert [stored] == tx.changes(0, models=None, limit=9)
        assert [{"id": "1", "n": 1}] == tx.find("m", query())
        assert (["1"], b"value") == (
            [u.record_id for u in tx.outbox(limit=9)],
            tx.meta("name"),
        )
        assert "c1" == tx.conflict("c1").conflict_id
        assert 2 == tx.next_seqs(3)
        assert 4 == tx.head()


def test_entries_come_with_what_they_have_to_tell(store):
    pending = Pending(
        model="m",
        record_id="1",
        base_rev=new_revision(1, "0" * 16),
        base_body=b'{"id":"1"}',
        hold="parked",
        reason="refused: Zoë",
        sent=(
            Sent(new_revision(2, "0" * 16), encode_body({"id": "1", "name": "Zoë"})),
            Sent(new_revision(3, "0" * 16, deleted=True)),
        ),
    )
    one, two = fill(store, update("1", {"n": 1}), update("2", {"n": 1}), base_seq=4)
    with store.write() as tx:
        tx.write_pending([pending])

    with store.read() as reader:
        assert Entry(one, 4, pending) == reader.entry("m", "1")
        assert {("m", "1"): Entry(one, 4, pending), ("m", "2"): Entry(two, 4)} == reader.entries(
            [("m", "1"), ("m", "2"), ("x", "1")]
        )
        assert ([Entry(one, 4, pending)], {}) == (reader.held("parked"), reader.entries([]))


def test_a_write_leaves_pending_alone_and_a_removal_takes_it(store):
    fill(store, update("1", {"n": 1}))
    pend(store, ("m", "1"))
    fill(store, update("1", {"n": 2}, generation=2))
    with store.read() as reader:
        kept = reader.entry("m", "1").pending
    with store.write() as tx:
        tx.remove([("m", "1"), ("m", "nobody")])

    with store.read() as reader:
        assert Pending(model="m", record_id="1") == kept
        assert ({}, None) == (reader.pending_counts(), reader.entry("m", "1"))
        assert ([], [], 2) == (
            reader.models(),
            reader.changes(0, models=None, limit=9),
            reader.head(),
        )


def test_a_record_that_comes_back_after_removal_is_new(store):
    fill(store, update("1", {"n": 1}), base_seq=5)
    with store.write() as tx:
        tx.remove([("m", "1")])

    (stored,) = fill(store, update("1", {"n": 2}))

    with store.read() as reader:
        assert (2, Entry(stored)) == (stored.seq, reader.entry("m", "1"))


def test_models_and_keys_are_listed_with_their_tombstones(store):
    fill(store, update("1", {"n": 1}, model="z"), update("1", None, model="a"), update("é", {}))

    with store.read() as reader:
        assert ["a", "m", "z"] == reader.models()
        assert {("a", "1"), ("m", "é")} == set(reader.keys_of(["a", "m", "none"]))


def test_changes_of_no_model_are_none(store):
    fill(store, update("1", {"n": 1}))

    with store.read() as reader:
        assert [] == reader.changes(0, models=[], limit=9)
        assert [] == reader.changes(0, models=["other"], limit=9)
        assert [] == reader.changes(1, models=None, limit=9)
        assert [] == reader.changes(0, models=None, limit=9, upto=0)


def test_bases_of_what_is_not_held_move_nothing(store):
    with store.write() as tx:
        tx.set_base_seqs([(("m", "nobody"), 9)])

    with store.read() as reader:
        assert reader.entry("m", "nobody") is None


def test_voided_bases_are_lost_with_their_data(store):
    fill(store, update("1", {"n": 1}), base_seq=8)
    base = Pending(model="m", record_id="1", base_rev=new_revision(1, "a" * 16), base_body=b"{}")
    with store.write() as tx:
        tx.write_pending([base])
        tx.void_bases(7)

    with store.read() as reader:
        entry = reader.entry("m", "1")
    assert (True, None, b"") == (entry.base.is_void, entry.base.rev, entry.base.body)


def test_received_conflicts_are_logged_but_hold_nobody(store):
    with store.write() as tx:
        tx.write_conflict(conflict(1, side="received"))
        tx.write_conflict(conflict(2))
        tx.write_conflict(conflict(3, side="received"))
    with store.read() as reader:
        met = reader.open_conflict("m", "1")
        first = reader.conflicts(open_only=True, limit=1)
        others = reader.conflicts(open_only=True, model="other")
    with store.write() as tx:
        tx.trim_conflicts(1)
        tx.drop_open_conflicts()

    with store.read() as reader:
        assert ("c2", ["c1"], []) == (met.conflict_id, [c.conflict_id for c in first], others)
        assert ["c3"] == [c.conflict_id for c in reader.conflicts(open_only=False)]


def test_a_conflict_comes_back_whole_and_keeps_its_place(store):
    settled = conflict(1, base_body=b'{"a":1}', opened_ms=5, resolution="merge", settled_ms=6)
    with store.write() as tx:
        tx.write_conflict(conflict(1))
        tx.write_conflict(conflict(2))
        tx.write_conflict(settled)

    with store.read() as reader:
        assert settled == reader.conflict("c1")
        assert ["c1", "c2"] == [c.conflict_id for c in reader.conflicts(open_only=False)]
        assert "c2" == reader.open_conflict("m", "1").conflict_id


def test_small_values_are_replaced(store):
    with store.write() as tx:
        tx.set_meta("name", b"one")
        tx.set_meta("name", b"two")

    with store.read() as reader:
        assert (b"two", None) == (reader.meta("name"), reader.meta("none"))


def test_many_keys_are_looked_up_at_once(store):
    fill(store, *(update(str(n), {"n": n}) for n in range(3000)))

    with store.read() as reader:
        keys = [("m", str(n)) for n in range(0, 6000, 2)]
        assert {("m", str(n)) for n in range(0, 3000, 2)} == set(reader.entries(keys))


def test_names_of_any_script_are_told_apart(store):
    names = ["a", "A", "é", "e\u0301", "😀", "a b", "'", '"', "%"]
    fill(store, *(update(name, {"n": 1}) for name in names))

    with store.read() as reader:
        assert sorted(names) == [record["id"] for record in reader.find("m", query())]
        assert all(reader.entry("m", name) is not None for name in names)


def test_the_rows_of_a_declared_model_are_its_records(store):
    store.declare([schema_from_config("m", {"properties": {"n": "integer", "d": "date"}})])
    store.declare([schema_from_config("m", {"properties": {"n": "integer", "d": "date"}})])
    records = {"1": {"n": 1, "d": "2026-11-23T00:00:00.000Z"}, "2": {"n": None, "d": None}}
    fill(store, *(update(i, data) for i, data in records.items()), update("3", None))
    with store.write() as tx:
        put(tx, update("4", {"n": 1, "d": None}))
        tx.remove([("m", "4")])

    with store.read() as reader:
        assert [] == reader.strays()
        assert [] == reader.strays([("m", "1"), ("m", "3"), ("m", "4"), ("m", "5")])


def test_a_store_that_no_other_process_sees_has_no_foreign_writes(store):
    before = store.foreign_writes()
    fill(store, update("1", {"n": 1}))

    assert before == store.foreign_writes()
    assert store.is_shared is (getattr(store, "path", None) is not None)


def test_summaries_are_the_same_in_every_store(store):
    fill(store, *(update(str(n), {"n": n}) for n in range(100)), update("x"), update("ü", {}))
    fill(store, update("1", {"n": 1}, model="other"))

    with store.read() as reader:
        whole = reader.summaries("m", [Range()])
        parts = reader.summaries("m", [Range(), Range("50")], every=40)
        some = reader.summaries("m", [Range("", "2"), Range("5", "7"), Range("9")])

    assert [(102, 101, "88b8f8760fefb7d17c7bc7d1bf0d87a5")] == [
        (s.rows, s.count, s.hash) for s in whole
    ]
    assert [40, 40, 22, 40, 15] == [s.rows for s in parts]
    assert [("", "2"), ("5", "7"), ("9", None)] == [(s.after, s.upto) for s in some]
    assert [13, 22, 12] == [s.rows for s in some]


def test_summaries_go_by_code_point(store):
    fill(
        store, *(update(record_id, {}) for record_id in ("b", "B", "a\U0001f600", "a\uffff", "aa"))
    )

    with store.read() as reader:
        found = reader.summaries("m", [Range()], every=1)

    assert ["B", "aa", "a\uffff", "a\U0001f600", "b"] == [s.record_id for s in found]


def test_deletions_pending_are_those_that_the_upstream_would_carry_out(store):
    live, gone = new_revision(1, "0" * 16), new_revision(1, "0" * 16, deleted=True)
    ids = ("waits", "held", "never sent", "was gone", "edit")
    fill(store, *(update(i, {} if i == "edit" else None) for i in ids))
    bases = {"waits": live, "held": live, "never sent": None, "was gone": gone, "edit": live}
    with store.write() as tx:
        tx.write_pending(
            [
                Pending(
                    model="m", record_id=i, base_rev=base, hold="conflict" if i == "held" else ""
                )
                for i, base in bases.items()
            ]
        )

    with store.read() as reader:
        assert {"m": 1} == reader.deletions_pending()


def test_first_entry_since_a_stamp(store):
    fill(store, *(update(str(n), {}, stamp=stamp) for n, stamp in enumerate((10, 30, 20, 40))))

    with store.read() as reader:
        assert [1, 2, 4, None] == [reader.first_since(stamp) for stamp in (0, 11, 31, 41)]


def test_last_purgeable_is_the_last_tombstone_that_is_not_pending(store):
    fill(store, update("1"), update("2", {}), update("3"), update("4"))
    pend(store, ("m", "4"))

    with store.read() as reader:
        assert [None, 1, 1, 3] == [reader.last_purgeable(upto) for upto in (0, 1, 2, 9)]
