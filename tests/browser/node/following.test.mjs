// What a replica does with its upstream's word: tested on the engine, without a network.

import assert from "node:assert/strict";
import test from "node:test";

import { BulkResult, Interval, Replica, Update } from "./harness.mjs";

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
