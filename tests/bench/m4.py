"""M4, fan-out: one write, until the last of K clients has its frame; milliseconds, CPU a client."""

from typing import Any

from processes import Client, Server
from report import Result, median


CROWDS = (100, 1000)
WRITES = 40
QUICK_WRITES = 20
QUIET = {"SYNCLINE_TIMINGS__HEARTBEAT_S": "300"}


def measure(options: Any) -> list[Result]:
    writes = QUICK_WRITES if options.is_quick else WRITES
    found: dict[tuple[int, bool], list[tuple[float, float]]] = {}
    for index in range(options.rounds):
        for count in CROWDS:
            for speaks in (False, True):
                place = options.folder / f"{count}-{speaks}-{index}"
                place.mkdir()
                figures = _fan_out(place, count, writes, speaks=speaks)
                found.setdefault((count, speaks), []).append(figures)
    results: list[Result] = []
    for count in CROWDS:
        ms, cpu_us = zip(*found[count, True], strict=True)
        floor_ms, floor_cpu_us = zip(*found[count, False], strict=True)
        results += [
            Result(
                measure="M4",
                label=f"fan-out to {count}, to the last",
                unit="ms",
                figure=median(ms),
                floor=median(floor_ms),
                target=1.5,
            ),
            Result(
                measure="M4",
                label=f"fan-out to {count}, server CPU a client",
                unit="us",
                figure=median(cpu_us),
                floor=median(floor_cpu_us),
                target=25,
                is_absolute=True,
            ),
        ]
    return results


def _fan_out(place: Any, count: int, writes: int, *, speaks: bool) -> tuple[float, float]:
    """Return the ms to the last, and the server's processor time in us a client and write."""
    store = place / "server.db"
    server = Server.syncline(place, store, **QUIET) if speaks else Server.floor(place, store)
    with server:
        client = Client(
            "light", "fan_out", url=server.url, count=count, writes=writes, speaks=speaks
        )
        client.wait_line("connected")
        before = server.cpu_s()
        client.wait_line("written")
        used_s = server.cpu_s() - before
        took = client.result()
    return median(took), used_s * 1e6 / (count * writes)
