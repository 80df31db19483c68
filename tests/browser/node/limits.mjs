// A replica with a file, at one step of its life: it writes what it is told, and says how it stands.
// Arguments: the file, how many records, of how many characters, and the daemon, if it is there.

import { Replica, Store, connect, fileJournal, setLogger } from "./harness.mjs";

const WAIT_MS = 20000;
const [path, count, size, url] = process.argv.slice(2);
const models = ["t", "u"];
const logged = [];
setLogger((_level, event, fields) => logged.push({ event, ...fields }));

const replica = url
  ? await connect(url, { models, store: fileJournal(path) })
  : await Replica.open({ models, store: new Store(fileJournal(path)), follows: true });

async function live() {
  if (url) await replica.link.waitLive(WAIT_MS);
}

// While a step is under way, as for the echo of its own write, a replica is not live.
async function standing() {
  for (;;) {
    await live();
    const { status } = replica;
    if (!url || status.state === "live") return status;
  }
}

await live();
let refused = "";
try {
  await replica.transaction((tx) => {
    for (let n = 0; n < Number(count); n += 1) {
      tx.model("t").put(String(n), { v: "x".repeat(Number(size)) });
    }
  });
} catch (error) {
  refused = error.code;
}
await replica.model("u").put(`beside ${count} ${url ?? ""}`, {});
const { state, pending, parked } = await standing();
const kept = await replica.model("t").count();
const times = (name) => logged.filter(({ event }) => event === name).length;
const named = logged.filter(({ event }) => event === "update.parked").map((one) => [one.model, one.count]);
console.log(
  JSON.stringify({ refused, state, pending, parked, kept, named, connected: times("link.connected") }),
);
await replica.close();
