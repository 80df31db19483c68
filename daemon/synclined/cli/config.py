"""`syncline config`: check, show and explain the daemon's settings."""

import os
from typing import TYPE_CHECKING

import click

from synclined.cli.examples import examples
from synclined.cli.output import Output, cell, output_options


if TYPE_CHECKING:
    from syncline.store.declaring import TablePlan
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
    """
    Check the settings; name every mistake, and the line that it is on.

    The hooks are loaded too, and the declared models are compared with what the database holds,
    which is not changed: where this says good, the daemon starts.
    """
    settings = _load(path)
    plans = _plans(settings)
    if out.as_json:
        models = [model.name for model in settings.models]
        out.json({"ok": True, "models": models, "changes": _sentences(plans)})
        return
    out.remark(f"{path or 'the environment'}: good, {len(settings.models)} models declared")
    for sentence in _sentences(plans):
        out.remark(f"  at the next start: {sentence}")


@group.command(
    "migrate", epilog=examples("syncline config migrate --config synclined.toml --dry-run")
)
@config_option
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@output_options
def migrate(path: str | None, *, dry_run: bool, out: Output) -> None:
    """
    Bring the tables of declared models in line with the settings, as the next start would.

    Refused, with the property and the records, where what is stored does not allow it.
    """
    from syncline.opening import open_store

    settings = _load(path)
    sentences = _sentences(_plans(settings))
    if sentences and not dry_run:
        store = open_store(settings.store.url)
        store.open()
        try:
            store.declare(settings.models)
        finally:
            store.close()
    if out.as_json:
        out.json({"changes": sentences, "done": bool(sentences) and not dry_run})
        return
    for sentence in sentences or ["nothing to do"]:
        out.line(sentence)


def _plans(settings: "Settings") -> "list[TablePlan]":
    """
    Return what the next start does to the tables of declared models.

    Raises:
        ConfigError: it would be refused, or the hooks can't be loaded.
    """
    from syncline.opening import open_store
    from syncline.store.declaring import plan_at, refuse
    from synclined.hook_loading import load_hooks

    load_hooks(settings.hooks, folder=settings.folder)
    path = getattr(open_store(settings.store.url), "path", None)
    plans = [] if path is None else plan_at(path, settings.models)
    refuse(plans)
    return plans


def _sentences(plans: "list[TablePlan]") -> list[str]:
    return [sentence for plan in plans for sentence in plan.sentences]


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
