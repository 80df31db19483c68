// What a replica does with its upstream's word: tested on the engine, without a network.

import assert from "node:assert/strict";
import test from "node:test";

import { Told } from "../../../client/browser/src/news.js";
import { BulkResult, Interval, Refuse, Replica, Update, replicate } from "./harness.mjs";

const CURSOR = { source: "list", epoch: "e", seq: 0, reach: 0, isWhole: true, resetting: null, models: ["todo"] };
const LIMITS = { itemsMax: 100, bytesMax: 1e6 };

async function open(options = {}) {
  const replica = await Replica.open({ models: ["todo"], follows: true, ...options });
  const { engine, writer } = replica.core;
  engine.outbox.maySquash = true;
  return {
    replica,
    todo: replica.model("todo"),
    collect: (more) => replica.core.read((tx) => engine.outbox.collect(tx, { ...LIMITS, ...more })),
    take: (updates, seq, fields = {}) =>
      writer.run((tx) =>
        engine.carryOut(tx, {
          kind: "ApplyUpdates",
          interval: new Interval({ epoch: "e", since: 0, checkpoint: seq, head: seq, updates }),
          mode: "whole",
          cursor: { ...CURSOR, seq, ...fields },
          withStage: false,
        }),
      ),
    answer: (pushed, results, seq = 0) =>
      writer.run((tx) =>
        engine.acknowledge(tx, pushed, {
          kind: "Acknowledge",
          pushId: 1,
          answer: new BulkResult({ epoch: "e", checkpoint: seq, results }),
          cursor: { ...CURSOR, seq },
        }),
      ),
    reset: (shared, offersBack) =>
      writer.run((tx) =>
        engine.carryOut(tx, { kind: "BeginReset", cursor: { ...CURSOR, resetting: shared }, shared, offersBack }),
      ),
  };
}

function theirs(n, seq, fields = {}) {
  return new Update({
    model: "todo", recordId: "1", seq, rev: `${n}-${String(n).padStart(16, "0")}`, origin: "you",
    data: { id: "1", n }, ...fields,
  });
}

function resultOf({ model, recordId, rev }, answer, fields = {}) {
  return { model, recordId, rev, answer, seq: 0, current: null, reason: "", ...fields };
}

test("a second edit while the first is on its way names the first once that was taken", async () => {
  const { todo, collect, answer } = await open();
  const first = await todo.put("1", { n: 1 });
  const { updates } = await collect();
  const second = await todo.put("1", { n: 2 });
  assert.deepEqual([second.generation, second.ancestors], [2, [first.rev]]);

  await answer(updates, [resultOf(first, "applied", { seq: 7 })]);

  const [next] = (await collect()).updates;
  assert.deepEqual([next.rev, next.prev], [second.rev, first.rev]);
});

test("a record is in at most one push on its way, and its group with it", async () => {
  const { replica, todo, collect } = await open();
  await todo.put("1", { n: 1 });
  const { updates: inFlight } = await collect();
  await replica.transaction((tx) => {
    tx.model("todo").put("1", { n: 2 });
    tx.model("todo").put("2", { n: 2 });
  });
  await todo.put("3", { n: 3 });

  const { updates } = await collect({ inFlight });

  assert.deepEqual(updates.map(({ recordId }) => recordId), ["3"]);
});

test("a refusal restores what the upstream holds, and a refused create goes", async () => {
  const { todo, collect, take, answer } = await open();
  await take([theirs(1, 1)], 1);
  const edit = await todo.put("1", { n: 5 });
  const create = await todo.put("2", { n: 5 });
  const { updates } = await collect();

  const outcome = await answer(updates, [resultOf(edit, "refused", { reason: "no" }), resultOf(create, "refused", { reason: "no" })], 1);

  assert.equal(outcome.refusals.length, 2);
  assert.deepEqual(await todo.find(), [{ id: "1", n: 1 }]);
  const change = await todo.getChange("1");
  assert.deepEqual([change.rev, change.ancestors], [theirs(1, 1).rev, [edit.rev]]);
});

