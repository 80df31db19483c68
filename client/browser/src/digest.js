/**
 * Canonical JSON, byte for byte as LoopBack 3 writes it for its digests; and the walk that every
 * record passes.
 *
 * LoopBack's canonical JSON is Crockford's old `json2` writer with sorted keys: no white space,
 * keys by UTF-16 code unit, numbers as ECMAScript writes them, and its own list of escaped
 * characters.
 *
 * @module
 */

import { NumberNotAllowed, RecordInvalid } from "./errors.js";

export const DEPTH_MAX = 64;

// eslint-disable-next-line no-control-regex
const ESCAPED =
  /[\\"\x00-\x1f\x7f-\x9f\u00ad\u0600-\u0604\u070f\u17b4\u17b5\u200c-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff0-\uffff]/g;
/** @type {Record<string, string>} */
const SHORT = {
  "\b": "\\b",
  "\t": "\\t",
  "\n": "\\n",
  "\f": "\\f",
  "\r": "\\r",
  '"': '\\"',
  "\\": "\\\\",
};
const HALF_PAIR = /\p{Surrogate}/u;

/**
 * Return the canonical JSON text of a JSON value.
 *
 * Source: LoopBack 3's `canonical-json` 0.0.4.
 * NaN and infinities are null, as there; `normalise` refuses them before anything is stored.
 *
 * @param {unknown} value
 * @returns {string}
 */
export function canonicalJson(value) {
  if (value === null || value === undefined) return "null";
  switch (typeof value) {
    case "boolean":
      return String(value);
    case "string":
      return quoted(value);
    case "number":
      return Number.isFinite(value) ? String(value) : "null";
    case "object":
      if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
      if (value instanceof Date) return quoted(value.toISOString());
      return canonicalObject(/** @type {Record<string, unknown>} */ (value));
    default:
      throw new RecordInvalid(`a ${typeof value} has no JSON form`);
  }
}

/** @param {Record<string, unknown>} value */
function canonicalObject(value) {
  const parts = Object.keys(value)
    .sort()
    .map((key) => `${quoted(key)}:${canonicalJson(value[key])}`);
  return `{${parts.join(",")}}`;
}

/** @param {string} text */
function quoted(text) {
  return `"${text.replace(ESCAPED, escaped)}"`;
}

/** @param {string} char */
function escaped(char) {
  return SHORT[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/**
 * Return a value as JSON carries it, a copy of its own, or refuse it by name.
 *
 * `-0` becomes `0` and dates become ISO text in UTC; a property that is `undefined` is left out.
 *
 * @param {unknown} value
 * @param {string} [path]
 * @param {number} [depth]
 * @returns {any}
 * @throws {NumberNotAllowed} NaN, an infinity, or a bigint whose digits are no double's.
 * @throws {RecordInvalid} a type without a JSON form, half a surrogate pair, or too deep a nesting.
 */
export function normalise(value, path = "", depth = 0) {
  if (value === null) return null;
  switch (typeof value) {
    case "string":
      if (HALF_PAIR.test(value)) {
        throw new RecordInvalid(`${at(path)} holds half a surrogate pair, which UTF-8 can't carry`);
      }
      return value;
    case "boolean":
      return value;
    case "number":
      return checkedNumber(value, path);
    case "bigint":
      return checkedBigint(value, path);
    case "object":
      break;
    default:
      throw new RecordInvalid(`${at(path)} is a ${typeof value}, which has no JSON form`);
  }
  if (value instanceof Date) return momentOf(value, path);
  if (depth >= DEPTH_MAX) throw new RecordInvalid(`${at(path)} is nested deeper than ${DEPTH_MAX}`);
  if (Array.isArray(value)) {
    return value.map((item, index) => normalise(item, `${path}[${index}]`, depth + 1));
  }
  const proto = Object.getPrototypeOf(value);
  if (proto !== null && Object.getPrototypeOf(proto) !== null) {
    throw new RecordInvalid(`${at(path)} is a ${proto.constructor?.name}, which has no JSON form`);
  }
  return normaliseObject(/** @type {Record<string, unknown>} */ (value), path, depth);
}

/**
 * @param {Record<string, unknown>} value
 * @param {string} path
 * @param {number} depth
 */
function normaliseObject(value, path, depth) {
  /** @type {Record<string, unknown>} */
  const kept = {};
  for (const key of Object.keys(value)) {
    if (HALF_PAIR.test(key)) {
      throw new RecordInvalid(`${at(path)} has a key with half a surrogate pair`);
    }
    const item = value[key];
    if (item === undefined) continue;
    setOwn(kept, key, normalise(item, path ? `${path}.${key}` : key, depth + 1));
  }
  return kept;
}

/**
 * Set a property that may be called `__proto__`, which an assignment would take for another thing.
 *
 * @param {Record<string, any>} target
 * @param {string} key
 * @param {unknown} value
 */
export function setOwn(target, key, value) {
  if (key === "__proto__") {
    Object.defineProperty(target, key, {
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  } else {
    target[key] = value;
  }
}

/**
 * @param {number} value
 * @param {string} path
 */
function checkedNumber(value, path) {
  if (!Number.isFinite(value)) {
    throw new NumberNotAllowed(`${at(path)} is ${value}, which JSON can't carry`, {
      hint: "use null or text",
    });
  }
  return value === 0 ? 0 : value;
}

/**
 * @param {bigint} value
 * @param {string} path
 */
function checkedBigint(value, path) {
  const number = Number(value);
  // In all its digits, as Python writes it, or in JavaScript's own.
  const isOne = Number.isFinite(number) && (BigInt(number) === value || String(number) === String(value));
  if (!isOne) {
    throw new NumberNotAllowed(
      `${at(path)} is an integer beyond 2^53 that no double holds exactly`,
      { hint: "keep it as text" },
    );
  }
  return number;
}

/**
 * @param {Date} value
 * @param {string} path
 */
function momentOf(value, path) {
  if (Number.isNaN(value.getTime())) throw new RecordInvalid(`${at(path)} is no date`);
  return value.toISOString();
}

/** @param {string} path */
function at(path) {
  return path ? `property '${path}'` : "the record";
}
