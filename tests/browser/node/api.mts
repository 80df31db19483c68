// What a user of the package writes, held to its shipped types.

import { connect, type Update, Replica, SynclineError } from "syncline";
import { fileJournal } from "syncline/node";
const replica: Replica = await connect("http://x", { models: ["todo"], store: fileJournal("x"), strategies: { todo: "merge" } });
const update: Update = await replica.model("todo").put("1", { title: "milk" });
for await (const change of replica.model("todo").watch()) { const rev: string = change.rev; console.log(rev, update.isDeletion); }
const rows: Record<string, any>[] = await replica.model("todo").find({ where: { a: 1 }, limit: 3 });
// @ts-expect-error a limit is a number
await replica.model("todo").find({ limit: "3" });
// @ts-expect-error models are needed
await connect("http://x", {});
const state: string = replica.status.state; console.log(rows, state, SynclineError);
