"""The file of a running daemon, or of a replica, is removed or replaced under it."""

import asyncio
import json
import shutil
import urllib.error
import urllib.request

import pytest
from structlog.testing import capture_logs

import syncline
from syncline.errors import StoreUnavailable, SynclineError


WAIT_S = 20


def ready(url):
    """Return the status of the door that says whether the daemon can serve."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=WAIT_S) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("how", ["removed", "replaced"])
async def test_a_daemon_whose_file_is_gone_refuses_and_is_not_ready(daemon, tmp_path, how):
    remote = await syncline.connect_remote(daemon.url)
    async with syncline.connect(
        daemon.url, store=str(tmp_path / "a.db"), models=["todo"]
    ) as replica:
        await remote.model("todo").put("before", {"n": 1})
        await replica.barrier(WAIT_S)
        if how == "replaced":
            shutil.copy(daemon.store, tmp_path / "backup.db")
        daemon.lose_store()
        if how == "replaced":
            shutil.copy(tmp_path / "backup.db", daemon.store)

        with pytest.raises(SynclineError, match=f"was {how}"):
            await remote.model("todo").put("after", {"n": 2})
        status = await asyncio.to_thread(ready, daemon.url)
        await replica.model("todo").put("waiting", {"n": 3})
        waiting = replica.status.pending

        assert 503 == status
        assert waiting == 1
        daemon.stop()
        lines = [json.loads(line) for line in daemon.log().splitlines()]
        assert {f"was {how}"} == {
            f"was {how}" for line in lines if f"was {how}" in line.get("reason", "")
        }
        daemon.start()
        await replica.link.wait_live(WAIT_S)
        await replica.barrier(WAIT_S)
        assert {"id": "waiting", "n": 3} == await replica.model("todo").get("waiting")
    await remote.close()


async def test_a_replica_whose_file_is_gone_refuses_and_says_so(tmp_path):
    path = tmp_path / "a.db"
    with capture_logs() as logs:
        async with await syncline.Replica.open(str(path), ["todo"], follows=True) as replica:
            await replica.model("todo").put("before", {"n": 1})
            for file in tmp_path.iterdir():
                file.unlink()

            with pytest.raises(StoreUnavailable, match="was removed"):
                await replica.model("todo").put("after", {"n": 2})
            with pytest.raises(StoreUnavailable, match="was removed"):
                await replica.model("todo").get("before")
            async with asyncio.timeout(WAIT_S):
                while not [line for line in logs if line["event"] == "store.failed"]:
                    await asyncio.sleep(0)

    (line,) = [line for line in logs if line["event"] == "store.failed"]
    assert ("error", "store_unavailable") == (line["log_level"], line["error"])
