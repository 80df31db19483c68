/**
 * The two pure decisions: a foreign update meets a local record.
 *
 * `offer` is asked by a replica that listens, `take` by one that follows.
 * The order of the tests matters; beyond the kept ancestors a false conflict is possible, a lost
 * write never is.
 *
 * @module
 */

import { Verdict } from "./models.js";
import { generationOf, isDeletion, shortOf } from "./revision.js";

/** @typedef {import("./models.js").Update} Update */

/**
 * Decide on an update that was pushed to this replica.
 *
 * @param {Update | null} current what this replica holds, its tombstone included; null for nothing.
 * @param {Update} update the pushed update; `prev` names what the pusher believes is held here.
 * @returns {string} SAME, KNOWN (an old message again, or one that lost here before), FORWARD
 *   (take it), EQUAL or CONFLICT.
 */
export function offer(current, update) {
  const { prev } = update;
  if (current === null) {
    return prev === null || isDeletion(prev) ? Verdict.FORWARD : Verdict.CONFLICT;
  }
  if (current.rev === update.rev) return Verdict.SAME;
  if (isBehind(update.rev, current)) return Verdict.KNOWN;
  if (update.descendsFrom(current.rev)) return Verdict.FORWARD;
  // It collided before, and lost to one of a lower generation; a late repeat must not be decided
  // anew.
  if (current.ancestors.includes(shortOf(update.rev))) return Verdict.KNOWN;
  return equalData(current, update) ? Verdict.EQUAL : Verdict.CONFLICT;
}

/**
 * Decide on an update that was pulled from upstream.
 *
 * @param {Update | null} local what this replica holds; null for nothing.
 * @param {import("./models.js").Base} base what it knew its upstream to hold.
 * @param {Update} update the upstream's update; `seq` is its place in the upstream's list.
 * @param {{isPending: boolean, replicaId?: string}} more `isPending`: whether `local` has
 *   something to tell upstream; `replicaId`: to know an amendment of an own write.
 * @returns {string} KNOWN, SAME, FORWARD, EQUAL, REBASE, AMENDED or CONFLICT.
 */
export function take(local, base, update, { isPending, replicaId = "" }) {
  if (base.seq !== null && update.seq <= base.seq) return Verdict.KNOWN;
  if (local === null) return Verdict.FORWARD;
  if (local.rev === update.rev) return Verdict.SAME;
  if (!isPending && !base.isVoid) return Verdict.FORWARD;
  if (isPending && base.rev === update.rev) return Verdict.KNOWN;
  if (isBehind(update.rev, local)) return Verdict.KNOWN;
  if (update.descendsFrom(local.rev)) return Verdict.FORWARD;
  if (equalData(local, update)) return Verdict.EQUAL;
  if (base.isAbsent && update.isDeletion && !local.isDeletion) {
    // Unless it is the deletion of what this is an edit of, as one finds it after a restore.
    return haveCommonPast(local, update) ? Verdict.CONFLICT : Verdict.REBASE;
  }
  if (update.amendedFor !== null && update.amendedFor === replicaId) return Verdict.AMENDED;
  return Verdict.CONFLICT;
}

/**
 * Tell whether two updates hold equal JSON values; two deletions are equal.
 *
 * @param {Update} one
 * @param {Update} other
 */
export function equalData(one, other) {
  if (one.isDeletion || other.isDeletion) return one.isDeletion && other.isDeletion;
  return equalValues(one.data, other.data);
}

/**
 * Tell whether two JSON values are equal; the order of properties does not count.
 *
 * @param {unknown} one
 * @param {unknown} other
 * @returns {boolean}
 */
export function equalValues(one, other) {
  if (one === other) return true;
  if (one === null || other === null) return false;
  if (typeof one !== "object" || typeof other !== "object") return false;
  if (Array.isArray(one) || Array.isArray(other)) {
    if (!Array.isArray(one) || !Array.isArray(other) || one.length !== other.length) return false;
    return one.every((item, index) => equalValues(item, other[index]));
  }
  const keys = Object.keys(one);
  if (keys.length !== Object.keys(other).length) return false;
  const [a, b] = [/** @type {any} */ (one), /** @type {any} */ (other)];
  return keys.every((key) => Object.hasOwn(b, key) && equalValues(a[key], b[key]));
}

/**
 * @param {Update} one
 * @param {Update} other
 */
function haveCommonPast(one, other) {
  return [...one.ancestors, shortOf(one.rev)].some((short) => other.ancestors.includes(short));
}

/**
 * @param {string} rev
 * @param {Update} holder
 */
function isBehind(rev, holder) {
  // The generation keeps a revision that was refused, or went round a ring, from counting as old.
  return holder.ancestors.includes(shortOf(rev)) && generationOf(rev) < holder.generation;
}
