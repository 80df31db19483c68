"""
What follows from what two ends know of a record: the judgement of `explain`, and its sentences.

Pure: the facts are handed in, and judged by the same decisions that replication asks.
"""

from datetime import UTC, datetime

import msgspec

from syncline.clock import COUNTER_MAX
from syncline.limits import is_about_size
from syncline.lineage import Standing
from syncline.models import Base, Conflict, Cursor, Entry, Update, Verdict
from syncline.revision import is_deletion
from syncline.verdicts import equal_data, offer, take


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """
    What one end knows of a record.

    Attributes:
        name: what the sentences call it.
        source, epoch, head, horizon: its list; the horizon is None where it can't be asked.
        update: what it holds, its tombstone included.
        entry: the same with base and pending; None for an end that is remote.
        cursor: how far it follows an upstream; None for an end that is remote, or follows nobody.
        conflict: the open one, which it met.
        barred_by: the member that holds its transaction back, `model/id`.
        in_flight: it is in a push that was not answered yet.
    """

    name: str
    source: str
    epoch: str
    head: int
    horizon: int | None = None
    update: Update | None = None
    entry: Entry | None = None
    cursor: Cursor | None = None
    conflict: Conflict | None = None
    barred_by: str = ""
    in_flight: bool = False


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """
    What was found, and what follows from it.

    Attributes:
        state: `level`, `to_push`, `in_flight`, `to_pull`, `conflict`, `parked`, `held_back`,
            `differs`, `rotten`, or `alone` when there is no other end to compare with.
        push: the other end's verdict on ours, were it sent. pull: ours on what the other holds.
        standing: what the upstream would say of our cursor, where it can be asked.
        sentences: all of it, for people.
    """

    model: str
    record_id: str
    state: str
    here: Facts
    there: Facts | None = None
    push: Verdict | None = None
    pull: Verdict | None = None
    standing: Standing | None = None
    sentences: tuple[str, ...] = ()


def follows(ours: Facts, theirs: Facts) -> bool:
    """Tell whether the one end follows the other."""
    return ours.cursor is not None and ours.cursor.source == theirs.source


def judge(
    model: str, record_id: str, ours: Facts, theirs: Facts | None, standing: Standing | None = None
) -> Explanation:
    """Return what follows from the facts."""
    push = pull = None
    if theirs is not None:
        push = pushed(ours, theirs)
        pull = pulled(ours, theirs)
    state = state_of(ours, theirs, push, pull)
    said = [
        *_said_of_holding(ours),
        *_said_of_following(ours, model),
        *_said_of_pending(ours),
    ]
    if theirs is not None:
        said += _said_of_other(ours, theirs, standing)
        said += _said_of_verdicts(ours, theirs, push, pull, state)
    return Explanation(
        model=model,
        record_id=record_id,
        state=state,
        here=ours,
        there=theirs,
        push=push,
        pull=pull,
        standing=standing,
        sentences=tuple(said),
    )


def pushed(ours: Facts, theirs: Facts) -> Verdict | None:
    """Return the other end's verdict on ours, were it sent; None when nothing would be."""
    if ours.update is None:
        return None
    entry = ours.entry
    if follows(ours, theirs) and entry is not None:
        if entry.pending is None:
            return None
        sent = msgspec.structs.replace(entry.update, prev=entry.pending.base_rev)
        return offer(theirs.update, sent)
    return _offered(theirs.update, ours.update)


def pulled(ours: Facts, theirs: Facts) -> Verdict | None:
    """Return our verdict on what the other end holds, were it read; None when it has nothing."""
    if theirs.update is None:
        return None
    if follows(ours, theirs):
        entry = ours.entry
        return take(
            ours.update,
            Base() if entry is None else entry.base,
            theirs.update,
            is_pending=entry is not None and entry.pending is not None,
        )
    return _offered(ours.update, theirs.update)


def _offered(held: Update | None, update: Update) -> Verdict | None:
    """Return the verdict of `replicate`, which names as `prev` what the target holds."""
    if held is None:
        return None if update.is_deletion else Verdict.FORWARD
    return offer(held, update)


def state_of(ours: Facts, theirs: Facts | None, push: Verdict | None, pull: Verdict | None) -> str:
    """Return the one word for how the record stands."""
    pending = None if ours.entry is None else ours.entry.pending
    if pending is not None and pending.hold:
        return pending.hold
    if theirs is not None and _is_rotten(ours, theirs):
        return "rotten"
    if ours.barred_by:
        return "held_back"
    if ours.in_flight:
        return "in_flight"
    if Verdict.CONFLICT in (push, pull):
        return "conflict"
    if pending is not None:
        return "to_push"
    if theirs is None:
        return "alone"
    if _is_level(ours, theirs):
        return "level"
    if pull in (Verdict.FORWARD, Verdict.EQUAL, Verdict.REBASE):
        return "to_pull"
    return "to_push" if push is Verdict.FORWARD else "differs"


def _is_level(ours: Facts, theirs: Facts) -> bool:
    a, b = ours.update, theirs.update
    if a is None or b is None:
        return (a is None or a.is_deletion) and (b is None or b.is_deletion)
    return a.rev == b.rev or _are_equal(a, b)


def _is_rotten(ours: Facts, theirs: Facts) -> bool:
    a, b = ours.update, theirs.update
    return a is not None and b is not None and a.rev == b.rev and not _are_equal(a, b)


def _are_equal(one: Update, other: Update) -> bool:
    try:
        return equal_data(one, other)
    except ValueError:  # not even JSON any more
        return False


