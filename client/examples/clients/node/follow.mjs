// A client with nothing but socket.io-client: follows a model and writes a record, or only listens.
//
//   node follow.mjs http://127.0.0.1:8765 todo        follow, with pages, heartbeats and a write
//   node follow.mjs http://127.0.0.1:8765 todo bare   hear `changed` and no more
import { randomBytes } from "node:crypto";
import { io } from "socket.io-client";

const DEADLINE_MS = 20000;
const [url, model, mode] = process.argv.slice(2);
const say = (...words) => console.log(...words);

// The library's own reconnection is all that a bare listener takes.
function listen() {
  const socket = io(url);
  socket.on("connect", () => say("connected"));
  socket.on("changed", (name) => say("changed", name));
}

function follow() {
  const cursor = { source: "", epoch: "", seq: 0 };
  const records = new Map();
  const socket = io(url, { auth: { protocol: 1 } });
  let heartbeatMs = 10000;
  let pulse = null;
  let reading = null;
  let hasWritten = false;

  // An acknowledgement may have two arguments, and `emitWithAck` gives only the first.
  const ask = (event, ...args) =>
    new Promise((done, fail) =>
      socket.timeout(DEADLINE_MS).emit(event, ...args, (late, header, list) => {
        const error = late ?? header.error;
        if (error) fail(new Error(error.message));
        else done([header, list && JSON.parse(Buffer.from(list).toString())]);
      }),
    );
  const lost = () => socket.connected && socket.disconnect().connect();

  const take = ({ epoch, since, checkpoint }, updates) => {
    if (epoch !== cursor.epoch || since > cursor.seq || checkpoint <= cursor.seq) return;
    for (const update of updates) {
      records.set(update.id, update);
      say("record", update.id, JSON.stringify(update.data ?? null));
    }
    cursor.seq = checkpoint;
  };
  // Pages are kept until one is whole, and taken as one interval.
  const read = async () => {
    const since = cursor.seq;
    const updates = [];
    let last = { checkpoint: since };
    do {
      const [header, page] = await ask("changes", { since: last.checkpoint });
      updates.push(...page);
      last = header;
    } while (last.checkpoint < last.head);
    take({ ...last, since }, updates);
  };
  const catchUp = () => (reading ??= read().finally(() => (reading = null)));

  // Set by what was heard, never by a timer: see the client in full, section 12.
  const beatLater = () => {
    clearTimeout(pulse);
    pulse = setTimeout(beat, heartbeatMs);
  };
  const beat = async () => {
    try {
      const [{ head }] = await ask("heartbeat", { cursor: cursor.seq });
      beatLater();
      if (head > cursor.seq) await catchUp();
    } catch {
      lost();
    }
  };

  const write = async (id, data) => {
    const held = records.get(id);
    const ancestors = held ? [...(held.ancestors ?? []), held.rev.replace(/-deleted$/, "")] : [];
    const generation = 1 + Math.max(0, ...ancestors.map((one) => Number.parseInt(one, 10)));
    const update = {
      model,
      id,
      rev: `${generation}-${randomBytes(8).toString("hex")}`,
      prev: held?.rev ?? null,
      ancestors: ancestors.slice(-64),
      origin: "node-example",
      data: { ...data, id },
    };
    const [answer] = await ask("bulk_update", { updates: [update] });
    say("wrote", answer.results[0].answer);
  };

  // Nothing is emitted before the hello is answered; what the library would keep from a time
  // without a connection would go out ahead of it.
  socket.on("connect", async () => {
    try {
      reading = null;
      const [welcome] = await ask("hello", { replica: "node-example", models: [model], ...cursor });
      if (welcome.standing === "reset") {
        records.clear();
        cursor.seq = 0;
      }
      Object.assign(cursor, { source: welcome.source, epoch: welcome.epoch });
      heartbeatMs = welcome.heartbeat_s * 1000;
      beatLater();
      if (welcome.head > cursor.seq) await catchUp();
      if (!hasWritten) await write("node", { title: "from node" });
      hasWritten = true;
      say("ready", cursor.seq);
    } catch (error) {
      say("lost", error.message);
      lost();
    }
  });
  socket.on("changed", (interval) => {
    if (interval.updates) take(interval, interval.updates);
    if (interval.checkpoint > cursor.seq) catchUp().catch(lost);
  });
  socket.on("behind", () => catchUp().catch(lost));
  // After a DISCONNECT, and after a refusal, the library does not come back by itself.
  socket.on("bye", ({ delay_ms = 0 }) => setTimeout(() => socket.connect(), delay_ms));
  socket.on("connect_error", (error) => {
    if (!error.data) return; // There was no daemon: the library tries again.
    say("refused", error.data.code);
    const { delay_ms = 5000, ticket } = error.data;
    socket.auth = { protocol: 1, ...(ticket && { ticket }) };
    setTimeout(() => socket.connect(), delay_ms);
  });
  socket.on("disconnect", () => clearTimeout(pulse));
}

if (mode === "bare") listen();
else follow();
