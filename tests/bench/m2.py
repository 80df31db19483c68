"""
M2, bulk push: records written offline, then acknowledged by the server; records a second.

Floor and replica hold their file open all along, and connect inside the measured time. What a
replica takes that was closed meanwhile, and reads its file anew, stands beside it.
"""

from typing import Any

from processes import Server, run_client
from report import Result, median


COUNT = 10_000
QUICK_COUNT = 5_000
FLOOR = ("floors_clients", "push")
CUT_OFF = ("replicas", "push")
REOPENED = ("replicas", "push_reopened")


def measure(options: Any) -> list[Result]:
    count = QUICK_COUNT if options.is_quick else COUNT
    found: dict[tuple[str, str], list[dict[str, float]]] = {FLOOR: [], CUT_OFF: [], REOPENED: []}
    for index in range(options.rounds):
        for (module, function), took in found.items():
            place = options.folder / f"{module}-{function}-{index}"
            place.mkdir()
            start = Server.floor if module == "floors_clients" else Server.syncline
            with start(place, place / "server.db") as server:
                store = str(place / "a.db")
                took.append(run_client(module, function, url=server.url, store=store, count=count))
    return [
        Result(
            measure="M2",
            label=label,
            unit="rec/s",
            figure=_rate(found[kind], name, count),
            floor=_rate(found[FLOOR], name, count),
            target=target,
            is_least=True,
        )
        for label, kind, name, target in (
            (f"push of {count:,}", CUT_OFF, "push_s", 0.5),
            ("of that, written offline", CUT_OFF, "write_s", None),
            ("push after opening anew", REOPENED, "push_s", None),
        )
    ]


def _rate(took: list[dict[str, float]], name: str, count: int) -> float:
    return count / median(times[name] for times in took)
