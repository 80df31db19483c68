"""What the people of a simulated network do: write, settle conflicts, go away."""

from collections.abc import Sequence
from typing import Any

import msgspec

from syncline.change_log import Write, WriteKind
from syncline.models import Conflict, Resolution
from syncline.simulation.environment import Environment
from syncline.simulation.process import Process


def decide(conflict: Conflict) -> Any:
    """Settle a conflict as a user's function would: by what the two sides hold."""
    ours, theirs = conflict.ours.data, conflict.theirs.data
    if ours is None or theirs is None:
        return "ours" if theirs is None else "theirs"
    if ours.get("n", 0) % 5 == 0:
        return None
    return {**theirs, "n": max(ours.get("n", 0), theirs.get("n", 0)), "merged": True}


class Workload:
    """Makes writes at any process that is up."""

    def __init__(self, world: Environment, processes: Sequence[Process]) -> None:
        self.world = world
        self.processes = processes
        self.chance = world.work_chance

    def step(self) -> None:
        """Do one thing somewhere; sometimes a burst."""
        alive = [process for process in self.processes if process.is_up]
        if not alive:
            return
        process = self.chance.choice(alive)
        dice = self.chance.random()
        if dice < 0.12:
            self._settle_one(process)
        elif dice < 0.16:
            process.guarded(process.retry_parked)
        else:
            for _ in range(self.chance.choice((1, 1, 1, 2, 5))):
                process.guarded(lambda: self.write_at(process))

    def write_at(self, process: Process) -> None:
        """Make one write, or a transaction of several, at a process."""
        if self.chance.random() < 0.25:
            count = self.chance.randint(2, 4)
            writes = [self._write(process) for _ in range(count)]
            process.write(writes, group=self.world.new_nonce())
        else:
            process.write([self._write(process)])

    def _write(self, process: Process) -> Write:
        model = self.chance.choice(process.models)
        record_id = f"r{self.chance.randrange(self.world.options.records)}"
        dice = self.chance.random()
        if dice < 0.18:
            return Write(kind=WriteKind.DELETE, model=model, record_id=record_id)
        if dice < 0.6:
            return self._patch(model, record_id)
        body = {
            "id": record_id,
            "a": self.chance.randrange(4),
            "b": self.chance.randrange(4),
            "n": self.chance.randrange(100),
        }
        return Write(
            kind=WriteKind.PUT,
            model=model,
            record_id=record_id,
            body=msgspec.Raw(msgspec.json.encode(body)),
        )

    def _patch(self, model: str, record_id: str) -> Write:
        name = self.chance.choice(("a", "b", "n"))
        value = self.chance.randrange(4 if name != "n" else 100)

        def merge(before: dict[str, Any]) -> bytes:
            return msgspec.json.encode({**before, name: value})

        return Write(kind=WriteKind.PATCH, model=model, record_id=record_id, merge=merge)

    def _settle_one(self, process: Process) -> None:
        with process.store.read() as reader:
            found = [c for c in reader.conflicts(open_only=True) if c.side == "ours"]
        if found:
            conflict = self.chance.choice(found)
            process.guarded(lambda: self.settle(process, conflict))

    def settle(self, process: Process, conflict: Conflict) -> bool:
        """Settle a conflict in one of the ways there are."""
        way = self.chance.choice(
            (Resolution.OURS, Resolution.THEIRS, Resolution.LATEST, Resolution.MANUAL)
        )
        body = None
        if way is Resolution.MANUAL:
            data = {"id": conflict.record_id, "a": 9, "b": 9, "n": self.chance.randrange(5)}
            is_deletion = self.chance.random() < 0.2
            body = msgspec.Raw(b"" if is_deletion else msgspec.json.encode(data))
        return process.resolve(conflict, way, body)
