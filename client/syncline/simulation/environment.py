"""What all of a simulated network share: time, chance, the wires, and what really happened."""

import random
from collections import deque

from syncline.simulation.ledger import Ledger
from syncline.simulation.network import Network, Timeline
from syncline.simulation.options import Options


TRACE_LINES = 20_000


class Environment:
    """
    The world as a process meets it.

    Attributes:
        chance: the schedule's randomness. work_chance: the data's.
        barred: until when a process can't reach its upstream, by its name.
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
        self.barred: dict[str, float] = {}
        self.is_parking = options.hooks
        self.is_healed = False
        self.has_restored = False

    def new_nonce(self) -> str:
        """Return 64 random bits in hex."""
        return f"{self._nonces.getrandbits(64):016x}"

    def happens(self, probability: float) -> bool:
        """Tell whether something of that chance goes wrong now; never once all is healed."""
        return not self.is_healed and probability > 0.0 and self.chance.random() < probability

    def is_barred(self, name: str) -> bool:
        """Tell whether a process can't reach its upstream now."""
        return self.barred.get(name, 0.0) > self.timeline.now

    def note(self, line: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"{self.timeline.now:8.3f} {line}")

    def heal(self) -> None:
        """Let nothing go wrong any more."""
        self.is_healed = True
        self.network.is_healed = True
        self.is_parking = False
        self.barred.clear()
