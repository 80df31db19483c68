"""A process, and what it talks to others with: a door for followers, a link to its upstream."""

from collections.abc import Sequence

from syncline.conflicts import Strategy
from syncline.simulation.environment import Environment
from syncline.simulation.follower import Follower
from syncline.simulation.listener import Listener, Meddle
from syncline.simulation.process import Judge, Process


class Node(Process):
    """
    A place in the simulated network.

    Attributes:
        listener: its door, if it listens. follower: its link, while it runs and follows.
    """

    def __init__(
        self,
        world: Environment,
        name: str,
        *,
        upstream: "Node | None",
        listens: bool,
        models: tuple[str, ...],
        strategies: dict[str, Strategy],
        judge: Judge,
        meddle: Meddle,
    ) -> None:
        super().__init__(
            world,
            name,
            upstream=upstream,
            listens=listens,
            models=models,
            strategies=strategies,
            judge=judge,
        )
        self.listener = Listener(self, meddle) if listens else None
        self.follower: Follower | None = None
        self._door = None if upstream is None else upstream.listener

    def began(self) -> None:
        """Open the door, and begin to connect."""
        if self.listener is not None:
            self.listener.start()
        if self._door is not None:
            self.follower = Follower(self, self._door)
            self.guarded(self.follower.start)

    def ended(self) -> None:
        """Be silent from now on; who is told is chance."""
        if self.follower is not None:
            self.follower.die()
            self.follower = None
        if self.listener is not None:
            self.listener.die()

    def nudge(self) -> None:
        """Have those who follow told what is new, if there are any."""
        if self.listener is not None:
            self.listener.nudge()

    def wrote(self) -> None:
        """Have all told that something was written here."""
        self.nudge()
        if self.follower is not None:
            self.follower.wrote()


def followers_of(nodes: Sequence[Node]) -> list[Node]:
    """Return those that follow another."""
    return [node for node in nodes if node.upstream is not None]


def daemons_of(nodes: Sequence[Node]) -> list[Node]:
    """Return those that listen."""
    return [node for node in nodes if node.listens]
