// A Node service that is a replica: edits at random, then says what it holds once all is level.

import { createInterface } from "node:readline";

import { connect, fileJournal, seeded, setLogger, url } from "./harness.mjs";

const { JOURNAL: journal, SEED: seed, IDS: ids = "20" } = process.env;
setLogger((level, event, fields) => level !== "info" && console.error(level, event, fields));
const replica = await connect(url, {
  models: ["todo"],
  store: fileJournal(journal),
  strategies: "latest",
  settings: { firstDelayS: 0.05, delayCapS: 0.5 },
});
const todo = replica.model("todo");
const chance = seeded(Number(seed));

async function edit() {
  const id = String(Math.floor(chance() * Number(ids)));
  const kind = chance();
  if (kind < 0.15) await todo.delete(id).catch(() => {});
  else if (kind < 0.3) {
    await replica.transaction((tx) => {
      tx.model("todo").put(id, { by: seed, n: chance() });
      tx.model("todo").put(`${id}b`, { by: seed, n: chance() });
    });
  } else await todo.put(id, { by: seed, n: chance() });
}

for await (const line of createInterface(process.stdin)) {
  const [verb, count] = line.split(" ");
  if (verb === "edit") {
    for (let step = 0; step < Number(count); step += 1) await edit();
    console.log("edited");
  } else if (verb === "pause" || verb === "resume") {
    await replica.link[verb]();
    console.log(verb);
  } else if (verb === "live") {
    await replica.link.waitLive(30000);
    console.log("live");
  } else if (verb === "level") {
    await replica.barrier(30000);
    const conflicts = (await replica.conflicts()).length;
    console.log(JSON.stringify({ records: await todo.find(), conflicts, id: replica.replicaId }));
  } else break;
}
await replica.close();
// A pipe that is no longer read keeps Node alive all the same.
process.stdin.destroy();
