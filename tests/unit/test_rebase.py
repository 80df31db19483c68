import msgspec

from syncline.models import NO_BODY, Entry, Pending, Update, encode_body, join_ancestors
from syncline.rebase import adopt, keep_greater, rebase, restore_base


A, B, C, D = (f"{g}-{n:016x}" for g, n in ((1, 10), (2, 11), (3, 12), (2, 13)))
NONCE = f"{99:016x}"


def update(rev, prev=None, ancestors=(), **fields):
    body = NO_BODY if rev.endswith("-deleted") else encode_body(fields or {"id": "1"})
    return Update(model="todo", record_id="1", rev=rev, prev=prev, ancestors=ancestors, body=body)


def test_rebase_rises_above_both_and_names_both():
    stood = rebase(
        update(C, ancestors=(A, B)),
        update(D, ancestors=(A,)),
        body=encode_body({"a": 1}),
        nonce=NONCE,
        origin="me",
        stamp=5,
    )

    assert f"4-{NONCE}" == stood.rev
    assert D == stood.prev
    assert {A, B, C, D} == set(stood.ancestors)


def test_rebase_without_a_body_deletes_and_can_be_encoded():
    stood = rebase(update(B), update(D), body=None, nonce=NONCE, origin="me", stamp=5)

    assert stood.is_deletion
    assert b'"data"' not in msgspec.json.encode(stood)


def test_equal_data_keep_the_greater_revision_and_join_ancestors():
    kept = keep_greater(update(B, ancestors=(A,)), update(D, ancestors=(A,)))

    assert D == kept.rev
    assert {A, B} == set(kept.ancestors)


def test_adopting_keeps_the_revision_and_adds_ours():
    adopted = adopt(update(B, ancestors=(A,)), update(C, ancestors=(A,)))

    assert B == adopted.rev
    assert {A, C} == set(adopted.ancestors)


def test_adopting_a_descendant_changes_nothing():
    theirs = update(C, prev=B, ancestors=(A, B))

    assert theirs is adopt(theirs, update(B, ancestors=(A,)))


def test_refused_revision_stays_among_the_ancestors_of_the_base():
    pending = Pending(model="todo", record_id="1", base_rev=A, base_body=b'{"id":"1"}')

    restored = restore_base(Entry(update(B, prev=A, ancestors=(A,)), 1, pending), pending)

    assert restored is not None
    assert (A, (B,), b'{"id":"1"}') == (restored.rev, restored.ancestors, bytes(restored.body))


def test_refused_create_has_nothing_to_restore():
    pending = Pending(model="todo", record_id="1")

    assert restore_base(Entry(update(A), None, pending), pending) is None


def test_too_many_ancestors_lose_the_oldest_generations_of_either_side():
    ours = tuple(f"{g}-{g:016x}" for g in range(1, 6))
    theirs = (*ours[:3], f"6-{77:016x}")

    assert (ours[4], theirs[3]) == join_ancestors(theirs, ours, limit=2)
