"""One number through every door: what one takes all take, what one refuses all refuse."""

import asyncio
import json
import math
import random
import shutil
import struct
import subprocess
from pathlib import Path

import aiohttp
import pytest
import socketio

import syncline
from syncline import blocking
from syncline.doubles import number_text
from syncline.errors import FilterInvalid, NumberNotAllowed


PACKAGE = Path(__file__).resolve().parents[2] / "client" / "browser"
WAIT_S = 20
PAGE = """
const { connect } = await import(process.argv[1]);
const [url, id, text] = process.argv.slice(2);
const page = await connect(url, { models: ["t"], store: "memory:" });
await page.link.waitLive(20000);
await page.model("t").put(id, { v: JSON.parse(text) });
await page.link.waitLive(20000);
const seen = Object.fromEntries((await page.model("t").find()).map(({ id, v }) => [id, v]));
console.log(JSON.stringify(seen));
await page.close();
"""


def doubles():
    """Doubles of all sizes, and those at the edges of what languages tell apart."""
    chance = random.Random(27)
    found = [
        0.0,
        -0.0,
        1.0,
        100.0,
        0.1,
        5e-324,
        1e-7,
        1.7976931348623157e308,
        1e16,
        1e20,
        1e21,
        1e22,
    ]
    found += [1e23, 1e100, 1e101, -1e20, 2.0**1000]
    found += [sign * 2.0**power for power in range(52, 66) for sign in (1, -1)]
    found += [math.nextafter(2.0**power, 0.0) for power in (53, 60, 63, 64)]
    found += [float(chance.getrandbits(bits)) for bits in range(50, 90, 3)]
    while len(found) < 120:
        (number,) = struct.unpack("<d", chance.randbytes(8))
        if math.isfinite(number):
            found.append(number)
    return found


def texts_of(number):
    """Return how languages write a double: JavaScript, Python, and whoever counts in integers."""
    texts = {number_text(number), repr(number)}
    if number.is_integer() and abs(number) < 1e300:
        texts.add(str(int(number)))
    return texts


GOOD = sorted({text for number in doubles() for text in texts_of(number)} | {"1e2", "-0", "1.0"})
BAD = [
    "9007199254740993",
    "18446744073709551617",
    "-18446744073709551617",
    "9223372036854775809",
    "100000000000000000001",
    "1152921504606846977",
    "1" + "0" * 350,
]
EXPECTED = [float(text) for text in GOOD]
VALUES = json.loads(f"[{','.join(GOOD)}]")
BODY = f'{{"v":[{",".join(GOOD)}]}}'


class Wire:
    """A client that sends the digits that it is given, and reads them as they came."""

    def __init__(self, socket):
        self._socket = socket

    async def _answer(self):
        while True:
            message = await self._socket.receive(WAIT_S)
            assert message.type is aiohttp.WSMsgType.TEXT, message
            if message.data.startswith("431"):
                return json.loads(message.data[3:], parse_int=float)[0]

    async def ask(self, event, text):
        await self._socket.send_str(f'421["{event}",{text}]')
        return await self._answer()

    async def push(self, record_id, value, *, attached, rev="1-00000000000000aa", more=""):
        update = (
            f'[{{"model":"t","id":"{record_id}","rev":"{rev}"{more},'
            f'"data":{{"id":"{record_id}","v":{value}}}}}]'
        )
        if not attached:
            return (await self.ask("bulk_update", f'{{"updates":{update}}}'))["results"][0]
        await self._socket.send_str('451-1["bulk_update",{},{"_placeholder":true,"num":0}]')
        await self._socket.send_bytes(update.encode())
        while True:
            message = await self._socket.receive(WAIT_S)
            if message.type is aiohttp.WSMsgType.BINARY:
                return json.loads(message.data)[0]


@pytest.fixture(params=["memory", "sqlite"])
async def wire(request, serve, tmp_path):
    store = "memory:" if request.param == "memory" else tmp_path / "daemon.db"
    daemon = serve(store, "--model", "t")
    address = f"{daemon.url}/socket.io/?EIO=4&transport=websocket"
    async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
        await socket.receive(WAIT_S)
        await socket.send_str('40{"protocol":1}')
        await socket.receive(WAIT_S)
        made = Wire(socket)
        made.url = daemon.url
        made.api = f"{daemon.url}/api/t"
        made.session = session
        yield made


async def rest(wire, method, path, text):
    headers = {"Content-Type": "application/json"}
    async with wire.session.request(
        method, wire.api + path, data=text.encode(), headers=headers
    ) as answer:
        return answer.status, json.loads(await answer.text())


def write_blocking(url):
    with blocking.connect(url, models=["t"]) as replica:
        replica.model("t").put("blocking", {"v": VALUES})
        replica.wait_live(WAIT_S)


async def write_by_all(wire, cli, in_thread):
    """Write all good numbers by every door, each a record; return the ids."""
    async with syncline.connect(wire.url, models=["t"]) as replica:
        t = replica.model("t")
        await t.put("put", {"v": VALUES})
        await t.put("patch", {})
        await t.patch("patch", {"v": VALUES})
        await t.put_many([{"id": "many", "v": VALUES}])
        async with replica.transaction() as tx:
            tx.model("t").put("transaction", {"v": VALUES})
            tx.model("t").put("beside", {"v": VALUES})
        await replica.link.wait_live(WAIT_S)
    async with await syncline.connect_remote(wire.url) as remote:
        await remote.model("t").put("remote", {"v": VALUES})
    await in_thread(write_blocking, wire.url)
    values = f"[{','.join(GOOD)}]"
    for name, attached in (("inline", False), ("attached", True)):
        result = await wire.push(name, values, attached=attached)
        assert "applied" == result["answer"]
        assert "current" not in result
    assert 200 == (await rest(wire, "POST", "", BODY.replace("{", '{"id":"post",', 1)))[0]
    assert 200 == (await rest(wire, "PUT", "", BODY.replace("{", '{"id":"put_api",', 1)))[0]
    await in_thread(cli, "put", wire.url, "t", "command", BODY)
    await in_thread(cli, "put", wire.url, "t", "pairs", f"v={values}")
    return [
        "put", "patch", "many", "transaction", "beside", "remote", "blocking", "inline",
        "attached", "post", "put_api", "command", "pairs",
    ]  # fmt: skip


