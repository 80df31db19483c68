/** Which records wait together: transactions that share a record that waits are one. */

/** @import { Entry } from "./models.js" */
/** @import { Transaction } from "./store/transaction.js" */

/**
 * Make one of the groups that meet in a record; call it when all of them are written.
 *
 * @param {Transaction} tx
 * @param {Iterable<[Entry | null | undefined, string | null | undefined]>} meetings what was held
 *   of a record, and the group in which it waits from now on.
 * @returns {boolean} whether any was joined with another.
 */
export function joinGroups(tx, meetings) {
  // A group that was joined goes by its new name when it meets a third.
  /** @type {Map<string, string>} */
  const names = new Map();
  for (const [entry, group] of meetings) {
    if (!entry?.pending || !entry.update.group || !group) continue;
    const [old, now] = [nameNow(names, entry.update.group), nameNow(names, group)];
    if (old === now) continue;
    tx.setGroup(old, now);
    names.set(old, now);
  }
  return names.size > 0;
}

/**
 * @param {ReadonlyMap<string, string>} names
 * @param {string} group
 */
function nameNow(names, group) {
  let now = group;
  for (let next = names.get(now); next !== undefined; next = names.get(now)) now = next;
  return now;
}
