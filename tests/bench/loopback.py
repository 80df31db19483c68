"""
LoopBack's door: a stock client's replication to the daemon, beside that to a stock server.

``python tests/bench/loopback.py``, after ``npm ci --prefix tests/loopback/node``.
Seconds of one push of new records from a stock client's memory, and of the pull of the same records
by another client. LoopBack's memory store is quadratic, on either side, so the larger run has
neither: the daemon alone answers the same requests, sent from here, 1,000 records each.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path


sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.loopback.conftest import Agent, Server  # noqa: E402 - likewise

from syncline import digest_of  # noqa: E402 - the path is set above


CHUNK = 1000


def cars(count):
    """Return records of about 100 bytes."""
    return [
        {
            "id": f"car-{n:06}",
            "maker": "Ford",
            "model": f"Mustang {n}",
            "year": 1964,
            "price": 2368.5,
        }
        for n in range(count)
    ]


def timed(work):
    started = time.perf_counter()
    done = work()
    seconds = time.perf_counter() - started
    assert not done["conflicts"], done["conflicts"][:1]
    return seconds


def measure(agent, url, count, name):
    """Push from one client, pull to another; return the seconds of both and of an idle push."""
    agent.local(f"a-{name}", model="LocalCar", chunk=1000)
    agent.remote(f"ra-{name}", model="Car", url=url, beside=f"a-{name}", chunk=1000)
    agent.local(f"b-{name}", model="LocalCar", chunk=1000)
    agent.remote(f"rb-{name}", model="Car", url=url, beside=f"b-{name}", chunk=1000)
    records = cars(count)
    for start in range(0, count, 500):
        agent.create(f"a-{name}", data=records[start : start + 500])
    found = {
        "push_s": timed(lambda: agent.push(f"a-{name}", f"ra-{name}", remember=True)),
        "idle_push_s": timed(lambda: agent.push(f"a-{name}", f"ra-{name}", remember=True)),
        "pull_s": timed(lambda: agent.push(f"rb-{name}", f"b-{name}")),
    }
    assert count == len(agent.find(f"b-{name}"))
    return {key: round(value, 2) for key, value in found.items()}


def measure_alone(daemon, count):
    """Send what a chunking client sends, and nothing else."""
    records = cars(count)
    changes = [
        {
            "id": digest_of(record["id"]),
            "rev": digest_of(record),
            "checkpoint": 1,
            "modelName": "LocalCar",
            "modelId": record["id"],
        }
        for record in records
    ]
    started = time.perf_counter()
    daemon.post("/Cars/checkpoint")
    deltas = [
        delta
        for start in range(0, count, CHUNK)
        for delta in daemon.post("/Cars/diff", changes[start : start + CHUNK]).json["deltas"]
    ]
    entries = [
        {"type": "create", "change": delta, "data": record}
        for delta, record in zip(deltas, records, strict=True)
    ]
    for start in range(0, count, CHUNK):
        part = {"updates": entries[start : start + CHUNK]}
        assert 204 == daemon.post("/Cars/bulk-update", part).status
    pushed = time.perf_counter()
    daemon.post("/Cars/checkpoint")
    listed = daemon.get("/Cars/changes?since=-1").json
    pulled = [
        update
        for start in range(0, count, CHUNK)
        for update in daemon.post("/Cars/create-updates", listed[start : start + CHUNK]).json
    ]
    done = time.perf_counter()
    assert records == [update["data"] for update in pulled]
    echoed = time.perf_counter()
    for start in range(0, count, CHUNK):
        told = daemon.post("/Cars/diff", changes[start : start + CHUNK]).json
        assert {"deltas": [], "conflicts": []} == told
    found = {
        "push_s": pushed - started,
        "pull_s": done - pushed,
        "idle_diff_s": time.perf_counter() - echoed,
    }
    return {key: round(value, 2) for key, value in found.items()}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--large", type=int, default=10_000)
    chosen = options.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "synclined.toml"
        config.write_text('schemaless = ["Car"]\n')
        for name, count in (("small", chosen.count), ("large", chosen.large)):
            if not count:
                continue
            daemon = Server("--config", str(config), store=f"sqlite:///{folder}/{name}.db")
            if name == "small":
                agent, stock = Agent(), Agent()
                url = stock.server("stock", model="Car")
                found[f"stock client to syncline, {count}"] = measure(
                    agent, daemon.api, count, "syncline"
                )
                found[f"stock client to LoopBack, {count}"] = measure(agent, url, count, "stock")
                agent.close()
                stock.close()
            else:
                found[f"syncline alone, {count}"] = measure_alone(daemon, count)
            daemon.end()
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