test("a refusal of a revision that was edited since keeps the edit", async () => {
  const { todo, collect, answer } = await open();
  const first = await todo.put("1", { n: 1 });
  const { updates } = await collect();
  await todo.put("1", { n: 2 });

  await answer(updates, [resultOf(first, "refused", { reason: "no" })]);

  assert.deepEqual(await todo.get("1"), { id: "1", n: 2 });
});

test("an amendment of an own write is taken; over a newer edit both are merged", async () => {
  const { replica, todo, collect, take } = await open();
  const first = await todo.put("1", { n: 1 });
  await collect();
  await todo.patch("1", { m: 2 });

  await take([theirs(2, 3, { prev: first.rev, ancestors: [first.rev], amendedFor: replica.replicaId, data: { id: "1", n: 1, checked: true } })], 3);

  assert.deepEqual(await todo.get("1"), { id: "1", n: 1, m: 2, checked: true });
  assert.equal((await collect()).updates.length, 1);
});

test("a reset offers what the upstream lost, and drops what it purged", async () => {
  const { todo, take, reset, collect } = await open();
  await take([theirs(1, 1), theirs(2, 9, { recordId: "2", data: { id: "2", n: 2 } })], 9);
  await reset(5, true);

  const outcome = await take([], 9, { resetting: 5 });

  assert.deepEqual([outcome.offered, outcome.dropped], [1, 1]);
  assert.deepEqual(await todo.find(), [{ id: "2", n: 2 }]);
  assert.deepEqual((await collect()).updates.map(({ recordId, prev }) => [recordId, prev]), [["2", null]]);
});

test("a reset by another daemon's data offers only what was pending", async () => {
  const { todo, take, reset, collect } = await open();
  await take([theirs(1, 1), theirs(2, 9, { recordId: "2", data: { id: "2", n: 2 } })], 9);
  await todo.put("3", { n: 3 });
  await reset(0, false);

  await take([], 9, { resetting: 0 });

  assert.deepEqual(await todo.find(), [{ id: "3", n: 3 }]);
  assert.deepEqual((await collect()).updates.map(({ recordId }) => recordId), ["3"]);
});

test("a reset offers back what was deleted here, acknowledged or not", async () => {
  const { todo, take, reset, collect, answer } = await open();
  const ids = ["1", "2"];
  await take(ids.map((recordId, n) => theirs(1, 8 + n, { recordId, data: { id: recordId } })), 9);
  const first = await todo.delete("1");
  await answer((await collect()).updates, [resultOf(first, "applied", { seq: 10 })], 10);
  await todo.delete("2");
  await reset(5, true);

  const outcome = await take([], 10, { resetting: 5 });

  assert.deepEqual([outcome.offered, outcome.dropped], [2, 0]);
  const offered = (await collect()).updates;
  assert.deepEqual(
    offered.map(({ recordId, isDeletion, prev }) => [recordId, isDeletion, prev]),
    ids.map((recordId) => [recordId, true, null]),
  );
});

async function transferred(strategy, { met, word = null }) {
  const { replica, todo, take, collect } = await open({ strategies: strategy });
  await take(["a", "b", "c"].map((recordId, n) => theirs(1, n + 1, { recordId, data: { id: recordId, n: 100 } })), 3);
  await replica.transaction((tx) => {
    tx.model("todo").put("a", { n: 90 });
    tx.model("todo").put("b", { n: 110 });
  });
  await take(met, 9);
  if (word !== null) for (const conflict of await replica.conflicts()) await conflict.resolve(word);
  const rows = await todo.find({}, { order: "id" });
  const log = await replica.conflicts({ openOnly: false });
  return {
    balances: rows.map(({ n }) => n),
    waiting: (await collect()).updates.map(({ recordId }) => recordId).sort(),
    log: log.map(({ conflict }) => [conflict.recordId, conflict.ours.data.n, conflict.theirs.data.n, conflict.resolution]).sort(),
  };
}

