"""The demo's processes, as their parent sees them: started, told, heard and ended by pid."""

import asyncio
import contextlib
import itertools
import os
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

from syncline.errors import SynclineError
from synclined.demo.wire import (
    LINE_BYTES_MAX,
    Command,
    Done,
    Ready,
    Snapshot,
    decode_report,
    encode_line,
)


READY_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 30.0
END_TIMEOUT_S = 3.0
COMPLAINT_LINES_MAX = 5


class ChildDied(SynclineError):
    """One of the demo's processes ended by itself."""

    code = "child_died"


class CommandFailed(SynclineError):
    """One of the demo's processes could not do as it was told."""

    code = "command_failed"


class Child:
    """
    One process.

    Args:
        name: what a person calls it.

    Attributes:
        ready: its first report. snapshot: its last.
        died: set once it has ended.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        self.snapshot = Snapshot()
        self.snapshots: asyncio.Queue[Snapshot] = asyncio.Queue(100)
        self.died = asyncio.Event()
        self._heard = asyncio.Event()
        self._process = process
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Done]] = {}
        self._complaints: deque[str] = deque(maxlen=COMPLAINT_LINES_MAX)
        self._tasks = [
            asyncio.create_task(self._hear(), name=f"demo-{name}-reports"),
            asyncio.create_task(self._hear_complaints(), name=f"demo-{name}-complaints"),
        ]

    @classmethod
    async def start(cls, name: str, module: str, **options: str) -> "Child":
        """
        Start `module` with options as flags, and wait until it says that it is ready.

        Raises:
            ChildDied: it did not come up.
        """
        words = [word for key, value in options.items() for word in (f"--{key}", value)]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_BYTES_MAX,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            # The terminal's Ctrl-C is for the parent, which ends its children in order.
            start_new_session=True,
        )
        child = cls(name, process)
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                await child.ready
        except TimeoutError:
            await child.end()
            raise ChildDied(f"{name} did not start within {READY_TIMEOUT_S:g} s") from None
        except BaseException:
            await child.end()
            raise
        return child

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    async def ask(self, verb: str, timeout_s: float = ANSWER_TIMEOUT_S, **fields: Any) -> Done:
        """
        Send a command and return the answer.

        Raises:
            ChildDied: the process has ended. CommandFailed: it said why not.
        """
        number = next(self._numbers)
        answer: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(encode_line(Command(number=number, verb=verb, **fields)) + b"\n")
            with contextlib.suppress(ConnectionError):
                await stdin.drain()
            if self.died.is_set():
                raise self.death()
            async with asyncio.timeout(timeout_s):
                done = await answer
        except TimeoutError:
            raise CommandFailed(f"{self.name}: no answer to {verb} in {timeout_s:g} s") from None
        finally:
            self._answers.pop(number, None)
        if done.error:
            raise CommandFailed(f"{self.name}: {done.error}")
        return done

    async def until(self, condition: Callable[[Snapshot], bool]) -> None:
        """Return when its last snapshot meets the condition."""
        while not condition(self.snapshot):
            self._heard.clear()
            await self._heard.wait()

    def death(self) -> ChildDied:
        """Return the error that says how it ended."""
        said = f": {self._complaints[-1]}" if self._complaints else ""
        return ChildDied(f"{self.name} ended ({_ending(self._process.returncode)}){said}")

    async def end(self) -> None:
        """End the process: by the end of its stdin, then by SIGTERM, then by SIGKILL."""
        process = self._process
        if process.stdin is not None:
            process.stdin.close()
        for act in (None, process.terminate, process.kill):
            if act is not None:
                with contextlib.suppress(ProcessLookupError):
                    act()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_TIMEOUT_S):
                    await process.wait()
                    break
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _hear(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        while line := await stdout.readline():
            match decode_report.decode(line):
                case Snapshot() as snapshot:
                    self.snapshot = snapshot
                    self._heard.set()
                    if self.snapshots.full():
                        self.snapshots.get_nowait()
                    self.snapshots.put_nowait(snapshot)
                case Done() as done:
                    answer = self._answers.get(done.number)
                    if answer is not None and not answer.done():
                        answer.set_result(done)
                case Ready() as ready if not self.ready.done():
                    self.ready.set_result(ready)
                case Ready():
                    pass
        await self._process.wait()
        # What it complained of comes by another pipe: let that be read first.
        await asyncio.gather(self._tasks[1], return_exceptions=True)
        self.died.set()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(self.death())
        if not self.ready.done():
            self.ready.set_exception(self.death())
        if not self.ready.cancelled():
            self.ready.exception()  # Looked at, so that nobody is told that nobody looked.

    async def _hear_complaints(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        while line := await stderr.readline():
            self._complaints.append(line.decode(errors="replace").rstrip())


def _ending(code: int | None) -> str:
    if code is None:
        return "its pipe was closed"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
