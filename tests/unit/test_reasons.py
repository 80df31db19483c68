import msgspec
import pytest

from syncline.models import Conflict, Cursor, Entry, Pending, Update, Verdict, encode_body
from syncline.reasons import Facts, judge
from syncline.revision import new_revision


REVS = [None, *(new_revision(n, f"{n:016x}") for n in (1, 2, 3))]
GONE = new_revision(2, "d" * 16, deleted=True)
OTHER = new_revision(2, "e" * 16)
CURSOR = Cursor(source="up", epoch="e", seq=5, reach=5, is_whole=True, models=("todo",))


def update(rev, n=1, *, seq=1, prev=None, **fields):
    body = msgspec.Raw(b"") if rev.endswith("-deleted") else encode_body({"id": "1", "n": n})
    return Update(model="todo", record_id="1", rev=rev, prev=prev, seq=seq, body=body, **fields)


def follower(held=None, *, base_seq=None, pending=None, cursor=CURSOR, **fields):
    entry = None if held is None else Entry(held, base_seq, pending)
    return Facts(
        name="A",
        source="a",
        epoch="x",
        head=9,
        horizon=0,
        update=held,
        entry=entry,
        cursor=cursor,
        **fields,
    )


def upstream(held=None, *, head=5, epoch="e"):
    return Facts(name="B", source="up", epoch=epoch, head=head, update=held)


def waiting(base=None, hold="", reason=""):
    return Pending(model="todo", record_id="1", base_rev=base, hold=hold, reason=reason)


EDITED = update(REVS[2], 2, prev=REVS[1], ancestors=(REVS[1],))
FIRST = update(REVS[1], seq=5)
COLLIDED = Conflict(conflict_id="c", model="todo", record_id="1", ours=EDITED, theirs=FIRST)


@pytest.mark.parametrize(
    ("ours", "theirs", "state", "push", "pull", "said"),
    [
        pytest.param(
            follower(update(REVS[1]), base_seq=5),
            upstream(FIRST),
            "level",
            None,
            "known",
            "the upstream has it as change 5",
            id="level",
        ),
        pytest.param(
            follower(EDITED, base_seq=5, pending=waiting(REVS[1])),
            upstream(FIRST),
            "to_push",
            "forward",
            "known",
            f"It waits to be pushed, upon {REVS[1]}.",
            id="edit waits",
        ),
        pytest.param(
            follower(update(REVS[1]), pending=waiting()),
            upstream(),
            "to_push",
            "forward",
            None,
            "It waits to be pushed, as new.",
            id="create waits",
        ),
        pytest.param(
            follower(EDITED, base_seq=5, pending=waiting(REVS[1]), in_flight=True),
            upstream(FIRST),
            "in_flight",
            "forward",
            "known",
            "It is on its way",
            id="in flight",
        ),
        pytest.param(
            follower(update(REVS[1]), base_seq=5),
            upstream(update(REVS[2], 2, seq=8, ancestors=(REVS[1],)), head=8),
            "to_pull",
            None,
            "forward",
            "Change 8 lies beyond the cursor 5: A has not read it yet.",
            id="not read yet",
        ),
        pytest.param(
            follower(update(REVS[1]), base_seq=5),
            upstream(update(GONE, seq=8, ancestors=(REVS[1],)), head=8),
            "to_pull",
            None,
            "forward",
            "Reading the deletion, A would take it.",
            id="deletion not read yet",
        ),
        pytest.param(
            follower(EDITED, base_seq=5, pending=waiting(REVS[1])),
            upstream(update(OTHER, 3, seq=8, ancestors=(REVS[1],)), head=8),
            "conflict",
            "conflict",
            "conflict",
            "neither revision comes from the other",
            id="will collide",
        ),
        pytest.param(
            follower(EDITED, base_seq=5, pending=waiting(REVS[1], "conflict"), conflict=COLLIDED),
            upstream(FIRST),
            "conflict",
            "forward",
            "known",
            "not pushed until conflict c is settled",
            id="collided",
        ),
        pytest.param(
            follower(EDITED, base_seq=5, pending=waiting(REVS[1], "parked", "the hook hung")),
            upstream(FIRST),
            "parked",
            "forward",
            "known",
            "the upstream could not rule on it: the hook hung",
            id="parked",
        ),
        pytest.param(
            follower(EDITED, base_seq=5, pending=waiting(REVS[1]), barred_by="todo/2"),
            upstream(FIRST),
            "held_back",
            "forward",
            "known",
            "Its transaction is held back by todo/2.",
            id="held back by its group",
        ),
        pytest.param(
            follower(update(REVS[1], 7), base_seq=5),
            upstream(FIRST),
            "rotten",
            None,
            "known",
            "`syncline verify --repair` puts it right",
            id="rotten",
        ),
        pytest.param(
            follower(update(REVS[1]), base_seq=5),
            upstream(),
            "differs",
            None,
            None,
            "Replication would leave it so",
            id="lost by the upstream unseen",
        ),
        pytest.param(
            follower(cursor=None),
            upstream(FIRST),
            "to_pull",
            None,
            "forward",
            "Neither follows the other",
            id="ends that do not follow each other",
        ),
        pytest.param(
            follower(update(GONE), cursor=None),
            upstream(),
            "level",
            None,
            None,
            "A holds its tombstone",
            id="tombstone against nothing",
        ),
        pytest.param(
            follower(
                update(REVS[1]), base_seq=5, cursor=msgspec.structs.replace(CURSOR, models=())
            ),
            upstream(update(REVS[2], 2, seq=8), head=8),
            "to_pull",
            None,
            "forward",
            "It does not follow the model 'todo'",
            id="not followed",
        ),
        pytest.param(
            follower(update(REVS[1]), base_seq=5),
            upstream(FIRST, epoch="f"),
            "level",
            None,
            "known",
            "A new epoch began there",
            id="new epoch",
        ),
    ],
)
def test_state_and_verdicts_follow_from_the_facts(ours, theirs, state, push, pull, said):
    found = judge("todo", "1", ours, theirs)

    verdicts = [None if one is None else Verdict(one) for one in (push, pull)]
    assert (state, *verdicts) == (found.state, found.push, found.pull)
    assert any(said in sentence for sentence in found.sentences)


@pytest.mark.parametrize(
    ("ours", "state"),
    [
        pytest.param(follower(update(REVS[1]), base_seq=5), "alone", id="nothing waits"),
        pytest.param(follower(EDITED, base_seq=5, pending=waiting(REVS[1])), "to_push", id="waits"),
    ],
)
def test_one_end_tells_what_it_knows(ours, state):
    found = judge("todo", "1", ours, None)

    assert (state, None, None) == (found.state, found.push, found.pull)
