// Replicas in Node against a real daemon.

import assert from "node:assert/strict";
import test from "node:test";

import { Brake, connect, connectRemote, rebase, replicate, Refuse, Replica, Update, url } from "./harness.mjs";

const WAIT_MS = 20000;
const options = { skip: url ? false : "set SYNCLINE_TEST_URL to a daemon's address" };
let made = 0;

/** A model that no other test writes to. */
function newModel() {
  return `m${process.pid}x${(made += 1)}`;
}

async function open(t, model, more = {}) {
  const replica = await connect(url, { models: [model], ...more });
  t.after(() => replica.close());
  await replica.link.waitLive(WAIT_MS);
  return replica;
}

async function level(...replicas) {
  for (const replica of replicas) await replica.link.waitLive(WAIT_MS);
  for (const replica of replicas) await replica.barrier(WAIT_MS);
}

/** Two replicas that edited the same record without knowing of each other. */
async function collided(t, more = {}) {
  const model = newModel();
  const [one, other] = [await open(t, model), await open(t, model, more)];
  await one.model(model).put("1", { title: "milk", n: 1 });
  await level(one, other);
  await other.link.pause();
  await one.model(model).patch("1", { title: "oat milk" });
  // Of two writes of one millisecond neither is the later one.
  for (const at = Date.now(); Date.now() === at; ) await new Promise(setImmediate);
  await other.model(model).patch("1", { title: "soy milk", m: 2 });
  await one.link.waitLive(WAIT_MS);
  await other.link.resume();
  await other.barrier(WAIT_MS);
  return { model, one, other };
}

test("a write reaches the other replica, and its watchers", options, async (t) => {
  const model = newModel();
  const [one, other] = [await open(t, model), await open(t, model)];
  const watch = other.model(model).watch();

  const written = await one.model(model).put("1", { title: "milk" });

  const { value: heard } = await watch.next();
  assert.equal(heard.rev, written.rev);
  assert.deepEqual(await other.model(model).get("1"), { id: "1", title: "milk" });
});

test("a subscription shows the rows now and after each change", options, async (t) => {
  const model = newModel();
  const [one, other] = [await open(t, model), await open(t, model)];
  await one.model(model).put("1", { n: 1 });
  await level(one, other);
  const seen = [];
  let wake = () => {};
  const end = await other.model(model).subscribe(
    (rows) => {
      seen.push(rows.map(({ n }) => n));
      wake();
    },
    { where: { n: { gt: 0 } }, order: "n DESC" },
  );
  const shown = new Promise((resolve) => (wake = resolve));

  await one.model(model).put("2", { n: 2 });
  await shown;

  assert.deepEqual(seen, [[1], [2, 1]]);
  end();
});

for (const [resolution, title] of [["ours", "soy milk"], ["theirs", "oat milk"], ["latest", "soy milk"]]) {
  test(`a conflict waits and is settled as ${resolution}`, options, async (t) => {
    const { model, one, other } = await collided(t);
    const [conflict] = await other.conflicts();
    assert.deepEqual(
      [conflict.base.title, conflict.ours.title, conflict.theirs.title],
      ["milk", "soy milk", "oat milk"],
    );
    assert.equal(other.status.conflicts, 1);

    assert.ok(await conflict.resolve(resolution));

    await level(other, one);
    assert.equal((await one.model(model).get("1")).title, title);
    assert.deepEqual(await other.conflicts(), []);
    assert.equal((await other.conflicts({ openOnly: false })).length, 1);
  });
}

/** Wait until the conflicts of the daemon's state that are about a model are so; return them. */
async function inInbox(state, model, condition) {
  const conflicts = state.model("conflicts");
  const watch = conflicts.watch();
  for (;;) {
    const found = (await conflicts.find()).filter((one) => one.model === model);
    if (condition(found)) return found;
    await watch.next();
  }
}

test("a conflict that waits here is in the daemon's inbox, and is settled there", options, async (t) => {
  const state = await connect(`${url}/state`, { models: ["conflicts"] });
  t.after(() => state.close());
  const { model, one, other } = await collided(t);

  const [shown] = await inInbox(state, model, (found) => found[0]?.is_waiting);
  const remote = await connectRemote(url);
  t.after(() => remote.close());
  const [ours, theirs] = ["ours", "theirs"].map(
    (side) => new Update({ model, recordId: "1", rev: shown[`${side}_rev`], ancestors: shown[`${side}_ancestors`] }),
  );
  const nonce = "00000000000000ff";
  const data = { id: "1", title: "tea" };
  const settled = rebase(theirs, ours, { data, nonce, origin: "inbox", stamp: 0 });
  const { results } = await remote.model(model).bulkUpdate([settled]);

  assert.deepEqual(
    [shown.base.title, shown.ours.title, shown.theirs.title, shown.holder],
    ["milk", "oat milk", "soy milk", other.replicaId],
  );
  assert.equal(results[0].answer, "applied");
  await inInbox(state, model, (found) => !found[0].is_waiting);
  await level(one, other);
  assert.deepEqual(await other.model(model).get("1"), data);
  assert.deepEqual(await other.conflicts(), []);
});

