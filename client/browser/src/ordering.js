/**
 * Orders of records, and the pages that are cut from what is in order.
 *
 * @module
 */

import { FilterInvalid } from "./errors.js";
import { compare, compareText, kindOf, pathOf, valueAt } from "./filters.js";

/** @typedef {import("./models.js").RecordData} RecordData */
/** @typedef {{path: readonly string[], descending: boolean}} Order */

export const ORDERS_MAX = 32;
const WORDS = /(?:\\[^]|[^\s\\]|\\$)+/g;

/**
 * Return the order of `"name ASC"` or `["year DESC", "name"]`.
 *
 * @param {string | readonly string[] | null} [order]
 * @returns {Order[]}
 * @throws {FilterInvalid} naming what can't be read.
 */
export function parseOrder(order) {
  if (order == null) return [];
  const parts = typeof order === "string" ? [order] : order;
  if (!Array.isArray(parts)) {
    throw new FilterInvalid(`${String(order)} is no order`, { hint: "'name', or a list of such" });
  }
  if (parts.length > ORDERS_MAX) {
    throw new FilterInvalid(`an order has more than ${ORDERS_MAX} parts`);
  }
  return parts.map(orderOf);
}

/**
 * @param {unknown} text
 * @returns {Order}
 */
function orderOf(text) {
  const words = typeof text === "string" ? (text.match(WORDS) ?? []) : [];
  const direction = words[1]?.toUpperCase() ?? "ASC";
  if (!words.length || words.length > 2 || !["ASC", "DESC"].includes(direction)) {
    throw new FilterInvalid(`'${String(text)}' is no order`, {
      hint: "'name', 'name ASC' or 'name DESC'; a blank in a name is written '\\ '",
    });
  }
  return { path: pathOf(words[0]), descending: direction === "DESC" };
}

const RANK = { null: 0, boolean: 1, number: 2, text: 3, other: 4 };

/**
 * @param {any} one
 * @param {any} other
 */
function compareValues(one, other) {
  const [a, b] = [kindOf(one), kindOf(other)];
  if (a !== b) return RANK[a] - RANK[b];
  return a === "null" || a === "other" ? 0 : compare(one, other);
}

/**
 * Return (id, record) pairs in order; ties, and all without an order, by id.
 *
 * @param {Iterable<[string, RecordData]>} records
 * @param {readonly Order[]} order
 * @returns {[string, RecordData][]}
 */
export function sortRecords(records, order) {
  return [...records].sort(([oneId, one], [otherId, other]) => {
    for (const { path, descending } of order) {
      const found = compareValues(valueAt(one, path), valueAt(other, path));
      if (found) return descending ? -found : found;
    }
    return compareText(oneId, otherId);
  });
}

/**
 * Return the page that follows the record `after`.
 *
 * @param {[string, RecordData][]} records
 * @param {{after?: string | null, limit?: number | null}} page
 * @throws {FilterInvalid} no record of that id is among them.
 */
export function pageOf(records, { after = null, limit = null }) {
  let start = 0;
  if (after !== null) {
    const index = records.findIndex(([recordId]) => recordId === after);
    if (index < 0) {
      throw new FilterInvalid(`after: no record '${after}' is among those that match`, {
        hint: "begin again from the first page",
      });
    }
    start = index + 1;
  }
  const end = limit === null ? undefined : start + limit;
  return records.slice(start, end).map(([, record]) => record);
}
