"""The public API as a typed program uses it; read by the type checker, never run."""

from collections.abc import Callable
from typing import Any, assert_type

from aiohttp import web

import syncline
from syncline import blocking
from syncline.models import Record
from syncline.replicate import Replication
from syncline.resolving import OpenConflict
from synclined.access import Principal, Right
from synclined.app import DAEMON, build_app


async def follow(url: str) -> None:
    async with syncline.connect(url, store="todos.db", models=["todo"]) as replica:
        assert_type(replica, syncline.Replica)
        assert_type(replica.replica_id, str)
        assert_type(replica.status, syncline.Status)
        assert_type(replica.status.state, syncline.SessionState)
        assert_type(replica.status.pending, int)
        await replica.barrier(timeout_s=5)
        await replica.flush(timeout_s=5)
        await replica.wait_live(5)
        assert_type(await replica.retry_parked(), int)
        assert_type(replica.parked_rows(), list[syncline.ParkedRow])
        assert_type(await replica.compact(older_than_s=3600), syncline.Compaction)
        replica.allow_deletions(for_s=60)
        assert_type(await replica.model_names(), list[str])


async def await_it(url: str, token: Callable[[], str]) -> syncline.Replica:
    replica = await syncline.connect(url, models={"todo": None}, token=token, close_timeout_s=1)
    await replica.wait_live(5)
    forget = replica.on_status(lambda status: print(status.reason))
    assert_type(forget, Callable[[], None])
    forget()
    await replica.pause()
    replica.resume()
    if replica.link is not None:
        await replica.link.wait_live(5)
    assert_type(await replica.close(timeout_s=0.5), int)
    return replica


async def records(replica: syncline.Replica) -> None:
    todo = replica.model("todo")
    assert_type(todo, syncline.Model)
    update = await todo.put("1", {"title": "milk"})
    assert_type(update, syncline.Update)
    assert_type(update.rev, syncline.Revision)
    assert_type(update.data, Record | None)
    assert_type(update.kind, syncline.ChangeKind)
    assert_type(await todo.put({"title": "bread"}), syncline.Update)
    assert_type(await todo.put_many([{"title": "a"}, {"title": "b"}]), list[syncline.Update])
    assert_type(await todo.patch(1, {"done": True}, if_rev=update.rev), syncline.Update)
    assert_type(await todo.delete("1"), syncline.Update)
    assert_type(await todo.get("1"), Record | None)
    assert_type(await todo.find({"done": False}, order="title ASC", limit=10), list[Record])
    assert_type(await todo.find(order=["title ASC", "id DESC"], after="1"), list[Record])
    assert_type(await todo.count(), int)


async def together(replica: syncline.Replica) -> None:
    async with replica.transaction() as tx:
        tx.model("account").put("x", {"balance": 1})
        tx.model("account").patch("y", {"balance": 2})
        tx.model("ledger").delete(3)


async def watching(replica: syncline.Replica) -> None:
    async with replica.model("todo").watch() as watch:
        async for change in watch:
            assert_type(change, syncline.Update)

    def show(rows: list[Record]) -> None:
        print(rows)

    end = await replica.model("todo").subscribe(show, where={"done": False})
    assert_type(end, Callable[[], None])


async def settling(replica: syncline.Replica) -> None:
    for conflict in await replica.conflicts(model="todo"):
        assert_type(conflict, OpenConflict)
        assert_type(conflict.base, Record | None)
        assert_type(await conflict.resolve("manual", {"title": "both"}), bool)
        assert_type(await conflict.resolve(syncline.Resolution.OURS), bool)


def by_rule(conflict: syncline.Conflict) -> Record | None:
    return conflict.ours.data


async def ask_about_a_record(principal: Any, before: Record | None, after: Record | None) -> None:
    if after is not None and not after.get("title"):
        raise syncline.Refuse("a title is needed")


def on_refused(update: syncline.Update, reason: str) -> None:
    print(update.record_id, reason)


async def embedded() -> None:
    schema = syncline.ModelSchema(
        name="car",
        properties=(syncline.Property(name="seats", kind=syncline.PropertyKind.INTEGER),),
        strict=True,
    )
    hooks = syncline.Hooks(validate={"todo": ask_about_a_record}, on_refused=on_refused)
    async with await syncline.Replica.open(
        "sqlite:///a.db",
        ["todo", schema],
        hooks=hooks,
        strategies={"todo": "latest", "car": by_rule},
    ) as replica:
        assert_type(replica, syncline.Replica)


async def as_loopback_does(source: syncline.Model, target: syncline.RemoteModel) -> None:
    done = await syncline.replicate(source, target)
    assert_type(done, Replication)
    checkpoint = await source.checkpoint()
    assert_type(checkpoint, syncline.Checkpoint)
    changes = await source.changes(checkpoint, {"where": {"done": True}})
    assert_type(changes, list[syncline.Change])
    diff = await target.diff(checkpoint, changes)
    assert_type(diff, syncline.Diff)
    updates = await source.create_updates(diff.deltas)
    assert_type(await target.bulk_update(updates), syncline.BulkResult)


async def without_a_replica(url: str) -> None:
    async with await syncline.connect_remote(url, token="secret") as remote:
        assert_type(remote, syncline.RemoteReplica)
        assert_type(await remote.model("todo").get("1"), Record | None)
        assert_type(await remote.model("todo").put("1", {"title": "milk"}), syncline.Update)
        assert_type(await remote.model_names(), list[str])


def script(url: str) -> None:
    with blocking.connect(url, store="todos.db", models=["todo"]) as replica:
        todo = replica.model("todo")
        assert_type(todo.put("1", {"title": "milk"}), syncline.Update)
        assert_type(todo.get("1"), Record | None)
        with replica.transaction() as tx:
            tx.model("todo").put("2", {"title": "bread"})
        replica.wait_live(5)
        replica.flush(5)
    assert_type(replica.close(), int)


def access(token: str | None) -> Principal:
    return Principal(name=token or "anyone", rights={"*": Right.READ})


async def count(request: web.Request) -> web.Response:
    replica = request.app[DAEMON].replica
    assert_type(replica, syncline.Replica)
    return web.json_response({"count": await replica.model("todo").count()})


def application() -> web.Application:
    app = build_app(access=access, store="memory:", models=["todo"])
    app.router.add_get("/count", count)
    return app


try:
    by_name = syncline.PROTOCOL_VERSION
    assert_type(by_name, int)
except syncline.SynclineError as error:
    assert_type(error.code, str)
    assert_type(error.retryable, bool)
    assert_type(error.hint, str)
