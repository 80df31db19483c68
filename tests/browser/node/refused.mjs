// Writes what a daemon refuses, and prints what was logged of it. Argument: the daemon.

import { connect, setLogger } from "./harness.mjs";

const logged = [];
setLogger((level, event, fields) => logged.push({ level, event, ...fields }));
let tell;
const told = new Promise((resolve) => {
  tell = resolve;
});
const replica = await connect(process.argv[2], {
  models: ["car"], store: "memory:", hooks: { onRefused: () => tell() },
});
await replica.link.waitLive(20000);
await replica.model("car").put("1", { seats: "a secret of somebody's" });
await told;
console.log(JSON.stringify(logged.filter(({ event }) => event === "update.refused")));
await replica.close();