test("a conflict that is settled here is over in the daemon's inbox", options, async (t) => {
  const state = await connect(`${url}/state`, { models: ["conflicts"] });
  t.after(() => state.close());
  const { model, other } = await collided(t);
  await inInbox(state, model, (found) => found[0]?.is_waiting);

  await (await other.conflicts())[0].resolve("theirs");

  const [shown] = await inInbox(state, model, (found) => !found[0].is_waiting);
  assert.equal(shown.resolution, "settled");
});

test("a conflict is settled by hand", options, async (t) => {
  const { model, one, other } = await collided(t);
  const [conflict] = await other.conflicts();

  assert.ok(await conflict.resolve("manual", { title: "tea" }));

  await level(other, one);
  assert.deepEqual(await one.model(model).get("1"), { id: "1", title: "tea" });
});

test("a user's function settles a conflict", options, async (t) => {
  const strategies = ({ ours, theirs }) => ({ ...ours.data, title: `${ours.data.title}, ${theirs.data.title}` });
  const { model, one, other } = await collided(t, { strategies });

  await level(other, one);

  assert.equal((await one.model(model).get("1")).title, "soy milk, oat milk");
});

test("merge takes both sides' fields, and the named side's where they collide", options, async (t) => {
  const { model, one, other } = await collided(t, { strategies: { "*": "merge:theirs" } });

  await level(other, one);

  assert.deepEqual(await one.model(model).get("1"), { id: "1", title: "oat milk", n: 1, m: 2 });
});

test("the status tells of each write that waits while the link is cut", options, async (t) => {
  const model = newModel();
  const replica = await open(t, model);
  await replica.link.pause();
  const told = [];
  replica.onStatus(({ pending }) => told.push(pending));

  await replica.model(model).put("1", {});
  await replica.model(model).put("2", {});

  assert.deepEqual(told, [1, 2]);
  await replica.link.resume(); // What would be lost at the end is no matter of this test.
});

test("edits that were never sent leave as one", options, async (t) => {
  const model = newModel();
  const replica = await open(t, model);
  await replica.link.pause();
  const before = await replica.model(model).put("1", { n: 0 });
  for (let n = 1; n < 50; n += 1) await replica.model(model).put("1", { n });

  const change = await replica.model(model).getChange("1");

  assert.equal(change.generation, before.generation);
  await replica.link.resume();
  await replica.link.waitLive(WAIT_MS);
});

test("an edit that is taken back before it was sent leaves nothing to push", options, async (t) => {
  const model = newModel();
  const replica = await open(t, model);
  await replica.model(model).put("1", { n: 0 });
  await replica.link.waitLive(WAIT_MS);
  await replica.link.pause();
  await replica.model(model).put("1", { n: 1 });
  assert.equal(replica.status.pending, 1);

  await replica.model(model).put("1", { n: 0 });

  assert.equal(replica.status.pending, 0);
});

test("replicas that hold data already meet by diff", options, async (t) => {
  const model = newModel();
  const local = await Replica.open({ models: [model] });
  const remote = await connectRemote(url);
  t.after(() => remote.close());
  await local.model(model).put("1", { title: "milk" });
  await remote.model(model).put("2", { title: "bread" });

  const out = await replicate(local.model(model), remote.model(model));
  const back = await remote.model(model).replicate(local.model(model));

  assert.deepEqual([out.applied, back.applied, out.conflicts, back.conflicts], [1, 1, [], []]);
  assert.deepEqual(await local.model(model).find(), await remote.model(model).find());
  const again = await replicate(local.model(model), remote.model(model));
  assert.equal(again.applied, 0);
});

test("a replication's conflict is resolved at the source", options, async (t) => {
  const model = newModel();
  const local = await Replica.open({ models: [model] });
  const remote = await connectRemote(url);
  t.after(() => remote.close());
  await local.model(model).put("1", { title: "milk" });
  await remote.model(model).put("1", { title: "bread" });

  const { conflicts, checkpoints } = await local.model(model).replicate(remote.model(model));
  assert.deepEqual((await conflicts[0].models()).map(({ title }) => title), ["milk", "bread"]);
  await conflicts[0].resolveUsingSource();
  const second = await local.model(model).replicate(remote.model(model), checkpoints);

  assert.deepEqual(second.conflicts, []);
  assert.equal((await remote.model(model).get("1")).title, "milk");
});

