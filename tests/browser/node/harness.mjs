// What the tests in Node share.

import { createRequire } from "node:module";

export * from "../../../client/browser/src/index.js";
export { fileJournal } from "../../../client/browser/src/node.js";

/** The daemon that the tests are run against. */
export const url = process.env.SYNCLINE_TEST_URL;

const packaged = createRequire(new URL("../../../client/browser/package.json", import.meta.url));

/** A module among the package's own dependencies. */
export function dependency(name) {
  return packaged(name);
}

/** A number generator that gives the same numbers again: mulberry32. */
export function seeded(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
