/**
 * The digest by which LoopBack names a record's state.
 *
 * No page needs it, so it is no part of the bundle; `syncline/node` has it.
 *
 * @module
 */

import { sha1 } from "@noble/hashes/legacy.js";
import { bytesToHex } from "@noble/hashes/utils.js";

import { canonicalJson } from "./digest.js";

const utf8 = new TextEncoder();

/**
 * Return the SHA-1, in lower-case hex, of the canonical JSON: LoopBack's revision.
 *
 * @param {unknown} value
 * @returns {string}
 */
export function digestOf(value) {
  return bytesToHex(sha1(utf8.encode(canonicalJson(value))));
}
