// Drives a daemon with the client that PROTOCOL.md prints, and with a bare stock one.
import { io } from "socket.io-client";
import { open } from "./printed.mjs";

const [url, names] = process.argv.slice(2);
const transports = names.split(",");
const said = {};

// The condition is looked at whenever a client has taken something.
const until = (client, condition) =>
  new Promise((done) => {
    const look = () => condition() && done();
    client.changed = look;
    look();
  });

// A stock client with its default transports, polling first, that names no protocol.
const bare = io(url);
const heard = [];
bare.on("changed", (model) => heard.push(model));
await new Promise((done) => bare.on("connect", done));

const a = open(url, "node-a", "todo", { transports });
const b = open(url, "node-b", "todo", { transports });
const welcome = await a.ready;
await b.ready;
said.models = welcome.models;
said.held = a.records.size;

said.first = (await a.put("1", { title: "milk" })).answer;
await until(b, () => b.records.has("1"));
said.seen = b.records.get("1").data;

// Several at once: each is built upon the one before, and none collides with another.
const titles = ["rye", "oats", "rice", "salt", "bread"];
said.edits = (await Promise.all(titles.map((title) => b.put("1", { title })))).map((r) => r.answer);
await until(a, () => a.records.get("1")?.data?.title === "bread");

// A push upon what is no longer held is a conflict, and brings what is.
const stale = a.records.get("1");
await b.put("1", { title: "butter" });
await until(a, () => a.records.get("1")?.data?.title === "butter");
a.records.set("1", stale);
const collided = await a.put("1", { title: "jam" });
said.collided = [collided.answer, collided.current.data.title];
said.settled = (await a.put("1", { title: "butter and jam" })).answer;

said.gone = [(await a.delete("1")).rev.endsWith("-deleted"), (await a.put("1", { title: "new" })).answer];

// More than a live event carries is only named, and fetched as pages.
const text = "x".repeat(2000);
const many = Array.from({ length: 700 }, (_, n) => ({
  model: "todo", id: `many${n}`, rev: `1-${n.toString(16).padStart(16, "0")}`, data: { id: `many${n}`, text },
}));
const raw = io(url, { transports, auth: { protocol: 1 }, forceNew: true });
await new Promise((done) =>
  raw.emit("bulk_update", {}, Buffer.from(JSON.stringify(many)), (header, results) => {
    if (header.error) throw new Error(header.error.message);
    done(JSON.parse(Buffer.from(results).toString()));
  }),
);
await until(b, () => b.records.size === 701);
said.pulled = [...b.records.keys()].filter((id) => id.startsWith("many")).length;

said.heard = [...new Set(heard)];
said.refused = await new Promise((done) => {
  const wrong = io(url, { auth: { protocol: 99 }, transports, forceNew: true });
  wrong.on("connect_error", (error) => {
    done(error.data.code);
    wrong.disconnect();
  });
});

for (const client of [a, b]) client.close();
for (const socket of [bare, raw]) socket.disconnect();
console.log(JSON.stringify(said));
