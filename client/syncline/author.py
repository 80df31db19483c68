"""Who writes here: the replica's id, its nonces and its clock."""

from collections.abc import Callable

from syncline.clock import next_stamp, observe
from syncline.models import ANCESTORS_MAX
from syncline.store.contract import Transaction


class Author:
    """
    The maker of this replica's revisions.

    Args:
        replica_id: the origin of what is made here.
        new_nonce: gives 64 random bits in hex; passed in, so that a simulation is reproducible.
        now_ms: the wall clock, in milliseconds since 1970.
        follows: the replica has an upstream, so its writes are pending until acknowledged.
        listens: others follow this replica, so nothing is squashed or dropped without a tombstone.

    Attributes:
        learn: makes `follows` and `listens` as true as they are in the store of a transaction.
    """

    def __init__(
        self,
        *,
        replica_id: str,
        new_nonce: Callable[[], str],
        now_ms: Callable[[], int],
        follows: bool,
        listens: bool,
        ancestors_max: int = ANCESTORS_MAX,
    ) -> None:
        self.replica_id = replica_id
        self.new_nonce = new_nonce
        self.now_ms = now_ms
        self.follows = follows
        self.listens = listens
        self.ancestors_max = ancestors_max
        self.learn: Callable[[Transaction], None] = _nothing
        self._clock = 0

    def stamp(self) -> int:
        """Return a stamp later than all that were made or seen here."""
        self._clock = next_stamp(self._clock, self.now_ms())
        return self._clock

    def observe(self, stamp: int) -> None:
        """Take note of a peer's stamp."""
        self._clock = observe(self._clock, stamp, self.now_ms())


def _nothing(_tx: Transaction) -> None:
    """Learn nothing: nobody else writes."""
