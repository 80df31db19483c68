"""What all handles of a replica share: its engine, its writer, its observers, its models."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from syncline.change_log import Write, WriteKind
from syncline.engine import Engine
from syncline.errors import HookFailed, ModelUnknown, RecordInvalid
from syncline.hooks import HookRunner, Hooks, failed
from syncline.limits import PushLimits
from syncline.logs import Logger
from syncline.models import Conflict, Key, Record, Update
from syncline.observers import Observers
from syncline.outcome import Outcome
from syncline.place import Place
from syncline.protocol import RECORD_BYTES_MAX
from syncline.schema import (
    ModelSchema,
    check_record,
    is_number,
    record_id_of,
    under_its_id,
)
from syncline.store.contract import Reader, Transaction
from syncline.telling import Telling
from syncline.writer import NOT_NOW, Writer


log = Logger("syncline")

TASKS_END_S = 1.0
"""How long tasks that were cancelled are waited for: a user's function may swallow that."""
WRITES_A_TURN = 32
"""After so many commits of its own in a row the loop gets a turn."""

_T = TypeVar("_T")
_Call = tuple[str, Callable[..., Any], tuple[Any, ...]]
"""One of the user's functions: the hook's name, itself, and what it is called with."""


class Core:
    """
    The shared heart of a replica.

    Args:
        schemas: the declared models; a name mapped to None is schemaless.
        is_open: any other name is a schemaless model too.
        principal: whom the upstream takes this replica for, as far as it says.
        place: where the replica may be used.
        wake: called after a commit that left something to push: with what was just written
            here, or with None for anything else.

    Attributes:
        look_beside: records what was written into typed models' own tables by others: of some
            records, or None for all.
    """

    def __init__(
        self,
        engine: Engine,
        writer: Writer,
        *,
        schemas: Mapping[str, ModelSchema | None],
        is_open: bool,
        hooks: Hooks,
        hook_deadline_s: float,
        place: Place,
        record_bytes_max: int = RECORD_BYTES_MAX,
    ) -> None:
        self.engine = engine
        self.place = place
        self.writer = writer
        self.schemas = dict(schemas)
        self.is_open = is_open
        self.hooks = hooks
        self.runner = HookRunner(hook_deadline_s)
        self.observers = Observers(place)
        self.principal = ""
        self._own_bytes_max = record_bytes_max
        self.telling = Telling(
            engine,
            writer,
            self.observers,
            on_others=lambda: self.wake(None),
            spawn=self.spawn,
        )
        self.record_bytes_max = record_bytes_max
        self.learn_limits(engine.outbox.limits)
        self.wake: Callable[[Sequence[Update] | None], None] = _nothing
        self.on_conflicts: Callable[[Sequence[Conflict]], None] = _nothing_of
        self.look_beside: Callable[[Sequence[Key] | None], Awaitable[None]] = _look_nowhere
        self._tasks: set[asyncio.Task[Any]] = set()
        self._calls: dict[Key, deque[_Call]] = {}
        self._unbroken = 0

    def schema_of(self, model: str) -> ModelSchema | None:
        """Return a model's declaration; None for a schemaless one; raise `ModelUnknown`."""
        try:
            return self.schemas[model]
        except KeyError:
            # A replica in a page keeps a record under the model, U+0000 and the id.
            is_name = model and "\0" not in model and not model.startswith("syncline_")
            if self.is_open and is_name:
                return None
        known = ", ".join(sorted(self.schemas)) or "none"
        raise ModelUnknown(f"there is no model {model!r} here", hint=f"known models: {known}")

    def learn_limits(self, limits: PushLimits) -> None:
        """Refuse from now on what the upstream does not take."""
        self.engine.outbox.limits = limits
        if self.engine.author.follows:
            self.record_bytes_max = min(self._own_bytes_max, limits.writable_bytes_max)

    def check(
        self,
        model: str,
        record_id: object,
        data: Mapping[str, Any],
        before: Record | None = None,
    ) -> tuple[Record, bytes]:
        """
        Return the record as it is kept, and its encoding; raise `RecordError` when it can't.

        Args:
            before: the record that it takes the place of, whose id stays of its type.
        """
        schema = self.schema_of(model)
        if before is not None:
            data = under_its_id(schema, data, before)
        return check_record(schema, record_id, data, bytes_max=self.record_bytes_max)

    def put_of(
        self, model: str, record_id: object, data: Mapping[str, Any], if_rev: Any = None
    ) -> Write:
        """Return the checked write of a whole record, its id as it was given."""
        _, body = self.check(model, record_id, data)
        text = record_id_of(record_id)
        merge: Callable[[Record], bytes] | None = None
        if data.get("id") is None and is_number(text) and self.schema_of(model) is None:
            fields = fields_of(data)

            def merge(before: Record) -> bytes:
                return self.check(model, record_id, fields, before)[1]

        return Write(
            kind=WriteKind.PUT,
            model=model,
            record_id=text,
            body=msgspec.Raw(body),
            merge=merge,
            if_rev=if_rev,
        )

    def patch_of(
        self, model: str, record_id: str, data: Mapping[str, Any], if_rev: Any = None
    ) -> Write:
        """Return the write that sets some properties; the whole is checked when it is made."""
        self.schema_of(model)
        fields = fields_of(data)

        def merge(before: Record) -> bytes:
            return self.check(model, record_id, {**before, **fields})[1]

        return Write(
            kind=WriteKind.PATCH, model=model, record_id=record_id, merge=merge, if_rev=if_rev
        )

    def delete_of(self, model: str, record_id: str, if_rev: Any = None) -> Write:
        """Return the write that deletes a record."""
        self.schema_of(model)
        return Write(kind=WriteKind.DELETE, model=model, record_id=record_id, if_rev=if_rev)

    async def write(self, writes: Sequence[Write], *, group: str | None = None) -> list[Update]:
        """Record local writes in one commit; tell the observers and the link."""

        def job(tx: Transaction) -> list[Update]:
            return self.engine.write(tx, writes, group=group)

        written = await self.writer.run(job, weight=len(writes))
        self.published(written)
        self.wake(written)
        self._unbroken += 1
        if self._unbroken >= WRITES_A_TURN:
            # A program that writes without a pause would keep even its own link from sending.
            self._unbroken = 0
            await asyncio.sleep(0)
        return written

    async def carry_out(self, job: Callable[[Transaction], Outcome], *, weight: int = 1) -> Outcome:
        """Run a job that takes the upstream's word; tell the observers."""
        outcome = await self.writer.run(job, weight=weight)
        self._tell(outcome)
        return outcome

    def carry_out_now(
        self, job: Callable[[Transaction], Outcome], *, weight: int = 1
    ) -> Outcome | None:
        """Do as `carry_out` before anything else happens; None when it would have to wait."""
        outcome = self.writer.run_now(job, weight=weight)
        if outcome is NOT_NOW:
            return None
        self._tell(outcome)
        return outcome

    def _tell(self, outcome: Outcome) -> None:
        self.published(outcome.visible)
        if outcome.conflicts:
            self.on_conflicts(outcome.conflicts)
            if self.hooks.on_conflict is not None:
                for conflict in outcome.conflicts:
                    self._call_soon(
                        conflict.key, ("on_conflict", self.hooks.on_conflict, (conflict,))
                    )
        for update, reason in outcome.parked:
            _log_of("update.parked", update, reason, self.principal)
        for update, reason in outcome.refusals:
            _log_of("update.refused", update, reason, self.principal)
            if self.hooks.on_refused is not None:
                call = ("on_refused", self.hooks.on_refused, (update, reason))
                self._call_soon(update.key, call)

    async def read(self, job: Callable[[Reader], _T], *, large: bool = False) -> _T:
        """Run a job on a snapshot of the store."""
        return await self.writer.read(job, large=large)

    async def read_model(
        self, model: str, job: Callable[[Reader], _T], *, record_id: str = "", large: bool = False
    ) -> _T:
        """Run a job on a snapshot that has what others wrote into the model's own table."""
        if self.schema_of(model) is not None:
            await self.look_beside([(model, record_id)] if record_id else None)
        return await self.read(job, large=large)

    def published(self, updates: list[Update]) -> None:
        """Tell the observers of a commit."""
        self.telling.committed(updates)
        if self.hooks.on_change is not None:
            for update in updates:
                self._call_soon(update.key, ("on_change", self.hooks.on_change, (update,)))

    def _call_soon(self, key: Key, call: "_Call") -> None:
        """Call one of the user's functions; those of one record in order, others meanwhile."""
        waiting = self._calls.get(key)
        if waiting is not None:
            waiting.append(call)
            return
        self._calls[key] = deque([call])
        self.spawn(self._call_in_order(key))

    async def _call_in_order(self, key: Key) -> None:
        waiting = self._calls[key]
        try:
            while waiting:
                name, function, args = waiting.popleft()
                try:
                    await self.runner.call(function, *args)
                except Exception as error:  # noqa: BLE001 - a hook's failure never stops the stream
                    await self.hook_failed(name, error)
        finally:
            del self._calls[key]

    async def hook_failed(self, name: str, error: BaseException) -> None:
        """Say that one of the user's functions failed, to the log and to the user's handler."""
        log.error("hook.failed", hook=name, error=str(error) or repr(error))
        wrapped = error if isinstance(error, HookFailed) else HookFailed(str(error) or repr(error))
        await failed(self.runner, self.hooks, wrapped, name)

    def spawn(self, work: Any) -> "asyncio.Task[Any]":
        """Run work in a task that is owned here, and ends with the replica."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def end(self, *, spared: Collection["asyncio.Task[Any]"] = ()) -> None:
        """
        End the tasks and the threads; the store stays open, to be counted.

        Args:
            spared: tasks that wait for this very end.
        """
        tasks = [task for task in self._tasks if task not in spared]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=TASKS_END_S)
        self.observers.close()
        self.runner.close()
        await self.writer.close()

    async def close(self) -> None:
        """End all, and close the store."""
        await self.end()
        self.engine.store.close()


def _log_of(event: str, update: Update, reason: str, principal: str) -> None:
    log.warning(
        event,
        model=update.model,
        record_id=update.record_id,
        rev=update.rev,
        reason=reason,
        principal=principal,
    )


def _nothing(_written: Sequence[Update] | None = None) -> None:
    """Wake nobody: there is no link."""


async def _look_nowhere(_keys: Sequence[Key] | None) -> None:
    """Look for nothing: no model has a table of its own."""


def _nothing_of(_conflicts: Sequence[Conflict]) -> None:
    """Tell nobody."""


def fields_of(data: object) -> dict[str, Any]:
    """
    Return what a caller gave as a record, or as some of its properties.

    Raises:
        RecordInvalid: it is none; nothing is no empty record, since it is missing by mistake.
    """
    if not isinstance(data, Mapping):
        raise RecordInvalid(
            f"a record is an object, not {type(data).__name__}", hint="an empty record is {}"
        )
    return dict(data)