function otherTransfer(stamp) {
  return [["b", 90], ["c", 110]].map(([recordId, n], index) =>
    theirs(2, 4 + index, { recordId, stamp, data: { id: recordId, n } }));
}

const [EARLIER, LATER] = [1, 2 ** 60];

for (const [strategy, stamp, balances] of [
  ["theirs", EARLIER, [100, 90, 110]],
  ["latest", LATER, [100, 90, 110]],
  ["merge:theirs", EARLIER, [100, 90, 110]],
  ["ours", LATER, [90, 110, 110]],
  ["latest", EARLIER, [90, 110, 110]],
]) {
  test(`a transaction stands or gives way whole: ${strategy} ${stamp}`, async () => {
    const found = await transferred(strategy, { met: otherTransfer(stamp) });

    assert.deepEqual(found.balances, balances);
    assert.deepEqual(found.waiting, balances[0] === 90 ? ["a", "b"] : []);
    if (balances[0] === 100) {
      assert.deepEqual(found.log, [["a", 90, 100, "theirs"], ["b", 110, 90, "theirs"]]);
    }
  });
}

test("one record that loses is enough, in whatever order the list brings them", async () => {
  const met = [
    theirs(2, 4, { recordId: "a", stamp: EARLIER, data: { id: "a", n: 95 } }),
    theirs(2, 5, { recordId: "b", stamp: LATER, data: { id: "b", n: 90 } }),
  ];
  for (const order of [met, [...met].reverse()]) {
    assert.deepEqual((await transferred("latest", { met: order })).balances, [95, 90, 100]);
  }
});

for (const [word, balances] of [["theirs", [100, 90, 110]], ["ours", [90, 110, 110]]]) {
  test(`a person who says ${word} decides for the whole transaction`, async () => {
    assert.deepEqual((await transferred("manual", { met: otherTransfer(EARLIER), word })).balances, balances);
  });
}

// ---- transactions that share a record

const edit = (held, group, n, nonce = "1") =>
  new Update({ ...held, rev: `${held.generation + 1}-${nonce.repeat(16)}`, prev: held.rev,
    ancestors: [...held.ancestors, held.rev], group, origin: "below", data: { id: held.recordId, n } });

async function meeting() {
  const one = await open();
  const [a, b, c] = ["a", "b", "c"].map((recordId, n) => theirs(1, n + 1, { recordId, data: { id: recordId, n: 100 } }));
  await one.take([a, b, c], 3);
  const together = async () => {
    const groups = new Map();
    for (const { recordId, group } of (await one.collect()).updates) {
      const name = group ?? recordId;
      groups.set(name, [...(groups.get(name) ?? []), recordId].sort());
    }
    return [...groups.values()].sort();
  };
  return { ...one, a, b, c, together };
}

for (const nonce of ["0", "f"]) {
  test(`what was written the same here waits with the transaction that is pushed: ${nonce}`, async () => {
    const { replica, todo, a, b, together } = await meeting();
    await todo.put("b", { n: 110 });

    const { results } = await replica.bulkUpdate([edit(a, "h", 90), edit(b, "h", 110, nonce)]);

    assert.ok(results.every(({ answer }) => ["applied", "known"].includes(answer)));
    assert.deepEqual(await together(), [["a", "b"]]);
  });
}

test("transactions pushed at once that meet one that waits are one", async () => {
  const { replica, c, together } = await meeting();
  const held = {};
  await replica.transaction((tx) => {
    tx.model("todo").put("a", { n: 90 });
    tx.model("todo").put("b", { n: 110 });
  });
  for (const id of ["a", "b"]) held[id] = await replica.model("todo").getChange(id);

  await replica.bulkUpdate([edit(held.a, "h", 80), edit(c, "h", 120), edit(held.b, "i", 120)]);

  assert.deepEqual(await together(), [["a", "b", "c"]]);
});

