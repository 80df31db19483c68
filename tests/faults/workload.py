"""
What a client process does in the rounds of crashes, and the oracle that knows what must be there.

The client prints each write before it makes it and again when it was acknowledged; the oracle is a
plain dictionary that reads those lines. A write that was announced and never acknowledged may be
there or not, and one that was acknowledged must.
"""

import asyncio
import contextlib
import http
import json
import random

import aiohttp

import syncline
from syncline.errors import LinkError, RecordNotFound, StoreError
from syncline.schema import ModelSchema, Property, PropertyKind
from syncline.session import SessionSettings


MODELS = {
    **dict.fromkeys(("log", "counter", "left", "right", "shared")),
    "task": ModelSchema(
        name="task", properties=(Property(name="title", kind=PropertyKind.STRING),)
    ),
}
QUICK = SessionSettings(first_delay_s=0.02, delay_cap_s=0.3, ack_timeout_s=5.0)
TOLD_S = 20.0
GONE = None


def act(url, store, seed, turn):
    """Write, in a process of its own; end when all is level."""
    asyncio.run(_act(url, store, random.Random(f"{seed}-{turn}"), turn))


def act_among_purges(url, store, seed, turn):
    """Write as `act` does, through the LoopBack door too, until the daemon has purged of that."""
    asyncio.run(_act(url, store, random.Random(f"{seed}-{turn}"), turn, among_purges=True))


def finish(url, store):
    """Come back after a crash, get level, and end."""
    asyncio.run(_finish(url, store))


def follow(url, store):
    """Stay, until killed."""
    asyncio.run(_finish(url, store, stay=True))


async def open_client(url, store):
    """Open the client's replica."""
    return await syncline.connect(
        url, store=store, models=MODELS, strategies={"shared": "theirs"}, settings=QUICK
    )


async def _finish(url, store, *, stay=False):
    replica = await open_client(url, store)
    await replica.link.wait_live(TOLD_S)
    print("level", flush=True)
    if stay:
        await asyncio.Event().wait()
    await replica.close()


class Writer:
    """Writes, and says so."""

    def __init__(self, replica, url):
        self._replica = replica
        self._url = url
        self._remote = None

    @contextlib.asynccontextmanager
    async def said(self, *writes, at="here"):
        """Announce writes, [model, id, record or None], and tell when they are acknowledged."""
        print(json.dumps({"try": writes, "at": at}), flush=True)
        yield
        print(json.dumps({"ok": writes, "at": at}), flush=True)

    async def put(self, model, record_id, data):
        """Store a record here."""
        await self._until_kept(
            lambda: self._replica.model(model).put(record_id, data), [model, record_id, data]
        )

    async def delete(self, model, record_id):
        """Delete a record here."""

        async def delete():
            # One that failed after its commit was made all the same.
            with contextlib.suppress(RecordNotFound):
                await self._replica.model(model).delete(record_id)

        await self._until_kept(delete, [model, record_id, GONE])

    async def put_pair(self, record_id, data):
        """Store two records in one transaction."""

        async def put():
            async with self._replica.transaction() as tx:
                tx.model("left").put(record_id, data)
                tx.model("right").put(record_id, data)

        await self._until_kept(put, ["left", record_id, data], ["right", record_id, data])

    async def _until_kept(self, write, *writes):
        """Write, as a program does whose store may fail: again."""
        async with self.said(*writes):
            while True:
                try:
                    await write()
                except StoreError:
                    continue
                return

    async def put_there(self, model, record_id, data):
        """Store a record at the daemon, past this replica; repeat while nothing answers."""
        async with self.said([model, record_id, data], at="there"):
            await self._there(lambda remote: remote.model(model).put(record_id, data))

    async def until_purged(self, model, record_id):
        """Return when the daemon has purged the tombstone of a record."""
        while await self._there(lambda remote: remote.model(model).get_change(record_id)):
            await asyncio.sleep(0.02)

    async def _there(self, ask):
        """Ask the daemon until it answers."""
        async with asyncio.timeout(TOLD_S):
            while True:
                try:
                    if self._remote is None:
                        self._remote = await syncline.connect_remote(self._url)
                    return await ask(self._remote)
                except (LinkError, StoreError):
                    await self.close()
                    await asyncio.sleep(0.02)

    async def put_and_delete_at_door(self, model, record_id, data):
        """Store a record through the LoopBack door and delete it there; the door remembers it."""
        address = f"{self._url}/api/{model}"
        record = {"id": record_id, **data}
        async with aiohttp.ClientSession() as session:
            async with self.said([model, record_id, data], at="there"):
                await _answered(lambda: session.put(address, json=record))
            async with self.said([model, record_id, GONE], at="there"):
                await _answered(lambda: session.delete(f"{address}/{record_id}"))

    async def close(self):
        """Let go of the direct connection."""
        if self._remote is not None:
            await self._remote.close()
            self._remote = None


