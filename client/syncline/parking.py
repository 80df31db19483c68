"""What is kept back from the upstream by name: parked, and released when it may go."""

from collections.abc import Callable, Sequence

import msgspec

from syncline.limits import PushLimits, TooLarge, is_about_size, too_large
from syncline.models import Entry, Update
from syncline.store.contract import Reader, Transaction


PUSH_LIMITS = "push_limits"

_decoder = msgspec.json.Decoder(type=PushLimits)


def load_limits(reader: Reader) -> PushLimits:
    """Return what the upstream took when it was last met; the defaults before that."""
    stored = reader.meta(PUSH_LIMITS)
    return PushLimits() if stored is None else _decoder.decode(stored)


def park(tx: Transaction, barred: Sequence[TooLarge]) -> list[tuple[Update, str]]:
    """Keep back what the upstream does not take; return what was, with the reasons."""
    parked: list[tuple[Update, str]] = []
    for unit, reason in barred:
        for update in unit:
            entry = tx.entry(*update.key)
            pending = None if entry is None else entry.pending
            if entry is None or pending is None or pending.hold or entry.update.rev != update.rev:
                continue
            tx.write_pending([msgspec.structs.replace(pending, hold="parked", reason=reason)])
            parked.append((update, reason))
    return parked


def mind_limits(tx: Transaction, limits: PushLimits) -> int:
    """Store what the upstream takes, and release what was too large and is no more."""
    encoded = msgspec.json.encode(limits)
    if tx.meta(PUSH_LIMITS) != encoded:
        tx.set_meta(PUSH_LIMITS, encoded)
    barred: dict[str, bool] = {}

    def fits(entry: Entry) -> bool:
        group = entry.update.group
        if entry.pending is None or not is_about_size(entry.pending.reason):
            return False
        if group is None:
            return not too_large([entry.update], limits)
        if group not in barred:
            barred[group] = bool(too_large(tx.grouped_outbox([group]), limits))
        return not barred[group]

    return _release(tx, fits)


def unpark(tx: Transaction) -> int:
    """Let all that is parked be pushed again; return how many."""
    return _release(tx, lambda _: True)


def unpark_group(tx: Transaction, group: str) -> int:
    """Let what is parked of a transaction be pushed again; return how many."""
    return _release(tx, lambda entry: entry.update.group == group)


def _release(tx: Transaction, may_go: Callable[[Entry], bool]) -> int:
    rows = [
        msgspec.structs.replace(entry.pending, hold="", reason="")
        for entry in tx.held("parked")
        if entry.pending is not None and may_go(entry)
    ]
    tx.write_pending(rows)
    return len(rows)
