"""The show: the live screen, and what the keys do."""

import asyncio

from rich.console import Console
from rich.live import Live

from syncline.errors import SynclineError
from synclined.demo.cast import Cast
from synclined.demo.children import Child
from synclined.demo.keyboard import ESCAPE, keys
from synclined.demo.lag import Lags
from synclined.demo.lines import PLAIN, UNICODE
from synclined.demo.recorder import now_us
from synclined.demo.screen import View, draw
from synclined.demo.wire import OpenNote


FRAME_S = 0.125
LAGS_SHOWN = 2000
MESSAGE_S = 6.0
_ERRANDS = {
    "groceries": ("milk, bread", "milk, eggs"),
    "packing": ("tent and stove", "tent and lamp"),
    "agenda": ("Monday at ten", "Tuesday at nine"),
    "reading": ("chapter four", "chapter five"),
}


class Show:
    """
    What the person at the keyboard sees and does.

    Attributes:
        prompt: what he is asked or told; empty for nothing.
    """

    def __init__(self, cast: Cast) -> None:
        self.prompt = ""
        self._cast = cast
        self._asked: tuple[Child, OpenNote] | None = None
        self._forget_at = 0.0
        self._rounds = 0

    async def press(self, key: str) -> None:
        """Do what a key stands for."""
        if self._asked is not None:
            await self._answer(key)
            return
        match key:
            case "1" | "2":
                await self._switch(int(key) - 1)
            case "c":
                await self._make_conflict()
            case "r":
                self._ask()
            case "i":
                self._rounds += 1
                await self._cast.replicas[self._rounds % 2].ask("cheat")
                self.say("An illegal move is on its way: see the events.")
            case _:
                pass

    def say(self, sentence: str) -> None:
        """Show a sentence for a while."""
        self.prompt = sentence
        self._forget_at = asyncio.get_running_loop().time() + MESSAGE_S

    def view(self) -> View:
        """Return what the screen is to show."""
        cast = self._cast
        cast.gather_lags()
        if self._asked is None and asyncio.get_running_loop().time() > self._forget_at:
            self.prompt = ""
        one, two = cast.arrivals
        return View(
            url=cast.url,
            replicas=cast.snapshots,
            lags_ms=_percentiles(cast.lags),
            arrivals_ms=(_percentiles(one), _percentiles(two)),
            prompt=self.prompt,
            now_us=now_us(),
        )

    async def _switch(self, index: int) -> None:
        replica = self._cast.replicas[index]
        if replica.snapshot.state == "offline":
            await replica.ask("heal")
            self.say(f"Replica {index + 1} is connecting.")
        else:
            await self._cast.cut(replica)
            self.say(f"Replica {index + 1} is cut off, and goes on writing.")

    async def _make_conflict(self) -> None:
        one, two = self._cast.replicas
        waiting = {each.note for child in (one, two) for each in child.snapshot.open_notes}
        free = [note for note in _ERRANDS if note not in waiting]
        if not free:
            self.say("All notes are in conflict: press r to resolve one.")
            return
        self._rounds += 1
        note = free[self._rounds % len(free)]
        was_cut = [child for child in (one, two) if child.snapshot.state == "offline"]
        if not was_cut:
            await self._cast.cut(two)
        for child, text in zip((one, two), _ERRANDS[note], strict=True):
            await child.ask("edit", note=note, text=f"{text} ({self._rounds})")
        if was_cut:
            self.say(f"Both have edited {note}: reconnect to see them collide.")
        else:
            await two.ask("heal")
            self.say(f"Both have edited {note}: press r to resolve the conflict.")

    def _ask(self) -> None:
        for child in self._cast.replicas:
            for waiting in child.snapshot.open_notes:
                self._asked = (child, waiting)
                ours, theirs = (side or "deleted" for side in (waiting.ours, waiting.theirs))
                self.prompt = f"{waiting.note}: [o]urs {ours}  [t]heirs {theirs}  [esc]"
                return
        self.say("No conflict is open: press c to make one.")

    async def _answer(self, key: str) -> None:
        sides = {"o": "ours", "t": "theirs"}
        if self._asked is None or key not in (*sides, ESCAPE, "r"):
            return
        (child, waiting), self._asked = self._asked, None
        self.prompt = ""
        if key in sides:
            await child.ask("resolve", note=waiting.note, side=sides[key])
            self.say(f"{waiting.note}: {sides[key]} of {child.name} stands.")


async def show(cast: Cast) -> str:
    """Run the screen until it is quit, and return a sentence on what was seen."""
    console = Console()
    glyphs = UNICODE if console.encoding.startswith("utf") else PLAIN
    acting = Show(cast)
    with (
        keys() as pressed,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        while True:
            live.update(draw(acting.view(), *console.size, glyphs), refresh=True)
            try:
                async with asyncio.timeout(FRAME_S):
                    key = await pressed.get()
            except TimeoutError:
                continue
            if key == "q":
                return _summary(cast)
            try:
                await acting.press(key)
            except SynclineError as error:
                acting.say(str(error))


def _percentiles(lags: Lags) -> tuple[float | None, float | None]:
    return lags.percentile_ms(50, LAGS_SHOWN), lags.percentile_ms(99, LAGS_SHOWN)


def _summary(cast: Cast) -> str:
    tallies = [snapshot.tally for snapshot in cast.snapshots]
    writes, replications = (
        sum(getattr(tally, name) for tally in tallies) for name in ("writes", "replications")
    )
    p50, p99 = _percentiles(cast.lags)
    return f"{writes} writes, {replications} replications, lag p50 {p50} ms, p99 {p99} ms"
