"""`syncline serve`: run the daemon."""

import asyncio
import os
from typing import Any

import click

from synclined.app import daemon_of
from synclined.app import serve as run
from synclined.config import load_settings
from synclined.log import configure_logging
from synclined.notify import Notifier


@click.command("serve")
@click.option("--config", type=click.Path(dir_okay=False), help="The TOML file.")
@click.option("--host", help="The address to listen on [127.0.0.1].")
@click.option("--port", type=int, help="The port to listen on, 0 for a free one [8765].")
@click.option("--store", help="The database: memory:, a path or a URL [sqlite:///syncline.db].")
@click.option("--model", "models", multiple=True, help="A schemaless model to serve; repeatable.")
@click.option("--log-level", help="debug, info, warning or error [info].")
def command(config: str | None, **given: Any) -> None:
    """Run the daemon until SIGTERM or SIGINT."""
    store = given["store"]
    if store is not None and "://" not in store and store != "memory:":
        store = f"sqlite:///{store}"
    flags = {
        "listen.host": given["host"],
        "listen.port": given["port"],
        "store.url": store,
        "schemaless": list(given["models"]) or None,
        "log.level": given["log_level"],
    }
    settings = load_settings(config, os.environ, {k: v for k, v in flags.items() if v is not None})
    configure_logging(settings.log.level, settings.log.format)
    asyncio.run(
        run(
            daemon_of(settings),
            host=settings.listen.host,
            port=settings.listen.port,
            drain_timeout_s=settings.timings.drain_timeout_s,
            notifier=Notifier(os.environ),
            on_ready=lambda url: click.echo(f"syncline is serving at {url}"),
        )
    )
