// A daemon that asks for a token: `sesame`.

import assert from "node:assert/strict";
import test from "node:test";

import { connect, connectRemote, url } from "./harness.mjs";

test("without the token the daemon refuses by name, and the status says so", async (t) => {
  await assert.rejects(connectRemote(url), { code: "unauthenticated" });
  const replica = await connect(url, { models: ["todo"], token: "wrong" });
  t.after(() => replica.close());

  while (replica.status.state !== "auth_required") await new Promise((wake) => replica.onStatus(wake));

  assert.equal(replica.status.reason, "unauthenticated");
});

test("a function gives the token at each connection", async (t) => {
  const replica = await connect(url, { models: ["todo"], token: async () => "sesame" });
  t.after(() => replica.close());

  await replica.link.waitLive(20000);
});
