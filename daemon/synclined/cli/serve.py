"""`syncline serve`: run the daemon."""

import os
from typing import TYPE_CHECKING, Any

import click

from synclined.cli.examples import examples


if TYPE_CHECKING:
    from synclined.settings import Settings


@click.command(
    "serve",
    epilog=examples("syncline serve", "syncline serve --store todos.db --model todo --port 9000"),
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
    help="A browser origin let in beside this daemon's pages, as https://app.example; repeatable.",
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
            click.echo(f"  try: {_next_command(settings, url)}")

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
        return "syncline config show: no model is declared yet, so nothing can be stored"
    if settings.tokens:
        return f"SYNCLINE_TOKEN=... syncline status {url}"
    model = settings.models[0].name if settings.models else "todo"
    return f"syncline put {url} {model} 1 title=milk"
