"""A conflict that a follower met by pulling is in the daemon's inbox too, and is settled there."""

import asyncio
import hashlib

import pytest

import syncline
from syncline.models import Update
from syncline.revision import new_revision, short_of


WAIT_S = 20
BASE = {"id": "1", "title": "milk", "n": 1}
OURS = {"id": "1", "title": "oat milk", "n": 1}
THEIRS = {"id": "1", "title": "milk", "n": 2}


async def until(replica, condition, model="conflicts"):
    """Wait until the records of a model are so; return them."""
    async with asyncio.timeout(WAIT_S), replica.model(model).watch() as watch:
        while True:
            records = await replica.model(model).find()
            if condition(records):
                return records
            await anext(watch)


def waiting(count):
    return lambda records: count == sum(record["is_waiting"] for record in records)


def follow(daemon, **options):
    return syncline.connect(daemon.url, models=["todo"], **options)


def watch(daemon, **options):
    return syncline.connect(f"{daemon.url}/state", models=["conflicts"], **options)


async def level(*replicas):
    for replica in replicas:
        await replica.link.wait_live(WAIT_S)
    for replica in replicas:
        await replica.barrier(WAIT_S)


async def collide(phone, tablet, record_id="1", *, by="pull"):
    """Have the phone and the tablet edit one record; the tablet meets the conflict."""
    await phone.model("todo").put(record_id, {**BASE, "id": record_id})
    await level(phone, tablet)
    await tablet.link.pause()
    await phone.model("todo").put(record_id, {**OURS, "id": record_id})
    await tablet.model("todo").put(record_id, {**THEIRS, "id": record_id})
    await phone.link.wait_live(WAIT_S)
    if by == "push":
        # Someone else brings what the tablet wrote before it comes back.
        push = await syncline.connect_remote(phone.link._url)
        await push.model("todo").bulk_update([await tablet.model("todo").get_change(record_id)])
        await push.close()
    tablet.link.resume()
    await tablet.barrier(WAIT_S)
    assert 1 == len(await tablet.conflicts())


def resolution_of(shown, data):
    """Return the update with which a page settles what it is shown."""
    sides = [shown["ours_rev"], shown["theirs_rev"]]
    ancestors = [*shown["ours_ancestors"], *shown["theirs_ancestors"], *map(short_of, sides)]
    generation = 1 + max(int(one.partition("-")[0]) for one in ancestors)
    return Update(
        model=shown["model"],
        record_id=shown["record_id"],
        rev=new_revision(generation, "00000000000000ff"),
        prev=shown["ours_rev"],
        ancestors=tuple(ancestors),
        origin="inbox",
        body=syncline.models.encode_body(data),
    )


async def resolve(daemon, shown, data):
    push = await syncline.connect_remote(daemon.url)
    result = await push.model("todo").bulk_update([resolution_of(shown, data)])
    await push.close()
    return result.results[0].answer


async def test_conflict_met_by_pulling_is_told_with_its_base_and_settled_from_the_inbox(daemon):
    async with follow(daemon) as phone, follow(daemon) as tablet, watch(daemon) as eye:
        await collide(phone, tablet)
        (shown,) = await until(eye, waiting(1))
        ours = await phone.model("todo").get_change("1")
        theirs = await tablet.model("todo").get_change("1")

        answer = await resolve(daemon, shown, {**OURS, "n": 2})
        await until(eye, waiting(0))
        await level(phone, tablet)

        assert (BASE, OURS, THEIRS) == (shown["base"], shown["ours"], shown["theirs"])
        assert (ours.rev, theirs.rev) == (shown["ours_rev"], shown["theirs_rev"])
        assert (phone.replica_id, tablet.replica_id) == (
            shown["ours_origin"],
            shown["theirs_origin"],
        )
        assert (tablet.replica_id, True) == (shown["holder"], shown["is_base_known"])
        assert "applied" == answer
        for replica in (phone, tablet):
            assert {**OURS, "n": 2} == await replica.model("todo").get("1")
            assert [] == await replica.conflicts()
            assert 0 == replica.status.conflicts


