"""Processes killed between any two statements, and at any moment, lose and repeat nothing."""

import sqlite3

import crashes
import pytest
import stores
import workload
from crashes import CLIENT, DAEMON, PURGE, RESET, Outcome, Pair


@pytest.fixture
def pair(tmp_path):
    with Pair(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("side", "failpoint"),
    [
        (CLIENT, "begin:kill:3"),
        (CLIENT, "insert-changes:kill:5"),
        (CLIENT, "update-head:kill:1"),
        (CLIENT, "delete-changes:kill:1"),
        (CLIENT, "insert-stage:kill:1"),
        (CLIENT, "delete-stage:kill:2"),
        (CLIENT, "insert-conflicts:kill:1"),
        (CLIENT, "delete-typed:kill:1"),
        (CLIENT, "insert-meta:kill:9"),
        (CLIENT, "commit:kill:12"),
        (CLIENT, "committed:kill:20"),
        (DAEMON, "insert-meta:kill:2"),
        (DAEMON, "insert-changes:kill:6"),
        (DAEMON, "insert-typed:kill:1"),
        (DAEMON, "commit:kill:4"),
        (DAEMON, "committed:kill:4"),
        (RESET, "update-changes:kill:1"),
        (RESET, "update-changes:kill:3"),
        (RESET, "insert-changes:kill:1"),
        (RESET, "committed:kill:5"),
        (PURGE, "insert-digests:kill:1"),
        (PURGE, "update-head:kill:2"),
        (PURGE, "delete-digests:kill:1"),
        (PURGE, "delete-changes:kill:2"),
    ],
)
def test_killed_at_a_failpoint_nothing_is_lost_or_done_twice(side, failpoint):
    outcome = crashes.failpoint_round(side, 1, failpoint)

    assert [] == outcome.problems
    assert failpoint.partition(":")[0] == outcome.failpoint, "it was never come to"


@pytest.mark.parametrize("action", ["raise", "sleep"])
@pytest.mark.parametrize(
    ("side", "point"),
    [
        (CLIENT, "insert-changes:{}:4"),
        (CLIENT, "insert-meta:{}:9"),
        (CLIENT, "commit:{}:14"),
        (CLIENT, "committed:{}:14"),
        (DAEMON, "insert-changes:{}:4"),
        (DAEMON, "commit:{}:4"),
        (DAEMON, "committed:{}:4"),
    ],
)
def test_a_store_that_fails_or_hangs_once_holds_nobody_up_for_good(side, point, action):
    outcome = crashes.failpoint_round(side, 2, point.format(action))

    assert [] == outcome.problems


def test_killed_at_random_moments_round_after_round_nothing_is_lost(tmp_path):
    kills = crashes.Kills(tmp_path, 7)
    try:
        problems = [s for turn in range(12) for s in kills.round(turn).problems]
        outcome = kills.finish()
    finally:
        kills.close()

    assert [] == problems + outcome.problems
    assert outcome.acknowledged > 12


def test_a_client_that_offers_again_what_the_daemon_lost_is_not_live_before_it_did(pair):
    pair.daemon.start()
    pair.hear(pair.start_client(workload.act, 1, 0))
    pair.daemon.child.kill()
    for path in pair.folder.glob("daemon.db*"):
        path.unlink()
    pair.daemon.start()
    # It ends as soon as it is live.
    pair.start_client(workload.finish).lines()

    assert 0 == stores.pending(pair.client)
    assert [] == pair.oracle.problems(stores.records(pair.daemon.store))


# ---- the harness goes red ---------------------------------------------------------------


def planted(pair, path, *statements):
    """Return what is found after a database was tampered with."""
    with sqlite3.connect(path) as db:
        for statement in statements:
            changed = db.execute(statement).rowcount
            assert changed == 1, statement
    db.close()
    outcome = Outcome()
    outcome.problems += pair.left_as()
    outcome.problems += stores.level_problems(pair.client, pair.daemon.store)
    outcome.problems += pair.oracle.problems(stores.records(pair.daemon.store))
    return outcome.problems


@pytest.fixture
def settled(pair):
    """Both level and ended, with nothing wrong."""
    pair.daemon.start()
    pair.hear(pair.start_client(workload.act, 1, 0))
    pair.daemon.stop()
    assert [] == pair.left_as()
    return pair


CHANGES = "FROM syncline_changes WHERE model = '{}' AND body IS NOT NULL ORDER BY seq DESC LIMIT 1)"


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        pytest.param(
            f"DELETE FROM syncline_changes WHERE seq = (SELECT seq {CHANGES.format('log')}",
            "is not there",
            id="a cursor ahead of its records",
        ),
        pytest.param(
            f"DELETE FROM syncline_changes WHERE seq = (SELECT seq {CHANGES.format('left')}",
            "half a transaction",
            id="a commit cut in two",
        ),
        pytest.param(
            "INSERT INTO task (id, title) VALUES ('x', 'y')",
            "typed table",
            id="a row without its record",
        ),
        pytest.param(
            "UPDATE syncline_changes SET hold = '' "
            f"WHERE seq = (SELECT seq {CHANGES.format('log')}",
            "left in the client's pending",
            id="a record that was never pushed",
        ),
    ],
)
def test_a_client_store_that_is_wrong_is_found(settled, statement, word):
    assert any(word in sentence for sentence in planted(settled, settled.client, statement))


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        pytest.param(
            f"DELETE FROM syncline_changes WHERE seq = (SELECT seq {CHANGES.format('counter')}",
            "stands, [{",
            id="an acknowledged write lost",
        ),
        pytest.param(
            "UPDATE syncline_changes SET rev = '2' || substr(rev, 2) "
            f"WHERE seq = (SELECT seq {CHANGES.format('log')}",
            "written once",
            id="a push applied twice",
        ),
        pytest.param(
            "INSERT INTO syncline_changes (seq, model, record_id, rev, ancestors, origin, stamp, "
            "body) VALUES (9999, 'log', 'x', '1-aa', '', 'me', 1, '{}')",
            "nobody wrote it",
            id="a record from nowhere",
        ),
    ],
)
def test_a_daemon_store_that_is_wrong_is_found(settled, statement, word):
    assert any(word in s for s in planted(settled, settled.daemon.store, statement))
