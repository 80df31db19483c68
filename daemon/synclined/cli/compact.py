"""`syncline compact`: purge the tombstones of records that were deleted long ago."""

import re
from typing import TYPE_CHECKING

import click

from syncline.errors import ConfigError
from synclined.cli.examples import examples
from synclined.cli.output import Output, output_options
from synclined.cli.target import TARGET, Access, access_options, is_url, open_local, run


if TYPE_CHECKING:
    from syncline.replica import Compaction


_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}


def _read_age(_ctx: click.Context, _param: click.Parameter, given: str) -> float:
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([smhdw])", given.strip())
    if found is None:
        raise click.BadParameter(f"{given!r} is no age: write 30d, 12h, 90m or 45s")
    return float(found[1]) * _UNITS_S[found[2]]


@click.command(
    "compact",
    epilog=examples(
        "syncline compact todos.db --older-than 30d",
        "syncline compact todos.db --older-than 12h --json",
    ),
)
@click.argument("database", type=TARGET)
@click.option(
    "--older-than",
    "older_than_s",
    metavar="AGE",
    callback=_read_age,
    required=True,
    help="As 30d, 12h, 90m or 45s.",
)
@access_options
@output_options
def command(database: str, *, older_than_s: float, access: Access, out: Output) -> None:
    """
    Purge the tombstones of records that were deleted long ago.

    A replica that was away for longer takes the whole list again when it comes back; what it had
    deleted or edited meanwhile stands, and what was deleted here does not come back. What has not
    been sent to an upstream yet stays. A daemon may serve the database meanwhile.

    A daemon does this by itself when its settings name list.tombstones_kept_days.
    """
    if is_url(database):
        raise ConfigError(
            f"{database} is a daemon, this needs its database",
            hint="a daemon does it by itself: set list.tombstones_kept_days",
        )
    done = run(_compact(database, older_than_s, access))
    if out.as_json:
        out.json({"database": database, "purged": done.purged, "horizon": done.horizon})
        return
    noun = "tombstone" if done.purged == 1 else "tombstones"
    out.remark(f"{done.purged} {noun} purged")
    if done.purged:
        out.remark(f"a replica that has read less than {done.horizon} changes takes all anew")


async def _compact(database: str, older_than_s: float, access: Access) -> "Compaction":
    async with await open_local(database, access) as replica:
        return await replica.compact(older_than_s)
