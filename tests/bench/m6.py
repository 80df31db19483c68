"""M6, memory: the server's resident memory for each of many idle live clients; KiB."""

import time
from typing import Any

from processes import Client, Server, run_client
from report import Result, median


COUNT = 500
WARM_UP = 20
STAY_S = 3.0
SETTLE_S = 1.0
QUIET = {"SYNCLINE_TIMINGS__HEARTBEAT_S": "300"}


def measure(options: Any) -> list[Result]:
    found: dict[bool, list[float]] = {False: [], True: []}
    for index in range(options.rounds):
        for speaks, grown in found.items():
            place = options.folder / f"{speaks}-{index}"
            place.mkdir()
            grown.append(_growth(place, speaks=speaks))
    return [
        Result(
            measure="M6",
            label=f"RSS an idle client of {COUNT}",
            unit="KiB",
            figure=median(found[True]),
            floor=median(found[False]),
            target=1.2,
        )
    ]


def _growth(place: Any, *, speaks: bool) -> float:
    store = place / "server.db"
    server = Server.syncline(place, store, **QUIET) if speaks else Server.floor(place, store)
    with server:
        # What the first connections load is not what a connection costs.
        run_client("light", "stay", url=server.url, count=WARM_UP, seconds=0.1, speaks=speaks)
        before = server.rss_kib()
        client = Client("light", "stay", url=server.url, count=COUNT, seconds=STAY_S, speaks=speaks)
        client.wait_line("connected")
        time.sleep(SETTLE_S)
        grown = server.rss_kib() - before
        client.result()
    return grown / COUNT
