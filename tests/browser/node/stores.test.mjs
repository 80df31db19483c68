// One contract for all stores: what was committed is there again, what failed is not.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, mkdtemp, readFile, rename, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";

import { IndexedDbJournal, LocalStorageJournal, Replica, Store, connect, dependency, fileJournal, seeded } from "./harness.mjs";
import { holderOf } from "../../../client/browser/src/store/fileLock.js";
import { keyOf } from "../../../client/browser/src/models.js";

dependency("fake-indexeddb/auto");

class MapStorage {
  #items = new Map();
  room = Infinity;

  getItem(key) {
    return this.#items.get(key) ?? null;
  }

  setItem(key, text) {
    const size = [...this.#items].reduce((sum, [name, one]) => sum + (name === key ? 0 : one.length), 0);
    if (size + text.length > this.room) throw new DOMException("full", "QuotaExceededError");
    this.#items.set(key, text);
  }

  removeItem(key) {
    this.#items.delete(key);
  }
}

const folder = await mkdtemp(join(tmpdir(), "syncline-"));
test.after(() => rm(folder, { recursive: true }));
let made = 0;

const KINDS = {
  indexeddb: () => {
    const name = `db${(made += 1)}`;
    return () => new IndexedDbJournal(name);
  },
  localstorage: () => {
    const storage = new MapStorage();
    return () => new LocalStorageJournal("one", storage);
  },
  file: () => {
    const path = join(folder, `file${(made += 1)}`);
    return () => fileJournal(path);
  },
};

async function open(newJournal, options = {}) {
  return Replica.open({ store: new Store(newJournal()), follows: true, ...options });
}

async function content(replica) {
  const rows = await replica.model("todo").find();
  const changes = await replica.model("todo").changes();
  assert.deepEqual(changes.map(({ seq }) => seq), changes.map(({ seq }) => seq).sort((a, b) => a - b));
  const { pending, conflicts } = replica.core.engine.store.readNow((tx) => ({
    pending: tx.outbox(Infinity).map(({ update }) => update.rev),
    conflicts: tx.conflicts({ openOnly: false }),
  }));
  return { rows, changes, pending, conflicts, head: await replica.core.read((tx) => tx.head()) };
}

for (const [kind, newKind] of Object.entries(KINDS)) {
  test(`${kind}: what was written is there again after a restart`, async () => {
    const newJournal = newKind();
    const one = await open(newJournal);
    await one.model("todo").put("1", { title: "milk" });
    await one.model("todo").put("2", { title: "bread" });
    await one.model("todo").delete("2");
    const before = await content(one);
    const { replicaId } = one;
    await one.close();

    const again = await open(newJournal);

    assert.deepEqual(await content(again), before);
    assert.equal(again.replicaId, replicaId);
    await again.close();
  });

  test(`${kind}: an id with U+0000 is dropped, and no other record with it`, async () => {
    const newJournal = newKind();
    const one = await open(newJournal);
    for (const id of ["n", "n\0ul", "n\0ul\0l"]) await one.model("todo").put(id, { id });
    await one.core.engine.store.write([(tx) => tx.remove([keyOf("todo", "n\0ul")])]);
    const before = await content(one);
    await one.close();

    const again = await open(newJournal);

    assert.deepEqual(before.rows.map(({ id }) => id).sort(), ["n", "n\0ul\0l"]);
    assert.deepEqual(await content(again), before);
    await again.close();
  });

  test(`${kind}: a random history is the same after each restart, compacted or not`, async () => {
    const chance = seeded(7);
    const newJournal = newKind();
    let replica = await open(newJournal);
    for (let round = 0; round < 12; round += 1) {
      for (let step = 0; step < 20; step += 1) {
        const id = String(Math.floor(chance() * 30));
        if (chance() < 0.2) {
          // A record that is written twice in a commit lies behind what was written between.
          await replica.transaction((tx) => {
            for (const one of [id, `${id}b`, id]) tx.model("todo").put(one, { n: chance() });
          });
        } else if (chance() < 0.2) await replica.model("todo").delete(id).catch(() => {});
        else await replica.model("todo").put(id, { text: "x".repeat(chance() * 9000), step });
      }
      const before = await content(replica);
      await replica.close();
      replica = await open(newJournal);
      assert.deepEqual(await content(replica), before, `round ${round}`);
    }
    await replica.close();
  });

  test(`${kind}: a job that fails leaves nothing, and its neighbours stay`, async () => {
    const newJournal = newKind();
    const replica = await open(newJournal);
    const todo = replica.model("todo");

    const all = await Promise.allSettled([
      todo.put("1", { n: 1 }),
      todo.patch("absent", { n: 2 }),
      replica.transaction((tx) => {
        tx.model("todo").put("2", { n: 2 });
        tx.model("todo").delete("absent");
      }),
      todo.put("3", { n: 3 }),
    ]);

    assert.deepEqual(all.map(({ status }) => status), ["fulfilled", "rejected", "rejected", "fulfilled"]);
    const before = await content(replica);
    assert.deepEqual(before.rows.map(({ id }) => id), ["1", "3"]);
    await replica.close();
    const again = await open(newJournal);
    assert.deepEqual(await content(again), before);
    await again.close();
  });
}

for (const kind of ["indexeddb", "localstorage"]) {
  test(`${kind}: two tabs write in turns, and each sees what the other wrote`, async () => {
    const newJournal = KINDS[kind]();
    const [one, other] = [await open(newJournal), await open(newJournal)];
    const heard = [];
    other.core.observers.listen((updates) => heard.push(...updates.map(({ recordId }) => recordId)));

    await one.model("todo").put("1", { n: 1 });
    await other.model("todo").put("2", { n: 2 });
    await one.model("todo").patch("2", { m: 2 });
    await other.core.engine.store.refresh();

    assert.deepEqual(await content(other), await content(one));
    assert.deepEqual(heard, ["1", "2", "2"]);
    assert.equal(one.replicaId, other.replicaId);
    await one.close();
    await other.close();
  });
}

for (const kind of ["indexeddb", "localstorage"]) {
  test(`${kind}: of a journal that another tab wrote anew only the news are told, in order`, async () => {
    const newJournal = KINDS[kind]();
    const [one, other] = [await open(newJournal), await open(newJournal)];
    for (const id of ["1", "2", "3"]) await one.model("todo").put(id, { text: "x".repeat(300_000) });
    await other.core.engine.store.refresh();
    const heard = [];
    other.core.observers.listen((updates) => heard.push(...updates.map(({ recordId }) => recordId)));
    for (const id of ["4", "5"]) await one.model("todo").put(id, { text: "x".repeat(300_000) });
    await other.core.engine.store.refresh();

    assert.ok(other.core.engine.store._baseChars > 0);
    assert.deepEqual(heard, ["4", "5"]);
    assert.deepEqual(await content(other), await content(one));
    await one.close();
    await other.close();
  });

  for (const isAnew of [false, true]) {
    const how = isAnew ? "in a journal that was written anew" : "by itself";
    test(`${kind}: what another tab dropped without a tombstone is told, ${how}`, async () => {
      const newJournal = KINDS[kind]();
      const [one, other] = [await open(newJournal), await open(newJournal)];
      await one.model("todo").put("1", {});
      await other.core.engine.store.refresh();
      const heard = [];
      other.core.observers.listen((updates) => heard.push(...updates));
      await one.core.writer.run((tx) => tx.remove([keyOf("todo", "1")]));
      if (isAnew) await one.model("todo").put("large", { text: "x".repeat(900_000) });
      if (isAnew) await one.model("todo").put("large", { text: "y".repeat(900_000) });
      await other.core.engine.store.refresh();

      const [gone] = heard;
      assert.deepEqual([gone.recordId, gone.seq, gone.data], ["1", 0, null]);
      assert.equal(heard.length, isAnew ? 2 : 1);
      await one.close();
      await other.close();
    });
  }

  test(`${kind}: a commit of another tab that moves no head wakes the link`, async () => {
    const newJournal = KINDS[kind]();
    const [one, other] = [await open(newJournal), await open(newJournal)];
    let woken = 0;
    other.core.wake = () => (woken += 1);
    await one.core.writer.run((tx) => tx.setMeta("name", "value"));
    await other.core.engine.store.refresh();
    await other.core.engine.store.refresh();

    assert.equal(woken, 1);
    await one.close();
    await other.close();
  });
}

test("file: a torn last line is dropped", async () => {
  const path = join(folder, "torn");
  const one = await open(() => fileJournal(path));
  await one.model("todo").put("1", { n: 1 });
  const before = await content(one);
  await one.close();
  await appendFile(path, '{"format":1,"head":99,"entries":[[{"mod');

  const again = await open(() => fileJournal(path));

  assert.deepEqual(await content(again), before);
  await again.model("todo").put("2", { n: 2 });
  const after = await content(again);
  await again.close();
  const third = await open(() => fileJournal(path));
  assert.deepEqual(await content(third), after);
  await third.close();
});

test("file: a second process is refused by name", async () => {
  const path = join(folder, "held");
  const one = await open(() => fileJournal(path));

  await assert.rejects(open(() => fileJournal(path)), { code: "store_unavailable" });
  await one.close();
});

async function locked(name, holder) {
  const path = join(folder, name);
  await writeFile(`${path}.lock`, typeof holder === "number" ? String(holder) : JSON.stringify(holder));
  return path;
}

const LONG_AGO = new Date(1e12);

for (const [name, more] of [
  ["one that has another start", { started: "1" }],
  ["one of another start of the machine", { boot: "another" }],
  ["one in another container, untouched", { space: "pid:[1]" }],
]) {
  test(`file: a lock that was left by a process of this number is nobody's: ${name}`, async () => {
    const path = await locked(name, { ...(await holderOf(process.pid)), ...more });
    await utimes(`${path}.lock`, LONG_AGO, LONG_AGO);

    await (await open(() => fileJournal(path))).close();
  });
}

test("file: a lock that an older version left is nobody's when its number is ours", async () => {
  const path = await locked("of before", process.pid);
  await utimes(`${path}.lock`, LONG_AGO, LONG_AGO);

  await (await open(() => fileJournal(path))).close();
});

test("file: a lock of a process that lives is respected, also in another container", async () => {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  try {
    for (const holder of [child.pid, await holderOf(child.pid)]) {
      const path = await locked(`alive ${typeof holder}`, holder);
      await assert.rejects(open(() => fileJournal(path)), { code: "store_unavailable" });
    }
  } finally {
    child.kill("SIGKILL");
  }
  const path = await locked("elsewhere", { ...(await holderOf(process.pid)), space: "pid:[1]" });
  const touching = setInterval(() => void utimes(`${path}.lock`, new Date(), new Date()), 20);

  try {
    await assert.rejects(open(() => fileJournal(path)), { message: /another container/ });
  } finally {
    clearInterval(touching);
  }
});

test("file: a process that was killed, and nobody has asked how it ended, holds nothing", async () => {
  // A shell that sleeps on never asks after the child that it began.
  const parent = spawn("sh", ["-c", "sh -c 'echo $$; kill -9 $$' & exec sleep 1000"]);
  try {
    const [line] = await once(parent.stdout, "data");
    const pid = Number(line);
    while ((await holderOf(pid)).started) await new Promise(setImmediate);
    const path = await locked("ended", { ...(await holderOf(process.pid)), pid, started: "7" });

    await (await open(() => fileJournal(path))).close();
  } finally {
    parent.kill("SIGKILL");
  }
});

test("file: what is no journal is refused by name", async () => {
  const path = join(folder, "foreign");
  await appendFile(path, "hello\n");

  await assert.rejects(open(() => fileJournal(path)), { code: "store_foreign" });
});

test("localstorage: without room the write is refused, and the rest stays", async () => {
  const storage = new MapStorage();
  const newJournal = () => new LocalStorageJournal("one", storage);
  const replica = await open(newJournal);
  await replica.model("todo").put("1", { n: 1 });
  const before = await content(replica);
  storage.room = 3000;

  await assert.rejects(replica.model("todo").put("2", { text: "x".repeat(5000) }), { code: "store_full" });

  assert.deepEqual(await content(replica), before);
  await replica.model("todo").put("3", { n: 3 });
  const after = await content(replica);
  await replica.close();
  const again = await open(newJournal);
  assert.deepEqual(await content(again), after);
  await again.close();
});

test("localstorage: without room for the whole anew, what was changed is kept all the same", async () => {
  const storage = new MapStorage();
  const newJournal = () => new LocalStorageJournal("one", storage);
  const replica = await open(newJournal);
  for (let id = 0; id < 14; id += 1) await replica.model("todo").put(String(id), { text: "x".repeat(70000) });
  storage.room = 1_200_000;

  await replica.model("todo").put("14", { text: "x".repeat(70000) });
  await replica.model("todo").put("15", { text: "y".repeat(70000) });

  const before = await content(replica);
  assert.equal(before.rows.length, 16);
  await replica.close();
  const again = await open(newJournal);
  assert.deepEqual(await content(again), before);
  await again.close();
});

test("an address without its scheme is told with the one that is meant", async () => {
  await assert.rejects(connect("127.0.0.1:8775", { models: ["todo"], store: "memory:" }), (error) => {
    assert.equal(error.code, "config_invalid");
    assert.match(error.hint, /^http:\/\/127\.0\.0\.1:8775,/);
    return true;
  });
});

for (const text of ["my notes, without an end", "a,b\n1,2\nhalf", "[1, 2]\n", "{\"name\": 1}"]) {
  test(`another program's file is left as it was: ${text.slice(0, 8)}`, async () => {
    const path = join(folder, `notes${(made += 1)}`);
    await writeFile(path, text);

    await assert.rejects(open(() => fileJournal(path)), { code: "store_foreign" });

    assert.equal(await readFile(path, "utf8"), text);
  });
}

test("a journal whose first line was torn by a crash is a journal", async () => {
  for (const text of ["", "{", "{\"format\":1,\"he"]) {
    const path = join(folder, `torn${(made += 1)}`);
    await writeFile(path, text);
    const replica = await open(() => fileJournal(path));
    await replica.model("todo").put("1", { n: 1 });
    await replica.close();
  }
});

for (const how of ["removed", "replaced"]) {
  test(`a write to a journal that was ${how} is refused`, async () => {
    const path = join(folder, `gone${(made += 1)}`);
    const replica = await open(() => fileJournal(path));
    await replica.model("todo").put("1", { n: 1 });
    const content_ = await readFile(path, "utf8");
    await rm(path);
    if (how === "replaced") {
      // Another inode: the one that was freed may be given again at once.
      await writeFile(`${path}.other`, content_);
      await writeFile(`${path}.backup`, content_);
      await rename(`${path}.backup`, path);
    }

    await assert.rejects(replica.model("todo").put("2", { n: 2 }), (error) => {
      assert.equal(error.code, "store_unavailable");
      assert.match(error.message, new RegExp(`was ${how}`));
      return true;
    });
    assert.equal((await replica.model("todo").find()).length, 1);
    await replica.close();
  });
}

test("a journal that was copied gets a name of its own, the original keeps its", async () => {
  const path = join(folder, `original${(made += 1)}`);
  const one = await open(() => fileJournal(path));
  await one.model("todo").put("1", { n: 1 });
  await one.close();
  await writeFile(`${path}.copy`, await readFile(path));

  const names = [];
  for (const place of [path, `${path}.copy`, `${path}.copy`, path]) {
    const replica = await open(() => fileJournal(place));
    names.push(replica.replicaId);
    assert.equal((await replica.model("todo").find()).length, 1);
    await replica.close();
  }

  const copied = names[1];
  assert.deepEqual(names, [one.replicaId, copied, copied, one.replicaId]);
  assert.notEqual(copied, one.replicaId);
});
