"""`syncline demo`: a daemon and two replicas under real load, in this terminal."""

import asyncio
import os
import sys

import click


USAGE = 2


@click.command("demo")
@click.option("--smoke", is_flag=True, help="Play a script without a terminal; print a verdict.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=1, max=86_400),
    default=10.0,
    show_default=True,
    help="How long the smoke run writes.",
)
@click.option(
    "--store",
    type=click.Choice(["sqlite", "memory:"]),
    default="sqlite",
    show_default=True,
    help="Where daemon and replicas keep their records.",
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Keep the databases in DIR, and go on from them the next time.",
)
def command(*, smoke: bool, seconds: float, store: str, keep: str | None) -> None:
    """
    Watch a daemon and two replicas at work.

    Both follow the host's metrics and play connect four; cut them off, make conflicts, settle
    them.
    """
    if keep is not None and store == "memory:":
        raise click.UsageError("--keep needs --store sqlite: memory can't be kept")
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    if not smoke and not is_terminal:
        click.echo("syncline demo: it needs a terminal; without one, use --smoke", err=True)
        sys.exit(USAGE)
    from synclined.demo.run import run

    sys.exit(asyncio.run(run(store=store, keep=keep, smoke_seconds=seconds if smoke else None)))
