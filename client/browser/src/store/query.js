/**
 * What a find asks of a store.
 *
 * @module
 */

/**
 * @typedef {object} Query a find, parsed
 * @property {import("../filters.js").Condition} condition
 * @property {readonly import("../ordering.js").Order[]} order
 * @property {number | null} limit the most records to answer; null for all
 * @property {string | null} after the id of the last record of the page before
 */
export {};
