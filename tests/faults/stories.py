"""
Stories of a bad network between real replicas and a real daemon, each with its figures.

Each is told with a proxy between a replica and the daemon, ends with all level without a nudge,
and returns how long it took to be noticed and to be level again.

Goes red when a fault is not noticed or is not got over: a link without its heartbeat never finds a
black hole, one that takes no account of its cursor is not level afterwards (`test_links.py` plants
both).
"""

import asyncio
import contextlib
import time

from proxy import IN, OUT, FaultProxy

import syncline
from syncline.session import SessionSettings
from syncline.status import SessionState


WAIT_S = 30
HEARTBEAT_S = 0.4
TOML = f"""
schemaless = ["log"]

[timings]
heartbeat_s = {HEARTBEAT_S}
send_timeout_s = 1.0
"""
SETTINGS = SessionSettings(first_delay_s=0.05, delay_cap_s=0.5, ack_timeout_s=2.0)
UP = (SessionState.LIVE, SessionState.CATCHING_UP)
HOLES = {"in": (IN,), "out": (OUT,), "both": (IN, OUT)}


async def until(condition, what):
    """Wait for what others bring about."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        await asyncio.sleep(0.005)


class Pair:
    """
    Two replicas of a daemon: `far` behind a proxy, `near` beside it.

    Attributes:
        figures: seconds, by what they say.
    """

    def __init__(self, daemon, proxy, far, near):
        self.daemon, self.proxy, self.far, self.near = daemon, proxy, far, near
        self.figures = {}
        self.name = far.replica_id
        self._written = 0

    async def write(self, count=1):
        """Write at both ends."""
        for _ in range(count):
            self._written += 1
            await self.far.model("log").put(
                f"{self.name}-far-{self._written}", {"n": self._written}
            )
            await self.near.model("log").put(
                f"{self.name}-near-{self._written}", {"n": self._written}
            )

    async def found(self):
        """Wait until the far replica knows that its link is dead."""
        started = time.monotonic()
        await until(lambda: self.far.status.state not in UP, "the dead link was found, it")
        self.figures["found_s"] = time.monotonic() - started

    async def level(self):
        """Wait until both hold all that was written, with no write to nudge them."""
        started = time.monotonic()
        for replica in (self.far, self.near):
            await replica.link.wait_live(WAIT_S)
            await replica.barrier(WAIT_S)
        self.figures["level_s"] = time.monotonic() - started
        far, near = await self.far.model("log").find(), await self.near.model("log").find()
        assert far == near
        assert 2 * self._written == sum(self.name in record["id"] for record in near)
        for replica in (self.far, self.near):
            assert [] == await replica.conflicts(open_only=False)


@contextlib.asynccontextmanager
async def told(daemon):
    """Open a pair, level, with something written."""
    async with (
        FaultProxy(daemon.port) as proxy,
        syncline.connect(proxy.url, models=["log"], settings=SETTINGS) as far,
        syncline.connect(daemon.url, models=["log"], settings=SETTINGS) as near,
    ):
        pair = Pair(daemon, proxy, far, near)
        await pair.write(3)
        await pair.level()
        yield pair


async def black_hole(daemon, directions):
    """Nothing passes, one way or both, while the connection stands; then it heals."""
    async with told(daemon) as pair:
        pair.proxy.black_hole(*HOLES[directions])
        await pair.write(5)
        await pair.found()
        pair.proxy.heal()
        await pair.level()
        return pair.figures


async def stranded(daemon, directions):
    """The connection is dead and a new one is not; what the dead one held arrives afterwards."""
    async with told(daemon) as pair:
        pair.proxy.strand(*HOLES[directions])
        await pair.write(5)
        await pair.found()
        await pair.far.link.wait_live(WAIT_S)
        for index in range(1, 9):
            await pair.far.model("log").patch(f"{pair.name}-far-{index}", {"later": True})
        await pair.far.link.wait_live(WAIT_S)
        pair.proxy.heal()
        await until(lambda: pair.proxy.connections == 1, "the end of the stranded connection")
        await pair.level()
        records = await pair.near.model("log").find()
        mine = [record for record in records if f"{pair.name}-far" in record["id"]]
        assert all(record.get("later") for record in mine)
        return pair.figures


async def cut(daemon, seconds):
    """The connection is cut, and nobody gets through for a while."""
    async with told(daemon) as pair:
        pair.proxy.refuse()
        await pair.write(5)
        await pair.found()
        await asyncio.sleep(seconds)
        pair.proxy.heal()
        await pair.level()
        return pair.figures


async def half_closed(daemon, direction):
    """One side has said its end, the other has not."""
    async with told(daemon) as pair:
        pair.proxy.half_close(direction)
        await pair.write(5)
        await pair.found()
        await pair.level()
        return pair.figures


async def slow(daemon, delay_s, bytes_per_s):
    """All is late and little passes."""
    async with told(daemon) as pair:
        pair.proxy.delay(delay_s)
        pair.proxy.throttle(bytes_per_s)
        await pair.write(5)
        await pair.level()
        return pair.figures


async def flapping(daemon, turns, seed=0):
    """The link comes and goes faster than anything can be finished; writes go on."""
    async with told(daemon) as pair:
        flap = asyncio.create_task(pair.proxy.flap(turns, up_s=0.15, down_s=0.05, seed=seed))
        while not flap.done():
            await pair.write()
            await asyncio.sleep(0.01)
        await flap
        await pair.level()
        pair.figures["connections"] = pair.proxy.accepted
        return pair.figures


def follow(url, store):
    """Follow a daemon, in a process of its own, until killed."""

    async def stay():
        async with syncline.connect(url, store=store, models=["log"], settings=SETTINGS) as replica:
            await replica.link.wait_live(WAIT_S)
            print("level", flush=True)
            await asyncio.Event().wait()

    asyncio.run(stay())


STORIES = {
    **{f"black hole {name}": (black_hole, name) for name in HOLES},
    **{f"stranded {name}": (stranded, name) for name in HOLES},
    **{f"cut for {seconds} s": (cut, seconds) for seconds in (0.0, 0.3, 3.0)},
    "half-closed in": (half_closed, IN),
    "half-closed out": (half_closed, OUT),
    "slow": (slow, 0.02, 50_000),
    "flapping": (flapping, 30),
}
"""All of them, as told by hand."""
