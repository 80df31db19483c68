"""Failpoints: named, complete, between all statements that write, and absent unless asked for."""

import inspect
import os
import signal
import subprocess
import sys

import pytest

from syncline.errors import ConfigError, StoreError
from syncline.models import Conflict, Entry, Pending, Update, raw_body
from syncline.opening import open_store
from syncline.schema import ModelSchema, Property, PropertyKind
from syncline.store import contract
from syncline.store.failpoints import ANY, POINTS, FailingSqlStore, Failpoint, point_of
from syncline.store.sql import SqlStore


KEY = ("task", "1")


def update(rev="1-aa", body=b'{"id":"1"}'):
    return Update(
        model="task", record_id="1", seq=1, rev=rev, origin="me", stamp=1, body=raw_body(body)
    )


CONFLICT = Conflict(
    conflict_id="c", model="task", record_id="1", ours=update(), theirs=update("1-bb")
)
CALLS = {
    "next_seqs": (1,),
    "write": (
        [
            # A text's column holds no object: it is parked, until it is removed.
            Entry(update(body=b'{"id":"1","title":{}}'), None),
            Entry(update("2-bb-deleted", b""), None),
        ],
    ),
    "set_base_seqs": ([(KEY, 1)],),
    "remove": ([KEY],),
    "write_pending": ([Pending(model="task", record_id="1")],),
    "clear_pending": ([KEY],),
    "settle_applied": ([(update(), 1)],),
    "offer_all": (),
    "set_group": ("a", "b"),
    "void_bases": (0,),
    "yield_bases": (0,),
    "write_conflict": (CONFLICT,),
    "drop_open_conflicts": (),
    "trim_conflicts": (1,),
    "set_meta": ("name", b"value"),
    "write_digests": ("task", [("1", b"[]")]),
    "purge": (0,),
    "skip_seq": (),
    "append_stage": (b"[]",),
    "clear_stage": (),
}


@pytest.fixture
def failing(tmp_path):
    """Return a store with a typed model that fails as told."""
    opened = []

    def make(text="begin:sleep:1000000"):
        store = FailingSqlStore(f"sqlite:///{tmp_path}/s.db", failpoint=Failpoint.parse(text))
        store.open()
        store.declare(
            [
                ModelSchema(
                    name="task", properties=(Property(name="title", kind=PropertyKind.STRING),)
                )
            ]
        )
        opened.append(store)
        return store

    yield make
    for store in opened:
        store.close()


def test_what_is_called_here_is_all_that_writes():
    own = {
        name
        for name, _ in inspect.getmembers(contract.Transaction, inspect.isfunction)
        if not name.startswith("_") and not hasattr(contract.Reader, name)
    }

    assert own == set(CALLS)


def test_the_list_of_points_is_what_all_writing_calls_come_to(failing):
    store = failing()
    for name, args in CALLS.items():
        with store.write() as tx:
            getattr(tx, name)(*args)

    assert set(POINTS) == set(store.failpoint.seen)


@pytest.mark.parametrize(
    ("sql", "point"),
    [
        ("SELECT 1", None),
        ("WITH names AS (SELECT 1) SELECT 1", None),
        ("INSERT OR IGNORE INTO syncline_pending (a) VALUES (1)", "insert-pending"),
        ("DELETE FROM syncline_stage", "delete-stage"),
        ('INSERT INTO "order" (a) VALUES (1)', "insert-typed"),
        ("UPDATE syncline_head SET seq = ?", "update-head"),
    ],
)
def test_a_statement_that_writes_is_named_by_what_it_writes(sql, point):
    assert point == point_of(sql)


@pytest.mark.parametrize("point", POINTS)
def test_an_error_at_a_point_leaves_all_of_the_transaction_or_none(failing, point):
    store = failing(f"{point}:raise:1")
    with pytest.raises(StoreError, match=f"failpoint {point}"), store.write() as tx:
        tx.set_meta("first", b"1")
        for name, args in CALLS.items():
            getattr(tx, name)(*args)
        tx.set_meta("last", b"1")
    with store.read() as reader:
        found = {reader.meta("first"), reader.meta("last")}
    with store.write() as tx:
        tx.set_meta("after", b"1")

    assert {b"1" if point == "committed" else None} == found


def test_any_counts_all_points_together(failing):
    store = failing(f"{ANY}:raise:3")
    with pytest.raises(StoreError, match="failpoint insert-stage"), store.write() as tx:
        tx.set_meta("first", b"1")
        tx.append_stage(b"[]")


@pytest.mark.parametrize(
    "text",
    ["commit", "commit:kill", "commit:kill:0", "commit:kill:x", "comit:kill:1", "commit:x:1"],
)
def test_a_failpoint_that_can_not_be_is_refused_by_name(text, monkeypatch, tmp_path):
    monkeypatch.setenv("SYNCLINE_FAILPOINT", text)

    with pytest.raises(ConfigError, match="SYNCLINE_FAILPOINT") as caught:
        open_store(str(tmp_path / "s.db"))
    assert "begin" in caught.value.hint


def test_without_the_variable_the_store_is_the_plain_one_and_nothing_of_this_is_loaded(tmp_path):
    code = (
        "import sys; from syncline.opening import open_store; "
        "print(type(open_store('s.db')).__name__, 'syncline.store.failpoints' in sys.modules)"
    )
    env = {k: v for k, v in os.environ.items() if k != "SYNCLINE_FAILPOINT"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=env,
        cwd=tmp_path,
        check=True,
    )

    assert f"{SqlStore.__name__} False" == done.stdout.strip()


def test_a_kill_ends_the_process_there_and_says_where(tmp_path):
    code = (
        "from syncline.opening import open_store\n"
        "store = open_store('s.db')\n"
        "store.open()\n"
        "with store.write() as tx: tx.set_meta('a', b'1')\n"
        "with store.write() as tx: tx.set_meta('b', b'1')\n"
    )
    env = {**os.environ, "SYNCLINE_FAILPOINT": "commit:kill:2"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=env,
        cwd=tmp_path,
        check=False,
    )
    store = SqlStore(f"sqlite:///{tmp_path}/s.db")
    store.open()
    with store.read() as reader:
        found = [reader.meta("a"), reader.meta("b")]
    store.close()

    assert (-signal.SIGKILL, "failpoint commit\n") == (done.returncode, done.stderr)
    assert [b"1", None] == found


def test_a_store_that_fails_looks_at_its_tables_as_any(failing):
    store = failing()
    with store.write() as tx:
        tx.write([Entry(update(), None)])
    with store.write() as tx:
        assert [] == tx.strays()
