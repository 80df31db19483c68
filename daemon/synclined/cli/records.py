"""`syncline get`, `find`, `count`, `put`, `patch` and `delete`: the verbs on records."""

import json
import sys
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from syncline.errors import RecordNotFound
from syncline.schema import record_id_of
from synclined.cli.examples import examples
from synclined.cli.output import Output, encode, output_options
from synclined.cli.target import TARGET, Access, access_options, is_url, open_target, run


if TYPE_CHECKING:
    from syncline.ends import RemoteModel, RemoteReplica
    from syncline.model import Model
    from syncline.models import Update
    from syncline.replica import Replica


PAGE_RECORDS = 5000
"""How many records are asked of a daemon at once; it would cut larger answers itself."""


def read_object(text: str) -> dict[str, Any]:
    """Return the JSON object of a text, or fail as wrong usage, saying what is wrong with it."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"this is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise click.BadParameter("this must be a JSON object: {...}")
    return found


def _read_where(
    _ctx: click.Context, _param: click.Parameter, given: str | None
) -> dict[str, Any] | None:
    return None if given is None else read_object(given)


where_option = click.option(
    "--where",
    metavar="JSON",
    callback=_read_where,
    help="""A filter, as '{"done": false, "n": {"gt": 3}}'.""",
)


@click.command(
    "get",
    epilog=examples(
        "syncline get todos.db todo 1", "syncline get http://127.0.0.1:8765 todo 1 --json"
    ),
)
@click.argument("target", type=TARGET)
@click.argument("model")
@click.argument("record_id", metavar="ID")
@access_options
@output_options
def get(target: str, model: str, record_id: str, access: Access, out: Output) -> None:
    """Show a record."""
    record = run(_get(target, model, record_id, access))
    if out.as_json:
        out.json(record)
    else:
        out.pairs(record)


async def _get(target: str, model: str, record_id: str, access: Access) -> dict[str, Any]:
    async with open_target(target, access) as replica:
        record = await replica.model(model).get(record_id)
    if record is None:
        raise RecordNotFound(f"there is no {model} {record_id!r} in {target}")
    return record


@click.command(
    "find",
    epilog=examples(
        """syncline find todos.db todo --where '{"done": false}' --order 'title ASC'""",
        "syncline find http://127.0.0.1:8765 todo --limit 10 --json",
    ),
)
@click.argument("target", type=TARGET)
@click.argument("model")
@where_option
@click.option("--order", multiple=True, help="A property, as 'title DESC'; repeatable.")
@click.option("--limit", type=click.IntRange(min=1), help="The most records to list.")
@click.option("--after", metavar="ID", help="Go on after this record, the last of a page.")
@access_options
@output_options
def find(target: str, model: str, access: Access, out: Output, **query: Any) -> None:
    """List the records that match."""
    run(_find(target, model, access, out, query))


async def _find(
    target: str, model: str, access: Access, out: Output, query: dict[str, Any]
) -> None:
    records: list[dict[str, Any]] = []
    is_first = True
    async with open_target(target, access) as replica:
        page_max = PAGE_RECORDS if is_url(target) else None
        async for page in _pages(replica.model(model), page_max=page_max, **query):
            if not out.as_json:
                records += page
                continue
            # A large answer is printed as it comes, a record a line.
            for record in page:
                click.echo("[" if is_first else ",")
                click.echo(encode(record), nl=False)
                is_first = False
    if out.as_json:
        click.echo("[]" if is_first else "\n]")
    else:
        out.table(records)


async def _pages(
    model: "Model | RemoteModel",
    *,
    page_max: int | None,
    where: dict[str, Any] | None,
    order: Sequence[str],
    limit: int | None,
    after: str | None,
) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield the records a page at a time; in one page when `page_max` is None."""
    left = limit
    while left is None or left > 0:
        asked = left if page_max is None else min(page_max, left or page_max)
        page = await model.find(where, list(order) or None, asked, after)
        yield page
        if page_max is None or asked is None or len(page) < asked:
            return
        left = None if left is None else left - len(page)
        if "id" not in page[-1]:
            raise click.ClickException(
                f"{model.name} has more records than a page, and no id property to go on from: "
                "say --limit, and --after for the next"
            )
        after = record_id_of(page[-1]["id"])


@click.command("count")
@click.argument("target", type=TARGET)
@click.argument("model")
@where_option
@access_options
@output_options
def count(
    target: str, model: str, where: dict[str, Any] | None, access: Access, out: Output
) -> None:
    """Count the records that match."""
    found = run(_count(target, model, where, access))
    if out.as_json:
        out.json({"model": model, "count": found})
    else:
        out.line(str(found))


