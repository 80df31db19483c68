/**
 * What a record must be to be kept, and its id.
 *
 * @module
 */

import { normalise } from "./digest.js";
import { ConfigError, KeyInvalid, RecordInvalid, RecordTooLarge } from "./errors.js";

/** @typedef {import("./models.js").RecordData} RecordData */

export const RECORD_ID_CHARS_MAX = 255;

/**
 * Return a record id as text.
 *
 * @param {unknown} value
 * @returns {string}
 * @throws {KeyInvalid}
 */
export function recordIdOf(value) {
  if (typeof value === "bigint" || Number.isInteger(value)) {
    const text = BigInt(/** @type {any} */ (value)).toString();
    if (text.length <= RECORD_ID_CHARS_MAX) return text;
    throw new KeyInvalid(`an integer record id has at most ${RECORD_ID_CHARS_MAX} digits`);
  }
  if (typeof value === "string" && value && [...value].length <= RECORD_ID_CHARS_MAX) {
    if (/\p{Surrogate}/u.test(value)) {
      throw new KeyInvalid("a record id can't hold half a surrogate pair");
    }
    return value;
  }
  throw new KeyInvalid(`${shortly(value)} is no record id`, {
    hint: "a text of 1 to 255 characters, or an integer",
  });
}

/**
 * Return an id as a record holds it: a number that was given as one stays one.
 *
 * @param {unknown} value
 * @returns {string | number}
 */
export function idValueOf(value) {
  const text = recordIdOf(value);
  if (typeof value !== "bigint" && typeof value !== "number") return text;
  const number = Number(value);
  // One between the doubles stays what it was called: its text.
  return recordIdOf(number) === text ? number || 0 : text;
}

/**
 * Return data with the id that the record has, in its own type, where the data name none.
 *
 * @param {any} data
 * @param {RecordData | null} before the record as it is; null when there is none.
 */
export function underItsId(data, before) {
  const hasNone = data !== null && typeof data === "object" && !Array.isArray(data) && (data.id ?? null) === null;
  if (!hasNone || before === null || (before.id ?? null) === null) return data;
  const { id: _, ...rest } = data;
  return { id: before.id, ...rest };
}

/**
 * Return a record as it is kept: a copy, its id included.
 *
 * @param {unknown} given its id, in the type that it is kept in where the data do not name it.
 * @param {unknown} data
 * @param {{bytesMax: number}} limits
 * @returns {RecordData}
 * @throws {RecordError} naming the property, what was found and what is expected.
 */
export function checkRecord(given, data, { bytesMax }) {
  const recordId = recordIdOf(given);
  if (data === null || typeof data !== "object" || Array.isArray(data)) {
    throw new RecordInvalid(`a record is an object, not ${shortly(data)}`);
  }
  const record = withId(recordId, normalise(data), given);
  const size = encodedSize(record, bytesMax);
  if (size > bytesMax) {
    throw new RecordTooLarge(
      `record '${recordId}' has ${size} bytes, the limit is ${bytesMax}`,
      { hint: "split it, or raise limits.record_bytes_max on the daemon" },
    );
  }
  return record;
}

/**
 * @param {string} recordId
 * @param {RecordData} record
 * @param {unknown} given
 */
function withId(recordId, record, given) {
  const found = Object.hasOwn(record, "id") ? record.id : null;
  if (found === null) {
    const { id: _, ...rest } = record;
    return { id: idValueOf(given), ...rest };
  }
  const isId = typeof found === "string" || Number.isInteger(found);
  if (!isId || recordIdOf(found === "" ? null : found) !== recordId) {
    throw new KeyInvalid(`the record's id is ${shortly(found)}, it was to be kept as '${recordId}'`);
  }
  return record;
}

/**
 * Return the size of the encoded record, in bytes, exactly where it is near the limit.
 *
 * @param {RecordData} record
 * @param {number} bytesMax
 */
function encodedSize(record, bytesMax) {
  const text = JSON.stringify(record);
  // A UTF-16 unit takes three bytes of UTF-8 at most.
  return text.length * 3 <= bytesMax ? text.length : new TextEncoder().encode(text).length;
}

/**
 * Return the models' names.
 *
 * @param {readonly string[] | null | undefined} models
 * @returns {string[] | null} null: every name is a model.
 * @throws {ConfigError} naming what is no model's name.
 */
export function checkModels(models) {
  if (models == null) return null;
  if (!Array.isArray(models)) {
    throw new ConfigError("models is a list of names", { hint: 'models: ["todo"]' });
  }
  for (const name of models) {
    if (typeof name !== "string" || !name || name.length > RECORD_ID_CHARS_MAX) {
      throw new ConfigError(`${shortly(name)} is no model's name`, { hint: "a text" });
    }
  }
  return [...new Set(models)].sort();
}

/**
 * Return a value in few characters, for a sentence.
 *
 * @param {unknown} value
 */
export function shortly(value) {
  if (value === undefined) return "undefined";
  if (typeof value === "bigint" || typeof value === "symbol" || typeof value === "function") {
    return `a ${typeof value}`;
  }
  return (JSON.stringify(value) ?? String(value)).slice(0, 60);
}
