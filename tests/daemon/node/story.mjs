// Drives a daemon with the client that PROTOCOL.md prints, and with a bare stock one.
import { io } from "socket.io-client";
import { open } from "./printed.mjs";

const url = process.argv[2];
const said = {};
const until = async (condition, what) => {
  for (let turn = 0; turn < 2000; turn += 1) {
    if (condition()) return;
    await new Promise((done) => setTimeout(done, 5));
  }
  throw new Error(`${what} did not come`);
};

// A stock client with its default transports, polling first, that names no protocol.
const bare = io(url);
const heard = [];
bare.on("changed", (model) => heard.push(model));
await until(() => bare.connected, "the bare connection");

const a = open(url, "node-a", "todo");
const b = open(url, "node-b", "todo");
const welcome = await a.ready;
await b.ready;
said.models = welcome.models;
said.held = a.records.size;

said.first = (await a.put("1", { title: "milk" })).answer;
await until(() => b.records.get("1"), "the write");
said.seen = b.records.get("1").data;
said.edit = (await b.put("1", { title: "bread" })).answer;
await until(() => a.records.get("1").data.title === "bread", "the edit");

// A push upon what is no longer held is a conflict, and brings what is.
const stale = { ...a.records.get("1") };
await b.put("1", { title: "butter" });
a.records.set("1", stale);
const collided = await a.put("1", { title: "jam" });
said.collided = [collided.answer, collided.current.data.title];

await until(() => heard.length >= 3, "the bare events");
said.heard = [...new Set(heard)];

const refused = await new Promise((done) => {
  const wrong = io(url, { auth: { protocol: 99 }, transports: ["websocket"], forceNew: true });
  wrong.on("connect_error", (error) => { done(error.data.code); wrong.disconnect(); });
});
said.refused = refused;

a.close(); b.close(); bare.disconnect();
console.log(JSON.stringify(said));
