/**
 * What is kept back from the upstream by name: parked, and released when it may go.
 *
 * @module
 */

import { DEFAULT_LIMITS, isAboutSize, tooLarge } from "./limits.js";

/** @typedef {import("./limits.js").PushLimits} PushLimits */
/** @typedef {import("./models.js").Entry} Entry */
/** @typedef {import("./models.js").Update} Update */
/** @typedef {import("./store/transaction.js").Transaction} Transaction */

const PUSH_LIMITS = "push_limits";

/**
 * Return what the upstream took when it was last met; the defaults before that.
 *
 * @param {Transaction} reader
 * @returns {PushLimits}
 */
export function loadLimits(reader) {
  return reader.meta(PUSH_LIMITS) ?? DEFAULT_LIMITS;
}

/**
 * Keep back what the upstream does not take; return what was, with the reasons.
 *
 * @param {Transaction} tx
 * @param {readonly import("./limits.js").TooLarge[]} barred
 * @returns {[Update[], string][]}
 */
export function park(tx, barred) {
  /** @type {[Update[], string][]} */
  const parked = [];
  for (const { updates, reason } of barred) {
    const kept = updates.filter(({ key, rev }) => {
      const entry = tx.entry(key);
      const pending = entry?.pending ?? null;
      if (pending === null || pending.hold || entry?.update.rev !== rev) return false;
      tx.writePending([{ ...pending, hold: "parked", reason }]);
      return true;
    });
    if (kept.length) parked.push([kept, reason]);
  }
  return parked;
}

/**
 * Store what the upstream takes, and release what was too large and is no more; return how many.
 *
 * @param {Transaction} tx
 * @param {PushLimits} limits
 */
export function mindLimits(tx, limits) {
  if (JSON.stringify(loadLimits(tx)) !== JSON.stringify(limits)) tx.setMeta(PUSH_LIMITS, limits);
  /** @type {Map<string, boolean>} */
  const fitting = new Map();
  return release(tx, ({ update, pending }) => {
    if (pending === null || !isAboutSize(pending.reason)) return false;
    const { group } = update;
    if (group === null) return !tooLarge([update], limits);
    if (!fitting.has(group)) {
      const unit = tx.groupedOutbox([group]).map((entry) => entry.update);
      fitting.set(group, !tooLarge(unit, limits));
    }
    return fitting.get(group) ?? false;
  });
}

/**
 * Let all that is parked be pushed again; return how many.
 *
 * @param {Transaction} tx
 */
export function unpark(tx) {
  return release(tx, () => true);
}

/**
 * Let what is parked of a transaction be pushed again; return how many.
 *
 * @param {Transaction} tx
 * @param {string} group
 */
export function unparkGroup(tx, group) {
  return release(tx, ({ update }) => update.group === group);
}

/**
 * @param {Transaction} tx
 * @param {(entry: Entry) => boolean} mayGo
 */
function release(tx, mayGo) {
  let count = 0;
  for (const entry of tx.held("parked")) {
    if (entry.pending === null || !mayGo(entry)) continue;
    tx.writePending([{ ...entry.pending, hold: "", reason: "" }]);
    count += 1;
  }
  return count;
}