async def _count(target: str, model: str, where: dict[str, Any] | None, access: Access) -> int:
    async with open_target(target, access) as replica:
        return await replica.model(model).count(where)


_PROMISE_HELP = """
    At a daemon's address it ends when the daemon has stored that. In a database that follows a
    daemon it waits for `syncline sync`, or for the program that holds the link.
"""
_DATA_HELP = """
    DATA is a JSON object, - to read one from standard input, or key=value pairs. A value that reads
    as JSON is taken as that (n=3, done=true), any other as text (title=milk).
"""


@click.command(
    "put",
    help="Store a whole record; makes the database when there is none."
    + _DATA_HELP
    + _PROMISE_HELP,
    epilog=examples(
        "syncline put todos.db todo 1 title=milk done=false",
        """syncline put http://127.0.0.1:8765 todo 1 '{"title": "milk"}'""",
    ),
)
@click.argument("target", type=TARGET)
@click.argument("model")
@click.argument("record_id", metavar="ID")
@click.argument("data", nargs=-1)
@access_options
@output_options
def put(
    target: str, model: str, record_id: str, data: tuple[str, ...], access: Access, out: Output
) -> None:
    """Store a whole record."""
    record = read_data(data)

    async def work() -> "tuple[Update, int]":
        async with open_target(target, access, creates=True) as replica:
            update = await replica.model(model).put(record_id, record)
            return update, await _waiting(replica)

    _say_written(target, *run(work()), out)


@click.command(
    "patch",
    help="Set some properties of a record." + _DATA_HELP + _PROMISE_HELP,
    epilog=examples("syncline patch todos.db todo 1 done=true"),
)
@click.argument("target", type=TARGET)
@click.argument("model")
@click.argument("record_id", metavar="ID")
@click.argument("data", nargs=-1, required=True)
@access_options
@output_options
def patch(
    target: str, model: str, record_id: str, data: tuple[str, ...], access: Access, out: Output
) -> None:
    """Set some properties of a record."""
    fields = read_data(data)

    async def work() -> "tuple[Update, int]":
        async with open_target(target, access) as replica:
            update = await replica.model(model).patch(record_id, fields)
            return update, await _waiting(replica)

    _say_written(target, *run(work()), out)


@click.command("delete", help="Delete a record." + _PROMISE_HELP)
@click.argument("target", type=TARGET)
@click.argument("model")
@click.argument("record_id", metavar="ID")
@access_options
@output_options
def delete(target: str, model: str, record_id: str, access: Access, out: Output) -> None:
    """Delete a record."""

    async def work() -> "tuple[Update, int]":
        async with open_target(target, access) as replica:
            update = await replica.model(model).delete(record_id)
            return update, await _waiting(replica)

    _say_written(target, *run(work()), out)


def read_data(given: Sequence[str]) -> dict[str, Any]:
    """Return the record that arguments spell: JSON, `-` for standard input, or pairs."""
    if len(given) == 1 and (given[0] == "-" or given[0].lstrip().startswith("{")):
        text = sys.stdin.read() if given[0] == "-" else given[0]
        return read_object(text)
    if not given:
        # A record that was to come from `< file` would be emptied.
        raise click.UsageError(
            "DATA is missing: give - to read standard input, '{}' for an empty record"
        )
    record: dict[str, Any] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{each!r} is neither a JSON object nor key=value")
        record[name] = _value_of(value)
    return record


def _value_of(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError:
        return text


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def change_of(update: "Update") -> dict[str, Any]:
    """Return a change as commands print it in JSON."""
    return {
        "model": update.model,
        "id": update.record_id,
        "kind": update.kind.value,
        "rev": update.rev,
        "seq": update.seq,
        "origin": update.origin,
        "data": update.data,
    }


async def _waiting(replica: "Replica | RemoteReplica") -> int:
    """Return how many records wait in a database for the daemon that it follows."""
    from syncline.replica import Replica

    if not isinstance(replica, Replica):
        return 0
    return (await replica.core.read(lambda reader: reader.pending_counts())).get("", 0)


def _say_written(target: str, update: "Update", waiting: int, out: Output) -> None:
    if waiting:
        records = "1 record waits" if waiting == 1 else f"{waiting} records wait"
        out.note(f"{records} in {target} for its daemon; `syncline sync {target} URL` sends it all")
    if out.as_json:
        out.json(change_of(update))
    else:
        gone = " deleted" if update.is_deletion else ""
        out.remark(f"{update.model}/{update.record_id}{gone}  {update.rev}")
