"""
Fail on purpose, at a named place: for the tests that kill the daemon in mid-commit.

Armed once at the start, by ``SYNCLINE_FAILPOINT=name:action:nth``: at the nth passage of the named
place the process is killed, an error is raised or the thread sleeps. Otherwise nothing happens.
"""

import os
import signal
import threading
import time
from dataclasses import dataclass, field

from syncline.errors import ConfigError


ACTIONS = ("kill", "raise", "sleep")
SLEEP_S = 5.0


class FailpointReached(RuntimeError):  # noqa: N818  an event, not an error of ours
    """What the action ``raise`` raises: deliberately no `SynclineError`."""


@dataclass(slots=True, kw_only=True)
class _Armed:
    name: str
    action: str
    passages_left: int
    lock: threading.Lock = field(default_factory=threading.Lock)


_armed: list[_Armed] = []


def arm(spec: str | None) -> None:
    """
    Arm the failpoint of a spec ``name:action:nth``; disarm with None or an empty one.

    Raises:
        ConfigError: the spec can't be read. Nothing is armed then.
    """
    _armed.clear()
    if not spec:
        return
    name, action, nth = (*spec.split(":"), "", "")[:3]
    if not name or action not in ACTIONS or not nth.isdecimal() or not int(nth):
        raise ConfigError(
            f"SYNCLINE_FAILPOINT={spec}: must be name:action:nth",
            hint=f"an action is one of {', '.join(ACTIONS)}; nth counts from 1",
        )
    _armed.append(_Armed(name=name, action=action, passages_left=int(nth)))


def failpoint(name: str) -> None:
    """Pass a named place."""
    if _armed and _armed[0].name == name:
        _pass(_armed[0])


def _pass(armed: _Armed) -> None:
    with armed.lock:
        armed.passages_left -= 1
        if armed.passages_left:
            return
    match armed.action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise FailpointReached(armed.name)
        case _:
            time.sleep(SLEEP_S)
