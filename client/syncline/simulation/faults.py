"""What goes wrong between the steps: cut wires, deaf wires, dead processes, old backups."""

from collections.abc import Callable, Sequence

from syncline.simulation.environment import Environment
from syncline.simulation.ledger import History
from syncline.simulation.node import Node, daemons_of, followers_of
from syncline.store.memory_content import Content


class Faults:
    """Breaks things, as often as the options say, and heals them all in the end."""

    def __init__(
        self,
        world: Environment,
        nodes: Sequence[Node],
        on_restore: Callable[[Sequence[Node]], None],
    ) -> None:
        self.world = world
        self.nodes = nodes
        self._on_restore = on_restore
        self._snapshot: tuple[Content, History] | None = None

    def step(self) -> None:
        """Break something, perhaps."""
        world, options = self.world, self.world.options
        if world.happens(options.cut):
            self._cut(world.chance.choice(followers_of(self.nodes)))
        if world.happens(options.one_way):
            self._deafen(world.chance.choice(followers_of(self.nodes)))
        if world.happens(options.restart):
            world.chance.choice(self.nodes).die()
        if world.happens(0.02):
            listener = world.chance.choice(daemons_of(self.nodes)).listener
            if listener is not None:
                listener.say_bye()
        if world.happens(options.purge):
            daemon = world.chance.choice(daemons_of(self.nodes))
            daemon.guarded(lambda: self._purge(daemon))
        if world.happens(options.restore):
            self._restore()

    def heal(self) -> None:
        """Stop breaking things; let everything that is down come up."""
        for node in self.nodes:
            node.start()
            if node.follower is not None and node.follower.wire is not None:
                node.follower.wire.deaf = {False: False, True: False}

    def _cut(self, node: Node) -> None:
        follower = node.follower
        self.world.barred[node.name] = self.world.timeline.now + self.world.chance.choice(
            (0.0, 1.0, 10.0)
        )
        if follower is not None and follower.wire is not None:
            chance = self.world.chance
            self.world.network.close(
                follower.wire, told_up=chance.random() < 0.6, told_down=chance.random() < 0.6
            )
            self.world.note(f"{node.name} is cut off")

    def _deafen(self, node: Node) -> None:
        follower = node.follower
        if follower is not None and follower.wire is not None:
            is_up = self.world.chance.random() < 0.5
            follower.wire.deaf[is_up] = True
            self.world.note(f"{node.name} is deaf {'up' if is_up else 'down'}")

    def _purge(self, node: Node) -> None:
        with node.store.read() as reader:
            upto = self.world.chance.randint(0, reader.head())
        with node.transaction("purge", may_fail=False) as tx:
            count = node.engine.compact(tx, upto)
        if upto % 2:
            # Else it is as if another process had purged: the next page tells.
            with node.store.read() as reader:
                node.engine.refresh(reader)
        self.world.note(f"{node.name} purged {count} tombstones up to {upto}")

    def _restore(self) -> None:
        root, histories = self.nodes[0], self.world.ledger.histories
        if self._snapshot is None:
            history = {key: list(made) for key, made in histories.get(root.name, {}).items()}
            self._snapshot = root.store.snapshot(), history
            return
        self._on_restore(followers_of(self.nodes))
        root.die()
        content, histories[root.name] = self._snapshot
        root.store.restore(content)
        self._snapshot = None
        self.world.has_restored = True
        self.world.note(f"{root.name} was restored from an older snapshot")
