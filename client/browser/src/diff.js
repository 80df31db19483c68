/**
 * What a target lacks of a source's changes, and what collides.
 *
 * LoopBack's `diff`, decided by ancestry: a change that the target already knows is neither a
 * delta nor a conflict.
 *
 * @module
 */

import { Change, Update, Verdict, bare } from "./models.js";
import { offer } from "./verdicts.js";

/**
 * Compare a source's changes with what the target holds.
 *
 * Data are not compared here, since changes carry none; equal data show at the bulk update.
 *
 * @param {ReadonlyMap<string, Update>} current the target's records, tombstones included, by key.
 * @param {Iterable<Change>} changes the source's changes.
 * @returns {import("./models.js").Diff}
 */
export function diff(current, changes) {
  /** @type {Change[]} */
  const deltas = [];
  /** @type {Change[]} */
  const conflicts = [];
  for (const change of changes) {
    const held = current.get(change.key);
    if (held === undefined) {
      if (!change.isDeletion) deltas.push(new Change({ ...change, prev: null }));
      continue;
    }
    switch (verdictOf(held, change)) {
      case Verdict.FORWARD:
        deltas.push(new Change({ ...change, prev: held.rev }));
        break;
      case Verdict.CONFLICT:
        conflicts.push(bare(held));
        break;
      default:
        break;
    }
  }
  return { deltas, conflicts };
}

/**
 * @param {Update} held
 * @param {Change} change
 */
function verdictOf(held, change) {
  if (held.isDeletion && change.isDeletion) return Verdict.SAME;
  // Data are left out, so that equal ones never decide; what they would is a conflict for now.
  const verdict = offer(new Update(bare(held)), new Update(bare(change)));
  return verdict === Verdict.EQUAL ? Verdict.CONFLICT : verdict;
}