async def _answered(ask):
    """Ask over HTTP until there is an answer."""
    async with asyncio.timeout(TOLD_S):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with ask() as answer:
                    if answer.status == http.HTTPStatus.OK:
                        return
            await asyncio.sleep(0.02)


async def _act(url, store, chance, turn, *, among_purges=False):
    replica = await open_client(url, store)
    print("open", flush=True)
    writer = Writer(replica, url)
    for step in range(3):
        await _write_some(writer, chance, f"{turn}-{step}")
        if step == 0:
            await _part_and_meet(replica, writer, chance, f"{turn}-{step}")
        if among_purges:
            name = f"{turn}-{step}-there-at-door"
            await writer.put_and_delete_at_door("log", name, {"n": step})
            await writer.until_purged("log", name)
    await replica.link.wait_live(TOLD_S)
    print("level", flush=True)
    await writer.close()
    await replica.close()


async def _write_some(writer, chance, name):
    for index in range(chance.randint(1, 3)):
        await writer.put("log", f"{name}-{index}", {"n": index})
    await writer.put("counter", str(chance.randint(1, 3)), {"n": name})
    await writer.put("task", name, {"title": name})
    await writer.put_pair(name, {"n": chance.random()})
    if chance.random() < 0.7:
        await writer.delete("task", name)
    if chance.random() < 0.3:
        await writer.delete("log", f"{name}-0")


async def _part_and_meet(replica, writer, chance, name):
    """Write on both sides while the link is down: a conflict, many pages, and a write undone."""
    await replica.link.wait_live(TOLD_S)
    await replica.link.pause()
    await writer.put("shared", "1", {"here": name})
    await writer.put("task", f"{name}-undone", {"title": "x"})
    await writer.delete("task", f"{name}-undone")
    await writer.put_there("shared", "1", {"there": name})
    for index in range(chance.randint(3, 6)):
        await writer.put_there("log", f"{name}-there-{index}", {"text": "x" * 2000})
    replica.link.resume()


class Oracle:
    """
    What may stand under each key.

    Attributes:
        acknowledged: how many writes were.
    """

    def __init__(self):
        self._may = {}
        self._pairs = {}
        self._unsure = []
        self.acknowledged = 0

    def hear(self, line):
        """Read a line of a client."""
        if not line.startswith("{"):
            return
        said = json.loads(line)
        writes = said.get("try") or said["ok"]
        for model, record_id, data in writes:
            key = (model, record_id)
            record = None if data is GONE else {"id": record_id, **data}
            may = self._may.setdefault(key, [None])
            if "try" in said:
                may.append(record)
                continue
            self.acknowledged += 1
            if model != "shared":
                # Both sides write the shared ones, and either may stand.
                self._may[key] = [record]

    def problems(self, found):
        """
        Return what is wrong with the records of a replica, a sentence each.

        Args:
            found: what stands, by (model, id).
        """
        wrong = [
            f"{key}: {found.get(key)} stands, {may} may"
            for key, may in self._may.items()
            if found.get(key) not in may
        ]
        wrong += [
            f"{key}: {found[key]} stands, nobody wrote it"
            for key in found.keys() - self._may.keys()
        ]
        return wrong
