"""M7, sustained: writes as fast as one reader follows, each its own commit; updates a second."""

from typing import Any

from processes import Server, run_client
from report import Result, median


SECONDS = 15.0
QUICK_SECONDS = 3.0
UNSEEN = (64, 256)
TARGET = 0.7


def measure(options: Any) -> list[Result]:
    seconds = QUICK_SECONDS if options.is_quick else SECONDS
    found: dict[tuple[str, int], list[float]] = {}
    for index in range(options.rounds):
        for unseen in UNSEEN:
            for module in ("floors_clients", "replicas"):
                place = options.folder / f"{module}-{unseen}-{index}"
                place.mkdir()
                start = Server.floor if module == "floors_clients" else Server.syncline
                with start(place, place / "server.db") as server:
                    rate = run_client(
                        module,
                        "sustained",
                        url=server.url,
                        folder=str(place),
                        seconds=seconds,
                        unseen_max=unseen,
                    )
                found.setdefault((module, unseen), []).append(rate)
    return [
        Result(
            measure="M7",
            label=f"sustained {seconds:g} s, <= {unseen} unseen",
            unit="updates/s",
            figure=median(found["replicas", unseen]),
            floor=median(found["floors_clients", unseen]),
            target=TARGET,
            is_least=True,
        )
        for unseen in UNSEEN
    ]
