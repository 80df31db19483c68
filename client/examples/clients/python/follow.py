"""
A client with nothing but python-socketio: follows a model and writes a record, or only listens.

    python follow.py http://127.0.0.1:8765 todo        follow, with pages, heartbeats and a write
    python follow.py http://127.0.0.1:8765 todo bare   hear `changed` and no more

It takes `pip install "python-socketio[asyncio_client]"`.
"""

import asyncio
import contextlib
import json
import secrets
import sys
from collections.abc import Sequence
from typing import Any

import socketio


DEADLINE_S = 20


def say(*words: object) -> None:
    """Print a line at once."""
    print(*words, flush=True)


async def listen(url: str) -> None:
    """Hear which models change; the library's own reconnection is all that it takes."""
    client = socketio.AsyncClient()
    client.on("connect", lambda: say("connected"))
    client.on("changed", lambda model: say("changed", model))
    # By default it waits one second to be let in, and a crowd may take longer.
    await client.connect(url, retry=True, wait_timeout=30)
    await client.wait()


class Follower:
    """Keeps a model's records, by the rules of PROTOCOL.md, section 4."""

    def __init__(self, url: str, model: str) -> None:
        self.url, self.model = url, model
        self.cursor: dict[str, Any] = {"source": "", "epoch": "", "seq": 0}
        self.records: dict[str, Any] = {}
        self.has_written = False
        self.must_look = asyncio.Event()
        self.auth: dict[str, Any] = {"protocol": 1}
        self.delay_s = 1.0
        # After a `bye` the library does not come back by itself, so all of it is done by hand.
        self.client = socketio.AsyncClient(reconnection=False)
        self.client.on("changed", self.changed)
        self.client.on("behind", lambda *_: self.must_look.set())
        self.client.on("bye", self.bye)
        self.client.on("connect_error", self.refused)
        self.client.on("disconnect", lambda *_: self.must_look.set())

    async def run(self) -> None:
        """Follow for ever."""
        while True:
            self.delay_s = 1.0
            try:
                await self.client.connect(self.url, auth=self.auth, wait_timeout=DEADLINE_S)
                self.auth = {"protocol": 1}
                await self.follow()
            except (socketio.exceptions.SocketIOError, OSError) as error:
                say("lost", type(error).__name__)
            await self.client.disconnect()
            await asyncio.sleep(self.delay_s)

    async def follow(self) -> None:
        """Say hello before anything else; then beat, and fetch what is not sent."""
        hello = {"replica": "python-example", "models": [self.model], **self.cursor}
        (welcome,) = await self.ask("hello", hello)
        if welcome.get("standing") == "reset":
            self.records.clear()
            self.cursor["seq"] = 0
        self.cursor.update(source=welcome["source"], epoch=welcome["epoch"])
        head = welcome["head"]
        while self.client.connected:
            if head > self.cursor["seq"]:
                await self.read_pages()
            if not self.has_written:
                await self.write("python", {"title": "from python"})
                self.has_written = True
                say("ready", self.cursor["seq"])
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.must_look.wait(), welcome["heartbeat_s"])
            self.must_look.clear()
            (beat,) = await self.ask("heartbeat", {"cursor": self.cursor["seq"]})
            head = beat["head"]

    async def ask(self, event: str, *args: Any) -> Sequence[Any]:
        """Return the arguments of the acknowledgement; the library unpacks one that is alone."""
        got = await self.client.call(event, args, timeout=DEADLINE_S)
        answer = got if isinstance(got, list | tuple) else [got]
        if "error" in answer[0]:
            raise socketio.exceptions.SocketIOError(answer[0]["error"]["message"])
        return answer

    async def read_pages(self) -> None:
        """Gather pages until one is whole, and take them as one interval."""
        since = checkpoint = self.cursor["seq"]
        updates = []
        while True:
            header, page = await self.ask("changes", {"since": checkpoint})
            updates += json.loads(page)
            checkpoint = header["checkpoint"]
            if checkpoint >= header["head"]:
                break
        self.take(header["epoch"], since, checkpoint, updates)

    def take(self, epoch: str, since: int, checkpoint: int, updates: list[Any]) -> None:
        """Take an interval that joins what is held; of any other the pages will tell."""
        if epoch != self.cursor["epoch"] or not since <= self.cursor["seq"] < checkpoint:
            return
        for update in updates:
            self.records[update["id"]] = update
            say("record", update["id"], json.dumps(update.get("data")))
        self.cursor["seq"] = checkpoint

    def changed(self, interval: dict[str, Any]) -> None:
        """Hear a live event: take it, or have what is missing fetched."""
        updates = interval.get("updates")
        if updates is not None:
            self.take(interval["epoch"], interval["since"], interval["checkpoint"], updates)
        if interval["checkpoint"] > self.cursor["seq"]:
            self.must_look.set()

    def bye(self, said: dict[str, Any]) -> None:
        """Note when to come back."""
        self.delay_s = said.get("delay_ms", 1000) / 1000

    def refused(self, error: Any) -> None:
        """Hear why a CONNECT was refused: the exception that `connect` raises does not say."""
        told = error.get("data", {}) if isinstance(error, dict) else {}
        say("refused", told.get("code", error))
        if told.get("code") == "busy":
            self.delay_s = told.get("delay_ms", 1000) / 1000
            self.auth = {"protocol": 1, "ticket": told.get("ticket", "")}

    async def write(self, record_id: str, data: dict[str, Any]) -> None:
        """Push one record, built on what is held of it."""
        held = self.records.get(record_id)
        ancestors = []
        if held is not None:
            ancestors = [*held.get("ancestors", []), held["rev"].removesuffix("-deleted")]
        generation = 1 + max((int(one.partition("-")[0]) for one in ancestors), default=0)
        update = {
            "model": self.model,
            "id": record_id,
            "rev": f"{generation}-{secrets.token_hex(8)}",
            "prev": held["rev"] if held else None,
            "ancestors": ancestors[-64:],
            "origin": "python-example",
            "data": {**data, "id": record_id},
        }
        (answer,) = await self.ask("bulk_update", {"updates": [update]})
        say("wrote", answer["results"][0]["answer"])


if __name__ == "__main__":
    url, model, *mode = sys.argv[1:]
    asyncio.run(listen(url) if mode == ["bare"] else Follower(url, model).run())
