"""A replica that meets another daemon's data: nothing is mixed, nothing is lost."""

import pytest

import syncline


WAIT_S = 20


@pytest.fixture
def other(new_daemon):
    return new_daemon()


async def follow(daemon, store, **options):
    replica = await syncline.connect(daemon.url, store=store, models=["todo"], **options)
    await replica.link.wait_live(WAIT_S)
    return replica


async def held_by(daemon):
    remote = await syncline.connect_remote(daemon.url)
    found = await remote.model("todo").find()
    await remote.close()
    return {record["id"]: record.get("at") for record in found}


def copies_in(folder):
    return list(folder.glob("phone.db.quarantined-replaced-*"))


async def fill_both(daemon, other, store):
    """Have a phone follow one daemon, another daemon hold other records, and write offline."""
    async with syncline.connect(other.url, models=["todo"]) as tablet:
        await tablet.model("todo").put("shared", {"at": "other"})
        await tablet.model("todo").put("theirs", {"at": "other"})
        await tablet.link.wait_live(WAIT_S)
    phone = await follow(daemon, store)
    await phone.model("todo").put("shared", {"at": "first"})
    await phone.model("todo").put("ours", {"at": "first"})
    await phone.link.wait_live(WAIT_S)
    await phone.link.pause()
    await phone.model("todo").put("offline", {"at": "phone"})
    await phone.close()


async def test_another_address_and_other_data_are_not_mixed(daemon, other, tmp_path):
    store = str(tmp_path / "phone.db")
    await fill_both(daemon, other, store)

    phone = await follow(other, store)
    held = {record["id"]: record["at"] for record in await phone.model("todo").find()}
    assert [] == await phone.conflicts()
    await phone.close()

    expected = {"shared": "other", "theirs": "other", "offline": "phone"}
    assert expected == held
    assert expected == await held_by(other)
    (copy,) = copies_in(tmp_path)
    async with await syncline.Replica.open(str(copy), ["todo"]) as kept:
        assert 3 == await kept.model("todo").count()


async def test_all_is_offered_to_another_daemon_on_request(daemon, other, tmp_path):
    store = str(tmp_path / "phone.db")
    await fill_both(daemon, other, store)

    phone = await follow(other, store, offers_back=True, strategies="theirs")
    await phone.close()

    expected = {"shared": "other", "theirs": "other", "offline": "phone", "ours": "first"}
    assert expected == await held_by(other)


async def test_what_a_restored_daemon_lost_can_be_let_go(daemon, tmp_path):
    phone = await follow(daemon, str(tmp_path / "phone.db"), offers_back=False)
    await phone.model("todo").put("lost", {"at": "first"})
    await phone.link.wait_live(WAIT_S)
    await phone.link.pause()
    daemon.kill()
    daemon.lose_store()
    daemon.start()
    await phone.model("todo").put("pending", {"at": "phone"})
    phone.link.resume()
    await phone.link.wait_live(WAIT_S)

    assert ["pending"] == [record["id"] for record in await phone.model("todo").find()]
    assert {"pending": "phone"} == await held_by(daemon)
    await phone.close()
    assert 1 == len(copies_in(tmp_path))


@pytest.mark.parametrize("is_pending", [False, True], ids=["acknowledged", "pending"])
@pytest.mark.parametrize("first", ["deleter", "other"])
async def test_what_was_deleted_stays_so_when_the_daemon_never_knew_of_it(
    daemon, is_pending, first
):
    deleter, bystander = await follow(daemon, "memory:"), await follow(daemon, "memory:")
    await deleter.model("todo").put("gone", {"at": "first"})
    await deleter.link.wait_live(WAIT_S)
    await bystander.barrier(WAIT_S)
    await bystander.link.pause()
    if is_pending:
        await deleter.link.pause()
    await deleter.model("todo").delete("gone")
    if not is_pending:
        await deleter.link.wait_live(WAIT_S)
        await deleter.link.pause()
    daemon.kill()
    daemon.lose_store()
    daemon.start()

    order = [deleter, bystander] if first == "deleter" else [bystander, deleter]
    for replica in order:
        replica.link.resume()
        await replica.link.wait_live(WAIT_S)
    await bystander.barrier(WAIT_S)

    for replica in order:
        assert [] == await replica.model("todo").find()
        assert [] == await replica.conflicts()
        await replica.close()
    assert {} == await held_by(daemon)


async def test_edit_of_what_another_deleted_is_a_conflict_after_a_restore_too(daemon):
    deleter, editor = await follow(daemon, "memory:"), await follow(daemon, "memory:")
    await deleter.model("todo").put("gone", {"at": "first"})
    await deleter.link.wait_live(WAIT_S)
    await editor.barrier(WAIT_S)
    await editor.link.pause()
    await deleter.model("todo").delete("gone")
    await deleter.link.wait_live(WAIT_S)
    await deleter.link.pause()
    daemon.kill()
    daemon.lose_store()
    daemon.start()
    await editor.model("todo").put("gone", {"at": "editor"})

    for replica in (deleter, editor):
        replica.link.resume()
        await replica.barrier(WAIT_S)

    (conflict,) = await editor.conflicts()
    assert ({"id": "gone", "at": "editor"}, None) == (conflict.ours, conflict.theirs)
    for replica in (deleter, editor):
        await replica.close()
