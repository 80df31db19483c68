"""
Open a store, or put a damaged one aside and begin anew with what was pending in it.

Only a replica that merely follows does so: all else that it held comes again from its upstream.
"""

from collections.abc import Sequence

import msgspec

from syncline.engine import Engine
from syncline.errors import StoreCorrupt
from syncline.logs import Logger
from syncline.models import Entry
from syncline.schema import ModelSchema
from syncline.store.contract import RescuableStore


log = Logger("syncline")


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """
    What became of a damaged store.

    Attributes:
        path: where it is now. reason: what was wrong with it.
        salvaged: how many pending records were saved.
        is_whole: whether all that was pending could be read.
    """

    path: str
    reason: str
    salvaged: int
    is_whole: bool


def open_engine(engine: Engine, schemas: Sequence[ModelSchema]) -> Quarantined | None:
    """
    Open an engine's store with its models; tell what was put aside for it, or None.

    Raises:
        StoreError: by name; a damaged store too, where others follow this replica.
        ConfigError: the models don't fit what is stored. The store is closed again.
    """
    try:
        engine.open()
        engine.store.declare(schemas)
    except StoreCorrupt as error:
        store = engine.store
        is_leaf = engine.author.follows and not engine.author.listens
        if not is_leaf or not isinstance(store, RescuableStore):
            raise
        store.close()
        place, salvaged = store.put_aside()
        engine.open()
        engine.store.declare(schemas)
        _restore(engine, salvaged.entries)
        quarantined = Quarantined(
            path=place,
            reason=str(error),
            salvaged=len(salvaged.entries),
            is_whole=salvaged.is_whole,
        )
        log.error("store.quarantined", **msgspec.structs.asdict(quarantined))  # noqa: TRY400 - handled
        return quarantined
    except BaseException:
        # Nobody has it yet who would: a refused one would hold up who opens it next.
        engine.store.close()
        raise
    if getattr(engine.store, "lacks_log", False):
        log.warning(
            "store.log_missing",
            path=str(getattr(engine.store, "path", "")),
            hint="it was copied while it was in use, without the -wal beside it: what was in that "
            "is not here; copy with `syncline backup`",
        )
    return None


def _restore(engine: Engine, entries: Sequence[Entry]) -> None:
    """Have what was pending wait again."""
    if not entries:
        return
    with engine.store.write() as tx:
        first = tx.next_seqs(len(entries))
        tx.write([_waiting_again(entry, seq) for seq, entry in enumerate(entries, first)])


def _waiting_again(entry: Entry, seq: int) -> Entry:
    assert entry.pending is not None
    pending = msgspec.structs.replace(entry.pending, hold="", reason="")
    # Where the upstream's list holds the base is not known; only whether there is one.
    base_seq = None if pending.base_rev is None else 0
    return Entry(msgspec.structs.replace(entry.update, seq=seq), base_seq, pending)
