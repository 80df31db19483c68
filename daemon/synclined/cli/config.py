"""`syncline config`: check, show and explain the daemon's settings."""

import os
from typing import TYPE_CHECKING

import click

from synclined.cli.examples import examples
from synclined.cli.output import Output, cell, output_options


if TYPE_CHECKING:
    from synclined.settings import Settings


config_option = click.option(
    "--config",
    "path",
    envvar="SYNCLINE_CONFIG",
    type=click.Path(dir_okay=False),
    help="The TOML file; without one, defaults and environment.",
)


@click.group("config")
def group() -> None:
    """Check and show the settings."""


@group.command(
    "check", epilog=examples("syncline config check --config /etc/syncline/synclined.toml")
)
@config_option
@output_options
def check(path: str | None, out: Output) -> None:
    """Check the settings; name every mistake, and the line that it is on."""
    settings = _load(path)
    if out.as_json:
        out.json({"ok": True, "models": [model.name for model in settings.models]})
    else:
        out.remark(f"{path or 'the environment'}: good, {len(settings.models)} models declared")


@group.command("show", epilog=examples("syncline config show --origin"))
@config_option
@click.option("--origin", is_flag=True, help="Show where each setting comes from.")
@output_options
def show(path: str | None, *, origin: bool, out: Output) -> None:
    """Show every setting as it holds; secrets are hidden."""
    from synclined.config import explain

    told = explain(_load(path))
    if out.as_json:
        out.json({key: {"value": value, "origin": where} for key, (value, where) in told.items()})
        return
    width = max(map(len, told))
    shown = {key: cell(value) for key, (value, _) in told.items()}
    value_width = max(map(len, shown.values()))
    for key, (_, where) in told.items():
        line = f"{key:<{width}}  {shown[key]:<{value_width}}  {where if origin else ''}"
        out.line(line.rstrip())


@group.command("example", epilog=examples("syncline config example > synclined.toml"))
def example() -> None:
    """Print a settings file with every setting, its default and its sentence."""
    from synclined.config_example import example_toml

    click.echo(example_toml(), nl=False)


def _load(path: str | None) -> "Settings":
    from synclined.config import load_settings

    return load_settings(path, os.environ)
