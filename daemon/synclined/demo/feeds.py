"""What the machine is doing, read by psutil and written as records."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import psutil

from synclined.demo.recorder import Recorder


Rows = dict[str, dict[str, Any]]
"""Records by id."""

PROCESSES_MAX = 12
HOST_INTERVAL_S = 0.25
PROCESS_INTERVAL_S = 0.5
_IDLE = {"System Idle Process"}


class Source(Protocol):
    """Something that can be sampled."""

    model: str
    interval_s: float

    def sample(self) -> Rows:
        """Return the records as they are now; may block."""


class HostSource:
    """CPU in total and per core, memory, disk, network and load."""

    model = "host"
    interval_s = HOST_INTERVAL_S

    def __init__(self) -> None:
        psutil.cpu_percent(percpu=True)  # The first call of all has nothing to compare with.
        self._counted: dict[str, tuple[int, int]] = {}

    def sample(self) -> Rows:
        """Return a record a metric."""
        cores = psutil.cpu_percent(percpu=True)
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        disk = psutil.disk_usage(Path.cwd().anchor)
        one, five, fifteen = psutil.getloadavg()
        rows: Rows = {
            "cpu": {"percent": round(sum(cores) / max(len(cores), 1), 1), "cores": len(cores)},
            "memory": {"percent": memory.percent, "used": memory.used, "total": memory.total},
            "swap": {"percent": swap.percent, "used": swap.used, "total": swap.total},
            "disk": {"percent": disk.percent, "used": disk.used, "total": disk.total},
            "load": {"1m": round(one, 2), "5m": round(five, 2), "15m": round(fifteen, 2)},
        }
        for number, percent in enumerate(cores):
            rows[f"cpu.{number}"] = {"percent": percent}
        # Neither exists in every container.
        blocks, wires = psutil.disk_io_counters(), psutil.net_io_counters()
        if blocks is not None:
            rows["disk_io"] = self._rates("disk_io", blocks.read_bytes, blocks.write_bytes)
        if wires is not None:
            rows["network"] = self._rates("network", wires.bytes_recv, wires.bytes_sent)
        return rows

    def _rates(self, name: str, came: int, went: int) -> dict[str, Any]:
        """Return bytes a second in and out since the last sample."""
        before = self._counted.get(name, (came, went))
        self._counted[name] = (came, went)
        return {
            "in_per_s": round(max(came - before[0], 0) / self.interval_s),
            "out_per_s": round(max(went - before[1], 0) / self.interval_s),
        }


class ProcessSource:
    """The busiest processes."""

    model = "process"
    interval_s = PROCESS_INTERVAL_S

    def sample(self) -> Rows:
        """Return a record a process, its pid the id."""
        attributes = ["pid", "name", "cpu_percent", "memory_info", "num_threads"]
        found = [
            (process, process.info)
            for process in psutil.process_iter(attributes)
            if process.info["name"] not in _IDLE and process.info["memory_info"] is not None
        ]
        found.sort(
            key=lambda each: (each[1]["cpu_percent"] or 0.0, each[1]["memory_info"].rss),
            reverse=True,
        )
        return {
            str(info["pid"]): {
                "pid": info["pid"],
                "name": _name_of(process, info["name"]),
                "cpu": info["cpu_percent"] or 0.0,
                "memory": info["memory_info"].rss,
                "threads": info["num_threads"] or 0,
            }
            for process, info in found[:PROCESSES_MAX]
        }


async def feed(recorder: Recorder, source: Source) -> None:
    """
    Sample and write, for ever, each record in a commit of its own.

    The writes are spread over the interval: a steady stream, as real programs make one.
    """
    loop = asyncio.get_running_loop()
    held = set(await recorder.ids_of(source.model))
    while True:
        due = loop.time() + source.interval_s
        rows = await asyncio.to_thread(source.sample)
        for record_id in held - set(rows):
            await recorder.delete(source.model, record_id)
        held = set(rows)
        pause_s = source.interval_s / (len(rows) + 1)
        for record_id, row in rows.items():
            await recorder.put(source.model, record_id, row)
            await asyncio.sleep(min(pause_s, max(due - loop.time(), 0.0)))
        await asyncio.sleep(max(due - loop.time(), 0.0))


def _name_of(process: Any, name: str) -> str:
    """Return what a process runs: of an interpreter the module or script, never its arguments."""
    if not name.startswith("python"):
        return name
    try:
        words = iter(process.cmdline()[1:])
    except psutil.Error:
        return name
    return _script_of(words) or name


def _script_of(words: Iterator[str]) -> str:
    for word in words:
        if word == "-m":
            return next(words, "").rpartition(".")[2]
        if word == "-c":
            return ""
        if not word.startswith("-"):
            return Path(word).name
    return ""
