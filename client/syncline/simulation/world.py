"""The whole network in one process under one seed."""

import random
from collections import deque

from syncline.conflicts import Strategy
from syncline.simulation.checks import Checks
from syncline.simulation.faults import Faults
from syncline.simulation.ledger import Ledger
from syncline.simulation.network import Network, Timeline
from syncline.simulation.node import Node
from syncline.simulation.options import Options
from syncline.simulation.workload import Workload, decide


TRACE_LINES = 20_000


class World:
    """
    Nodes, the network between them, what is done to them, and what must hold.

    Attributes:
        chance: the schedule's randomness. work_chance: the data's.
        is_parking: whether the daemons' hook fails at some records.
        has_restored: whether an older snapshot was put back, so that acknowledged writes may be
            gone.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.chance = random.Random(f"schedule {options.seed}")  # noqa: S311 - repeatable
        self.work_chance = random.Random(f"data {options.seed}")  # noqa: S311 - repeatable
        self._nonces = random.Random(f"nonces {options.seed}")  # noqa: S311 - repeatable
        self.timeline = Timeline()
        self.network = Network(self.timeline, options, self.chance)
        self.ledger = Ledger()
        self.trace: deque[str] = deque(maxlen=TRACE_LINES)
        self.is_parking = options.hooks
        self.is_healed = False
        self.has_restored = False
        self.checks = Checks(self)
        self.faults = Faults(self)
        self.workload = Workload(self)
        self.nodes: list[Node] = []
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
            self, name, upstream=upstream, listens=listens, models=models, strategies=strategies
        )
        self.nodes.append(node)
        return node

    @property
    def followers(self) -> list[Node]:
        """The nodes that follow another."""
        return [node for node in self.nodes if node.upstream is not None]

    @property
    def daemons(self) -> list[Node]:
        """The nodes that listen."""
        return [node for node in self.nodes if node.listens]

    def new_nonce(self) -> str:
        """Return 64 random bits in hex."""
        return f"{self._nonces.getrandbits(64):016x}"

    def happens(self, probability: float) -> bool:
        """Tell whether something of that chance goes wrong now; never once all is healed."""
        return not self.is_healed and probability > 0.0 and self.chance.random() < probability

    def is_barred(self, node: Node) -> bool:
        """Tell whether a node can't reach its upstream."""
        return self.faults.is_barred(node)

    def note(self, line: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"{self.timeline.now:8.3f} {line}")

    def committed(self, node: Node, what: str) -> None:
        """Enter a commit in the ledger, and check what must hold after each."""
        self.checks.after_commit(node, what)

    def run(self) -> None:
        """Let the workload and the faults do their steps."""
        for _ in range(self.options.steps):
            self.timeline.run_until(self.timeline.now + self.chance.choice((0.0, 0.02, 0.2, 1.0)))
            self.workload.step()
            self.faults.step()

    def heal(self) -> None:
        """End all faults."""
        self.is_healed = True
        self.network.is_healed = True
        self.is_parking = False
        self.faults.heal()
