"""
Failpoints: places between the statements of a transaction where a process can be made to fail.

``SYNCLINE_FAILPOINT=name:action:nth`` opens every SQL store as one that kills the process, raises
or sleeps at the nth time that it comes to a point of that name; without it this file is never
loaded. For tests of crashes only.

::

    begin ─▶ insert-changes ─▶ … ─▶ insert-meta ─▶ commit ─▶ COMMIT ─▶ committed
      before each statement that writes, named by what it writes           after it, before anybody
                                                                           hears of it
"""

import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable, Iterable
from typing import Any, cast

from syncline.errors import ConfigError, StoreError
from syncline.store.sql import SqlStore
from syncline.store.sql_transaction import SqlTransaction


VARIABLE = "SYNCLINE_FAILPOINT"
SLEEP_S = 1.0
STDERR = 2
ANY = "any"
"""Stands for all names: its nth is counted over all points together."""

POINTS = (
    "begin",
    "insert-changes",
    "update-changes",
    "delete-changes",
    "update-head",
    "insert-typed",
    "delete-typed",
    "insert-conflicts",
    "delete-conflicts",
    "insert-meta",
    "delete-meta",
    "insert-digests",
    "delete-digests",
    "insert-stage",
    "delete-stage",
    "commit",
    "committed",
)
"""All points: what a statement does to which of our tables, or to one of the application's."""

_STATEMENT = re.compile(r"\s*(INSERT|UPDATE|DELETE)\b(?: OR \w+| INTO| FROM)*\s+\"?(\w+)")


def point_of(sql: str) -> str | None:
    """Return the name of the point before a statement; None for one that only reads."""
    found = _STATEMENT.match(sql)
    if found is None:
        return None
    verb, table = found.groups()
    noun = table.removeprefix("syncline_") if table.startswith("syncline_") else "typed"
    return f"{verb.lower()}-{noun}"


class Failpoint:
    """
    One place to fail at, and how.

    Args:
        name: of `POINTS`, or `ANY`.
        action: `kill`, `raise` or `sleep`.
        nth: at which coming to it, from 1.

    Attributes:
        seen: how often each point was come to.
    """

    def __init__(self, name: str, action: str, nth: int) -> None:
        self._name = name
        self._action = action
        self._nth = nth
        self.seen: dict[str, int] = {}

    @classmethod
    def parse(cls, text: str) -> "Failpoint":
        """Return the failpoint of `name:action:nth`; raise `ConfigError`."""
        name, _, rest = text.partition(":")
        action, _, nth = rest.partition(":")
        is_known = name in (*POINTS, ANY) and action in _ACTIONS
        if not is_known or not nth.isdecimal() or int(nth) < 1:
            raise ConfigError(
                f"{VARIABLE} is {text!r}",
                hint=f"name:action:nth, with a name of {', '.join((*POINTS, ANY))}, "
                f"an action of {', '.join(_ACTIONS)}, and a count from 1",
            )
        return cls(name, action, int(nth))

    def come_to(self, point: str) -> None:
        """Fail, if this is the place."""
        self.seen[point] = self.seen.get(point, 0) + 1
        if self._name not in (point, ANY):
            return
        count = sum(self.seen.values()) if self._name == ANY else self.seen[point]
        if count == self._nth:
            _ACTIONS[self._action](point)


class FailingSqlStore(SqlStore):
    """An SQL store whose writing transactions come to failpoints."""

    def __init__(self, *args: Any, failpoint: Failpoint, **options: Any) -> None:
        super().__init__(*args, **options)
        self.failpoint = failpoint

    def begin(self, *, wait: bool) -> SqlTransaction:
        """Begin the writing transaction."""
        self.failpoint.come_to("begin")
        return super().begin(wait=wait)

    def _transaction(self, raw: sqlite3.Connection) -> SqlTransaction:
        failing = cast("sqlite3.Connection", _FailingConnection(raw, self.failpoint))
        return super()._transaction(failing)

    def end(self, error: BaseException | None) -> None:
        """Commit, or roll back after an error."""
        if error is None:
            try:
                self.failpoint.come_to("commit")
            except BaseException as failure:
                super().end(failure)
                raise
        super().end(error)
        if error is None:
            self.failpoint.come_to("committed")


class _FailingConnection:
    """What a transaction uses of a connection; comes to a point before each writing statement."""

    def __init__(self, raw: sqlite3.Connection, failpoint: Failpoint) -> None:
        self._raw = raw
        self._failpoint = failpoint

    @property
    def text_factory(self) -> Any:
        return self._raw.text_factory

    @text_factory.setter
    def text_factory(self, factory: Any) -> None:
        self._raw.text_factory = factory

    def execute(self, sql: str, values: Any = ()) -> sqlite3.Cursor:
        self._come_to(sql)
        return self._raw.execute(sql, values)

    def executemany(self, sql: str, rows: Iterable[Any]) -> sqlite3.Cursor:
        self._come_to(sql)
        return self._raw.executemany(sql, rows)

    def _come_to(self, sql: str) -> None:
        point = point_of(sql)
        if point is not None:
            self._failpoint.come_to(point)


def _kill(point: str) -> None:
    # Past every buffer: the harness reads which point it was.
    os.write(STDERR, f"failpoint {point}\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)


def _raise(point: str) -> None:
    raise StoreError(f"failpoint {point}", hint=f"unset {VARIABLE}")


def _sleep(_point: str) -> None:
    time.sleep(SLEEP_S)


_ACTIONS: dict[str, Callable[[str], None]] = {"kill": _kill, "raise": _raise, "sleep": _sleep}
