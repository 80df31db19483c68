"""`syncline sync`: replicate between two stores or daemons, once or for as long as it runs."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncline.conflicts import STRATEGIES
from syncline.errors import ConfigError
from synclined.cli.errors import AUTH, DIFFERENT, OK
from synclined.cli.examples import examples
from synclined.cli.output import Output, cell, output_options
from synclined.cli.progress import progress_bar
from synclined.cli.records import where_option
from synclined.cli.target import MEMORY, TARGET, Access, access_options, is_url, open_target, run


if TYPE_CHECKING:
    from synclined.cli.exchange import Exchanged, Terms


SHOWN_MAX = 10
"""How many ids or conflicts of a model are listed for people; JSON has them all."""

_BY_STRATEGY = "sync again with --strategy ours, theirs or latest"


allow_deletions_option = click.option(
    "--allow-deletions",
    is_flag=True,
    help="Let it delete more than half of a model's records.",
)


@click.command(
    "sync",
    epilog=examples(
        "syncline sync phone.db http://127.0.0.1:8765",
        "syncline sync one.db other.db --model todo --dry-run",
        "syncline sync phone.db http://127.0.0.1:8765 --live --strategy latest",
    ),
)
@click.argument("a", type=TARGET)
@click.argument("b", type=TARGET)
@click.option("--one-way", is_flag=True, help="From A to B only.")
@click.option("--model", "models", multiple=True, help="This model only; repeatable.")
@where_option
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default="manual",
    help="What becomes of conflicts; ours is A's side  [manual: they are left]",
)
@click.option("--dry-run", is_flag=True, help="Show what would travel, and change nothing.")
@allow_deletions_option
@click.option("--live", is_flag=True, help="Stay linked, A a database and B a daemon's URL.")
@access_options
@output_options
def command(
    a: str,
    b: str,
    *,
    one_way: bool,
    models: tuple[str, ...],
    where: dict[str, Any] | None,
    strategy: str,
    dry_run: bool,
    allow_deletions: bool,
    live: bool,
    access: Access,
    out: Output,
) -> int:
    """
    Replicate between two stores or daemons.

    First what A has goes to B, then what B has to A. Repeated, it moves only what changed since.
    """
    from synclined.cli.exchange import Terms

    if is_same(a, b):
        raise click.UsageError("both ends are the same")
    if live:
        if one_way or where is not None or dry_run:
            raise click.UsageError("--live goes without --one-way, --where and --dry-run")
        _check_ends_of_live(a, b)
        from synclined.cli.live import follow

        following = follow(a, b, models, strategy, access, allow_deletions=allow_deletions)
        return run(following, log_level="info")
    terms = Terms(
        models=models,
        where=where,
        one_way=one_way,
        strategy=strategy,
        allow_deletions=allow_deletions,
    )
    found = run(_once(a, b, terms, access, out, is_dry=dry_run))
    if out.as_json:
        out.json(_plain(found, is_dry=dry_run))
    else:
        _show(found, a, b, out, is_dry=dry_run)
    from syncline.ends import is_forbidden

    if any(is_forbidden(result) for each in found for result in each.refused):
        return AUTH
    return DIFFERENT if any(each.has_differences for each in found) else OK


async def _once(
    a: str, b: str, terms: "Terms", access: Access, out: Output, *, is_dry: bool
) -> "list[Exchanged]":
    from synclined.cli.exchange import CONFLICT_STRATEGIES, exchange, preview

    if not is_dry and not (terms.models or terms.where or terms.one_way):
        found = await over_its_link(
            a, b, terms.strategy, access, allow_deletions=terms.allow_deletions
        )
        if found is not None:
            return found
    if terms.strategy not in CONFLICT_STRATEGIES:
        raise click.UsageError(f"--strategy {terms.strategy} needs a database linked to the daemon")
    # A dry run must not make a database: an empty one in memory stands for it.
    b = "memory:" if is_dry and not is_url(b) and b not in MEMORY and not _exists(b) else b
    async with contextlib.AsyncExitStack() as stack:
        source = await stack.enter_async_context(open_target(a, access))
        target = await stack.enter_async_context(open_target(b, access, creates=True))
        with progress_bar(is_watched=out.is_watched) as progress:
            if is_dry:
                return await preview(source, target, terms, progress)
            return await exchange(source, target, terms, progress)


async def over_its_link(
    a: str, b: str, strategy: str, access: Access, *, allow_deletions: bool = False
) -> "list[Exchanged] | None":
    """Sync a database that follows the other end as a link would; None when there is none."""
    if is_url(a) == is_url(b):
        return None
    from synclined.cli.catch_up import catch_up

    if is_url(b):
        if not _exists(a):
            return None
        return await catch_up(a, b, access, strategy, allow_deletions=allow_deletions)
    # Ours is A's side, also where A is the daemon.
    if not _exists(b):
        return None
    found = await catch_up(b, a, access, _swapped(strategy), allow_deletions=allow_deletions)
    return None if found is None else [each.swapped() for each in found]


def _swapped(strategy: str) -> str:
    name, colon, side = strategy.partition(":")
    other = {"ours": "theirs", "theirs": "ours"}
    return other.get(name, name) + colon + other.get(side, side)


def _check_ends_of_live(a: str, b: str) -> None:
    if is_url(a) and not is_url(b):
        raise ConfigError(
            "with --live, A must be the database and B the daemon",
            hint=f"syncline sync {b} {a} --live",
        )
    if not is_url(b):
        raise ConfigError(
            "with --live one end must be a daemon's URL: two databases can't tell each other",
            hint=f"serve one of them: syncline serve --store {b}",
        )
    if is_url(a):
        raise ConfigError(
            "with --live one end must be a database", hint="give the path of a file first"
        )


def _path_of(target: str) -> Path | None:
    from syncline.opening import open_store

    return None if is_url(target) else getattr(open_store(target), "path", None)


def _exists(target: str) -> bool:
    path = _path_of(target)
    return path is not None and path.exists()


def is_same(a: str, b: str) -> bool:
    """Tell whether two targets are one."""
    if is_url(a) or is_url(b):
        return a.rstrip("/") == b.rstrip("/")
    path, other = _path_of(a), _path_of(b)
    return path is not None and other is not None and path.resolve() == other.resolve()


def _show(found: "list[Exchanged]", a: str, b: str, out: Output, *, is_dry: bool) -> None:
    for each in found:
        for arrow, ids in (("→", each.sent_ids), ("←", each.received_ids)):
            if ids:
                out.remark(f"{each.model}  {a} {arrow} {b}  {_listed(ids)}")
    for each in found:
        for conflict in each.conflicts[:SHOWN_MAX]:
            sides = f"ours {_short(conflict.ours)}, theirs {_short(conflict.theirs)}"
            out.remark(f"conflict  {each.model}/{conflict.record_id}: {sides}")
        for result in each.refused[:SHOWN_MAX]:
            out.remark(f"refused  {each.model}/{result.record_id}: {result.reason}")
    sent, received = sum(e.sent for e in found), sum(e.received for e in found)
    conflicts = sum(len(e.conflicts) for e in found)
    refused = sum(len(e.refused) for e in found)
    summary = f"{sent} sent, {received} received, {conflicts} conflicts"
    summary += f", {refused} refused" if refused else ""
    out.remark(f"would move: {summary}" if is_dry else summary)
    if conflicts and not is_dry:
        is_logged = any(each.is_logged for each in found)
        log = f"syncline conflicts list {b if is_url(a) else a}, or " if is_logged else ""
        out.note(f"  hint: {log}{_BY_STRATEGY}")


def _listed(ids: tuple[str, ...]) -> str:
    rest = len(ids) - SHOWN_MAX
    shown = ", ".join(cell(record_id) for record_id in ids[:SHOWN_MAX])
    return f"{shown} and {rest} more" if rest > 0 else shown


def _short(record: dict[str, Any] | None) -> str:
    return "deleted" if record is None else cell(record)


def _plain(found: "list[Exchanged]", *, is_dry: bool) -> dict[str, Any]:
    return {
        "dry_run": is_dry,
        "sent": sum(each.sent for each in found),
        "received": sum(each.received for each in found),
        "models": [
            {
                "model": each.model,
                "sent": each.sent,
                "received": each.received,
                **({"send": each.sent_ids, "receive": each.received_ids} if is_dry else {}),
            }
            for each in found
        ],
        "conflicts": [
            {"model": e.model, "id": c.record_id, "ours": c.ours, "theirs": c.theirs}
            for e in found
            for c in e.conflicts
        ],
        "refused": [
            {"model": e.model, "id": r.record_id, "reason": r.reason}
            for e in found
            for r in e.refused
        ],
    }
