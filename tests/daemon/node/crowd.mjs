// Opens many printed clients at once before a daemon that takes in few; says how they fared.
import { io } from "socket.io-client";
import { open } from "./printed.mjs";

const [url, count] = process.argv.slice(2);
const options = { transports: ["websocket"], forceNew: true };
let refusals = 0;

// Sent ahead, so that the door is surely crowded: a stock client that says what it was told.
const ahead = Array.from({ length: Number(count) }, () => io(url, { ...options, auth: { protocol: 1 } }));
await Promise.all(
  ahead.map(
    (socket) =>
      new Promise((done) => {
        socket.on("connect", done);
        socket.on("connect_error", (error) => {
          if (error.data?.code === "busy" && error.data.ticket) refusals += 1;
          done();
        });
      }),
  ),
);

const clients = Array.from({ length: Number(count) }, (_, n) => open(url, `node-${n}`, "todo", options));
const welcomes = await Promise.all(clients.map((client) => client.ready));
for (const client of clients) client.close();
for (const socket of ahead) socket.disconnect();
console.log(JSON.stringify({ ready: welcomes.length, refusals }));
process.exit();