test("a push that a hook of the target refuses is told as refused", options, async (t) => {
  const model = newModel();
  const validate = { [model]: () => new Refuse("not here") };
  const local = await Replica.open({ models: [model], hooks: { validate } });
  const remote = await connectRemote(url);
  t.after(() => remote.close());
  await remote.model(model).put("1", { title: "milk" });

  const { refused } = await remote.model(model).replicate(local.model(model));

  assert.deepEqual(refused.map(({ reason }) => reason), ["not here"]);
});

test("an unknown model, a bad id and a bad filter are refused by name", options, async (t) => {
  const replica = await open(t, newModel());
  const [model] = replica.core.models;

  assert.throws(() => replica.model("absent"), { code: "model_unknown" });
  await assert.rejects(replica.model(model).put("", {}), { code: "key_invalid" });
  await assert.rejects(replica.model(model).put("1", { n: NaN }), { code: "number_not_allowed" });
  await assert.rejects(replica.model(model).patch("1", {}), { code: "record_not_found" });
  await assert.rejects(replica.model(model).find({ where: { n: { above: 1 } } }), { code: "filter_invalid" });
  await assert.rejects(replica.model(model).find({ were: {} }), { code: "filter_invalid" });
  await assert.rejects(connect("nowhere", { models: ["m"] }), { code: "config_invalid" });
  await assert.rejects(connect(url, { models: [] }), { code: "config_invalid" });
  await assert.rejects(connect(url), { code: "config_invalid" });
  await assert.rejects(connect(url, { models: ["m"], store: "disk" }), { code: "config_invalid" });
});

test("a daemon that is not there is a status, and a barrier that takes too long an error", options, async (t) => {
  const replica = await connect("http://127.0.0.1:9", { models: ["todo"] });
  t.after(() => replica.close());

  await assert.rejects(replica.barrier(50), { code: "wait_timeout" });
  assert.ok(["offline", "connecting"].includes(replica.status.state));
});

test("a barrier that hears of another epoch has the link say hello again", options, async (t) => {
  const model = newModel();
  const replica = await open(t, model);
  const { link } = replica;
  const ask = link._askHead.bind(link);
  const socket = link._driver.line._socket;
  const asked = [];
  link._askHead = async (untilMs) => {
    asked.push(await ask(untilMs));
    return link._driver.line._socket === socket ? { ...asked.at(-1), epoch: "another" } : asked.at(-1);
  };

  await replica.barrier(WAIT_MS);

  assert.notEqual(link._driver.line._socket, socket);
  assert.ok(asked.length <= 3, `${asked.length} times`);
});

/** A replica whose upstream has just lost most of its records, and the one that deleted them. */
async function emptied(t, more = {}) {
  const model = newModel();
  const all = { deletionShareMax: 1 };
  const [one, other] = [await open(t, model, all), await open(t, model, more)];
  await one.model(model).putMany(Array.from({ length: 150 }, (_, n) => ({ id: String(n) })));
  await level(one, other);
  await one.transaction((tx) => {
    for (let n = 0; n < 140; n += 1) tx.model(model).delete(String(n));
  });
  await one.link.waitLive(WAIT_MS);
  return { model, one, other };
}

test("a mass deletion stops the link, until it is allowed", options, async (t) => {
  const { model, other } = await emptied(t);
  while (other.link.halted === null) await new Promise((resolve) => other.onStatus(resolve));
  assert.equal(other.status.state, "blocked");
  assert.match(other.status.reason, /^mass_deletion: 140 of 150/);
  assert.equal(await other.model(model).count(), 150);

  other.allowDeletions();

  await other.barrier(WAIT_MS);
  assert.equal(await other.model(model).count(), 10);
});

test("what a program deletes by a verb goes, however much", options, async (t) => {
  const model = newModel();
  const one = await open(t, model);
  await one.model(model).putMany(Array.from({ length: 150 }, (_, n) => ({ id: String(n) })));
  await one.link.waitLive(WAIT_MS);
  await Promise.all(Array.from({ length: 140 }, (_, n) => one.model(model).delete(String(n))));
  const remote = await connectRemote(url);
  t.after(() => remote.close());
  await one.link.waitLive(WAIT_MS);
  assert.equal(await remote.model(model).count(), 10);
});

test("a replication that would delete most of the target is refused", options, async () => {
  const [source, target] = [await Replica.open(), await Replica.open()];
  const [from, to] = [source.model("todo"), target.model("todo")];
  await from.putMany(Array.from({ length: 150 }, (_, n) => ({ id: String(n) })));
  await replicate(from, to);
  await source.transaction((tx) => {
    for (let n = 0; n < 140; n += 1) tx.model("todo").delete(String(n));
  });

  await assert.rejects(replicate(from, to), { code: "mass_deletion" });
  assert.equal(await to.count(), 150);

  await replicate(from, to, { brake: new Brake({ shareMax: 1 }) });
  assert.equal(await to.count(), 10);
});
