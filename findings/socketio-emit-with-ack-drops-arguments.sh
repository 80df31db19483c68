#!/usr/bin/env bash
# What socket.io-client's `emitWithAck` gives of an acknowledgement with two arguments.
#
# Versions:    socket.io 4.8.1 and socket.io-client 4.8.1 (npm), Node.js 20.
# Expected:    the promise of `emitWithAck` gives what the callback of `emit` is called with; the
#              server acknowledges with two arguments, an object and a binary attachment.
# What it does: it resolves with the first argument only, and the attachment, which was received, is
#              dropped without a word. (python-socketio's `call` returns both, as a tuple.)
# Output:      emit:         {"count":1} and 3 bytes
#              emitWithAck:  {"count":1} and nothing
set -euo pipefail
command -v npm >/dev/null || { echo "install the Debian packages nodejs and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --prefix "$folder" --silent --no-audit --no-fund socket.io@4.8.1 socket.io-client@4.8.1 >/dev/null

cat >"$folder/try.mjs" <<'PROGRAM'
import { createServer } from "node:http";
import { Server } from "socket.io";
import { io } from "socket.io-client";

const http = createServer();
const server = new Server(http);
server.on("connection", (socket) => {
  socket.on("page", (answer) => answer({ count: 1 }, Buffer.from([1, 2, 3])));
});
await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
const client = io(`http://127.0.0.1:${http.address().port}`);
const tell = (how, got) => {
  const [header, page] = Array.isArray(got) ? got : [got];
  const said = page === undefined ? "nothing" : `${page.byteLength ?? page.length} bytes`;
  console.log(`${how.padEnd(13)} ${JSON.stringify(header)} and ${said}`);
};
await new Promise((resolve) => {
  client.emit("page", (...got) => {
    tell("emit:", got);
    resolve();
  });
});
tell("emitWithAck:", await client.emitWithAck("page"));
client.close();
server.close();
PROGRAM
said=$(cd "$folder" && node try.mjs)
echo "$said"
expected='emit:         {"count":1} and 3 bytes
emitWithAck:  {"count":1} and nothing'
[ "$said" = "$expected" ] || { echo "this has changed" >&2; exit 1; }
