import pytest

from syncline.brake import WINDOW_MS, Brake, Direction, deletions_of
from syncline.effects import ApplyUpdates, Mode
from syncline.engine import Engine
from syncline.errors import MassDeletion
from syncline.models import Cursor, Interval, Update, encode_body
from syncline.revision import new_revision
from syncline.store.memory import MemoryStore


PULL, PUSH = Direction.PULL, Direction.PUSH


@pytest.mark.parametrize(
    ("deletions", "held", "is_held_back"),
    [
        pytest.param(100, 100, False, id="so many never are"),
        pytest.param(101, 101, True, id="all"),
        pytest.param(500, 1000, False, id="half"),
        pytest.param(501, 1000, True, id="more than half"),
    ],
)
def test_more_than_a_share_and_more_than_a_few_are_held_back(deletions, held, is_held_back):
    brake = Brake()

    if is_held_back:
        with pytest.raises(MassDeletion, match=rf"{deletions} of {held} records of 'todo'"):
            brake.check("todo", deletions=deletions, held=held)
    else:
        brake.check("todo", deletions=deletions, held=held)


def test_share_of_one_lets_everything_through():
    Brake(share_max=1.0).check("todo", deletions=1000, held=1000)


def test_error_says_what_it_would_do_and_how_to_allow_it():
    with pytest.raises(MassDeletion) as caught:
        Brake().check("todo", deletions=1000, held=1000, here=False)

    assert "1000 of 1000 records of 'todo' would be deleted upstream" == str(caught.value)
    assert "--allow-deletions" in caught.value.hint
    assert "allow_deletions()" in caught.value.hint


def delete(brake, size, held):
    """Delete all, so many at a time, until the brake holds; return how many are left."""
    for left in range(held - size, -1, -size):
        try:
            brake.check_next(PULL, "todo", size, now_ms=0, left=lambda left=left: left)
        except MassDeletion:
            return left + size
        brake.note(PULL, "todo", size, now_ms=0)
    return 0


@pytest.mark.parametrize(
    ("size", "left"),
    [
        pytest.param(1, 0, id="singly"),
        pytest.param(10, 0, id="a few at a time"),
        pytest.param(20, 500, id="in bulk"),
        pytest.param(300, 700, id="at once"),
    ],
)
def test_deletions_that_come_in_bulk_add_up(size, left):
    assert left == delete(Brake(), size, 1000)


@pytest.mark.parametrize(
    ("direction", "model", "now_ms"),
    [
        pytest.param(PULL, "todo", WINDOW_MS + 1, id="later"),
        pytest.param(PULL, "list", 0, id="of another model"),
        pytest.param(PUSH, "todo", 0, id="the other way"),
    ],
)
def test_deletions_elsewhere_do_not_add_up(direction, model, now_ms):
    brake = Brake()
    brake.note(PULL, "todo", 1000, now_ms=0)

    brake.check_next(direction, model, 100, now_ms=now_ms, left=lambda: 0)


def test_lifted_brake_is_on_again_when_the_time_is_over():
    brake = Brake()
    brake.lift(1000)
    brake.check_next(PULL, "todo", 5000, now_ms=999, left=lambda: 0)

    with pytest.raises(MassDeletion):
        brake.check_next(PULL, "todo", 5000, now_ms=1000, left=lambda: 0)


def test_brake_that_is_off_lets_all_through_that_comes_at_a_time():
    brake = Brake()
    brake.is_off = True

    brake.check_next(PULL, "todo", 5000, now_ms=0, left=lambda: pytest.fail("counted"))


def test_records_are_counted_only_when_it_matters():
    Brake().check_next(PULL, "todo", 100, now_ms=0, left=lambda: pytest.fail("counted"))


# ---- in the engine --------------------------------------------------------------------------


def update(number, *, deleted=False, prev=None):
    return Update(
        model="todo",
        record_id=str(number),
        seq=(1000 if deleted else 0) + number,
        rev=new_revision(2 if deleted else 1, f"{number:016x}", deleted=deleted),
        prev=new_revision(1, f"{number:016x}") if deleted else None,
        body=encode_body({}) if not deleted else b"",
    )


def interval(since, updates):
    head = updates[-1].seq
    return Interval(epoch="e", since=since, checkpoint=head, head=head, updates=tuple(updates))


@pytest.fixture
def follower():
    nonces = iter(range(1, 10_000))
    engine = Engine(
        MemoryStore(),
        new_nonce=lambda: f"{next(nonces):016x}",
        now_ms=lambda: 0,
        follows=True,
        listens=False,
    )
    engine.open()
    take(engine, interval(0, [update(n) for n in range(1, 301)]))
    return engine


def take(engine, page):
    cursor = Cursor(source="s", epoch="e", seq=page.checkpoint, is_whole=True, models=("todo",))
    with engine.store.write() as tx:
        outcome = engine.carry_out(tx, ApplyUpdates(page, Mode.WHOLE, cursor))
    engine.note_deletions(PULL, outcome.deleted)
    return outcome


def held(engine):
    with engine.store.read() as reader:
        cursor = engine.cursor(reader)
        return sum(not u.is_deletion for u in reader.changes(0, models=None, limit=999)), cursor.seq


def gone(start, end):
    return interval(1000 + start - 1, [update(n, deleted=True) for n in range(start, end)])


def test_interval_that_empties_a_model_leaves_the_store_as_it_was(follower):
    with pytest.raises(MassDeletion, match="300 of 300"):
        take(follower, gone(1, 301))

    assert (300, 300) == held(follower)


def test_staged_deletions_are_counted_with_the_whole(follower):
    cursor = Cursor(source="s", epoch="e", seq=300, is_whole=True, models=("todo",))
    with follower.store.write() as tx:
        follower.carry_out(tx, ApplyUpdates(gone(1, 101), Mode.STAGE, cursor))
        follower.carry_out(tx, ApplyUpdates(gone(101, 151), Mode.STAGE, cursor))

    with pytest.raises(MassDeletion, match="151 of 300"), follower.store.write() as tx:
        follower.carry_out(tx, ApplyUpdates(gone(151, 152), Mode.WHOLE, cursor, with_stage=True))

    assert (300, 300) == held(follower)


def test_half_goes_and_what_comes_after_it_is_held_back(follower):
    outcome = take(follower, gone(1, 151))

    with pytest.raises(MassDeletion, match="170 of 300"):
        take(follower, gone(151, 171))

    assert {"todo": 150} == outcome.deleted
    assert (150, 1150) == held(follower)


def test_allowed_deletions_go(follower):
    follower.brake.lift(1)

    take(follower, gone(1, 301))

    assert (0, 1300) == held(follower)


def test_what_a_reset_drops_counts_too(follower):
    cursor = Cursor(source="s", epoch="f", resetting=300, models=("todo",))
    page = interval(0, [update(1)])

    with pytest.raises(MassDeletion, match="299 of 300"), follower.store.write() as tx:
        follower.carry_out(tx, ApplyUpdates(page, Mode.WHOLE, cursor))


def test_repeated_tombstones_do_not_count(follower):
    take(follower, gone(1, 151))

    outcome = take(follower, gone(1, 151))

    assert {} == outcome.deleted


def test_only_deletions_of_what_the_upstream_holds_count_in_a_push():
    live = update(1, deleted=True)
    created_and_deleted = Update(
        model="todo", record_id="2", rev=new_revision(2, "0" * 16, deleted=True)
    )

    assert {"todo": 1} == deletions_of([live, created_and_deleted, update(3)])
