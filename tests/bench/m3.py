"""M3, live latency: A writes one record, until B holds it; milliseconds."""

from typing import Any

from processes import Server, run_client
from report import Result, median, percentile


COUNT = 200
QUICK_COUNT = 100
GAP_S = 0.02
WARM_UP = 10


def measure(options: Any) -> list[Result]:
    count = (QUICK_COUNT if options.is_quick else COUNT) + WARM_UP
    found: dict[str, list[list[float]]] = {"floors_clients": [], "replicas": []}
    for index in range(options.rounds):
        for module, took in found.items():
            place = options.folder / f"{module}-{index}"
            place.mkdir()
            start = Server.floor if module == "floors_clients" else Server.syncline
            with start(place, place / "server.db") as server:
                ms = run_client(
                    module, "live", url=server.url, folder=str(place), count=count, gap_s=GAP_S
                )
            took.append(ms[WARM_UP:])
    return [
        Result(
            measure="M3",
            label=f"live latency p{round(share * 100)}",
            unit="ms",
            figure=median(percentile(ms, share) for ms in found["replicas"]),
            floor=median(percentile(ms, share) for ms in found["floors_clients"]),
            target=target,
        )
        for share, target in ((0.5, 1.3), (0.95, None), (0.99, 2.0))
    ]
