"""
The command line: `syncline COMMAND`.

Each command lives in a module of its own and is imported when it is called, so that
``syncline --version`` answers at once.
"""

import importlib
from typing import Any

import click


COMMANDS = {
    "serve": ("serve", "Run the daemon."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Import a command."""
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"synclined.cli.{COMMANDS[name][0]}")
        command: click.Command = module.command
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="syncline", prog_name="syncline")
def group() -> None:
    """Push-based continuous replication."""


def main(argv: list[str] | None = None) -> Any:
    """Run the command line."""
    return group(args=argv, prog_name="syncline")
