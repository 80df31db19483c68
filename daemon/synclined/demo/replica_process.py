"""
One replica of the demo, the whole of its process: ``python -m synclined.demo.replica_process``.

It takes commands on stdin and reports on stdout, and ends when stdin does, so that it never
outlives its parent.
"""

import argparse
import asyncio
import signal
import time
from typing import Any

from syncline.connecting import connect
from syncline.hooks import Hooks
from syncline.link import Link
from syncline.models import Conflict, Update
from syncline.replica import Replica
from syncline.revision import Revision
from syncline.session import SessionSettings
from syncline.status import SessionState, Status
from synclined.demo.feeds import HostSource, ProcessSource, feed
from synclined.demo.pipes import read_lines, write_line
from synclined.demo.player import Pace, Player
from synclined.demo.recorder import Recorder, now_us
from synclined.demo.rules import MODELS, PLAYERS, STRATEGIES
from synclined.demo.wire import (
    Command,
    Done,
    OpenNote,
    Ready,
    Snapshot,
    decode_command,
)
from synclined.log import configure_logging


SNAPSHOT_INTERVAL_S = 0.125
LEVEL_MEMORY_S = 0.4
"""A replica that writes all the time is level only between two writes; this long it counts."""

SETTLE_TIMEOUT_S = 20.0
TURN_TIMEOUT_S = 3.0
NOTES_SHOWN = 8
NOTES = ("groceries", "packing", "agenda", "reading")
PACES = {
    "show": Pace(),
    "smoke": Pace(think_s=0.06, pause_s=0.3, patience_s=1.05, cheats=0.02),
}


class ReplicaProcess:
    """
    The replica with what feeds it, plays on it and reports of it.

    Args:
        player: whose side it plays; the first player feeds `host`, the second `process`.
    """

    def __init__(self, replica: Replica, player: str, pace: Pace) -> None:
        link = replica.link
        assert isinstance(link, Link)
        self.replica = replica
        self.link = link
        self.recorder = Recorder(replica)
        self.player = Player(self.recorder, player, pace, self._is_connected)
        self._is_first = player == PLAYERS[0]
        self._level_at = 0.0
        self._unbroken_since_us = 0
        self._was_cut_at = 0.0
        self._lags: list[tuple[int, int]] = []
        self._made: set[str] = set()
        self._gave_way_before = 0
        self._busy: list[asyncio.Task[None]] = []
        link.on_status(self._note_status)

    # ---- what it does by itself -----------------------------------------------------------

    async def run(self) -> None:
        """Feed, play and report until cancelled; whatever fails ends all."""
        kept = await self.replica.conflicts(open_only=False, model="game")
        self._gave_way_before = len(kept)
        await self.link.barrier()
        if self._is_first:
            await self._write_notes()
        source = HostSource() if self._is_first else ProcessSource()
        async with asyncio.TaskGroup() as group:
            for name in MODELS:
                group.create_task(self._count_arrivals(name))
            group.create_task(self._report())
            self._busy = [
                group.create_task(feed(self.recorder, source)),
                group.create_task(self.player.play()),
            ]

    async def _write_notes(self) -> None:
        held = await self.recorder.ids_of("note")
        for note in NOTES:
            if note not in held:
                await self.recorder.put("note", note, {"text": "to be written"})

    async def _count_arrivals(self, model: str) -> None:
        """Count what others wrote, and measure how long it took to arrive."""
        me = self.replica.replica_id
        seen: dict[str, Revision] = {}
        async for update in self.replica.model(model).watch():
            # What a refusal brings back was here before.
            if update.origin == me or seen.get(update.record_id) == update.rev:
                continue
            self.recorder.tally.replications += 1
            record = update.data
            if record is None:
                seen.pop(update.record_id, None)
                continue
            seen[update.record_id] = update.rev
            # A note arrives when a person settles it: that is no lag.
            if model != "note" and isinstance(record.get("at_us"), int):
                self._lags.append((record["at_us"], now_us() - record["at_us"]))

    async def _report(self) -> None:
        while True:
            write_line(await self.snapshot())
            await asyncio.sleep(SNAPSHOT_INTERVAL_S)

    # ---- what it is told ------------------------------------------------------------------

    async def obey(self, command: Command) -> Done:
        """Carry out a command."""
        contents: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {}
        match command.verb:
            case "cut":
                await self._cut(on_turn=command.on_turn)
            case "heal":
                self.link.resume()
            case "edit":
                await self.recorder.put("note", command.note, {"text": command.text})
                self.recorder.tell("note", f"{command.note}: {command.text}")
            case "resolve":
                if not await self._resolve(command.note, command.side):
                    return Done(number=command.number, error="the conflict has moved on")
            case "cheat":
                self.player.cheat()
            case "rest":
                for task in self._busy:
                    task.cancel()
                await asyncio.gather(*self._busy, return_exceptions=True)
            case "settle":
                await self.link.wait_live(SETTLE_TIMEOUT_S)
                await self.link.barrier(SETTLE_TIMEOUT_S)
            case "contents":
                # The counts as they are now go ahead of the answer.
                write_line(await self.snapshot())
                contents = await self._contents()
            case _:
                return Done(number=command.number, error=f"no command {command.verb!r}")
        return Done(number=command.number, contents=contents)

    async def _cut(self, *, on_turn: bool) -> None:
        if on_turn:
            await self.player.wait_for_turn(TURN_TIMEOUT_S)
        await self.link.pause()
        self.player.go_on()

    async def _resolve(self, note: str, side: str) -> bool:
        for waiting in await self.replica.conflicts(model="note"):
            if waiting.conflict.record_id == note and await waiting.resolve(side):
                # One that was found before this start was not counted as made either.
                self.recorder.tally.resolved += waiting.conflict.conflict_id in self._made
                self.recorder.tell("settled", f"{note}: {side} stands")
                return True
        return False

    async def _contents(self) -> dict[str, dict[str, tuple[str, dict[str, Any]]]]:
        found: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {}
        for model in MODELS:
            interval = await self.replica.model(model).interval()
            found[model] = {u.record_id: (u.rev, u.data or {}) for u in interval.updates if u.data}
        return found

    # ---- what it is told by the library ---------------------------------------------------

    async def on_refused(self, update: Update, reason: str) -> None:
        """Count a refusal, and whether the refused write is gone from here."""
        now = await self.replica.model(update.model).get_change(update.record_id)
        is_gone = now is None or now.rev != update.rev
        self.recorder.tally.refused += 1
        self.recorder.tally.rolled_back += is_gone
        self.recorder.tell("refused", f"refused: {reason}")
        self.player.refused(update)

    async def on_conflict(self, conflict: Conflict) -> None:
        """Count a conflict that waits for a person, once."""
        if conflict.conflict_id not in self._made:
            self._made.add(conflict.conflict_id)
            self.recorder.tally.made += 1
            self.recorder.tell("conflict", f"conflict on {conflict.record_id}")

    def _note_status(self, status: Status) -> None:
        now = time.monotonic()
        match status.state:
            case SessionState.LIVE:
                self._level_at = now
                if not self._unbroken_since_us:
                    self._unbroken_since_us = now_us()
                    told = "level with the daemon"
                    if self._was_cut_at:
                        told = f"level again after {now - self._was_cut_at:.2f} s"
                    self.recorder.tell("link", told)
            case SessionState.CATCHING_UP:
                pass
            case _:
                if self._unbroken_since_us:
                    self._unbroken_since_us = 0
                    self._was_cut_at = now
                    self.recorder.tell("link", "cut off")

    def _is_connected(self) -> bool:
        return bool(self._unbroken_since_us)

    # ---- what it tells --------------------------------------------------------------------

    async def snapshot(self) -> Snapshot:
        """Return what this replica is and holds."""
        replica, status = self.replica, self.link.status
        state = status.state
        was_level = time.monotonic() - self._level_at < LEVEL_MEMORY_S
        if state is SessionState.CATCHING_UP and self._unbroken_since_us and was_level:
            state = SessionState.LIVE
        games = await replica.model("game").find(order="number DESC")
        gave_way = await replica.conflicts(open_only=False, model="game")
        stale = len(gave_way) - self._gave_way_before
        if stale > self.recorder.tally.stale:
            self.recorder.tell("stale", "stale: gave way to theirs")
        self.recorder.tally.stale = stale
        notes = await replica.model("note").find(order="at_us DESC", limit=NOTES_SHOWN)
        waiting = await replica.conflicts(model="note")
        lags, self._lags = self._lags, []
        return Snapshot(
            state=state.value,
            reason=status.reason,
            pending=await replica.core.read(lambda reader: reader.pending_counts().get("", 0)),
            conflicts=len(waiting),
            behind_ms=status.lag_ms,
            unbroken_since_us=self._unbroken_since_us,
            lags_us=lags,
            tally=self.recorder.tally,
            game=games[0] if games else {},
            score={name: sum(g["winner"] == name for g in games) for name in PLAYERS},
            host={str(row["id"]): row for row in await replica.model("host").find()},
            processes=await replica.model("process").find(order="cpu DESC"),
            notes={str(row["id"]): str(row.get("text", "")) for row in notes},
            open_notes=[
                OpenNote(
                    note=each.conflict.record_id, ours=_text(each.ours), theirs=_text(each.theirs)
                )
                for each in waiting
            ],
            events=list(self.recorder.events),
        )


