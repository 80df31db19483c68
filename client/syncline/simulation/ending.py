"""What must hold in the end: all is level, equal, and nothing is lost."""

from collections.abc import Sequence

from syncline.models import Entry
from syncline.simulation.checks import Broken, Checks
from syncline.simulation.environment import Environment
from syncline.simulation.ledger import Ledger
from syncline.simulation.node import Node, followers_of


def is_level(nodes: Sequence[Node]) -> bool:
    """Tell whether every link is up and level, and nothing is waiting."""
    for node in followers_of(nodes):
        follower = node.follower
        if follower is None or not node.is_up:
            return False
        session = follower.session
        if not session.is_level or session.has_unsent or session.is_pushing:
            return False
        assert node.upstream is not None
        with node.store.read() as reader, node.upstream.store.read() as upper:
            if reader.outbox(limit=1) or session.cursor.seq != upper.head():
                return False
    return True


def why_not_level(nodes: Sequence[Node]) -> str:
    """Say what is stuck."""
    said = []
    for node in followers_of(nodes):
        if node.follower is None:
            said.append(f"{node.name} is down")
            continue
        session = node.follower.session
        with node.store.read() as reader:
            waiting = [update.rev for update in reader.outbox(limit=10)]
            held = [*reader.held("conflict"), *reader.held("parked")]
            count = reader.pending_counts().get("", 0)
        if waiting or not session.is_level:
            said.append(
                f"{node.name}: {session.state.value}, cursor {session.cursor.seq} of "
                f"{session.known_head}, outbox {waiting}, pending {count}, "
                f"held {[e.update.rev for e in held]}"
            )
    return "; ".join(said)


def check_end(world: Environment, nodes: Sequence[Node], checks: Checks) -> None:
    """P1, P2 and P7, once all is level and settled."""
    _check_equal(nodes)
    if not world.has_restored:
        _check_kept(world.ledger, nodes[0], checks)
    elif world.options.offers_back:
        _check_deleted(world.ledger, nodes[0], checks)


def _check_equal(nodes: Sequence[Node]) -> None:
    root = nodes[0].held()
    for node in followers_of(nodes):
        held = node.held()
        for key in sorted({*root, *held}):
            if key[0] not in node.models:
                continue
            mine, theirs = held.get(key), root.get(key)
            if _shown(mine) != _shown(theirs):
                raise Broken(f"P1: {key}: {node.name} shows {_shown(mine)}, root {_shown(theirs)}")


def _check_kept(ledger: Ledger, root: Node, checks: Checks) -> None:
    standing = ledger.lineage_of([entry.update.rev for entry in root.held().values()])
    given_up = ledger.refused | ledger.undone | ledger.burials()
    kept = ledger.lineage_of(sorted(checks.logged | given_up))
    for who, key, rev in [*ledger.works, *ledger.accepted]:
        if rev in standing or rev in kept:
            continue
        if key in checks.purged:
            continue
        raise Broken(f"P2: {rev} of {key}, accepted by {who}, is nowhere")


def _check_deleted(ledger: Ledger, root: Node, checks: Checks) -> None:
    held = root.held()
    written_over = {rev for over in ledger.parents.values() for rev in over}
    given_up = ledger.refused | ledger.undone | checks.logged | written_over
    for key, deletion in sorted(checks.deleted):
        entry = held.get(key)
        if entry is None or entry.update.is_deletion or key in checks.purged:
            continue
        if deletion not in given_up and ledger.descends(deletion, entry.update.rev):
            raise Broken(
                f"P7: {deletion} of {key} was held at a restore: {entry.update.rev} is back"
            )


def _shown(entry: Entry | None) -> tuple[str, bytes] | None:
    if entry is None or entry.update.is_deletion:
        return None
    return entry.update.rev, bytes(entry.update.body)
