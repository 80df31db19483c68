"""A push is checked at one look where that will do; the look finds what a closer one finds."""

from types import MappingProxyType

import orjson
import pytest

from syncline.errors import RecordError
from syncline.models import Answer, ItemResult, Update, raw_body
from syncline.payloads import decode_record
from syncline.protocol import RECORD_BYTES_MAX
from syncline.replica import Replica
from syncline.revision import new_revision
from syncline.schema import ModelSchema, Property, PropertyKind, are_kept_forms, check_encoded
from synclined.access import ANYONE, Principal, Right
from synclined.checking import Checking
from synclined.peers import Peer


TYPED = ModelSchema(
    name="car",
    strict=True,
    properties=(
        Property(name="name", kind=PropertyKind.STRING),
        Property(name="seats", kind=PropertyKind.INTEGER, default=5, has_default=True),
    ),
)
KEPT = [
    b'{"id":"1"}',
    b'{"id":"1","name":"x","seats":4}',
    '{"id":"1","name":"åäö 🚗","seats":4}'.encode(),
]
CLOSER = [
    b'{"id":"1", "name":"x"}',
    b'{"id":"1","id":"1"}',
    b'{"id":"1","name":"\\u0061"}',
    b'{"id":"1","seats":4.0}',
    b'{"id":"1","seats":-0.0}',
    b'{"id":"1","seats":1e1}',
    b'{"id":"1","seats":9007199254740993}',
    b'{"id":"1","seats":123456789012345678901234567890}',
    b'{"id":"1","name":["x"]}',
    b'{"id":"1","name":{"x":1}}',
    b'{"id":"2"}',
    b'{"id":1}',
    b'{"name":"x"}',
    b"[1]",
    b"null",
    b'"1"',
    b'{"id":"1","name":"\xff"}',
    b'{"id":"1","seats":1e999}',
]


def is_kept(schema, body):
    """Tell what a closer look finds."""
    try:
        data = decode_record(body, "car", "1")
        return check_encoded(schema, "1", data, body, bytes_max=RECORD_BYTES_MAX) is body
    except RecordError:
        return False


def at_a_look(schema, bodies, bytes_max=RECORD_BYTES_MAX):
    return are_kept_forms(schema, ["1"] * len(bodies), bodies, bytes_max=bytes_max)


@pytest.mark.parametrize("schema", [None, TYPED], ids=["schemaless", "typed"])
@pytest.mark.parametrize("body", [*KEPT, *CLOSER])
def test_a_look_finds_no_more_than_a_closer_one(schema, body):
    good = b'{"id":"1","name":"x","seats":4}'
    seen = at_a_look(schema, [good, body, good])

    assert seen is False or is_kept(schema, body)


@pytest.mark.parametrize("body", KEPT)
def test_what_is_kept_as_it_came_is_seen_so(body):
    assert is_kept(None, body)
    assert at_a_look(None, [body] * 3)


def test_the_look_sees_what_is_over_the_limit_or_not_as_declared():
    assert not at_a_look(None, KEPT, bytes_max=len(KEPT[-1]) - 1)
    assert not at_a_look(TYPED, [KEPT[1], b'{"id":"1","name":"x","seats":"four"}'])
    assert not at_a_look(TYPED, [KEPT[1], b'{"id":"1","name":"x"}'])  # A default is filled in.


READER = Principal(name="reader", rights=MappingProxyType({"todo": Right.WRITE, "car": Right.READ}))


def update(number, body=None, *, model="todo", group=None):
    return Update(
        model=model,
        record_id=str(number),
        rev=new_revision(1, f"{number:016x}", deleted=body == b""),
        group=group,
        body=raw_body(orjson.dumps({"id": str(number)}) if body is None else body),
    )


@pytest.fixture
async def core():
    async with await Replica.open("memory:", ["todo", TYPED], listens=True) as replica:
        yield replica.core


def checked(core, updates, *, batch=10, principal=ANYONE):
    """Check a push in batches; return the checking, and (answer, reason) of each update."""
    checking = Checking(Peer(sid="x", principal=principal, is_bare=False), core)
    for start in range(0, len(updates), batch):
        checking.take(updates[start : start + batch])
    checking.hold_groups()
    applied = [
        ItemResult(model=u.model, record_id=u.record_id, rev=u.rev, answer=Answer.APPLIED)
        for u in checking.good
    ]
    results = checking.in_order(applied)
    assert [u.rev for u in updates] == [result.rev for result in results]
    return checking, [(result.answer.value, result.reason) for result in results]


async def test_a_clean_push_goes_on_as_it_came(core):
    updates = [update(number) for number in range(25)]
    checking, answers = checked(core, updates)

    assert [("applied", "")] * 25 == answers
    assert all(one is other for one, other in zip(updates, checking.good, strict=True))
    assert {} == checking.amended


async def test_one_that_takes_a_closer_look_gets_it_among_others(core):
    spelled, bad, amended = update(3, b'{"id":"3", "n":1}'), update(5, b'{"id":"4"}'), 7
    updates = [update(number) for number in range(10)]
    updates[3], updates[5] = spelled, bad
    updates[amended] = update(amended, b'{"n":1}')
    checking, answers = checked(core, updates)

    assert b'{"id":"3","n":1}' == bytes(checking.good[3].body)
    assert "refused" == answers[5][0]
    assert "record_invalid" in answers[5][1] or "key_invalid" in answers[5][1]
    assert {updates[amended].rev: b'{"id":"7","n":1}'} == checking.amended
    assert 9 == len(checking.good)


async def test_deletions_and_several_models_go_through_the_closer_look(core):
    updates = [update(1), update(2, b""), update(3, model="car", body=b'{"id":"3","seats":4}')]
    checking, answers = checked(core, updates)

    assert [("applied", "")] * 3 == answers
    assert b"" == bytes(checking.good[1].body)


@pytest.mark.parametrize("count", [1, 5])
async def test_who_may_not_write_a_model_is_told_of_each(core, count):
    _, answers = checked(core, [update(n, model="car") for n in range(count)], principal=READER)

    assert [("refused", True)] * count == [(word, "forbidden" in why) for word, why in answers]


async def test_an_unknown_model_is_refused_by_name(core):
    _, answers = checked(core, [update(1, model="boat"), update(2, model="boat"), update(3)])

    assert ["refused", "refused", "applied"] == [word for word, _ in answers]
    assert "model_unknown" in answers[0][1]


@pytest.mark.parametrize("batch", [1, 2, 10])
async def test_a_group_with_a_bad_one_is_held_whole(core, batch):
    updates = [
        update(1, group="g"),
        update(2),
        update(3, b'{"id":"x"}', group="g"),
        update(4, group="g"),
        update(5, group="h"),
    ]
    checking, answers = checked(core, updates, batch=batch)

    assert ["held", "applied", "refused", "held", "applied"] == [word for word, _ in answers]
    assert ["2", "5"] == [one.record_id for one in checking.good]
