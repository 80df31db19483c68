"""Who is told of changes: watchers, live queries and plain listeners."""

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Self

from syncline.logs import Logger
from syncline.models import Key, Update
from syncline.place import Place
from syncline.revision import Revision


log = Logger("syncline")

Listener = Callable[[list[Update]], Any]

_SOMETHING = Update(model="", record_id="", rev=Revision(""))
"""Stands for changes that nobody can name."""


class Watch(AsyncIterator[Update]):
    """
    An async iterator of a model's changes, from now on.

    One that is read slowly skips to the latest change of each record, so it holds no more than
    one change a record. One that nobody holds any more, as after a `break`, is let go.

    Args:
        is_live: its reader looks at the records themselves, and is woken by `stir` too.
    """

    def __init__(self, observers: "Observers", model: str, *, is_live: bool = False) -> None:
        self._is_live = is_live
        self._observers = observers
        self._model = model
        self._waiting: dict[Key, Update] = {}
        self._wake = asyncio.Event()
        self._is_closed = False

    def offer(self, update: Update) -> None:
        """Take a change; the one before of the same record is superseded."""
        self._waiting.pop(update.key, None)
        self._waiting[update.key] = update
        self._wake.set()

    def stir(self) -> None:
        """Wake a reader that looks at the records themselves."""
        if self._is_live:
            self.offer(_SOMETHING)

    def drain(self) -> None:
        """Drop what waits: the reader looks at the records themselves."""
        self._waiting.clear()

    @property
    def is_closed(self) -> bool:
        """Whether it was ended; what waits is still read."""
        return self._is_closed

    def close(self) -> None:
        """End the iteration."""
        self._is_closed = True
        self._wake.set()
        self._observers.remove_watch(self._model, self)

    def __aiter__(self) -> "Watch":
        return self

    async def __anext__(self) -> Update:
        while not self._waiting:
            if self._is_closed:
                raise StopAsyncIteration
            self._observers.place.check()
            self._wake.clear()
            await self._wake.wait()
        key = next(iter(self._waiting))
        return self._waiting.pop(key)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()


class Observers:
    """
    The observers of one replica.

    Args:
        place: where they may wait.
    """

    def __init__(self, place: Place | None = None) -> None:
        self.place = place or Place()
        # Weakly: a loop that is left with `break` tells nobody. What is dead is dropped here on
        # the way, and never by a finaliser, which may run on any thread.
        self._watches: dict[str, list[weakref.ref[Watch]]] = {}
        self._listeners: list[Listener] = []

    def watch(self, model: str, *, is_live: bool = False) -> Watch:
        """Return a new iterator of a model's changes; see `Watch`."""
        watch = Watch(self, model, is_live=is_live)
        self._watches[model] = [*self._alive(model), weakref.ref(watch)]
        return watch

    def remove_watch(self, model: str, watch: Watch) -> None:
        """Forget an iterator."""
        self._watches[model] = [ref for ref in self._alive(model) if ref() is not watch]

    def count(self, model: str) -> int:
        """Return how many iterate over the changes of a model."""
        return len(self._alive(model))

    def _alive(self, model: str) -> "list[weakref.ref[Watch]]":
        return [ref for ref in self._watches.get(model, ()) if ref() is not None]

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with the changes of every commit; return what ends that."""
        self._listeners.append(listener)

        def forget() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return forget

    def tell(self, updates: list[Update]) -> None:
        """Tell everybody of a commit's changes."""
        if not updates:
            return
        for listener in tuple(self._listeners):
            try:
                listener(updates)
            except Exception:
                # It is committed: whoever wrote it did nothing wrong.
                log.exception("observer.failed")
        if any(self._watches.values()):
            self._offer(updates)

    def _offer(self, updates: Iterable[Update]) -> None:
        for update in updates:
            refs = self._watches.get(update.model)
            if not refs:
                continue
            is_any_dead = False
            for ref in refs:
                watch = ref()
                if watch is None:
                    is_any_dead = True
                else:
                    watch.offer(update)
            if is_any_dead:
                self._watches[update.model] = self._alive(update.model)

    def stir(self) -> None:
        """Have live queries look again: something went that is not in the list."""
        for refs in self._watches.values():
            for watch in [ref() for ref in refs]:
                if watch is not None:
                    watch.stir()

    def close(self) -> None:
        """End all iterations."""
        for refs in list(self._watches.values()):
            for watch in [ref() for ref in refs]:
                if watch is not None:
                    watch.close()
