"""Settle the conflicts of a replica's log: by a person, or by a user's function."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from syncline.conflicts import Strategy, check_strategy
from syncline.core import Core
from syncline.errors import HookFailed, SynclineError
from syncline.logs import Logger
from syncline.models import Conflict, Record, Resolution
from syncline.outcome import Outcome
from syncline.store.contract import Transaction


log = Logger("syncline")

Strategies = Strategy | Mapping[str, Strategy]
"""One for all models, or one a model; `"*"` for the models that are not named."""


class Resolving:
    """One replica's way of settling conflicts; `strategy_of` says how a model's are."""

    def __init__(self, core: Core, strategy_of: Callable[[str], Strategy]) -> None:
        self._core = core
        self._strategy_of = strategy_of

    async def resolve(
        self,
        conflict: Conflict,
        resolution: Resolution | str,
        data: Mapping[str, Any] | None = None,
    ) -> bool:
        """Settle an open conflict; see `Replica.resolve`."""
        chosen = Resolution(resolution)
        body: msgspec.Raw | None = None
        if chosen is Resolution.MANUAL:
            encoded = (
                b""
                if data is None
                else self._core.check(
                    conflict.model,
                    conflict.record_id,
                    data,
                    conflict.ours.data or conflict.theirs.data,
                )[1]
            )
            body = msgspec.Raw(encoded)
        settled = False

        def job(tx: Transaction) -> Outcome:
            nonlocal settled
            settled, outcome = self._core.engine.resolve(tx, conflict, chosen, body)
            return outcome

        await self._core.carry_out(job)
        self._core.wake(None)
        return settled

    def settle_by_function(self, conflicts: Sequence[Conflict]) -> None:
        """Have the users' functions asked about those whose strategy is one."""
        for conflict in conflicts:
            strategy = self._strategy_of(conflict.model)
            if callable(strategy):
                self._core.spawn(self._ask(strategy, conflict))

    async def _ask(self, strategy: Callable[[Conflict], Any], conflict: Conflict) -> None:
        """Let a user's function settle a conflict; one that fails leaves it open in the log."""
        try:
            word = await self._core.runner.call(strategy, conflict)
            if word is None:
                return
            if isinstance(word, Mapping):
                await self.resolve(conflict, Resolution.MANUAL, word)
            elif word in ("ours", "theirs", "latest"):
                await self.resolve(conflict, word)
            else:
                raise HookFailed(  # noqa: TRY301 - one place says it
                    f"a conflict function returned {word!r}",
                    hint="return 'ours', 'theirs', 'latest', a record, or None",
                )
        except SynclineError as error:
            log.error(  # noqa: TRY400 - no traceback of ours
                "conflict.unresolved",
                model=conflict.model,
                record_id=conflict.record_id,
                error=str(error),
            )
            handler = self._core.hooks.handle_change_error
            if handler is not None:
                self._core.spawn(self._core.runner.call(handler, error, "resolve"))


class OpenConflict:
    """
    A conflict of a replica's log, with the means to settle it.

    Attributes:
        conflict: base, ours and theirs, as they were when it was listed.
    """

    def __init__(self, resolving: Resolving, conflict: Conflict) -> None:
        self._resolving = resolving
        self.conflict = conflict

    @property
    def base(self) -> Record | None:
        """The record that both sides started from, when it is known."""
        return self.conflict.base

    @property
    def ours(self) -> Record | None:
        """The record here; None when deleted."""
        return self.conflict.ours.data

    @property
    def theirs(self) -> Record | None:
        """The record that it collided with; None when deleted."""
        return self.conflict.theirs.data

    async def resolve(
        self, resolution: Resolution | str, data: Mapping[str, Any] | None = None
    ) -> bool:
        """Settle it: `"ours"`, `"theirs"`, `"latest"`, or `"manual"` with `data`."""
        return await self._resolving.resolve(self.conflict, resolution, data)


def strategy_of(strategies: Strategies) -> Callable[[str], Strategy]:
    """Return what says which strategy a model has; raise `ConfigError` where one can't be."""
    if isinstance(strategies, Mapping):
        by_model = {model: check_strategy(strategy) for model, strategy in strategies.items()}
        return lambda model: by_model.get(model, by_model.get("*", "manual"))
    of_all = check_strategy(strategies)
    return lambda _model: of_all