def _text(record: dict[str, Any] | None) -> str | None:
    return None if record is None else str(record.get("text", ""))


async def _listen(process: ReplicaProcess) -> None:
    """Carry out commands, one after the other, until stdin ends."""
    async for line in read_lines():
        command = decode_command(line)
        try:
            done = await process.obey(command)
        except TimeoutError:
            done = Done(number=command.number, error=f"{command.verb} took too long")
        write_line(done)


async def main(url: str, store: str, player: str, pace: str) -> None:
    """Run the replica until stdin ends or a signal comes."""
    process: ReplicaProcess | None = None

    async def on_refused(update: Update, reason: str) -> None:
        if process is not None:
            await process.on_refused(update, reason)

    async def on_conflict(conflict: Conflict) -> None:
        if process is not None:
            await process.on_conflict(conflict)

    async with connect(
        url,
        store=store,
        models=MODELS,
        token=player,
        strategies=STRATEGIES,
        hooks=Hooks(on_refused=on_refused, on_conflict=on_conflict),
        settings=SessionSettings(delay_cap_s=2.0),
    ) as replica:
        process = ReplicaProcess(replica, player, PACES[pace])
        write_line(Ready())
        running = asyncio.create_task(process.run(), name="demo-replica")
        listening = asyncio.create_task(_listen(process), name="demo-commands")
        stopping = asyncio.create_task(_signalled(), name="demo-signals")
        tasks = {running, listening, stopping}
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for task in done:
            task.result()


async def _signalled() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for flag in ("--url", "--store", "--player", "--pace"):
        parser.add_argument(flag, required=True)
    configure_logging("error", "json")
    asyncio.run(main(**vars(parser.parse_args())))
