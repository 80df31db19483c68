// Closing sends what waits and says what it could not send; callbacks; what is used after the end.

import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";

import {
  connect, connectRemote, fileJournal, LinkClosed, Replica, ReplicaClosed, setLogger, UnsentWrites,
  url, WaitTimeout,
} from "./harness.mjs";

const WAIT_MS = 20000;
const LONG_MS = 3600000;
const NOBODY = "http://127.0.0.1:9";
const options = { skip: url ? false : "set SYNCLINE_TEST_URL to a daemon's address" };
let made = 0;

function newModel() {
  return `c${process.pid}x${(made += 1)}`;
}

async function atDaemon(model) {
  const remote = await connectRemote(url);
  try {
    return (await remote.model(model).find({ limit: 10000 })).map(({ id }) => id);
  } finally {
    await remote.close();
  }
}

function newFile() {
  return join(mkdtempSync(join(tmpdir(), "closing-")), "a.journal");
}

/** Hear what the library says of itself, until the test's end. */
function heard(t) {
  const lines = [];
  setLogger((level, event, fields) => lines.push({ level, event, ...fields }));
  t.after(() => setLogger(() => {}));
  return { lines, unsent: () => lines.filter(({ event }) => event === "replica.closed_unsent") };
}

/** Reject when a promise takes longer than a test may. */
function soon(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("it hangs")), WAIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// ---- closing ------------------------------------------------------------------------------

test("what was written before the daemon was reached arrives", options, async () => {
  const model = newModel();
  const replica = await connect(url, { models: [model] });
  await replica.model(model).put("1", {});

  assert.equal(await replica.close(), 0);

  assert.deepEqual(await atDaemon(model), ["1"]);
});

test("a backlog arrives whole", options, async () => {
  const model = newModel();
  const replica = await connect(url, { models: [model], closeTimeoutMs: LONG_MS });
  await replica.model(model).putMany(Array.from({ length: 3000 }, (_, n) => ({ id: String(n) })));

  await replica.close();

  assert.equal((await atDaemon(model)).length, 3000);
});

test("what is lost with a store in memory is thrown and logged", async (t) => {
  const { unsent } = heard(t);
  const replica = await connect(NOBODY, { models: ["todo"], closeTimeoutMs: LONG_MS });
  await replica.model("todo").putMany([{ id: "1" }, { id: "2" }]);

  await assert.rejects(soon(replica.close()), (error) => {
    assert.ok(error instanceof UnsentWrites);
    assert.match(error.message, /2 writes were not sent/);
    return error.count === 2;
  });

  assert.deepEqual(
    unsent().map(({ level, count, outcome }) => [level, count, outcome]),
    [["error", 2, "lost"]],
  );
  assert.equal(await replica.close(), 2);
});

test("what stays in the store is returned and logged, and sent by the next", options, async (t) => {
  const { unsent } = heard(t);
  const model = newModel();
  const path = newFile();
  const replica = await connect(NOBODY, {
    models: [model], store: fileJournal(path), closeTimeoutMs: LONG_MS,
  });
  await replica.model(model).put("1", {});

  assert.equal(await soon(replica.close()), 1);
  const next = await connect(url, { models: [model], store: fileJournal(path) });
  await next.close();

  assert.deepEqual(
    unsent().map(({ level, count, outcome }) => [level, count, outcome]),
    [["warning", 1, "kept"]],
  );
  assert.deepEqual(await atDaemon(model), ["1"]);
});

test("a replica that was paused does not wait", options, async () => {
  const model = newModel();
  const replica = await connect(url, { models: [model], store: fileJournal(newFile()) });
  await replica.waitLive(WAIT_MS);
  await replica.pause();
  await replica.model(model).put("1", {});

  assert.equal(await soon(replica.close({ timeoutMs: LONG_MS })), 1);
});

test("closing twice is closing once", options, async () => {
  const model = newModel();
  const replica = await connect(url, { models: [model] });
  await replica.model(model).put("1", {});

  assert.deepEqual(await Promise.all([replica.close(), replica.close()]), [0, 0]);
  assert.deepEqual(await atDaemon(model), ["1"]);
});

test("flush resolves when all is at the daemon", options, async (t) => {
  const model = newModel();
  const replica = await connect(url, { models: [model] });
  t.after(() => replica.close());
  await replica.model(model).putMany(Array.from({ length: 3000 }, (_, n) => ({ id: String(n) })));

  await replica.flush(WAIT_MS);

  assert.equal(replica.status.pending, 0);
  assert.equal((await atDaemon(model)).length, 3000);
});