def _said_of_holding(facts: Facts) -> list[str]:
    update, name = facts.update, facts.name
    if update is None:
        purged = f"; tombstones up to change {facts.horizon} are purged" if facts.horizon else ""
        return [f"{name} holds nothing of it{purged}."]
    what = "its tombstone" if update.is_deletion else "it"
    made = f", made by {update.origin}" if update.origin else ""
    when = f" at {_moment(update.stamp)}" if update.stamp else ""
    return [
        f"{name} holds {what} at {update.rev}, change {update.seq} of {facts.head}{made}{when}."
    ]


def _moment(stamp: int) -> str:
    moment = datetime.fromtimestamp(stamp / COUNTER_MAX / 1000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _said_of_following(facts: Facts, model: str) -> list[str]:
    cursor, name = facts.cursor, facts.name
    if cursor is None:
        return []
    if not cursor.source:
        return [f"{name} follows a daemon that it has not reached yet."]
    whole = "" if cursor.is_whole else ", not whole yet"
    said = [f"{name} has read the list {cursor.source} up to change {cursor.seq}{whole}."]
    if model not in cursor.models:
        said.append(f"It does not follow the model {model!r}, so nothing of it comes from there.")
    if cursor.resetting is not None:
        said.append("Its cursor was refused, so it is taking the whole list anew.")
    return said


_UNRULED = "the upstream could not rule on it"


def _said_of_pending(facts: Facts) -> list[str]:
    entry = facts.entry
    if entry is None or facts.cursor is None:
        return []
    if entry.pending is None:
        if entry.base.is_void:
            return ["The upstream has lost it; it is offered again once the list was read whole."]
        if entry.base_seq is None:
            return ["It was never pushed, and does not wait to be."]
        return [f"Nothing waits to be pushed: the upstream has it as change {entry.base_seq}."]
    base = entry.pending.base_rev
    upon = "as new" if base is None else f"upon {base}"
    said = [f"It waits to be pushed, {upon}."]
    if facts.conflict is not None:
        theirs = facts.conflict.theirs.rev
        until = f"until conflict {facts.conflict.conflict_id} is settled"
        said = [f"It is in conflict with {theirs} of the upstream, and not pushed {until}."]
    elif entry.pending.hold:
        why = f": {entry.pending.reason}" if entry.pending.reason else ""
        is_size = is_about_size(entry.pending.reason)
        cause = "it is larger than the upstream takes" if is_size else _UNRULED
        said = [f"It is {entry.pending.hold} since {cause}{why}."]
    elif facts.barred_by:
        said.append(f"Its transaction is held back by {facts.barred_by}.")
    elif facts.in_flight:
        said.append("It is on its way: the push was not answered yet.")
    return said


def _said_of_other(ours: Facts, theirs: Facts, standing: Standing | None) -> list[str]:
    said = _said_of_holding(theirs)
    cursor = ours.cursor
    if cursor is None or not follows(ours, theirs):
        if not follows(theirs, ours):
            said.append("Neither follows the other: what travels is what `sync` finds by diff.")
        return said
    if standing is not None and not standing.is_good:
        said.append(
            f"The cursor of {ours.name} is no longer good there ({standing.reason}), so it takes "
            "the whole list anew at its next hello."
        )
    elif cursor.epoch != theirs.epoch:
        said.append(f"A new epoch began there, so {ours.name} says hello again before it reads on.")
    if theirs.update is not None and theirs.update.seq > cursor.seq:
        said.append(
            f"Change {theirs.update.seq} lies beyond the cursor {cursor.seq}: {ours.name} has not "
            "read it yet."
        )
    elif theirs.head > cursor.seq:
        said.append(f"{ours.name} is {theirs.head - cursor.seq} changes behind.")
    return said


_PUSHED = {
    Verdict.SAME: "already has it",
    Verdict.KNOWN: "knows it as an earlier state, and would answer with its own",
    Verdict.FORWARD: "would take it",
    Verdict.EQUAL: "holds equal data, and would keep the greater revision",
    Verdict.CONFLICT: "would answer with a conflict: neither revision comes from the other",
}
_PULLED = {
    Verdict.SAME: "already has it",
    Verdict.KNOWN: "knows it already, and nothing would change",
    Verdict.FORWARD: "would take it",
    Verdict.EQUAL: "holds equal data, and would keep the greater revision",
    Verdict.REBASE: "would set its own upon that old deletion",
    Verdict.AMENDED: "would merge its edit with what a hook made of its write",
    Verdict.CONFLICT: "would meet a conflict: neither revision comes from the other",
}
_STATES = {
    "level": "Both ends are level.",
    "alone": "",
    "conflict": "Settle it with `syncline conflicts`, or `syncline sync --strategy`.",
    "parked": "`Replica.retry_parked()` pushes it again; what is too large goes by itself when the "
    "daemon's limits were raised.",
    "rotten": "Both ends name the same revision, but hold other data: no replication finds that. "
    "`syncline verify --repair` puts it right.",
    "differs": "Replication would leave it so: `syncline verify --repair` looks closer.",
}


_OF_TWO = (
    "Neither end follows the other: `syncline sync` between the two logs it where `syncline "
    "conflicts` finds it, or settles it with `--strategy ours`, `theirs` or `latest`."
)


def _said_of_verdicts(
    ours: Facts, theirs: Facts, push: Verdict | None, pull: Verdict | None, state: str
) -> list[str]:
    said = []
    if state not in ("level", "rotten"):
        if push is not None:
            said.append(f"Pushed, {theirs.name} {_PUSHED[push]}.")
        if pull is not None:
            what = "the deletion" if theirs.update and is_deletion(theirs.update.rev) else "it"
            said.append(f"Reading {what}, {ours.name} {_PULLED[pull]}.")
    last = _STATES.get(state, "")
    if state == "conflict" and not follows(ours, theirs):
        last = _OF_TWO
    return [*said, last] if last else said
