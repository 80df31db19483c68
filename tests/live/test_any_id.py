"""Replicas that write ids with U+0000 agree, and none sees a deletion that nobody made."""

import syncline


WAIT_S = 20
IDS = ("n\0ul", "n", "n\0", "\0", "ul\\u0000", "\U0001f600\0\uffff")


async def test_ids_with_null_characters_travel_both_ways(daemon, tmp_path):
    deleted = []
    async with (
        syncline.connect(daemon.url, store=str(tmp_path / "a.db"), models=["todo"]) as a,
        syncline.connect(daemon.url, store=str(tmp_path / "b.db"), models=["todo"]) as b,
    ):
        b.core.observers.listen(lambda updates: deleted.extend(u for u in updates if u.is_deletion))
        for round_ in range(3):
            for replica in (a, b):
                async with replica.transaction() as tx:
                    for record_id in IDS:
                        data = {"n": round_, "by": replica.replica_id, "text": record_id}
                        tx.model("todo").put(record_id, data)
                await replica.link.wait_live(WAIT_S)
                await a.barrier(WAIT_S)
                await b.barrier(WAIT_S)
        await a.link.wait_live(WAIT_S)
        await b.link.wait_live(WAIT_S)
        held = [await replica.model("todo").find() for replica in (a, b)]
        found = [await b.model("todo").find({"text": record_id}) for record_id in IDS]

        expected = [
            {"id": record_id, "n": 2, "by": b.replica_id, "text": record_id}
            for record_id in sorted(IDS)
        ]
        assert [expected, expected] == held
        assert [[record_id] for record_id in IDS] == [[r["id"] for r in rows] for rows in found]
        assert [] == deleted
