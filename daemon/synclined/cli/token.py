"""`syncline token`: make a token, and the settings that let its bearer in."""

import click
import orjson

from synclined.cli.examples import examples
from synclined.cli.output import Output, output_options


RIGHTS = ("none", "read", "replicate", "write")


@click.command(
    "token",
    epilog=examples(
        "syncline token phone",
        "syncline token reader --right '*=read' --right todo=write >> synclined.toml",
    ),
)
@click.argument("name", default="client")
@click.option(
    "--right",
    "rights",
    multiple=True,
    metavar="MODEL=RIGHT",
    help="none, read, replicate or write on a model, * for all others; repeatable  [*=write]",
)
@output_options
def command(name: str, rights: tuple[str, ...], out: Output) -> None:
    """
    Make a token for a client.

    The settings to paste go to standard output; the token itself, shown this once, to standard
    error. The settings hold its hash only.
    """
    from synclined.auth import hash_token, new_token

    granted = dict(_read_right(right) for right in rights) or {"*": "write"}
    token = new_token()
    sha256 = hash_token(token)
    if out.as_json:
        out.json({"name": name, "token": token, "sha256": sha256, "rights": granted})
        return
    listed = ", ".join(f"{_quoted(model)} = {_quoted(right)}" for model, right in granted.items())
    out.line(f"[[tokens]]\nname = {_quoted(name)}\nsha256 = {_quoted(sha256)}")
    out.line(f"rights = {{ {listed} }}")
    click.echo(token if out.quiet else f"\nSYNCLINE_TOKEN={token}", err=True)
    out.note("  for its bearer, shown this once; the lines above go into the daemon's settings")


def _read_right(text: str) -> tuple[str, str]:
    model, _, right = text.rpartition("=")
    if not model or right not in RIGHTS:
        raise click.UsageError(f"{text!r} is no right: MODEL=read, MODEL=write or MODEL=none")
    return model, right


def _quoted(text: str) -> str:
    # A basic string of TOML is written as one of JSON, but for one character.
    return orjson.dumps(text).decode().replace("\x7f", "\\u007f")
