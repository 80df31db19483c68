"""What is replicated to a daemon goes in as many pushes as it takes."""

import pytest

import syncline
from syncline.errors import MessageTooLarge
from syncline.payloads import update_of
from syncline.revision import new_revision


SMALL = (
    'schemaless = ["t"]\n[limits]\nmessage_bytes_max = 131072\nrecord_bytes_max = 65536\n'
    "page_bytes_max = 65536\npush_items_max = 100\n"
)


@pytest.fixture
async def remote(start, tmp_path):
    config = tmp_path / "synclined.toml"
    config.write_text(SMALL)
    daemon = start("serve", "--port", "0", "--config", config, "--store", "memory:")
    url = daemon.wait_for(r"http://\S+")[0]
    async with await syncline.connect_remote(url) as opened:
        yield opened


async def test_more_than_a_push_takes_is_replicated_in_several(remote):
    async with await syncline.Replica.open("memory:", ["t"]) as replica:
        await replica.model("t").put_many([{"id": f"{n:04}"} for n in range(950)])
        found = await syncline.replicate(replica.model("t"), remote.model("t"))

    assert (950, 0) == (found.applied, len(found.conflicts))
    assert [f"{n:04}" for n in range(950)] == [one["id"] for one in await remote.model("t").find()]


async def test_a_transaction_is_not_cut(remote):
    def update(number, group):
        item = {"model": "t", "id": str(number), "rev": new_revision(1, f"{number:016x}")}
        return update_of({**item, "group": group, "data": {"id": str(number)}})

    t = remote.model("t")
    groups = [[update(100 * g + n, f"g{g}") for n in range(60)] for g in range(3)]
    result = await t.bulk_update([one for group in groups for one in group])
    assert [str(100 * g + n) for g in range(3) for n in range(60)] == [
        one.record_id for one in result.results
    ]
    with pytest.raises(MessageTooLarge):
        await t.bulk_update([update(1000 + n, "large") for n in range(101)])

    assert 180 == await t.count()
