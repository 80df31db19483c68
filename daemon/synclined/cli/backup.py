"""`syncline backup` and `syncline restore`: a database as one file, and back."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncline.errors import ConfigError
from synclined.cli.examples import examples
from synclined.cli.output import Output, output_options
from synclined.cli.target import TARGET, find_store, is_url


if TYPE_CHECKING:
    from syncline.store.backup import BackedUp


@click.command("backup", epilog=examples("syncline backup todos.db today.db"))
@click.argument("database", type=TARGET)
@click.argument("target", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@output_options
def backup(database: str, target: Path, out: Output) -> None:
    """
    Copy a database to a new file; a daemon may serve it meanwhile.

    The copy is one file, of one moment, and was checked. A copy made with cp lacks what is in the
    log beside the database.
    """
    from syncline.store.backup import back_up

    _say(back_up(path_of(database), target), out, "written")


@click.command(
    "restore", epilog=examples("syncline restore today.db /var/lib/syncline/syncline.db")
)
@click.argument("source", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("database", type=TARGET)
@output_options
def restore(source: Path, database: str, out: Output) -> None:
    """
    Put a backup in the place of a database; stop its daemon first.

    The database that is there is moved aside, not removed. Clients of the daemon notice: they take
    the list again, and offer back what the backup did not have.
    """
    from syncline.store.backup import restore as put_back

    _say(put_back(source, path_of(database, creates=True)), out, "restored")


def path_of(database: str, *, creates: bool = False) -> Path:
    """Return the file of a database; raise `ConfigError` for what has none."""
    if is_url(database):
        raise ConfigError(
            f"{database} is a daemon, this needs its database",
            hint="run it on the daemon's machine; `syncline sync` copies records from afar",
        )
    path: Path | None = getattr(find_store(database, creates=creates), "path", None)
    if path is None:
        raise ConfigError(f"{database} is in memory", hint="give the path of a file")
    return path


def _say(done: "BackedUp", out: Output, verb: str) -> None:
    if out.as_json:
        import msgspec

        out.json(msgspec.to_builtins(done))
        return
    count = sum(done.records.values())
    noun = "record" if count == 1 else "records"
    out.remark(f"{verb}: {done.path}, {count} {noun}, {done.size_bytes / 1024:,.0f} KiB")
    if done.aside is not None:
        out.remark(f"what was there is at {done.aside}")
