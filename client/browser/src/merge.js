/**
 * Merge two edits of one record field by field, over the record that both started from.
 *
 * @module
 */

import { setOwn } from "./digest.js";
import { equalValues } from "./verdicts.js";

/** @typedef {import("./models.js").RecordData} RecordData */
/**
 * @typedef {object} Merged a three-way merge
 * @property {RecordData} data the merged record; a field that collided holds the preferred side's
 * @property {string[]} collisions dotted paths of the fields that both sides changed differently
 */

const ABSENT = Symbol("absent");

/**
 * Merge `ours` and `theirs`, field by field, objects within objects too.
 *
 * A field that only one side changed takes that side's value; removing a field is a change.
 *
 * @param {RecordData | null} base what both started from; null when it isn't known, then every
 *   field that differs collides.
 * @param {RecordData} ours
 * @param {RecordData} theirs
 * @param {{prefer?: "ours" | "theirs"}} [more] the side whose value a collision takes.
 * @returns {Merged}
 */
export function merge(base, ours, theirs, { prefer = "ours" } = {}) {
  /** @type {string[]} */
  const collisions = [];
  return { data: mergeObjects(base ?? {}, ours, theirs, prefer, "", collisions), collisions };
}

/**
 * @param {RecordData} base
 * @param {RecordData} ours
 * @param {RecordData} theirs
 * @param {string} prefer
 * @param {string} path
 * @param {string[]} collisions
 */
function mergeObjects(base, ours, theirs, prefer, path, collisions) {
  /** @type {RecordData} */
  const merged = {};
  for (const name of new Set([...Object.keys(ours), ...Object.keys(theirs)])) {
    const [b, o, t] = [valueOf(base, name), valueOf(ours, name), valueOf(theirs, name)];
    /** @type {any} */
    let value;
    if (equalValues(o, t)) value = o;
    else if (equalValues(o, b)) value = t;
    else if (equalValues(t, b)) value = o;
    else if (isObject(o) && isObject(t)) {
      const inner = isObject(b) ? b : {};
      value = mergeObjects(inner, o, t, prefer, `${path}${name}.`, collisions);
    } else {
      collisions.push(`${path}${name}`);
      value = prefer === "ours" ? o : t;
    }
    if (value !== ABSENT) setOwn(merged, name, value);
  }
  return merged;
}

/**
 * @param {RecordData} data
 * @param {string} name
 */
function valueOf(data, name) {
  return Object.hasOwn(data, name) ? data[name] : ABSENT;
}

/** @param {any} value */
function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