@pytest.mark.parametrize("how", ["ours", "theirs"])
async def test_conflict_settled_by_its_replica_closes_in_the_inbox(daemon, how):
    async with follow(daemon) as phone, follow(daemon) as tablet, watch(daemon) as eye:
        await collide(phone, tablet)
        await until(eye, waiting(1))
        (conflict,) = await tablet.conflicts()

        await conflict.resolve(how)

        (shown,) = await until(eye, lambda records: records and not records[0]["is_waiting"])
        assert "settled" == shown["resolution"]


async def test_conflict_settled_while_its_replica_was_away_closes_when_it_comes_back(daemon):
    async with follow(daemon) as phone, follow(daemon) as tablet, watch(daemon) as eye:
        await collide(phone, tablet)
        await until(eye, waiting(1))
        (conflict,) = await tablet.conflicts()
        await tablet.link.pause()
        await conflict.resolve("theirs")

        tablet.link.resume()

        await until(eye, waiting(0))


async def test_collision_that_was_pushed_and_is_told_is_one_entry_with_its_base(daemon):
    async with follow(daemon) as phone, follow(daemon) as tablet, watch(daemon) as eye:
        await collide(phone, tablet, by="push")

        (shown,) = await until(eye, lambda records: records and records[0]["is_base_known"])

        assert (BASE, tablet.replica_id) == (shown["base"], shown["holder"])


async def test_collision_that_a_strategy_settles_does_not_wait(daemon):
    """The base moved under a push on its way, and the pusher gives way: nobody has to choose."""
    async with (
        follow(daemon) as phone,
        follow(daemon, strategies="theirs") as tablet,
        watch(daemon) as eye,
    ):
        await phone.model("todo").put("1", BASE)
        await level(phone, tablet)
        # Unseen by the session, so that the tablet pushes upon what stands no more.
        tablet.link._driver.session.changed = lambda *_args, **_options: []
        await phone.model("todo").put("1", OURS)
        await phone.link.wait_live(WAIT_S)
        await tablet.model("todo").put("1", THEIRS)
        del tablet.link._driver.session.changed
        await level(tablet)

        (shown,) = await until(eye, lambda records: records and not records[0]["is_waiting"])

        assert "settled" == shown["resolution"]
        assert OURS == await tablet.model("todo").get("1")


async def test_what_is_told_follows_a_later_edit_of_its_replica(daemon):
    async with follow(daemon) as phone, follow(daemon) as tablet, watch(daemon) as eye:
        await collide(phone, tablet)
        await until(eye, waiting(1))

        await tablet.model("todo").put("1", {**THEIRS, "n": 3})

        shown = await until(eye, lambda records: waiting(1)(records) and len(records) == 2)
        assert [3] == [one["theirs"]["n"] for one in shown if one["is_waiting"]]


async def test_ours_is_what_stands_now(daemon):
    async with follow(daemon) as phone, follow(daemon) as tablet, watch(daemon) as eye:
        await collide(phone, tablet)
        (before,) = await until(eye, waiting(1))
        await tablet.link.pause()

        await phone.model("todo").put("1", {**OURS, "title": "rice milk"})

        (shown,) = await until(eye, lambda records: records[0]["ours"]["title"] == "rice milk")
        assert before["theirs"] == shown["theirs"]
        assert "applied" == await resolve(daemon, shown, OURS)
        await until(eye, waiting(0))


async def test_conflict_of_a_replica_that_never_comes_back_survives_the_daemon(daemon):
    async with follow(daemon) as phone:
        async with follow(daemon) as tablet, watch(daemon) as eye:
            await collide(phone, tablet)
            await until(eye, waiting(1))
        daemon.stop()
        daemon.start()
        async with watch(daemon) as eye:
            (shown,) = await until(eye, waiting(1))

            assert "applied" == await resolve(daemon, shown, THEIRS)

            await until(eye, waiting(0))
        assert BASE == shown["base"]


