// Follows with the printed client in a world without intervals.
import { open } from "./printed.mjs";

const [url] = process.argv.slice(2);
globalThis.setInterval = () => process.exit(1);
await open(url, "node-b", "todo", { transports: ["websocket"] }).ready;
