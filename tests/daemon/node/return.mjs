// Follows a daemon that ends and comes back; says what it holds after each return.
import { createInterface } from "node:readline";
import { open } from "./printed.mjs";

const [url] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const held = (client) =>
  [...client.records.values()].filter((update) => update.data).map((update) => update.id).sort();

const client = open(url, "node-r", "todo", { transports: ["websocket"] });
let welcome = await client.ready;
await client.put("1", { n: 1 });
console.log(JSON.stringify({ held: held(client), standing: welcome.standing ?? "good" }));

for (const id of ["2", "3"]) {
  const returned = new Promise((done) => (client.welcomed = done));
  await lines.next();
  welcome = await returned;
  await client.put(id, { n: id });
  console.log(JSON.stringify({ held: held(client), standing: welcome.standing ?? "good" }));
}
client.close();
process.exit();
