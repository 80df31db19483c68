// Ids keep their type, and what a record can hold can be searched for.

import assert from "node:assert/strict";
import test from "node:test";

import { Replica, connect, connectRemote, url } from "./harness.mjs";

const WAIT_MS = 20000;
const options = { skip: url ? false : "set SYNCLINE_TEST_URL to a daemon's address" };
const GIVEN = [
  [8, 8], ["8", "8"], [0, 0], [-3, -3], [2 ** 60, 2 ** 60], [1e22, 1e22], [8n, 8], ["07", "07"],
  [2n ** 60n + 1n, String(2n ** 60n + 1n)],
];

async function open(t) {
  const replica = await Replica.open({});
  t.after(() => replica.close());
  return replica;
}

for (const [given, kept] of GIVEN) {
  test(`an id given as ${typeof given} ${given} stays what it is by every verb`, async (t) => {
    const replica = await open(t);
    const model = replica.model("t");
    const text = typeof kept === "number" ? BigInt(kept).toString() : kept;

    assert.deepEqual((await model.put(given, { v: 1 })).data, { id: kept, v: 1 });
    assert.deepEqual(await model.find({ where: { id: kept } }), [{ id: kept, v: 1 }]);
    for (const [number, name] of [given, text].entries()) {
      await model.put(name, { v: number });
      assert.deepEqual(await model.get(text), { id: kept, v: number });
      await model.patch(name, { w: number });
      await replica.transaction((tx) => tx.model("t").put(name, { x: number }));
      assert.deepEqual(await model.get(text), { id: kept, x: number });
    }
    assert.equal(await model.count(), 1);
  });
}

test("an id that the record names is taken at its word, and what was deleted is given anew", async (t) => {
  const model = (await open(t)).model("t");
  await model.put({ id: 8, v: 1 });
  await model.put(8, { id: "8" });
  assert.deepEqual(await model.get(8), { id: "8" });
  await model.delete(8);
  await model.put(8, {});
  assert.deepEqual(await model.get("8"), { id: 8 });
  await model.putMany([{ id: 0 }, { id: null }]);
  assert.equal(await model.count(), 3);
});

test("a date and a bigint are searched for as they were stored", async (t) => {
  const model = (await open(t)).model("t");
  const at = new Date();
  const later = new Date(at.getTime() + 1);
  await model.put("1", { at, n: 2n ** 60n });
  const wheres = [
    { at }, { at: { gte: at } }, { at: { lt: later } }, { at: { between: [at, later] } },
    { at: { inq: [later, at] } }, { n: 2n ** 60n }, { n: { gte: 1152921504606847000n } },
  ];

  for (const where of wheres) assert.equal(await model.count(where), 1, String(Object.keys(where)));
  assert.equal(await model.count({ at: later }), 0);
  await assert.rejects(model.find({ where: { at: new Date(NaN) } }), { code: "filter_invalid" });
  await assert.rejects(model.find({ where: { at: [at] } }), { code: "filter_invalid" });
});

test("a name with a dot, a blank or a word of filters is ordered by", async (t) => {
  const model = (await open(t)).model("t");
  await model.putMany([1, 2, 3].map((n) => ({ id: n, "a.b": n, "a b": -n, and: n, "x desc": n })));

  for (const order of ["a\\.b DESC", "a\\ b", "and DESC", "\\and desc", "x\\ desc DESC"]) {
    assert.deepEqual((await model.find({ order })).map(({ id }) => id), [3, 2, 1], order);
  }
  await assert.rejects(model.find({ order: "a b" }), { code: "filter_invalid" });
});

test("a daemon's records are found by what they hold, and after a number", options, async (t) => {
  const name = `v${process.pid}`;
  const at = new Date();
  const replica = await connect(url, { models: [name] });
  t.after(() => replica.close());
  await replica.model(name).putMany([1, 2, 3].map((n) => ({ id: n, at })));
  await replica.link.waitLive(WAIT_MS);
  const remote = await connectRemote(url);
  t.after(() => remote.close());
  const model = remote.model(name);

  assert.equal(await model.count({ at }), 3);
  assert.deepEqual((await model.find({ where: { at: { lte: at } }, after: 1 })).map(({ id }) => id), [2, 3]);
  assert.deepEqual((await model.put("2", { v: 1 })).data.id, 2);
  assert.deepEqual((await model.put(4, { v: 1 })).data.id, 4);
});

test("all of a daemon's records are found, not the first ten thousand", options, async (t) => {
  const name = `w${process.pid}`;
  const replica = await connect(url, { models: [name] });
  t.after(() => replica.close());
  for (let from = 0; from < 12000; from += 3000) {
    await replica.model(name).putMany(
      Array.from({ length: 3000 }, (_, n) => ({ id: String(from + n).padStart(5, "0"), n: from + n })),
    );
  }
  await replica.link.waitLive(3 * WAIT_MS);
  const remote = await connectRemote(url);
  t.after(() => remote.close());
  const model = remote.model(name);

  assert.equal((await model.find()).length, 12000);
  assert.equal((await model.find({ limit: 11000 })).length, 11000);
  assert.equal((await model.find({ where: { n: { lt: 10000 } } })).length, 10000);
  const down = await model.find({ order: "n DESC", limit: 10001 });
  assert.deepEqual(down.map(({ n }) => n), Array.from({ length: 10001 }, (_, n) => 11999 - n));
});

test("a put without a record is refused, and empties none", async () => {
  const replica = await Replica.open({ models: ["todo"] });
  const todo = replica.model("todo");
  await todo.put("1", { title: "milk" });

  for (const data of [undefined, null, "title", [1]]) {
    await assert.rejects(todo.put("1", data), { code: "record_invalid" });
  }

  assert.deepEqual(await todo.get("1"), { id: "1", title: "milk" });
  await todo.put("1", {});
  assert.deepEqual(await todo.get("1"), { id: "1" });
  await replica.close();
});

test("a put at a daemon without a record is refused, and deletes none", async () => {
  const remote = await connectRemote(url);
  const todo = remote.model("todo");
  await todo.put("no record", { title: "milk" });

  for (const data of [undefined, null, "title"]) {
    await assert.rejects(todo.put("no record", data), { code: "record_invalid" });
  }

  assert.deepEqual(await todo.get("no record"), { id: "no record", title: "milk" });
  await remote.close();
});
