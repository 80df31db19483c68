"""The blocking facade against a real daemon: the same names, without `await`."""

import threading

import pytest

from syncline import blocking
from syncline.errors import RecordNotFound


def test_a_script_writes_and_another_reads(daemon, tmp_path):
    with (
        blocking.connect(daemon.url, store=str(tmp_path / "a.db"), models=["todo"]) as ours,
        blocking.connect(daemon.url, models=["todo"]) as theirs,
    ):
        watch = theirs.model("todo").watch()
        theirs.wait_live(10)

        ours.model("todo").put("1", {"title": "milk"})
        seen = watch.next(10)
        watch.close()

        assert {"id": "1", "title": "milk"} == seen.data
        assert [{"id": "1", "title": "milk"}] == theirs.model("todo").find({"title": "milk"})


def test_a_transaction_is_made_when_the_block_ends(daemon):
    with blocking.connect(daemon.url, models=["a", "b"]) as replica:
        with replica.transaction() as tx:
            tx.model("a").put("1", {"n": 1})
            tx.model("b").put("1", {"n": 2})
        replica.wait_live(10)

        changes = replica.model("a").changes() + replica.model("b").changes()

        assert 1 == len({change.group for change in changes} - {None})


def test_errors_keep_their_names_across_threads():
    with blocking.open_replica() as replica, pytest.raises(RecordNotFound):
        replica.model("todo").delete("nothing")


def test_any_thread_may_call():
    with blocking.open_replica() as replica:
        threads = [
            threading.Thread(target=replica.model("todo").put, args=(str(i), {"n": i}))
            for i in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert 8 == replica.model("todo").count()


def test_a_watch_ends_when_its_replica_closes():
    replica = blocking.open_replica()
    watch = replica.model("todo").watch()
    replica.model("todo").put("1", {})
    seen = [watch.next(5).record_id]
    replica._loop.call(replica._replica.core.close())

    seen += [change.record_id for change in watch]

    assert ["1"] == seen
    replica._loop.close()
