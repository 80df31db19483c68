// When a link tells its upstream of open conflicts, and what.

import assert from "node:assert/strict";
import test from "node:test";

import { Reporting } from "../../../client/browser/src/reporting.js";
import { Conflict, Update } from "./harness.mjs";

const REV = "2-00000000000000bb";

function conflict(recordId = "1", { rev = REV, size = 0 } = {}) {
  const ours = new Update({ model: "todo", recordId, rev, data: { id: recordId, x: "x".repeat(size) } });
  const base = { id: recordId };
  return new Conflict({ conflictId: recordId, model: "todo", recordId, base, ours, theirs: ours, openedMs: 5 });
}

function welcomed({ conflictsMax = 10, conflicts = 0, messageBytesMax = 8 * 1024 * 1024 } = {}) {
  const one = new Reporting();
  one.welcomed({ conflictsMax, conflicts, messageBytesMax });
  return one;
}

/** Return what the next report names and tells in full, having answered it; null when none is due. */
function report(one, found, answer = { count: found.length }) {
  assert.ok(one.isDue);
  const made = one.nextReport(found.slice(0, one.limit));
  if (made === null) return null;
  one.answered(made.names, [answer]);
  const [{ conflicts = [], more = false }, attached] = made.args;
  const told = attached ? JSON.parse(new TextDecoder().decode(attached)) : conflicts;
  return { ids: made.names.map(({ id }) => id), told, more };
}

const ids = (said) => said.told.map(({ update }) => update.id);

test("nothing is said where nothing waits and nothing is known", () => {
  const one = welcomed();

  assert.equal(report(one, []), null);
  assert.ok(!one.isDue);
});

test("what waits is named, told in full once it is wanted, and then no more", () => {
  const one = welcomed();
  const first = report(one, [conflict()], { wanted: [0] });
  const second = report(one, [conflict()], { wanted: [0] });

  assert.deepEqual([first.ids, first.told], [["1"], []]);
  assert.deepEqual(second.told, [
    { update: { model: "todo", id: "1", rev: REV, data: { id: "1", x: "" } }, base: { id: "1" }, opened_ms: 5 },
  ]);
  assert.equal(report(one, [conflict()]), null);
});

test("that all is settled is said to a daemon that lists something", () => {
  assert.deepEqual(report(welcomed({ conflicts: 1 }), []).ids, []);
  assert.ok(!welcomed({ conflictsMax: 0, conflicts: 1 }).isDue);
});

test("a commit is a reason to look only where something waits", () => {
  const one = welcomed();
  report(one, []);
  one.noteWritten();
  one.noteOutcome({ conflicts: [], mustPush: true });
  assert.ok(!one.isDue);

  one.noteOutcome({ conflicts: [conflict()], mustPush: false });
  report(one, [conflict()]);
  report(one, [conflict()]);
  assert.ok(!one.isDue);
  one.noteWritten();

  assert.deepEqual(report(one, []).ids, []);
});

test("a collision that was settled at once is told too", () => {
  const one = welcomed();
  report(one, []);

  one.noteCollision();

  assert.deepEqual(report(one, []).ids, []);
});

test("a report that is not answered within two heartbeats is made again", () => {
  const one = welcomed();
  const lost = one.nextReport([conflict()]);
  one.beat();
  assert.ok(!one.isDue);
  one.beat();

  const again = one.nextReport([conflict()]);
  one.answered(lost.names, [{ count: 1 }]);

  assert.deepEqual(again.names, lost.names);
  assert.ok(!one.isDue);
});

for (const retryable of [true, false]) {
  test(`an error ends reports unless it may pass: ${retryable}`, () => {
    const one = welcomed();
    const error = { code: "store_unavailable", message: "m", retryable };
    report(one, [conflict()], { error });
    one.beat();

    assert.equal(one.isDue, retryable);
  });
}

test("the oldest are named, and that there are more", () => {
  const found = ["0", "1", "2", "3", "4"].map((id) => conflict(id));

  const said = report(welcomed({ conflictsMax: 3 }), found);

  assert.deepEqual([said.ids, said.more], [["0", "1", "2"], true]);
});

test("names and records keep to the size of a message", () => {
  const found = Array.from({ length: 100 }, (_, n) => conflict(`${n}`, { size: 400 }));
  const one = welcomed({ conflictsMax: 100, messageBytesMax: 8000 });
  const all = Array.from({ length: 100 }, (_, n) => n);
  let said = report(one, found, { wanted: all });
  const named = said.ids.length;
  const told = [];
  while (said !== null) {
    assert.ok(JSON.stringify(said).length < 8000);
    told.push(...ids(said));
    said = report(one, found, { wanted: all });
  }

  assert.ok(named > 1 && named < 100);
  assert.equal(told.length, named);
  const large = welcomed({ messageBytesMax: 8000 });
  report(large, [conflict("1", { size: 9000 })], { wanted: [0] });
  assert.equal(report(large, [conflict("1", { size: 9000 })]), null);
});
