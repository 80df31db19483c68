"""
The user's functions, guarded.

``async def`` runs on the loop with a deadline; ``def`` runs in a bounded pool with a deadline,
since a Python thread can't be killed: one that hangs keeps its place in the pool until it returns.
None is ever called under the write lock.
"""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from syncline.bulk import Ruling, RulingKind
from syncline.errors import HookFailed, RecordError, SynclineError
from syncline.models import Conflict, Record, Update
from syncline.revision import Revision


POOL_THREADS_MAX = 8
DEADLINE_S = 5.0

Validate = Callable[[Any, Record | None, Record | None], Any]
"""
``validate(principal, before, after)``: rule on a write.

`before` and `after` are records, None where there is none.
Return None or True to pass, a record to amend, or raise `Refuse` (or return it) to refuse.
Amending must be idempotent: an amended record passes unchanged.
"""


class Refuse(Exception):  # noqa: N818 - it is said, not suffered: `raise Refuse("not your turn")`
    """Raised, or returned, by a validation hook to refuse a write, with the reason."""


class Hooks(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a user hangs into a replica.

    Attributes:
        validate: by model, rules on what is pushed here.
        on_change: called with each `Update` after its commit, whoever wrote it.
        on_conflict: called with each `Conflict` that waits to be settled.
        on_refused: called with (update, reason) when the upstream refused an own write.
        handle_change_error: called with (error, operation) when another hook failed.
    """

    validate: Mapping[str, Validate] = {}
    on_change: Callable[[Update], Any] | None = None
    on_conflict: Callable[[Conflict], Any] | None = None
    on_refused: Callable[[Update, str], Any] | None = None
    handle_change_error: Callable[[Exception, str], Any] | None = None


class HookRunner:
    """
    Runs the user's functions with a deadline.

    Args:
        deadline_s: how long one may take, in seconds.
    """

    def __init__(self, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._pool: ThreadPoolExecutor | None = None

    async def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """
        Call a user's function and return what it returns.

        Raises:
            Refuse: passed through.
            HookFailed: it raised anything else, or took too long.
        """
        name = getattr(function, "__qualname__", repr(function))
        try:
            async with asyncio.timeout(self._deadline_s):
                if inspect.iscoroutinefunction(function):
                    return await function(*args)
                result = await asyncio.get_running_loop().run_in_executor(
                    self._threads(), function, *args
                )
                return await result if inspect.isawaitable(result) else result
        except Refuse:
            raise
        except TimeoutError:
            raise HookFailed(f"{name} took longer than {self._deadline_s} s") from None
        except Exception as error:
            raise HookFailed(f"{name} raised {error!r}") from error

    async def rule(
        self,
        validate: Validate,
        principal: Any,
        before: Update | None,
        after: Update,
        check: Callable[[Record], bytes],
    ) -> Ruling:
        """
        Ask a validation hook about an update; never raises for what the hook does.

        Args:
            check: finds an amended record valid and encodes it, or raises `RecordError`.
        """
        seen: Revision | None = None if before is None else before.rev
        old = None if before is None else before.data
        try:
            word = await self.call(validate, principal, old, after.data)
            if isinstance(word, Refuse):
                raise word
            # Decoded anew: the hook may have changed the record that it was shown.
            return _ruling(word, seen, after.data, check)
        except Refuse as refusal:
            reason = str(refusal) or "refused"
            return Ruling(kind=RulingKind.REFUSED, seen=seen, reason=reason)
        except (HookFailed, RecordError) as error:
            return Ruling(kind=RulingKind.PARKED, seen=seen, reason=str(error))

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(POOL_THREADS_MAX, thread_name_prefix="syncline-hook")
        return self._pool

    def close(self) -> None:
        """Let go of the threads; one that hangs is not waited for."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def _ruling(
    word: Any, seen: Revision | None, new: Record | None, check: Callable[[Record], bytes]
) -> Ruling:
    if word is None or word is True or word == new:
        return Ruling(kind=RulingKind.PASSED, seen=seen)
    if isinstance(word, dict):
        return Ruling(kind=RulingKind.AMENDED, seen=seen, body=msgspec.Raw(check(word)))
    raise HookFailed(
        f"a validation hook returned {type(word).__name__}: return None, a record, or Refuse"
    )


async def failed(
    runner: HookRunner, hooks: Hooks, error: Exception, operation: str
) -> SynclineError | None:
    """Tell the user's error handler, and return what went wrong with that, if anything."""
    if hooks.handle_change_error is None:
        return None
    try:
        await runner.call(hooks.handle_change_error, error, operation)
    except (Refuse, HookFailed) as second:
        return second if isinstance(second, HookFailed) else HookFailed(str(second))
    return None