async def test_conflict_that_is_open_still_is_told_to_a_daemon_that_lost_its_log(daemon):
    async with follow(daemon) as phone, follow(daemon) as tablet:
        await collide(phone, tablet)
        async with watch(daemon) as eye:
            await until(eye, waiting(1))
        await tablet.link.pause()
        daemon.stop()
        daemon.lose_store()
        daemon.start()
        await level(phone)

        tablet.link.resume()

        async with watch(daemon) as eye:
            await until(eye, waiting(1))


async def test_a_report_that_is_lost_is_made_again(daemon):
    """The answer to it, or itself: the next heartbeats find that nothing came of it."""
    settings = syncline.session.SessionSettings()
    async with follow(daemon) as phone, follow(daemon, settings=settings) as tablet:
        send, lost = tablet.link._driver.line.send, []

        def losing(event, *args, answer):
            if event == "report_conflicts" and not lost:
                lost.append(args)
                return
            send(event, *args, answer=answer)

        tablet.link._driver.line.send = losing
        await collide(phone, tablet)
        async with watch(daemon) as eye:
            await tablet.barrier(WAIT_S)
            tablet.link._driver.reporting.beat()
            tablet.link._driver.reporting.beat()
            await tablet.barrier(WAIT_S)

            await until(eye, waiting(1))
        assert 1 == len(lost)


async def test_many_conflicts_are_told_in_part_after_part(daemon):
    count = 30
    many = [{"id": f"{n:02}", "text": "x" * 20_000} for n in range(count)]
    async with follow(daemon) as phone, follow(daemon) as tablet, watch(daemon) as eye:
        await phone.model("todo").put_many([{**one, "n": 0} for one in many])
        await level(phone, tablet)
        await tablet.link.pause()
        await phone.model("todo").put_many([{**one, "n": 1} for one in many])
        await phone.link.wait_live(WAIT_S)
        await tablet.model("todo").put_many([{**one, "n": 2} for one in many])
        tablet.link.resume()

        shown = await until(eye, waiting(count))

        assert [0] * count == [one["base"]["n"] for one in shown]


TOKENS = """
schemaless = ["todo", "secret"]
[[tokens]]
name = "all"
sha256 = "{all}"
rights = {{ "*" = "write" }}
[[tokens]]
name = "half"
sha256 = "{half}"
rights = {{ "*" = "write", secret = "read" }}
"""


async def test_what_its_principal_may_not_write_is_not_listed(new_daemon):
    hashes = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("all", "half")}
    daemon = new_daemon(TOKENS.format(**hashes))
    models = ["todo", "secret"]
    async with (
        syncline.connect(daemon.url, models=models, token="all") as phone,
        syncline.connect(daemon.url, models=models, token="half") as tablet,
        watch(daemon, token="all") as eye,
    ):
        for model in models:
            await phone.model(model).put("1", BASE)
        await level(phone)
        await tablet.barrier(WAIT_S)
        await tablet.link.pause()
        for model in models:
            await phone.model(model).put("1", OURS)
            await tablet.model(model).put("1", THEIRS)
        await phone.link.wait_live(WAIT_S)

        tablet.link.resume()
        await tablet.barrier(WAIT_S)

        assert 2 == len(await tablet.conflicts())
        (shown,) = await until(eye, waiting(1))
        assert "todo" == shown["model"]


async def test_a_daemon_that_lists_no_conflicts_is_told_of_none(daemon):
    async with follow(daemon) as phone, follow(daemon) as tablet:
        welcomed = tablet.link._driver.reporting.welcomed
        tablet.link._driver.reporting.welcomed = lambda welcome: welcomed(
            syncline.protocol.Welcome(source=welcome.source, epoch=welcome.epoch, head=welcome.head)
        )
        sent = []
        send = tablet.link._driver.line.send

        def noting(event, *args, answer):
            sent.append(event)
            send(event, *args, answer=answer)

        tablet.link._driver.line.send = noting
        await collide(phone, tablet)
        await tablet.barrier(WAIT_S)

        assert "hello" in sent
        assert "report_conflicts" not in sent
