"""The tables of models, edited by other programs while replicas follow one another."""

import sqlite3

import syncline


WAIT_S = 20
TOML = """
[models.task]
properties.title = "string"
properties.done = "boolean"
"""


def edit(path, sql):
    with sqlite3.connect(path, timeout=WAIT_S) as other:
        other.execute(sql)
    other.close()


async def changed(watch):
    return await anext(aiter(watch))


async def test_an_edit_of_the_daemons_table_reaches_those_who_follow(new_daemon, tmp_path):
    daemon = new_daemon(TOML)
    async with syncline.connect(daemon.url, store=str(tmp_path / "a.db"), models=["task"]) as a:
        await a.model("task").put("1", {"title": "milk"})
        await a.link.wait_live(WAIT_S)
        watch = a.model("task").watch()
        edit(daemon.store, "UPDATE task SET title = 'oat milk'")

        assert {"id": "1", "title": "oat milk"} == (await changed(watch)).data


async def test_rows_edited_on_both_sides_of_a_link_are_a_conflict(new_daemon, tmp_path):
    daemon = new_daemon(TOML)
    path = tmp_path / "a.db"
    models = [syncline.ModelSchema(name="task", properties=(title(),))]
    async with syncline.connect(daemon.url, store=str(path), models=models) as a:
        await a.model("task").put("1", {"title": "milk"})
        await a.link.wait_live(WAIT_S)
        await a.link.pause()
        edit(path, "UPDATE task SET title = 'tea'")
        async with await syncline.connect_remote(daemon.url) as remote:
            await remote.model("task").patch("1", {"title": "oat milk"})
        a.link.resume()
        await a.barrier(WAIT_S)
        (conflict,) = await a.conflicts()
        await conflict.resolve("ours")
        await a.link.wait_live(WAIT_S)

        assert ("milk", "tea", "oat milk") == tuple(
            side["title"] for side in (conflict.base, conflict.ours, conflict.theirs)
        )
    with sqlite3.connect(daemon.store) as other:
        assert [("tea",)] == other.execute("SELECT title FROM task").fetchall()
    other.close()


def title():
    return syncline.Property(name="title", kind=syncline.PropertyKind.STRING)
