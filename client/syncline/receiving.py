"""Take what others push into a replica, by the word of its validation hooks."""

from collections.abc import Mapping, Sequence
from typing import Any

from syncline.bulk import BulkPlan, Ruling, RulingKind, plan_bulk_update
from syncline.core import Core
from syncline.errors import StoreUnavailable
from syncline.logs import Logger
from syncline.models import BulkResult, Key, Update
from syncline.revision import Revision
from syncline.steps import Steps
from syncline.store.contract import Reader, Transaction


log = Logger("syncline")

RULING_ROUNDS_MAX = 8


class Receiving:
    """One replica's way of taking pushes."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def bulk_update(
        self,
        updates: Sequence[Update],
        *,
        principal: Any = None,
        pusher: str = "",
        amended: Mapping[Revision, bytes] | None = None,
    ) -> BulkResult:
        """Apply updates that others made; see `Replica.bulk_update`."""
        rulings: dict[int, Ruling] = {}
        for _ in range(RULING_ROUNDS_MAX):
            if self._core.hooks.validate:
                await self._rule(updates, rulings, principal)

            def job(tx: Transaction) -> Steps[tuple[BulkPlan, BulkResult]]:
                plan = yield from self._core.engine.offer(
                    tx,
                    updates,
                    dict(rulings),  # noqa: B023 - runs at once
                    pusher=pusher,
                    amended=amended,
                )
                return plan, self._core.engine.answer(tx, plan)

            plan, result = await self._core.writer.run_in_steps(job, weight=len(updates))
            if not plan.unruled:
                self._core.published(list(plan.writes))
                if plan.writes:
                    self._core.wake(None)
                return result
        raise StoreUnavailable(
            "the records moved faster than the validation hook could rule", hint="push again"
        )

    async def _rule(
        self, updates: Sequence[Update], rulings: dict[int, Ruling], principal: Any
    ) -> None:
        """Ask the hooks about what a dry run finds in want of a ruling."""
        hooks = self._core.hooks.validate
        for _ in range(RULING_ROUNDS_MAX):
            plan, current = await self._core.read(
                lambda reader: self._dry_run(reader, updates, rulings)
            )
            if not plan.unruled:
                return
            for index in plan.unruled:
                update = updates[index]
                validate = hooks.get(update.model, hooks.get("*"))
                assert validate is not None
                rulings[index] = await self._core.runner.rule(
                    validate,
                    principal,
                    current.get(update.key),
                    update,
                    lambda data, u=update: self._core.check(  # type: ignore[misc] # bound now
                        u.model, u.record_id, data, u.data
                    )[1],
                )
                if rulings[index].kind is RulingKind.PARKED:
                    log.error(
                        "hook.failed",
                        hook="validate",
                        model=update.model,
                        record_id=update.record_id,
                        error=rulings[index].reason,
                    )

    def _dry_run(
        self, reader: Reader, updates: Sequence[Update], rulings: Mapping[int, Ruling]
    ) -> tuple[BulkPlan, dict[Key, Update]]:
        entries = reader.entries([update.key for update in updates])
        current = {key: entry.update for key, entry in entries.items()}
        return plan_bulk_update(current, updates, rulings, self._core.engine.rules(reader)), current
