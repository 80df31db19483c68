// The conversation, as a pure state machine: the claims of tests/unit/test_session.py.

import assert from "node:assert/strict";
import test from "node:test";

import { Told } from "../../../client/browser/src/news.js";
import { stateShown } from "../../../client/browser/src/status.js";
import { Interval, Session, BulkResult, Update } from "./harness.mjs";

const LEVEL = { source: "list", epoch: "e", seq: 10, reach: 10, isWhole: true, resetting: null, models: ["todo"] };
const START = { source: "", epoch: "", seq: 0, reach: 0, isWhole: false, resetting: null, models: [] };

function session(cursor = LEVEL, hasPending = false) {
  return new Session({ replicaId: "me", models: ["todo"], cursor, hasPending, chance: () => 0.5 });
}

function welcome(fields) {
  return {
    source: "list", epoch: "e", head: 10, standing: "good", shared: 0, reason: "", heartbeatS: 10,
    recordBytesMax: 1e6, messageBytesMax: 8e6, pushItemsMax: 5000, models: { todo: "write" }, ...fields,
  };
}

function welcomed(cursor = LEVEL, { hasPending = false, ...fields } = {}) {
  const one = session(cursor, hasPending);
  one.start(0);
  one.connected(0);
  return [one, one.welcomed(0, welcome(fields))];
}

function interval(since, checkpoint, { head = checkpoint, epoch = "e", updates = [] } = {}) {
  return new Interval({ epoch, since, checkpoint, head, updates });
}

function update(origin, seq) {
  return new Update({ model: "todo", recordId: "1", seq, rev: "1-00000000000000aa", origin, data: {} });
}

const kinds = (effects) => effects.map(({ kind }) => kind);
const modes = (effects) => effects.filter(({ kind }) => kind === "ApplyUpdates").map(({ mode }) => mode);

test("it connects, then says hello with its cursor", () => {
  const one = session();
  assert.deepEqual(kinds(one.start(0)), ["Connect"]);
  const [{ hello }] = one.connected(0);
  assert.deepEqual([hello.epoch, hello.seq, hello.reach], ["e", 10, 10]);
});

test("a good cursor at the head is live at once", () => {
  const [one, effects] = welcomed();
  assert.deepEqual(effects, []);
  assert.equal(one.state, "live");
});

test("changes are read before anything is pushed", () => {
  const [one, effects] = welcomed(LEVEL, { head: 12, hasPending: true });
  assert.deepEqual(kinds(effects), ["RequestChanges"]);
  assert.deepEqual(kinds(one.page(0, interval(10, 12))), ["ApplyUpdates", "SendUpdates"]);
});

test("an interval that was taken is skipped", () => {
  assert.deepEqual(welcomed()[0].changed(0, interval(5, 10)), []);
});

test("a contiguous interval is applied", () => {
  const [one] = welcomed();
  assert.deepEqual(modes(one.changed(0, interval(8, 12))), ["whole"]);
  assert.equal(one.cursor.seq, 12);
});

test("a gap, and a hint, are fetched", () => {
  assert.deepEqual(kinds(welcomed()[0].changed(0, interval(11, 12))), ["RequestChanges"]);
  assert.deepEqual(kinds(welcomed()[0].changed(0, interval(10, 12), { carries: false })), ["RequestChanges"]);
});

test("an interval of another epoch is not taken, and asked about once", () => {
  const [one] = welcomed();
  assert.deepEqual(kinds(one.changed(0, interval(10, 12, { epoch: "other" }))), ["SendHeartbeat"]);
  assert.deepEqual(one.changed(0, interval(12, 13, { epoch: "other" })), []);
});

test("a page of another epoch ends the connection, so that the next hello is judged", () => {
  const [one] = welcomed(LEVEL, { head: 20 });
  assert.deepEqual(kinds(one.page(0, interval(10, 20, { epoch: "new" }))), ["Disconnect"]);
  assert.equal(one.cursor.seq, 10);
});

test("pages become visible with the whole interval", () => {
  const [one] = welcomed(LEVEL, { head: 20 });
  assert.deepEqual(modes(one.page(0, interval(10, 15, { head: 20 }))), ["stage"]);
  assert.equal(one.cursor.seq, 10);
  const last = one.page(0, interval(15, 20));
  assert.deepEqual(modes(last), ["whole"]);
  assert.ok(last[0].withStage);
});

test("a page with an older head does not join the stage", () => {
  const [one] = welcomed(LEVEL, { head: 20 });
  one.page(0, interval(10, 15, { head: 20 }));
  assert.deepEqual(modes(one.page(0, interval(15, 18, { head: 18 }))), []);
});

test("a whole interval from the cursor replaces the stage", () => {
  const [one] = welcomed(LEVEL, { head: 20 });
  one.page(0, interval(10, 15, { head: 20 }));
  assert.deepEqual(kinds(one.changed(0, interval(10, 20))), ["DropStage", "ApplyUpdates"]);
});

test("a first sync shows rows as they come", () => {
  const [one] = welcomed(START, { head: 20 });
  assert.deepEqual(modes(one.page(0, interval(0, 15, { head: 20 }))), ["direct"]);
  assert.ok(!one.isLevel);
});