test("a flush that takes too long is a timeout, and one that has nobody is named", async () => {
  const replica = await connect(NOBODY, { models: ["todo"], store: fileJournal(newFile()) });
  await replica.flush();
  await replica.model("todo").put("1", {});

  await assert.rejects(replica.flush(10), WaitTimeout);
  assert.equal(await replica.close(), 1);
  const alone = await Replica.open();
  await assert.rejects(alone.flush(), LinkClosed);
  await alone.close();
});

// ---- after the end ------------------------------------------------------------------------

test("after its close a replica refuses by name", async () => {
  const replica = await connect(NOBODY, { models: ["todo"] });
  const todo = replica.model("todo");
  await replica.close();

  const verbs = {
    put: () => todo.put("1", {}),
    get: () => todo.get("1"),
    find: () => todo.find(),
    count: () => todo.count(),
    patch: () => todo.patch("1", {}),
    delete: () => todo.delete("1"),
    watch: async () => todo.watch().next(),
    subscribe: () => todo.subscribe(() => {}),
    transaction: () => replica.transaction((tx) => tx.model("todo").put("1", {})),
    conflicts: () => replica.conflicts(),
    modelNames: () => replica.modelNames(),
    retryParked: () => replica.retryParked(),
    barrier: () => replica.barrier(),
    flush: () => replica.flush(),
    waitLive: () => replica.waitLive(),
    pause: () => replica.pause(),
    onStatus: async () => replica.onStatus(() => {}),
  };
  for (const [name, verb] of Object.entries(verbs)) {
    await assert.rejects(soon(verb()), ReplicaClosed, name);
  }
});

// ---- callbacks ----------------------------------------------------------------------------

test("calls for one record come in order, and others do not wait for them", async (t) => {
  const seen = [];
  let release;
  const held = new Promise((resolve) => (release = resolve));
  let ended;
  const all = new Promise((resolve) => (ended = resolve));
  const onChange = async ({ recordId, data }) => {
    if (recordId === "other") return release();
    if (data.n === 0) await held;
    seen.push(data.n);
    if (data.n === 9) ended();
  };
  const replica = await Replica.open({ hooks: { onChange } });
  t.after(() => replica.close());
  for (let n = 0; n < 10; n += 1) await replica.model("todo").put("slow", { n });
  await replica.model("todo").put("other", {});

  await soon(all);

  assert.deepEqual(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test("a callback that throws is told of and called again, and may end its subscription", async (t) => {
  const { lines } = heard(t);
  const replica = await Replica.open();
  t.after(() => replica.close());
  const todo = replica.model("todo");
  const seen = [];
  let wake = () => {};
  const end = await todo.subscribe(async (rows) => {
    seen.push(rows.length);
    if (rows.length === 1) {
      wake();
      throw new Error("one is none");
    }
    if (rows.length === 2) {
      end();
      await todo.put("3", { seen: await todo.count() });
      wake();
    }
  });
  for (const id of ["1", "2"]) {
    const called = new Promise((resolve) => (wake = resolve));
    await todo.put(id, {});
    await soon(called);
  }
  await todo.put("4", {});

  assert.deepEqual(seen, [0, 1, 2]);
  assert.deepEqual(await todo.get("3"), { id: "3", seen: 2 });
  assert.equal(lines.filter(({ event }) => event === "hook.failed").length, 1);
});

test("a hook may close its replica", async () => {
  let closed;
  const isClosed = new Promise((resolve) => (closed = resolve));
  const onChange = () => replica.close().then(closed);
  const replica = await Replica.open({ hooks: { onChange } });
  await replica.model("todo").put("1", {});

  await soon(isClosed);
});

test("an async listener of the status that rejects is logged, and harms nobody", options, async (t) => {
  const { lines } = heard(t);
  const replica = await connect(url, { models: [newModel()] });
  t.after(() => replica.close());
  replica.onStatus(async () => {
    throw new Error("a listener of somebody's");
  });

  await replica.waitLive(WAIT_MS);
  await new Promise((resolve) => setImmediate(resolve));

  assert.ok(lines.some(({ event }) => event === "status.listener_failed"));
});

test("a watch gives each of those who wait a change", async (t) => {
  const replica = await Replica.open();
  t.after(() => replica.close());
  const watch = replica.model("todo").watch();
  const both = Promise.all([watch.next(), watch.next()]);
  await replica.model("todo").put("1", {});
  await replica.model("todo").put("2", {});

  const ids = (await soon(both)).map(({ value }) => value.recordId);

  assert.deepEqual(ids.sort(), ["1", "2"]);
});
