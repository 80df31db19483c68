// Those who look at a link: each is told, whatever another one does.

import assert from "node:assert/strict";
import test from "node:test";

import { Onlookers } from "../../../client/browser/src/onlookers.js";

test("a listener that throws keeps nobody from hearing", (t) => {
  t.mock.method(console, "error", () => {});
  const onlookers = new Onlookers(() => ({ state: "live", lagMs: 0 }));
  const heard = [];
  onlookers.listen(() => {
    throw new Error("a listener of somebody's");
  });
  onlookers.listen((status) => heard.push(status.state));

  onlookers.look();

  assert.deepEqual(heard, ["live"]);
});
