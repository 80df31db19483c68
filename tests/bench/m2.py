"""M2, bulk push: records written offline, then acknowledged by the server; records a second."""

from typing import Any

from processes import Server, run_client
from report import Result, median


COUNT = 10_000
QUICK_COUNT = 5_000


def measure(options: Any) -> list[Result]:
    count = QUICK_COUNT if options.is_quick else COUNT
    found: dict[str, list[dict[str, float]]] = {"floors_clients": [], "replicas": []}
    for index in range(options.rounds):
        for module, took in found.items():
            place = options.folder / f"{module}-{index}"
            place.mkdir()
            start = Server.floor if module == "floors_clients" else Server.syncline
            with start(place, place / "server.db") as server:
                took.append(
                    run_client(
                        module, "push", url=server.url, store=str(place / "a.db"), count=count
                    )
                )
    return [
        Result(
            measure="M2",
            label=label,
            unit="rec/s",
            figure=_rate(found["replicas"], name, count),
            floor=_rate(found["floors_clients"], name, count),
            target=target,
            is_least=True,
        )
        for label, name, target in (
            (f"push of {count:,}", "push_s", 0.5),
            ("of that, written offline", "write_s", None),
        )
    ]


def _rate(took: list[dict[str, float]], name: str, count: int) -> float:
    return count / median(times[name] for times in took)
