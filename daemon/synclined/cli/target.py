"""What a command works on: a daemon's URL, a database, or memory."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from syncline.address import is_address
from syncline.errors import ConfigError


if TYPE_CHECKING:
    from syncline.ends import RemoteReplica
    from syncline.models import Cursor
    from syncline.opening import Models
    from syncline.replica import Replica
    from syncline.store.contract import Store


MEMORY = ("memory:", "memory://")

_T = TypeVar("_T")


class Access(NamedTuple):
    """
    What opening a target takes beside its name.

    Attributes:
        token: for a daemon, or None.
        config: the settings file that declares the models of a database, or None.
        proxy, headers: how a daemon is reached over HTTP; see `syncline.http_options`.
    """

    token: str | None = None
    config: str | None = None
    proxy: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})

    @property
    def to_daemon(self) -> dict[str, Any]:
        """What `connect` and `connect_remote` take of it."""
        return {"token": self.token, "proxy": self.proxy, "headers": dict(self.headers)}


TARGET = click.Path()
"""The type of an argument that names a target: any text; the shell completes files."""


def access_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--token` and `--config`, and hand it an `Access` named `access`."""

    @click.option(
        "--token",
        envvar="SYNCLINE_TOKEN",
        help="What the daemon asks for; better set as SYNCLINE_TOKEN.",
    )
    @click.option(
        "--config",
        envvar="SYNCLINE_CONFIG",
        type=click.Path(dir_okay=False, exists=True),
        help="The settings that declare a database's typed models.",
    )
    @click.option(
        "--proxy",
        envvar="SYNCLINE_PROXY",
        help='An HTTP proxy to reach the daemon by; "environment" for http_proxy and its kin.',
    )
    @click.option(
        "--header",
        "headers",
        multiple=True,
        metavar="NAME:VALUE",
        callback=_read_headers,
        help="One more header for what stands before the daemon; repeatable.",
    )
    @functools.wraps(function)
    def wrapped(
        *args: Any,
        token: str | None,
        config: str | None,
        proxy: str | None,
        headers: dict[str, str],
        **given: Any,
    ) -> Any:
        access = Access(token or None, config, proxy or None, headers)
        return function(*args, access=access, **given)

    return wrapped


def _read_headers(
    _ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]
) -> dict[str, str]:
    headers = {}
    for each in given:
        name, colon, value = each.partition(":")
        if not colon or not name.strip():
            raise click.BadParameter(f"{each!r} is no header: write 'Name: value'")
        headers[name.strip()] = value.strip()
    return headers


def run(work: Coroutine[Any, Any, _T], *, log_level: str = "error") -> _T:
    """Run a command's work; what the library logs goes to stderr."""
    from synclined.log import configure_logging

    configure_logging(log_level, "auto")
    return asyncio.run(work)


def is_url(target: str) -> bool:
    """Tell whether a target is a daemon's address."""
    return is_address(target)


@asynccontextmanager
async def open_target(
    target: str, access: Access, *, creates: bool = False
) -> "AsyncIterator[Replica | RemoteReplica]":
    """
    Open a target until the block ends.

    Args:
        creates: make the database when there is none.

    Raises:
        ConfigError: there is no such database.
        Unreachable, AuthError, StoreError: by name.
    """
    if is_url(target):
        from syncline.ends import connect_remote

        async with await connect_remote(target, **access.to_daemon) as remote:
            yield remote
        return
    async with await open_local(target, access, creates=creates) as replica:
        yield replica


async def open_local(target: str, access: Access, *, creates: bool = False) -> "Replica":
    """
    Open a database as what it is: one that follows a daemon keeps its writes for it.

    Raises:
        ConfigError: there is no such database. StoreError: by name.
    """
    from syncline.replica import Replica

    store = find_store(target, creates=creates)
    store.open()
    try:
        return await Replica.open(store, models_of(access), follows=is_follower(store))
    except BaseException:
        store.close()
        raise


def find_store(target: str, *, creates: bool = False) -> "Store":
    """
    Return the database of that name, not open yet.

    Raises:
        ConfigError: it must exist, and does not.
    """
    from syncline.opening import open_store

    if is_url(target):
        raise ConfigError(
            f"{target} is a daemon, this needs a database", hint="give the path of a file"
        )
    store = open_store(target)
    path = getattr(store, "path", None)
    if path is not None and not creates and not path.exists():
        raise ConfigError(f"there is no database {target}", hint="`put` and `sync` make a new one")
    return store


def stored_cursor(store: "Store") -> "Cursor":
    """Return how far an open database has followed a daemon."""
    from syncline.following import CURSOR, load_cursor

    with store.read() as reader:
        return load_cursor(reader.meta(CURSOR))


def is_follower(store: "Store") -> bool:
    """Tell whether an open database follows a daemon, so that its writes must wait for it."""
    if stored_cursor(store).source:
        return True
    with store.read() as reader:
        # One that never reached its daemon has no cursor, but what it holds back.
        return bool(reader.pending_counts())


def declared(names: Iterable[str], access: Access) -> "Models":
    """Return models by name, those with a declaration in the settings as that."""
    known = models_of(access)
    schemas = known if isinstance(known, dict) else {}
    return {name: schemas.get(name) for name in names}


def models_of(access: Access) -> "Models":
    """Return the models that the settings declare; None, for any, without settings."""
    if access.config is None:
        return None
    import os

    from synclined.config import load_settings

    settings = load_settings(access.config, os.environ)
    return {schema.name: schema for schema in settings.models}
