"""`syncline conflicts`: list, show and resolve what two sides wrote at once."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from syncline.errors import ConflictError, RecordNotFound
from synclined.cli.examples import examples
from synclined.cli.output import Output, cell, output_options
from synclined.cli.records import read_object
from synclined.cli.target import (
    TARGET,
    Access,
    access_options,
    is_url,
    open_local,
    open_target,
    run,
)


if TYPE_CHECKING:
    from syncline.models import Conflict, Update
    from syncline.replica import Replica
    from syncline.resolving import OpenConflict


SIDES = ("ours", "theirs", "latest")


@click.group("conflicts")
def group() -> None:
    """
    List, show and resolve conflicts.

    A conflict is kept in the database of the replica that met it: name its file; ours is then what
    that replica holds, theirs what the daemon does. A daemon lists what waits at it and at its
    replicas: name its URL; there ours is the daemon's, and theirs the replica's.
    """


@group.command(
    "list",
    epilog=examples(
        "syncline conflicts list todos.db", "syncline conflicts list http://127.0.0.1:8765"
    ),
)
@click.argument("store", type=TARGET)
@click.option("--model", help="Of this model only.")
@click.option("--all", "is_all", is_flag=True, help="Settled and received ones too.")
@access_options
@output_options
def list_command(
    store: str, *, model: str | None, is_all: bool, access: Access, out: Output
) -> None:
    """List the conflicts that wait to be settled."""
    if is_url(store):
        _list_at_daemon(store, access, out, model=model, is_all=is_all)
        return

    async def work() -> "list[Conflict]":
        async with await open_local(store, access) as replica:
            found = await replica.conflicts(open_only=not is_all, model=model)
            return [each.conflict for each in found]

    found = run(work())
    if out.as_json:
        out.json([_plain(conflict) for conflict in found])
    elif not found:
        out.remark("no conflicts")
    else:
        out.table([_row(conflict) for conflict in found])


@group.command("show", epilog=examples("syncline conflicts show todos.db 3f2a"))
@click.argument("store", type=TARGET)
@click.argument("conflict_id", metavar="ID")
@access_options
@output_options
def show(store: str, conflict_id: str, access: Access, out: Output) -> None:
    """Show both sides of a conflict; the start of its id, or MODEL/RECORD, is enough."""
    if is_url(store):
        _show_at_daemon(store, conflict_id, access, out)
        return

    async def work() -> "Conflict":
        async with await open_local(store, access) as replica:
            return (await _find(replica, conflict_id, open_only=False)).conflict

    conflict = run(work())
    if out.as_json:
        out.json(_plain(conflict))
        return
    row = _row(conflict)
    out.pairs({name: row[name] for name in ("id", "record", "opened", "state")})
    _show_sides(out, conflict.base, conflict.ours.data, conflict.theirs.data)


def _show_sides(
    out: Output,
    base: dict[str, Any] | None,
    ours: dict[str, Any] | None,
    theirs: dict[str, Any] | None,
) -> None:
    names = dict.fromkeys(name for side in (base, ours, theirs) if side for name in side)
    out.line("")
    out.table(
        [
            {
                "property": name,
                "base": _side(base, name),
                "ours": _side(ours, name),
                "theirs": _side(theirs, name),
                "": "" if _side(ours, name) == _side(theirs, name) else "*",
            }
            for name in names
        ]
    )


@group.command(
    "resolve",
    epilog=examples(
        "syncline conflicts resolve todos.db 3f2a --theirs",
        """syncline conflicts resolve todos.db todo/1 --data '{"title": "milk"}'""",
        "syncline conflicts resolve todos.db --all --latest",
    ),
)
@click.argument("store", type=TARGET)
@click.argument("conflict_id", metavar="ID", required=False)
@click.option("--all", "is_all", is_flag=True, help="All that are open.")
@click.option("--ours", "side", flag_value="ours", help="What this database holds stands.")
@click.option("--theirs", "side", flag_value="theirs", help="What it collided with stands.")
@click.option("--latest", "side", flag_value="latest", help="The later of the two stands.")
@click.option("--data", metavar="JSON", help="This record stands; null deletes it.")
@access_options
@output_options
def resolve(
    store: str,
    conflict_id: str | None,
    *,
    is_all: bool,
    side: str | None,
    data: str | None,
    access: Access,
    out: Output,
) -> None:
    """
    Settle a conflict.

    The start of its id, or MODEL/RECORD, is enough. The outcome travels at the next sync.
    """
    if is_url(store):
        raise click.UsageError(
            f"a daemon's conflicts are settled on its page, {store.rstrip('/')}/conflicts, or in "
            "the database of the replica where they wait"
        )
    if (side is None) == (data is None):
        raise click.UsageError("say one of --ours, --theirs, --latest and --data")
    if (conflict_id is None) != is_all:
        raise click.UsageError("name a conflict, or say --all")
    record = None if data is None else _read_record(data)

    async def work() -> "list[Conflict]":
        async with await open_local(store, access) as replica:
            if conflict_id is None:
                found = await replica.conflicts()
            else:
                found = [await _find(replica, conflict_id, open_only=True)]
            for each in found:
                if not await each.resolve(side or "manual", record):
                    raise ConflictError(
                        f"{_name(each.conflict)} moved on meanwhile", hint="look at it again"
                    )
            return [each.conflict for each in found]

    settled = run(work())
    word = side or "manual"
    if out.as_json:
        out.json([{**_names(conflict), "resolution": word} for conflict in settled])
    else:
        for conflict in settled:
            out.remark(f"{_name(conflict)} settled: {word}")


# ---- at a daemon ------------------------------------------------------------------------------


async def _read_at_daemon(url: str, access: Access) -> list[dict[str, Any]]:
    """Return what a daemon lists, oldest first."""
    async with open_target(f"{url.rstrip('/')}/state", access) as state:
        found: list[dict[str, Any]] = await state.model("conflicts").find()
    return sorted(found, key=lambda one: one["opened_ms"])


def _list_at_daemon(
    url: str, access: Access, out: Output, *, model: str | None, is_all: bool
) -> None:
    found = [
        one
        for one in run(_read_at_daemon(url, access))
        if (is_all or one["is_waiting"]) and model in (None, one["model"])
    ]
    if out.as_json:
        out.json([_plain_at_daemon(one) for one in found])
    elif not found:
        out.remark("no conflicts")
    else:
        out.table([_row_at_daemon(one) for one in found])


def _show_at_daemon(url: str, text: str, access: Access, out: Output) -> None:
    found = [
        one
        for one in run(_read_at_daemon(url, access))
        if one["id"].startswith(text) or text == f"{one['model']}/{one['record_id']}"
    ]
    found = [one for one in found if one["is_waiting"]] or found
    if not found:
        hint = f"syncline conflicts list {url}"
        raise RecordNotFound(f"there is no conflict {text!r}", hint=hint)
    if len(found) > 1:
        ids = ", ".join(one["id"] for one in found[:5])
        raise click.UsageError(f"{text!r} names {len(found)} conflicts: {ids}")
    (one,) = found
    if out.as_json:
        out.json(_plain_at_daemon(one))
        return
    row = _row_at_daemon(one)
    out.pairs({name: row[name] for name in ("id", "record", "opened", "state", "waits at")})
    _show_sides(out, one["base"], one["ours"], one["theirs"])


def _row_at_daemon(one: dict[str, Any]) -> dict[str, Any]:
    state = "open" if one["is_waiting"] else one["resolution"]
    return {
        "id": one["id"],
        "record": f"{one['model']}/{one['record_id']}",
        "opened": _time(one["opened_ms"]),
        "state": state,
        "waits at": one["holder"] or "the daemon",
        "ours": "deleted" if one["ours"] is None else cell(one["ours"]),
        "theirs": "deleted" if one["theirs"] is None else cell(one["theirs"]),
    }


def _plain_at_daemon(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "conflict_id": one["id"],
        "model": one["model"],
        "id": one["record_id"],
        "opened_ms": one["opened_ms"],
        "resolution": "" if one["is_waiting"] else one["resolution"],
        "side": one["side"],
        "reason": one["reason"],
        "holder": one["holder"],
        "base": one["base"],
        **{
            side: {
                "rev": one[f"{side}_rev"],
                "origin": one[f"{side}_origin"],
                "data": one[side],
            }
            for side in ("ours", "theirs")
        },
    }


# ---- in a database ----------------------------------------------------------------------------


async def _find(replica: "Replica", text: str, *, open_only: bool) -> "OpenConflict":
    """Return the one conflict that the start of an id, or MODEL/RECORD, names."""
    listed = await replica.conflicts(open_only=open_only)
    found = [
        each
        for each in listed
        if each.conflict.conflict_id.startswith(text) or text == _name(each.conflict)
    ]
    found = [each for each in found if each.conflict.is_open] or found
    if not found:
        raise RecordNotFound(f"there is no conflict {text!r}", hint="syncline conflicts list")
    if len(found) > 1:
        ids = ", ".join(each.conflict.conflict_id for each in found[:5])
        raise click.UsageError(f"{text!r} names {len(found)} conflicts: {ids}")
    return found[0]


def _read_record(text: str) -> dict[str, Any] | None:
    if text.strip() == "null":
        return None
    return read_object(text)


def _name(conflict: "Conflict") -> str:
    return f"{conflict.model}/{conflict.record_id}"


def _names(conflict: "Conflict") -> dict[str, str]:
    return {
        "conflict_id": conflict.conflict_id,
        "model": conflict.model,
        "id": conflict.record_id,
    }


def _row(conflict: "Conflict") -> dict[str, Any]:
    return {
        "id": conflict.conflict_id,
        "record": _name(conflict),
        "opened": _time(conflict.opened_ms),
        "state": conflict.resolution or "open",
        "ours": _short(conflict.ours),
        "theirs": _short(conflict.theirs),
    }


def _time(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}Z"


def _short(update: "Update") -> str:
    return "deleted" if update.is_deletion else cell(update.data)


def _side(record: dict[str, Any] | None, name: str) -> str:
    if record is None:
        return "-"
    return json.dumps(record[name]) if name in record else ""


def _plain(conflict: "Conflict") -> dict[str, Any]:
    return {
        **_names(conflict),
        "kind": None if conflict.kind is None else conflict.kind.value,
        "opened_ms": conflict.opened_ms,
        "resolution": conflict.resolution,
        "side": conflict.side,
        "reason": conflict.reason,
        "base": conflict.base,
        "ours": _plain_side(conflict.ours),
        "theirs": _plain_side(conflict.theirs),
    }


def _plain_side(update: "Update") -> dict[str, Any]:
    return {"rev": update.rev, "origin": update.origin, "data": update.data}
