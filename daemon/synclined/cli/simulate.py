"""`syncline simulate`: a whole network in this process, in virtual time, under one seed."""

import secrets
from typing import TYPE_CHECKING, Any

import click

from synclined.cli.errors import FAILED, OK
from synclined.cli.examples import examples
from synclined.cli.output import Output, output_options


if TYPE_CHECKING:
    from syncline.simulation import Report


SEED_MAX = 2**31


@click.command(
    "simulate",
    epilog=examples("syncline simulate --seed 7", "syncline simulate --steps 300 --json"),
)
@click.option("--seed", type=int, help="All randomness comes from it; by default a new one.")
@click.option("--steps", type=click.IntRange(min=1), help="How many writes and faults.")
@click.option("--replicas", type=click.IntRange(min=1), help="How many replicas follow.")
@output_options
def command(seed: int | None, steps: int | None, replicas: int | None, out: Output) -> int:
    """
    Run a whole network in this process, by seed.

    Daemons and replicas write at random while messages are lost, repeated and reordered and
    processes crash; then all is healed and every promise is checked. The same seed makes the same
    run.
    """
    from syncline.simulation import simulate

    chosen = secrets.randbelow(SEED_MAX) if seed is None else seed
    # It prints the options and the trace of a failure to stderr itself.
    report = simulate(chosen, steps=steps, replicas=replicas)
    if out.as_json:
        out.json(_plain(report))
    elif not report.failure:
        out.remark(
            f"seed {report.seed}: all promises held in {report.virtual_s:g} virtual seconds, "
            f"{report.writes} writes, {report.messages} messages, {report.conflicts} conflicts"
        )
    return FAILED if report.failure else OK


def _plain(report: "Report") -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(report)
    return plain
