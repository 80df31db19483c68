"""`syncline import`: load records from a file."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from synclined.cli.dumps import Format, Read, format_of, read_dump
from synclined.cli.errors import FAILED, OK
from synclined.cli.examples import examples
from synclined.cli.output import Output, output_options
from synclined.cli.progress import progress_bar
from synclined.cli.target import TARGET, Access, access_options, is_url, models_of, open_target, run


if TYPE_CHECKING:
    from syncline.replica import Replica


SHOWN_MAX = 20
# Spelled here, since the library is imported only when something is loaded.
NEW, CHANGED, SAME = "new", "changed", "same"


class Loaded(NamedTuple):
    """A record to load: where it came from, its id as it is given there, and its data."""

    place: str
    record_id: Any
    data: Mapping[str, Any]


@click.command(
    "import",
    epilog=examples(
        "syncline import todos.db todo todos.json",
        "syncline export http://127.0.0.1:8765 todo | syncline import copy.db todo -",
        "syncline import http://127.0.0.1:8765 todo todos.csv --id number --dry-run",
    ),
)
@click.argument("target", type=TARGET)
@click.argument("model")
@click.argument("file", type=click.Path(dir_okay=False, exists=True, allow_dash=True))
@click.option(
    "--format",
    "kind",
    type=click.Choice([str(kind) for kind in Format]),
    help="Of the file; else by its name, or how it starts.",
)
@click.option("--id", "id_name", help="The property with the id [id, or as the model is declared].")
@click.option("--new-ids", is_flag=True, help="Give a record without an id a new one.")
@click.option("--text", "texts", is_flag=True, help="Take every cell of CSV as text.")
@click.option("--dry-run", is_flag=True, help="Check the file, show what would be stored.")
@access_options
@output_options
def command(
    target: str,
    model: str,
    file: str,
    *,
    kind: str | None,
    id_name: str | None,
    new_ids: bool,
    texts: bool,
    dry_run: bool,
    access: Access,
    out: Output,
) -> int:
    """
    Load records from a JSON, NDJSON or CSV file, or from - for standard input.

    An array, an object a line, or a header and a record a line: what `export` and `find --json`
    print, each stored as `put` would store it. Each record has its id in one property, a text or
    a whole number, and no two have the same; so a file can be loaded again, and only what is other
    than before makes a change. All is checked first, and a file with a mistake stores nothing. A
    database takes all in one commit; a daemon in parts, and what it refuses is named.
    """
    content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    found = Format(kind) if kind else format_of(file, content[:64])
    if found is None:
        raise click.UsageError(f"what {file} holds can't be told: say --format")
    id_name = id_name or declared_id(model, access)
    loaded, problems = _take(
        read_dump(content, found, id_name=id_name, texts=texts),
        id_name,
        makes_ids=new_ids,
    )
    answers: list[str] = []
    if dry_run and not is_url(target) and not Path(target).exists():
        target = "memory:"
    if not problems:
        answers, problems = run(_load(target, model, loaded, access, out, is_dry=dry_run))
    counts = {word: answers.count(word) for word in (NEW, CHANGED, SAME)}
    if out.as_json:
        out.json({"dry_run": dry_run, "read": len(loaded), **counts, "refused": problems})
    else:
        _show(counts, problems, out, is_dry=dry_run)
    return FAILED if problems else OK


def declared_id(model: str, access: Access) -> str:
    """Return the property with the id, as the settings declare the model."""
    declared = models_of(access)
    schema = declared.get(model) if isinstance(declared, dict) else None
    return "id" if schema is None else str(schema.id_name)


def _take(
    found: Iterable[Read], id_name: str, *, makes_ids: bool
) -> tuple[list[Loaded], list[str]]:
    """Return the records of a file with their ids, and what is wrong with others."""
    from syncline.errors import RecordError
    from syncline.model import new_id
    from syncline.schema import record_id_of

    loaded: list[Loaded] = []
    problems: list[str] = []
    places: dict[str, str] = {}
    for read in found:
        problem = read.problem
        record_id = read.record.get(id_name)
        if record_id is None and makes_ids:
            record_id = new_id()
        if not problem and record_id is None:
            problem = f"it has no {id_name!r}: name its id with --id, or say --new-ids"
        if not problem:
            try:
                text = record_id_of(record_id)
                if text in places:
                    problem = f"the id {text!r} is that of {places[text]} too"
                places.setdefault(text, read.place)
            except RecordError as error:
                problem = str(error)
        if problem:
            problems.append(f"{read.place}: {problem}")
        else:
            loaded.append(Loaded(read.place, record_id, read.record))
    return loaded, problems


async def _load(
    target: str, model: str, loaded: Sequence[Loaded], access: Access, out: Output, *, is_dry: bool
) -> tuple[list[str], list[str]]:
    """Return what became of each record, and what was refused."""
    from syncline.replica import Replica

    async with open_target(target, access, creates=not is_dry) as replica:
        if isinstance(replica, Replica):
            return await _load_here(replica, model, loaded, is_dry=is_dry)
        from synclined.cli.loading import load_there

        with progress_bar(is_watched=out.is_watched) as show:
            return await load_there(replica.model(model), loaded, show, is_dry=is_dry)


async def _load_here(
    replica: "Replica", model: str, loaded: Sequence[Loaded], *, is_dry: bool
) -> tuple[list[str], list[str]]:
    from syncline.errors import RecordError
    from syncline.verdicts import equal_bodies

    writes = []
    problems: list[str] = []
    for each in loaded:
        try:
            writes.append(replica.core.put_of(model, each.record_id, each.data))
        except RecordError as error:
            problems.append(f"{each.place}: {error}")
    if problems:
        return [], problems
    keys = [write.key for write in writes]
    held = await replica.core.read(lambda reader: reader.entries(keys), large=True)
    answers: list[str] = []
    for write in writes:
        entry = held.get(write.key)
        if entry is None or entry.update.is_deletion:
            answers.append(NEW)
        else:
            is_same = equal_bodies(bytes(entry.update.body), bytes(write.body))
            answers.append(SAME if is_same else CHANGED)
    if not is_dry and writes:
        try:
            await replica.core.write(writes)
        except RecordError as error:
            return [], [str(error)]
    return answers, []


def _show(counts: Mapping[str, int], problems: Sequence[str], out: Output, *, is_dry: bool) -> None:
    for problem in problems[:SHOWN_MAX]:
        click.echo(f"syncline: {problem}", err=True)
    if len(problems) > SHOWN_MAX:
        click.echo(f"syncline: and {len(problems) - SHOWN_MAX} more", err=True)
    if problems and not any(counts.values()):
        click.echo("  hint: nothing was stored; mend the file and load it again", err=True)
        return
    word = "would be " if is_dry else ""
    out.remark(
        f"{sum(counts.values())} records: {counts[NEW]} {word}new, {counts[CHANGED]} "
        f"{word}changed, {counts[SAME]} as they were"
    )
