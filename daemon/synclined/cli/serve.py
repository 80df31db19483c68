"""`syncline serve`: run the daemon."""

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synclined.cli.examples import examples


if TYPE_CHECKING:
    from synclined.settings import Settings


NAME = "syncline"


@click.command(
    "serve",
    epilog=examples(
        "syncline serve",
        "syncline serve --pages my-pages",
        "syncline serve --store todos.db --model todo --port 9000",
    ),
)
@click.option(
    "--config",
    envvar="SYNCLINE_CONFIG",
    type=click.Path(dir_okay=False),
    help="The TOML file; see `syncline config example`.",
)
@click.option("--host", help="The address to listen on [127.0.0.1].")
@click.option("--port", type=int, help="The port to listen on, 0 for a free one [8765].")
@click.option("--base-path", help="What all paths lie below, as /sync behind a proxy.")
@click.option("--store", help="The database: memory:, a path or a URL [sqlite:///syncline.db].")
@click.option("--model", "models", multiple=True, help="A schemaless model to serve; repeatable.")
@click.option(
    "--origin",
    "origins",
    multiple=True,
    help="A browser origin let in beside this daemon's pages, as https://app.example, or file for "
    "pages opened as files; repeatable.",
)
@click.option(
    "--pages",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="A folder of your own pages to serve too; its index.html is the first one.",
)
@click.option(
    "--hooks",
    multiple=True,
    help="Your hooks: module:function, file.py:function, or file.py for its hooks; repeatable.",
)
@click.option("--log-level", help="debug, info, warning or error [info].")
@click.option("-q", "--quiet", is_flag=True, help="Print the address only.")
def command(config: str | None, *, quiet: bool, **given: Any) -> None:
    """
    Run the daemon until SIGTERM or SIGINT.

    SIGHUP has it read its settings again: tokens, origins, the hooks and their code, and what is
    logged hold from then on; the log names what needs a restart.
    """
    # By itself the signal would end the daemon, also while it is only being put together.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from synclined import loop
    from synclined.app import daemon_of
    from synclined.auth import Tokens
    from synclined.config import load_settings
    from synclined.log import configure_logging
    from synclined.notify import Notifier
    from synclined.reloading import Reloading
    from synclined.running import serve

    flags = {
        "listen.host": given["host"],
        "listen.port": given["port"],
        "listen.base_path": given["base_path"],
        "listen.pages_folder": given["pages"],
        "store.url": given["store"],
        "schemaless": list(given["models"]) or None,
        "origins": ["same", *given["origins"]] if given["origins"] else None,
        "hooks": list(given["hooks"]) or None,
        "log.level": given["log_level"],
    }
    given = {key: value for key, value in flags.items() if value is not None}

    def load() -> "Settings":
        return load_settings(config, os.environ, given)

    settings = load()
    configure_logging(settings.log.level, settings.log.format)

    def on_ready(url: str) -> None:
        click.echo(f"syncline is serving at {url}")
        if not quiet:
            if settings.listen.pages or settings.listen.pages_folder:
                click.echo(f"  in a browser: {url}/")
            click.echo(f"  in another terminal: {_next_command(settings, url)}")

    tokens = Tokens(settings)
    daemon = daemon_of(settings, tokens)
    loop.run(
        serve(
            daemon,
            host=settings.listen.host,
            port=settings.listen.port,
            base_path=settings.listen.base_path,
            drain_timeout_s=settings.timings.drain_timeout_s,
            notifier=Notifier(os.environ),
            on_ready=on_ready,
            on_reload=Reloading(daemon, tokens, load).reload,
        )
    )


def _next_command(settings: "Settings", url: str) -> str:
    """Return what to type in another terminal."""
    if not settings.models and not settings.open_models:
        return f"{_own_name()} config show: no model is declared yet, so nothing can be stored"
    if settings.tokens:
        return f"SYNCLINE_TOKEN=... {_own_name()} status {url}"
    model = settings.models[0].name if settings.models else "todo"
    return f"{_own_name()} put {url} {model} 1 title=milk"


def _own_name() -> str:
    """Return how this command was called, where a shell does not find it by its name."""
    called = Path(sys.argv[0])
    if called.name != NAME or shutil.which(NAME):
        return NAME
    here = Path.cwd()
    is_below = called.is_absolute() and called.is_relative_to(here)
    return str(called.relative_to(here) if is_below else called)
