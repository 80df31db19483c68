/** SHA-1 is the platform's own, for texts of every length around a block. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { sha1 } from "../../../client/browser/src/sha1.js";

test("sha1: the same as the platform's, for every length of up to four blocks", () => {
  for (let size = 0; size <= 256; size += 1) {
    const bytes = Uint8Array.from({ length: size }, (_, index) => (index * 7 + size) % 256);

    assert.equal(sha1(bytes), createHash("sha1").update(bytes).digest("hex"), `${size} bytes`);
  }
});
