"""What the people of a simulated network do: write, settle conflicts, go away."""

from typing import TYPE_CHECKING, Any

import msgspec

from syncline.change_log import Write, WriteKind
from syncline.models import Conflict, Resolution


if TYPE_CHECKING:
    from syncline.simulation.node import Node
    from syncline.simulation.world import World


def decide(conflict: Conflict) -> Any:
    """Settle a conflict as a user's function would: by what the two sides hold."""
    ours, theirs = conflict.ours.data, conflict.theirs.data
    if ours is None or theirs is None:
        return "ours" if theirs is None else "theirs"
    if ours.get("n", 0) % 5 == 0:
        return None
    return {**theirs, "n": max(ours.get("n", 0), theirs.get("n", 0)), "merged": True}


class Workload:
    """Makes writes at any node that is up."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.chance = world.work_chance

    def step(self) -> None:
        """Do one thing somewhere; sometimes a burst."""
        alive = [node for node in self.world.nodes if node.is_up]
        if not alive:
            return
        node = self.chance.choice(alive)
        dice = self.chance.random()
        if dice < 0.12:
            self._settle_one(node)
        elif dice < 0.16:
            node.guarded(node.retry_parked)
        else:
            for _ in range(self.chance.choice((1, 1, 1, 2, 5))):
                node.guarded(lambda: self.write_at(node))

    def write_at(self, node: "Node") -> None:
        """Make one write, or a transaction of several, at a node."""
        if self.chance.random() < 0.25:
            count = self.chance.randint(2, 4)
            writes = [self._write(node) for _ in range(count)]
            node.write(writes, group=self.world.new_nonce())
        else:
            node.write([self._write(node)])

    def _write(self, node: "Node") -> Write:
        model = self.chance.choice(node.models)
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

    def _settle_one(self, node: "Node") -> None:
        with node.store.read() as reader:
            found = [c for c in reader.conflicts(open_only=True) if c.side == "ours"]
        if found:
            conflict = self.chance.choice(found)
            node.guarded(lambda: self.settle(node, conflict))

    def settle(self, node: "Node", conflict: Conflict) -> bool:
        """Settle a conflict in one of the ways there are."""
        way = self.chance.choice(
            (Resolution.OURS, Resolution.THEIRS, Resolution.LATEST, Resolution.MANUAL)
        )
        body = None
        if way is Resolution.MANUAL:
            data = {"id": conflict.record_id, "a": 9, "b": 9, "n": self.chance.randrange(5)}
            is_deletion = self.chance.random() < 0.2
            body = msgspec.Raw(b"" if is_deletion else msgspec.json.encode(data))
        return node.resolve(conflict, way, body)
