"""`syncline explain`: why a record did or did not travel."""

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import click

from synclined.cli.errors import DIFFERENT, OK
from synclined.cli.examples import examples
from synclined.cli.output import Output, output_options
from synclined.cli.target import TARGET, Access, access_options, open_target, run


if TYPE_CHECKING:
    from syncline.models import Update
    from syncline.reasons import Explanation, Facts


_GOOD = ("level", "alone")
_WORDS = {
    "alone": "held, and nothing waits",
    "to_push": "waits to be pushed",
    "in_flight": "on its way",
    "to_pull": "not read yet",
    "conflict": "in conflict",
    "held_back": "held back with its transaction",
}


@click.command(
    "explain",
    epilog=examples(
        "syncline explain todo 1 --replica phone.db",
        "syncline explain todo 1 --replica phone.db --replica http://127.0.0.1:8765",
    ),
)
@click.argument("model")
@click.argument("record_id", metavar="ID")
@click.option(
    "--replica",
    "targets",
    type=TARGET,
    multiple=True,
    required=True,
    help="A database or a daemon; a second one is compared with the first.",
)
@access_options
@output_options
def command(
    model: str, record_id: str, *, targets: tuple[str, ...], access: Access, out: Output
) -> int:
    """
    Tell why a record did or did not travel.

    Exits with 3 when something is left to do: it waits, collides or differs.
    """
    if len(targets) > 2:
        raise click.UsageError("--replica may be given once or twice")
    found = run(_explain(targets, model, record_id, access))
    if out.as_json:
        out.json(_plain(found))
    else:
        out.line(f"{found.model}/{found.record_id}: {_WORDS.get(found.state, found.state)}")
        for sentence in found.sentences:
            out.remark(f"  {sentence}")
    return OK if found.state in _GOOD else DIFFERENT


async def _explain(
    targets: tuple[str, ...], model: str, record_id: str, access: Access
) -> "Explanation":
    from syncline.explain import explain

    async with AsyncExitStack() as stack:
        ends: list[Any] = [
            await stack.enter_async_context(open_target(target, access)) for target in targets
        ]
        here, there = ends[0], ends[1] if len(ends) > 1 else None
        return await explain(here, model, record_id, there, names=(targets[0], targets[-1]))


def _plain(found: "Explanation") -> dict[str, Any]:
    return {
        "model": found.model,
        "id": found.record_id,
        "state": found.state,
        "here": _plain_facts(found.here),
        "there": None if found.there is None else _plain_facts(found.there),
        "push": None if found.push is None else found.push.value,
        "pull": None if found.pull is None else found.pull.value,
        "standing": None
        if found.standing is None
        else {"good": found.standing.is_good, "reason": found.standing.reason},
        "sentences": found.sentences,
    }


def _plain_update(update: "Update") -> dict[str, Any]:
    import msgspec

    from synclined.cli.records import change_of

    try:
        return change_of(update)
    except msgspec.DecodeError:  # rotten: not even JSON any more
        return change_of(msgspec.structs.replace(update, body=msgspec.Raw(b"null")))


def _plain_facts(facts: "Facts") -> dict[str, Any]:
    import msgspec

    entry = facts.entry
    pending = None if entry is None else entry.pending
    conflict = facts.conflict
    return {
        "replica": facts.name,
        "source": facts.source,
        "epoch": facts.epoch,
        "head": facts.head,
        "horizon": facts.horizon,
        "record": None if facts.update is None else _plain_update(facts.update),
        "ancestors": () if facts.update is None else facts.update.ancestors,
        "group": None if facts.update is None else facts.update.group,
        "base": None if entry is None else {"rev": entry.base.rev, "seq": entry.base.seq},
        "pending": None if pending is None else {"hold": pending.hold, "reason": pending.reason},
        "in_flight": facts.in_flight,
        "held_back_by": facts.barred_by or None,
        "conflict": None
        if conflict is None
        else {"id": conflict.conflict_id, "theirs": conflict.theirs.rev},
        "cursor": None if facts.cursor is None else msgspec.to_builtins(facts.cursor),
    }