async def test_every_door_takes_a_number_and_all_keep_the_same(wire, cli, in_thread):
    ids = await write_by_all(wire, cli, in_thread)

    async with wire.session.get(wire.api) as answer:
        listed = {one["id"]: one["v"] for one in json.loads(await answer.text(), parse_int=float)}
    assert dict.fromkeys(ids, EXPECTED) == listed
    stock = socketio.AsyncClient()
    await stock.connect(wire.url, auth={"protocol": 1})
    bodies = set()
    for record_id in ids:
        found = await wire.ask("get", f'{{"model":"t","id":"{record_id}"}}')
        assert EXPECTED == found["change"]["data"]["v"]
        seen = await stock.call("get", {"model": "t", "id": record_id}, timeout=WAIT_S)
        assert EXPECTED == seen["change"]["data"]["v"]
        _, page = await stock.call("find", {"model": "t", "where": {"id": record_id}})
        bodies.add(json.dumps(json.loads(page)[0]["v"]))
    await stock.disconnect()
    shown = await in_thread(cli, "get", wire.url, "t", "put", "--json")
    assert EXPECTED == json.loads(shown.output)["v"]
    async with syncline.connect(wire.url, models=["t"]) as replica:
        await replica.link.wait_live(WAIT_S)
        assert dict.fromkeys(ids, EXPECTED) == {
            one["id"]: one["v"] for one in await replica.model("t").find()
        }
    assert 1 == len(bodies)


async def test_a_page_writes_and_reads_the_same_numbers(wire, cli, in_thread):
    if shutil.which("node") is None or not (PACKAGE / "node_modules").is_dir():
        pytest.skip("install node and npm, then: npm ci --prefix client/browser")
    await write_by_all(wire, cli, in_thread)

    done = await asyncio.to_thread(
        subprocess.run,
        ["node", "--input-type=module", "--eval", PAGE,
         f"{PACKAGE}/src/index.js", wire.url, "page", f"[{','.join(GOOD)}]"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip

    seen = json.loads(done.stdout, parse_int=float)
    assert "page" in seen
    assert dict.fromkeys(seen, EXPECTED) == seen
    async with wire.session.get(f"{wire.api}/page") as answer:
        assert EXPECTED == json.loads(await answer.text(), parse_int=float)["v"]


@pytest.mark.parametrize("text", BAD)
async def test_what_no_double_holds_is_refused_by_every_door(wire, cli, in_thread, text):
    value = json.loads(text)
    async with await syncline.Replica.open("memory:") as replica:
        t = replica.model("t")
        await t.put("1", {})
        with pytest.raises(NumberNotAllowed):
            await t.put("1", {"v": value})
        with pytest.raises(NumberNotAllowed):
            await t.patch("1", {"v": value})
        with pytest.raises(NumberNotAllowed):
            await t.put("2", {"v": [{"deep": value}]})
        with pytest.raises(FilterInvalid):
            await t.find({"v": value})
    async with await syncline.connect_remote(wire.url) as remote:
        with pytest.raises(NumberNotAllowed):
            await remote.model("t").put("1", {"v": value})
    for attached in (False, True):
        result = await wire.push("1", text, attached=attached)
        assert ("refused", "number_not_allowed") == (
            result["answer"],
            result["reason"].partition(":")[0],
        )
    for method, path in (("POST", ""), ("PUT", "")):
        status, said = await rest(wire, method, path, f'{{"id":"1","v":{text}}}')
        assert (422, "number_not_allowed") == (status, said["error"]["code"])
    refused = await in_thread(cli, "put", wire.url, "t", "1", f"v={text}", code=1)
    assert "2^53" in refused.output

    assert {"change": None} == await wire.ask("get", '{"model":"t","id":"1"}')
    assert (
        "filter_invalid"
        == (await wire.ask("find", f'{{"model":"t","where":{{"v":{text}}}}}'))["error"]["code"]
    )


async def test_a_number_is_found_by_any_of_its_texts(wire):
    for index, text in enumerate(GOOD):
        await wire.push(f"n{index:03}", text, attached=False, rev=f"1-{index:016x}")

    for text in GOOD:
        counted = await wire.ask("count", f'{{"model":"t","where":{{"v":{text}}}}}')
        assert EXPECTED.count(float(text)) == counted["count"], text


@pytest.mark.parametrize("text", ["1.0", "1e2", "-0.0", "1152921504606847000", "1e20"])
@pytest.mark.parametrize("attached", [False, True], ids=["inline", "attached"])
async def test_equal_numbers_are_no_amendment(wire, text, attached):
    first = await wire.push("1", text, attached=attached)
    upon = ',"prev":"1-00000000000000aa","ancestors":["1-00000000000000aa"]'
    second = await wire.push("1", "7", attached=attached, rev="2-00000000000000ab", more=upon)

    assert ("applied", None) == (first["answer"], first.get("current"))
    assert "applied" == second["answer"]