test("of equal stamps a person's latest is the greater revision", async () => {
  for (const [nonce, n] of [["0".repeat(16), 1], ["f".repeat(16), 2]]) {
    const { replica, todo, take } = await open();
    const ours = await todo.put("1", { n: 1 });
    await take([theirs(2, 4, { rev: `1-${nonce}`, stamp: ours.stamp })], 4);
    const [conflict] = await replica.conflicts();

    await conflict.resolve("latest");

    assert.deepEqual(await todo.get("1"), { id: "1", n });
  }
});

test("a follower keeps the ancestors that it was not told", async () => {
  const { replica, take } = await open();
  const ancestors = ["1-0000000000000001", "2-0000000000000002"];
  await take([theirs(3, 5, { ancestors })], 5);

  const told = new Told({ ...theirs(4, 6), model: "todo" }, "0000000000000003");
  const outcome = await take([told], 6);

  assert.equal(outcome.lacksAnchor, false);
  const [{ update }] = await replica.core.read((tx) => [...tx.entriesOf([told.key]).values()]);
  assert.deepEqual([update.ancestors, update.prev], [[...ancestors, "3-0000000000000003"], "3-0000000000000003"]);
});

test("where what a live update was made upon is not held, nothing is done", async () => {
  const { replica, take } = await open();
  await take([theirs(3, 5)], 5);

  const told = new Told({ ...theirs(9, 7) }, "0000000000000008");
  const outcome = await take([theirs(1, 6, { recordId: "2", data: { id: "2" } }), told], 7);

  assert.equal(outcome.lacksAnchor, true);
  assert.equal(await replica.model("todo").get("2"), null);
  assert.equal((await replica.core.read((tx) => replica.core.engine.cursor(tx))).seq, 5);
});

test("what only we ever wrote does not collide after a lost answer", async () => {
  for (const strategies of ["merge", "manual"]) {
    const { replica, todo, take, collect } = await open({ strategies });
    await take([theirs(1, 1, { data: { id: "1", n: 0 } })], 1);
    const first = await todo.put("1", { n: 1 });
    await collect();
    await todo.put("1", { n: 2 });

    const data = { id: "1", n: 1, other: 5 };
    await take([theirs(3, 9, { prev: first.rev, ancestors: [first.rev], data })], 9);

    const found = await replica.conflicts();
    if (strategies === "manual") assert.deepEqual(found[0].base, { id: "1", n: 1 });
    else assert.deepEqual([found, await todo.get("1")], [[], { id: "1", n: 2, other: 5 }]);
  }
});

async function collided(recordId = "1", hooks = {}) {
  const [one, other] = [await Replica.open({ models: ["todo"], hooks }), await Replica.open({ models: ["todo"] })];
  const [from, to] = [one.model("todo"), other.model("todo")];
  await from.put(recordId, { m: 1 });
  await to.put(recordId, { m: 2 });
  const { conflicts } = await replicate(from, to);
  return { from, to, conflict: conflicts[0] };
}

test("a resolution keeps its id, at both ends", async () => {
  for (const recordId of ["1", 1]) {
    const { from, to, conflict } = await collided(recordId);
    await conflict.resolveManually({ m: 3 });
    await replicate(from, to);
    for (const end of [from, to]) assert.deepEqual(await end.get(recordId), { id: recordId, m: 3 });
  }
});

test("a resolution that a put would refuse settles nothing", async () => {
  for (const data of [{ id: "2", m: 3 }, { m: NaN }, { m: 2 ** 1024 }, { m: () => 1 }, []]) {
    const { conflict } = await collided();
    await assert.rejects(conflict.resolveManually(data));
    assert.deepEqual(await conflict.models(), [{ id: "1", m: 1 }, { id: "1", m: 2 }]);
  }
});

test("a resolution that a rule refuses says so", async () => {
  const validate = (_principal, _before, after) => {
    if (after?.m === 3) throw new Refuse("no threes");
  };
  const { conflict } = await collided("1", { validate: { todo: validate } });
  await assert.rejects(conflict.resolveManually({ m: 3 }), { code: "write_refused" });
});
