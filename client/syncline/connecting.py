"""`syncline.connect`: open a replica that follows a daemon."""

from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any

import aiohttp

from syncline.address import read_address
from syncline.ending import CLOSE_TIMEOUT_S
from syncline.hooks import Hooks
from syncline.http_options import Headers, HttpOptions
from syncline.link import Link
from syncline.opening import Models, StoreLike
from syncline.replica import Replica
from syncline.resolving import Strategies
from syncline.session import SessionSettings


class Connecting:
    """What `connect` returns: await it, or use it with `async with`."""

    def __init__(self, opening: Callable[[], Any]) -> None:
        self._opening = opening
        self._replica: Replica | None = None

    def __await__(self) -> Generator[Any, None, Replica]:
        return self._opening().__await__()  # type: ignore[no-any-return] # a coroutine of a Replica

    async def __aenter__(self) -> Replica:
        self._replica = await self._opening()
        return self._replica

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._replica is not None:
            await self._replica.__aexit__(kind, error, traceback)


def connect(
    url: str,
    *,
    store: StoreLike = "memory:",
    models: Models,
    token: str | Callable[[], str] | None = None,
    strategies: Strategies = "manual",
    hooks: Hooks | None = None,
    synchronous: str = "normal",
    listens: bool = False,
    settings: SessionSettings | None = None,
    offers_back: bool | None = None,
    proxy: str | None = None,
    headers: Headers | None = None,
    session: aiohttp.ClientSession | None = None,
    close_timeout_s: float = CLOSE_TIMEOUT_S,
    **options: Any,
) -> Connecting:
    """
    Open a replica that follows a daemon.

    ``async with syncline.connect(url, store="todos.db", models=["todo"]) as replica: …``
    It opens offline too; writes wait until the daemon is reached. What waits at the end of the
    block is sent first; see `Replica.close`.

    Args:
        url: the daemon, `http://host:port`, with the path that it lies below, if any.
        store: `"memory:"`, a path, or `"sqlite:///path"`.
        models: what to follow; see `Replica.open`.
        token: what the daemon asks for, or a function that gives it.
        strategies: the conflict strategy, or one a model.
        offers_back: whether a daemon that lost what is held here is offered it again; see `Link`.
        proxy, headers, session: how the daemon is reached over HTTP, where the plain way does not
            lead there; see `HttpOptions`.
        close_timeout_s: how long the end of the block, or `close`, goes on sending, in seconds.

    Raises:
        ConfigError, StoreError: by name. An unreachable daemon is no error, but a status.
    """
    read_address(url)
    http = HttpOptions(proxy=proxy, headers=headers, session=session)

    async def opening() -> Replica:
        replica = await Replica.open(
            store,
            models,
            strategies=strategies,
            hooks=hooks,
            follows=True,
            listens=listens,
            synchronous=synchronous,
            close_timeout_s=close_timeout_s,
            **options,
        )
        try:
            link = Link(
                replica,
                url,
                models=tuple(sorted(replica.core.schemas)),
                token=token,
                settings=settings,
                offers_back=offers_back,
                http=http,
            )
            replica.set_link(link)
            await link.start()
        except BaseException:
            await replica.close(0)
            raise
        return replica

    return Connecting(opening)
