"""Local writes: many together leave what they leave one by one."""

import itertools

import pytest

from syncline.change_log import Write, WriteKind
from syncline.engine import Engine
from syncline.errors import ConflictError, RecordNotFound
from syncline.models import encode_body
from syncline.revision import new_revision
from syncline.store.memory import MemoryStore
from syncline.store.sql import SqlStore


ROLES = {
    "alone": {"follows": False, "listens": False},
    "follows": {"follows": True, "listens": False},
    "listens": {"follows": False, "listens": True},
    "between": {"follows": True, "listens": True},
}


def made(store, **role):
    nonces = itertools.count(1)
    engine = Engine(store, new_nonce=lambda: f"{next(nonces):016x}", now_ms=lambda: 1000, **role)
    engine.open()
    engine.outbox.may_squash = role["follows"] and not role["listens"]
    return engine


@pytest.fixture(params=["memory", "sqlite"])
def store(request):
    """Return what makes a store."""
    stores = []

    def new():
        stores.append(MemoryStore() if request.param == "memory" else SqlStore("sqlite://"))
        return stores[-1]

    yield new
    for one in stores:
        one.close()


@pytest.fixture(params=list(ROLES))
def pair(request, store):
    """Two equal replicas."""
    return made(store(), **ROLES[request.param]), made(store(), **ROLES[request.param])


def put(record_id, *, model="todo", if_rev=None, **fields):
    body = encode_body({"id": record_id, **fields})
    return Write(kind=WriteKind.PUT, model=model, record_id=record_id, body=body, if_rev=if_rev)


def delete(record_id):
    return Write(kind=WriteKind.DELETE, model="todo", record_id=record_id)


def record(engine, *batches, group=None):
    """Record each batch in one transaction; return all updates."""
    updates = []
    for batch in batches:
        with engine.store.write() as tx:
            updates += engine.write(tx, batch, group=group)
    return updates


def content(engine):
    with engine.store.read() as reader:
        changes = reader.changes(0, models=None, limit=1000)
        entries = reader.entries([change.key for change in changes])
        waiting, _ = engine.collect(reader, items_max=1000, bytes_max=10**6)
        return reader.head(), changes, entries, waiting, reader.pending_counts()


BATCHES = {
    "new ones": [[put(str(n), n=n) for n in range(20)]],
    "of two models": [[put(str(n), model=f"m{n % 2}") for n in range(9)]],
    "one twice": [[put("1", n=1), put("2"), put("1", n=2)]],
    "one that is held": [[put("1")], [put("0"), put("1", n=2), put("2")]],
    "one that was deleted": [[put("1")], [delete("1")], [put("1", n=2), put("2")]],
    "a deletion among them": [[put("1")], [put("2"), delete("1")]],
}


@pytest.mark.parametrize("group", [None, "g"])
@pytest.mark.parametrize("batches", BATCHES.values(), ids=list(BATCHES))
def test_many_together_leave_what_they_leave_one_by_one(pair, batches, group):
    together, single = pair
    updates = record(together, *batches, group=group)

    one_by_one = ([write] for batch in batches for write in batch)
    assert record(single, *one_by_one, group=group) == updates
    assert content(single) == content(together)


def test_new_ones_that_were_never_sent_may_be_squashed(store):
    engine = made(store(), **ROLES["follows"])
    first, _ = record(engine, [put("1", n=1), put("2")])
    (again,) = record(engine, [put("1", n=2)])

    assert (1, ()) == (again.generation, again.ancestors)
    assert first.rev != again.rev


def test_a_condition_is_looked_at_among_many(pair):
    engine, _ = pair
    with pytest.raises(ConflictError):
        record(engine, [put("1"), put("2", if_rev=new_revision(1, "f" * 16))])
    with pytest.raises(RecordNotFound):
        record(engine, [put("3"), delete("4")])

    assert 0 == content(engine)[0]
