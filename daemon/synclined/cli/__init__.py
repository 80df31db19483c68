"""
The command line: `syncline COMMAND`.

Each command lives in a module of its own and is imported when it is called, so that
``syncline --version`` answers at once.
"""

import importlib
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import click

from synclined.cli.errors import EXIT_CODES, exit_code_of, told
from synclined.cli.streams import open_missing_streams


class Listed(NamedTuple):
    """A command: its module, the name in it, and what `--help` says without importing it."""

    module: str
    attribute: str
    help: str


COMMANDS = {
    "serve": Listed("serve", "command", "Run the daemon."),
    "demo": Listed("demo", "command", "Show two replicas in step, side by side in the terminal."),
    "get": Listed("records", "get", "Show a record."),
    "find": Listed("records", "find", "List the records that match."),
    "count": Listed("records", "count", "Count the records that match."),
    "put": Listed("records", "put", "Store a whole record."),
    "patch": Listed("records", "patch", "Set some properties of a record."),
    "delete": Listed("records", "delete", "Delete a record."),
    "import": Listed("import_", "command", "Load records from a JSON, NDJSON or CSV file."),
    "export": Listed(
        "export", "command", "Write the records of a model to a JSON, NDJSON or CSV file."
    ),
    "watch": Listed("watch", "command", "Print changes as they happen."),
    "sync": Listed("sync", "command", "Replicate between two stores or daemons."),
    "verify": Listed(
        "verify", "command", "Compare two stores or daemons, by ranges, without copying them."
    ),
    "explain": Listed("explain", "command", "Tell why a record did or did not travel."),
    "compact": Listed(
        "compact", "command", "Purge the tombstones of records that were deleted long ago."
    ),
    "backup": Listed(
        "backup", "backup", "Copy a database to a new file; a daemon may serve it meanwhile."
    ),
    "restore": Listed(
        "backup", "restore", "Put a backup in the place of a database; stop its daemon first."
    ),
    "status": Listed("status", "command", "Show how a daemon or a store is."),
    "conflicts": Listed("conflicts", "group", "List, show and resolve conflicts."),
    "config": Listed("config", "group", "Check and show the settings."),
    "token": Listed("token", "command", "Make a token for a client."),
    "simulate": Listed("simulate", "command", "Run a whole network in this process, by seed."),
    "completion": Listed("completion", "command", "Print the completion script of a shell."),
}

EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {what}" for code, what in EXIT_CODES.items())


class Root(click.Group):
    """The command itself: imports its commands late, and says what went wrong in one line."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Import a command."""
        listed = COMMANDS.get(name)
        if listed is None:
            return None
        module = importlib.import_module(f"synclined.cli.{listed.module}")
        found: click.Command = getattr(module, listed.attribute)
        _take_debug(found)
        return found

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, listed.help) for name, listed in COMMANDS.items()])

    def main(  # type: ignore[override] # always ends the process, as click's own does by default
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run a command and exit, with its code or that of its error."""
        extra.pop("standalone_mode", None)
        state: dict[str, bool] = {}
        try:
            answer = super().main(args, prog_name, standalone_mode=False, obj=state, **extra)
        except Exception as error:
            if state.get("debug") and not isinstance(error, click.exceptions.Abort):
                raise
            click.echo(told(error), nl=False, err=True)
            sys.exit(exit_code_of(error))
        # Commands answer with an exit code, or nothing for 0.
        sys.exit(answer if isinstance(answer, int) else 0)


def _note_debug(ctx: click.Context, _param: click.Parameter, given: bool) -> None:  # noqa: FBT001 - click's
    if given:
        ctx.find_root().obj["debug"] = True


def _debug_option() -> click.Option:
    return click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        hidden=True,
        callback=_note_debug,
        help="Show the traceback of an error.",
    )


def _take_debug(command: click.Command) -> None:
    """Let `--debug` stand behind a command too, where it is typed after a failure."""
    if not any(param.name == "debug" for param in command.params):
        command.params.append(_debug_option())
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _take_debug(inner)


@click.group(cls=Root, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="syncline", prog_name="syncline")
@click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_note_debug,
    help="Show the traceback of an error.",
)
def group() -> None:
    """
    Push-based continuous replication.

    A TARGET is a daemon's URL, a database file, or memory: for one that ends with the command.
    """


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    open_missing_streams()
    group.main(argv, "syncline")
