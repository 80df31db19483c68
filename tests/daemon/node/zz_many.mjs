import { io } from "socket.io-client";
const s = io(process.argv[2], { transports: ["polling"], auth: { protocol: 1 }, reconnection: false });
s.on("disconnect", (r) => { console.log("disconnect", r); process.exit(); });
await new Promise((d) => s.on("connect", d));
let n = 0;
for (let i = 0; i < 40; i++) s.timeout(5000).emit("models", {}, (e) => { if (e) console.log("late"); else if (++n === 40) { console.log("all 40"); process.exit(); } });