test("a reset voids and stages the list from the start", () => {
  const [one, effects] = welcomed(LEVEL, { head: 8, standing: "reset", shared: 5 });
  assert.deepEqual(kinds(effects), ["DropStage", "BeginReset", "RequestChanges"]);
  assert.deepEqual(modes(one.page(0, interval(0, 4, { head: 8 }))), ["stage"]);
});

test("what was written meanwhile leaves with the answer, one push at a time", () => {
  const [one, [{ pushId }]] = welcomed(LEVEL, { hasPending: true });
  one.collected(0, false);
  assert.deepEqual(one.wrote(0), []);
  const results = [{ model: "todo", recordId: "1", rev: "1-00000000000000aa", answer: "applied", seq: 11, current: null, reason: "" }];
  const answer = new BulkResult({ epoch: "e", checkpoint: 11, results });
  assert.deepEqual(one.answered(0, pushId + 1, answer), []);
  assert.deepEqual(kinds(one.answered(0, pushId, answer)), ["Acknowledge", "SendUpdates"]);
  assert.equal(one.cursor.seq, 11);
});

test("an answer that leaves out a change from the cursor on has it read", () => {
  const [one, [{ pushId }]] = welcomed(LEVEL, { hasPending: true });
  one.collected(0, false);
  const results = [{ model: "todo", recordId: "1", rev: "1-00000000000000aa", answer: "applied", seq: 12, current: null, reason: "" }];
  const answer = new BulkResult({ epoch: "e", checkpoint: 12, results });
  one.changed(0, interval(10, 12, { updates: [update("me", 12)] }));
  assert.deepEqual(kinds(one.answered(0, pushId, answer)), ["Acknowledge", "RequestChanges"]);
  assert.deepEqual([one.cursor.seq, one.cursor.reach], [10, 12]);
});

test("a backlog is pushed two at a time", () => {
  const [one, [first]] = welcomed(LEVEL, { hasPending: true });
  const [second] = one.collected(0, true);
  assert.deepEqual([first.kind, second.kind], ["SendUpdates", "SendUpdates"]);
  assert.deepEqual(one.collected(0, true), []);
});

test("the news of an own push waits for its answer, which says the same", () => {
  const [one] = welcomed(LEVEL, { hasPending: true });
  one.collected(0, false);
  assert.deepEqual(one.changed(0, interval(10, 11, { updates: [update("me", 11)] })), []);
  assert.deepEqual(modes(one.changed(0, interval(10, 12, { updates: [update("me", 11), update("you", 12)] }))), ["whole"]);
});

test("a lost answer reads the list before it pushes again", () => {
  const [one] = welcomed(LEVEL, { hasPending: true });
  assert.deepEqual(kinds(one.tick(20)).filter((kind) => kind !== "SendHeartbeat"), ["RequestChanges"]);
});

test("a heartbeat's head moves an idle cursor; without an answer the link is lost", () => {
  const [one] = welcomed();
  assert.deepEqual(kinds(one.tick(10)), ["SendHeartbeat"]);
  assert.deepEqual(kinds(one.heardHead(10.5, "e", 13)), ["RequestChanges"]);
  const [other] = welcomed();
  other.tick(10);
  assert.ok(kinds(other.tick(20)).includes("Disconnect"));
});

test("bye comes back when the server says", () => {
  const [one] = welcomed();
  one.bye(0, 3, "drain");
  assert.equal(one.nextDeadline(), 3);
  assert.deepEqual(kinds(one.tick(3)), ["Connect"]);
});

test("news that leave out what is staged are read instead", () => {
  const [one] = welcomed(LEVEL, { head: 30 });
  one.page(0, interval(10, 20, { head: 30 }));
  const told = new Told(update("you", 31), "00000000000000bb");

  assert.deepEqual(modes(one.changed(0, interval(20, 31, { updates: [told] }))), []);
  assert.equal(one.knownHead, 31);
});

test("news are applied where the cursor is", () => {
  const [one] = welcomed();
  const told = new Told(update("you", 11), "00000000000000bb");

  assert.deepEqual(modes(one.changed(0, interval(10, 11, { updates: [told] }))), ["whole"]);
});

test("a beat is answered by its number", () => {
  assert.deepEqual(welcomed()[0].beatAsked(0, 7), [{ kind: "SendHeartbeat", cursor: 10, heard: 7 }]);
  assert.deepEqual(session().beatAsked(0, 7), []);
});

test("while answers take long it says how late it is", () => {
  const [one] = welcomed();
  one.beatAsked(0, 1);
  assert.equal(one.nextDeadline(), 1);

  assert.deepEqual(one.tick(1), []);
  assert.equal(one.nextDeadline(), 2);
  one.beatAnswered(4, "e", 10);

  assert.equal(one.lateS(4), 4);
  assert.equal(one.nextDeadline(), 5);
  one.beatAsked(5, 2);
  one.beatAnswered(5.1, "e", 10);
  assert.equal(one.lateS(6), 0);
});

test("who waits for an answer too long is not live", () => {
  const shown = (behindS) => stateShown("live", { isLevel: true, pending: 0, behindS });

  assert.deepEqual([shown(2.9), shown(3)], ["live", "catching_up"]);
});
