"""`syncline export`: write the records of a model to a file."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import click

from synclined.cli.dumps import Format, format_of, write_dump
from synclined.cli.examples import examples
from synclined.cli.import_ import declared_id
from synclined.cli.output import Output, output_options
from synclined.cli.records import where_option
from synclined.cli.target import TARGET, Access, access_options, open_target, run


@click.command(
    "export",
    epilog=examples(
        "syncline export todos.db todo todos.json",
        "syncline export http://127.0.0.1:8765 todo > todos.ndjson",
        """syncline export todos.db todo open.csv --where '{"done": false}'""",
    ),
)
@click.argument("target", type=TARGET)
@click.argument("model")
@click.argument(
    "file", type=click.Path(dir_okay=False, writable=True, allow_dash=True), default="-"
)
@click.option(
    "--format",
    "kind",
    type=click.Choice([str(kind) for kind in Format]),
    help="Of the file; else by its name [ndjson].",
)
@where_option
@click.option("--order", multiple=True, help="A property, as 'title DESC'; repeatable.")
@access_options
@output_options
def command(
    target: str,
    model: str,
    file: str,
    *,
    kind: str | None,
    where: dict[str, Any] | None,
    order: Sequence[str],
    access: Access,
    out: Output,
) -> None:
    """
    Write the records of a model to a JSON, NDJSON or CSV file, or to standard output.

    An array, an object a line, or a header and a record a line, as `import` reads them again. A
    file is written beside its place
    first, so that one that is there stays whole until the new one is.
    """
    chosen = Format(kind) if kind else format_of(file) or Format.NDJSON
    records = run(_find(target, model, access, where, order))
    id_name = declared_id(model, access)
    if file == "-":
        write_dump(sys.stdout, chosen, records, id_name=id_name)
        return
    count = _write(Path(file), chosen, records, id_name)
    if out.as_json:
        out.json({"file": file, "format": str(chosen), "records": count})
    else:
        out.remark(f"{file}: {count} records")


async def _find(
    target: str,
    model: str,
    access: Access,
    where: dict[str, Any] | None,
    order: Sequence[str],
) -> list[dict[str, Any]]:
    async with open_target(target, access) as replica:
        return await replica.model(model).find(where, list(order) or None)


def _write(path: Path, kind: Format, records: Iterable[dict[str, Any]], id_name: str) -> int:
    beside = path.with_name(f"{path.name}.partial")
    try:
        stream: IO[str]
        with beside.open("w", encoding="utf-8", newline="") as stream:
            count = write_dump(stream, kind, records, id_name=id_name)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise click.ClickException(f"{path} can't be written: {error.strerror}") from error
    return count
