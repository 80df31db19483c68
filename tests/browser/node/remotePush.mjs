// Replicates so many records to a daemon, and says how many it holds then. Arguments: it, how many.

import { Replica, connectRemote, replicate } from "./harness.mjs";

const [url, count] = process.argv.slice(2);
const replica = await Replica.open({ models: ["t"] });
await replica.model("t").putMany(Array.from({ length: Number(count) }, (_, n) => ({ id: String(n) })));
const remote = await connectRemote(url);
const { applied } = await replicate(replica.model("t"), remote.model("t"));
console.log(JSON.stringify({ applied, held: await remote.model("t").count() }));
await remote.close();
await replica.close();
