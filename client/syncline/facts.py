"""
What every process that has a change list open must know of it beside its changes.

That is its epochs, its horizon, and whether it follows and is followed.
Another process may change any of these between two of our commits.
Whoever does takes a seq for it, so a process that finds the head where it left it knows that
nothing of it has changed, and need not read it again.
"""

import weakref

import msgspec

from syncline.author import Author
from syncline.lineage import Lineage, Standing
from syncline.logs import Logger
from syncline.store.contract import Reader, Transaction


LINEAGE = "lineage"
HORIZON = "horizon"
REPLICA_ID = "replica_id"
PLACE = "place"
"""Where the replica that has that id was; a store that finds itself elsewhere is a copy."""
SOURCE = "source"
FOLLOWS = "follows"
"""Marks a store whose writes wait for an upstream, whoever makes them."""
LISTENS = "listens"
"""Marks a store that others follow: its deletions stay, whoever makes them."""

log = Logger("syncline")
_lineage_decoder = msgspec.json.Decoder(type=Lineage)


class Facts:
    """
    What one process knows of the list that it has open.

    Args:
        author: is told whether it follows, and is followed.

    Attributes:
        lineage, horizon: the epochs, and the seq up to which tombstones may be gone.
        known_head: a head of the list as of which all of it is known.
    """

    def __init__(self, author: Author) -> None:
        self._author = author
        self._opens_epochs = author.listens
        self.lineage = Lineage("", ())
        self.horizon = 0
        self.known_head = -1
        self._stored_lineage: bytes | None = None
        self._learnt_in: weakref.ref[Transaction] | None = None
        author.learn = self.learn_within

    def open(self, tx: Transaction, *, place: str = "") -> None:
        """
        Learn or choose who we are; mark what we are; whoever listens opens an epoch.

        Args:
            place: what tells the store from its copies; see `Store.place`.
        """
        stored = tx.meta(SOURCE)
        self._learn_identity(tx, place)
        self._learn_role(tx, is_new=stored is None)
        self.lineage = self.refresh(tx)
        source = self._author.new_nonce().encode() if stored is None else stored
        if stored is None:
            tx.set_meta(SOURCE, source)
        if self.lineage.source != source.decode():
            self.lineage = Lineage(source.decode(), self.lineage.epochs)
        if self._opens_epochs or not self.lineage.epochs:
            self._open_epoch(tx, self.lineage)
            self.refresh(tx)

    def _learn_identity(self, tx: Transaction, place: str) -> None:
        author, stored, was = self._author, tx.meta(REPLICA_ID), tx.meta(PLACE)
        if place and was != place.encode():
            tx.set_meta(PLACE, place.encode())
            follows = author.follows or tx.meta(FOLLOWS) is not None
            if was is not None and stored is not None and follows and not author.replica_id:
                # An upstream takes two of one name for one that came back, and ends the older
                # connection: a copy and its original would do so to each other for ever.
                author.replica_id = author.new_nonce()
                log.warning("store.copied", was=stored.decode(), replica_id=author.replica_id)
        if not author.replica_id:
            author.replica_id = author.new_nonce() if stored is None else stored.decode()
        if stored is None or stored.decode() != author.replica_id:
            tx.set_meta(REPLICA_ID, author.replica_id.encode())

    def _learn_role(self, tx: Transaction, *, is_new: bool) -> None:
        """Have all that was written before there was an upstream wait for it, among others."""
        author = self._author
        begins_to_follow = author.follows and tx.meta(FOLLOWS) is None
        begins_to_listen = author.listens and tx.meta(LISTENS) is None
        if begins_to_follow:
            tx.offer_all()
            tx.set_meta(FOLLOWS, b"1")
        if begins_to_listen:
            tx.set_meta(LISTENS, b"1")
        if (begins_to_follow or begins_to_listen) and not is_new:
            tx.skip_seq()
        self._learn_marks(tx)

    def _learn_marks(self, reader: Reader) -> None:
        author = self._author
        author.follows = author.follows or reader.meta(FOLLOWS) is not None
        author.listens = author.listens or reader.meta(LISTENS) is not None

    # ---- learning -----------------------------------------------------------------------

    def refresh(self, reader: Reader) -> Lineage:
        """
        Return the lineage as of this snapshot; another process may have purged, or opened it.

        What is remembered moves with it, but never back: another reader may be ahead.
        """
        stored = reader.meta(LINEAGE)
        if stored is None or stored == self._stored_lineage:
            return self.lineage
        lineage = _lineage_decoder.decode(stored)
        if lineage.goes_on_from(self.lineage):
            self.lineage = lineage
            self._stored_lineage = stored
            self.horizon = int(reader.meta(HORIZON) or 0)
        return lineage

    def learn(self, reader: Reader) -> int:
        """Know all of it as of this snapshot; return its head."""
        head = reader.head()
        if head != self.known_head:
            self._learn_anew(reader)
            self.known_head = max(self.known_head, head)
        return head

    def _learn_anew(self, reader: Reader) -> None:
        self.refresh(reader)
        self._learn_marks(reader)

    def learn_within(self, tx: Transaction) -> None:
        """
        Know all of it that was committed before this transaction.

        Call it where the head is read anyway: the look costs nothing but that.
        """
        # Once in a transaction: what it takes itself moves the head too.
        learnt_in = self._learnt_in
        if learnt_in is None or learnt_in() is not tx:
            self._learnt_in = weakref.ref(tx)
            if tx.head() != self.known_head:
                self._learn_anew(tx)

    def judge(self, *, source: str, epoch: str, seq: int, reach: int, head: int) -> Standing:
        """Judge a follower's cursor."""
        return self.lineage.judge(
            source=source, epoch=epoch, seq=seq, reach=reach, head=head, horizon=self.horizon
        )

    # ---- changing -----------------------------------------------------------------------

    def raise_horizon(self, tx: Transaction, upto: int) -> None:
        """
        Take note that tombstones up to a seq are gone, if that is news, and open an epoch.

        Only stored: what is remembered follows by `learn`, once this is committed.
        """
        if upto > int(tx.meta(HORIZON) or 0):
            tx.set_meta(HORIZON, str(upto).encode())
            self._open_epoch(tx, self.refresh(tx))
            # Also so that no seq of the new epoch is told under the one before.
            tx.skip_seq()

    def _open_epoch(self, tx: Transaction, lineage: Lineage) -> None:
        opened = lineage.opened(self._author.new_nonce(), tx.head())
        tx.set_meta(LINEAGE, msgspec.json.encode(opened))
