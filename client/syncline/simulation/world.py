"""The whole network in one process under one seed."""

from syncline.conflicts import Strategy
from syncline.simulation.checks import Checks
from syncline.simulation.environment import Environment
from syncline.simulation.faults import Faults
from syncline.simulation.node import Node
from syncline.simulation.options import Options
from syncline.simulation.workload import Workload, decide


class World(Environment):
    """
    An environment with nodes in it, what is done to them, and what must hold.

    Attributes:
        nodes: the root first.
    """

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.nodes: list[Node] = []
        self.checks = Checks(self)
        self.faults = Faults(self, self.nodes, self.checks.note_restored)
        self.workload = Workload(self, self.nodes)
        self._build()

    def _build(self) -> None:
        options = self.options
        models = tuple(f"m{index}" for index in range(options.models))
        root = self._node("root", None, listens=True, models=models)
        uppers = [root]
        if options.levels > 1:
            mids = [
                self._node(f"mid{index}", root, listens=True, models=models)
                for index in range(self.chance.randint(1, 2))
            ]
            uppers = [*mids, root]
        for index in range(options.replicas):
            upper = uppers[index % len(uppers)]
            leaf = self._node(f"leaf{index}", upper, listens=False, models=models)
            if options.late_model and len(models) > 1 and index == 0:
                leaf.models, leaf.later_models = models[:1], models
        for node in self.nodes:
            node.start()

    def _node(
        self, name: str, upstream: Node | None, *, listens: bool, models: tuple[str, ...]
    ) -> Node:
        names = self.options.daemon_strategies if listens else self.options.strategies
        strategies: dict[str, Strategy] = {
            model: decide if strategy == "function" else strategy
            for model, strategy in zip(models, names, strict=True)
        }
        node = Node(
            self,
            name,
            upstream=upstream,
            listens=listens,
            models=models,
            strategies=strategies,
            judge=self.checks,
            meddle=self.workload.write_at,
        )
        self.nodes.append(node)
        return node

    def run(self) -> None:
        """Let the workload and the faults do their steps."""
        for _ in range(self.options.steps):
            self.timeline.run_until(self.timeline.now + self.chance.choice((0.0, 0.02, 0.2, 1.0)))
            self.workload.step()
            self.faults.step()

    def heal(self) -> None:
        """End all faults."""
        super().heal()
        self.faults.heal()
