/**
 * How a replica stands to its upstream, as its users see it.
 *
 * @module
 */

import { LIVE_LATE_MAX_S } from "./pulse.js";

/** Where the conversation is. */
export const SessionState = Object.freeze({
  OFFLINE: "offline",
  CONNECTING: "connecting",
  CATCHING_UP: "catching_up",
  LIVE: "live",
  BLOCKED: "blocked",
  AUTH_REQUIRED: "auth_required",
  STALLED: "stalled",
});

/**
 * @typedef {object} Status how a replica stands to its upstream
 * @property {string} state `live` only when the cursor is at the known head, nothing is pending,
 *   and what is known is no older than three seconds; `stalled` when the link is up, has something to do, and has got nowhere for a while
 * @property {string} reason why it is blocked, stalled or offline
 * @property {string} hint what to do about it, or empty
 * @property {number} pending records with something to tell upstream
 * @property {number} conflicts those that wait to be settled
 * @property {number} parked those that the upstream could not rule on, or that are larger than it takes
 * @property {number} behind changes of the upstream that are known to be missing here
 * @property {number} done progress of catching up, in changes
 * @property {number} total
 * @property {number} lagMs how long ago this replica last knew that it was level, 0 when live
 * @property {number} behindS how old, in seconds, what this replica shows of its upstream may be,
 *   judged by how long that takes to answer; 0 when that is less than a second, or while not
 *   connected
 * @property {string} storage where records are kept: `"indexeddb"`, `"localstorage"`, `"file"` or
 *   `"memory"`
 * @property {string} notice what the user should know of the storage: why it is not durable, or
 *   that it was cleared and written again; empty when all is well
 * @property {string} tab `"leader"` when this tab holds the link, `"follower"` when another one
 *   does, `"only"` where there are no tabs
 */

/**
 * Return a status.
 *
 * @param {Partial<Status>} [fields]
 * @returns {Status}
 */
export function newStatus(fields = {}) {
  return {
    state: SessionState.OFFLINE,
    reason: "",
    hint: "",
    pending: 0,
    conflicts: 0,
    parked: 0,
    behind: 0,
    done: 0,
    total: 0,
    lagMs: 0,
    behindS: 0,
    storage: "memory",
    notice: "",
    tab: "only",
    ...fields,
  };
}

/**
 * Return the state to report: never live while the outbox, the cursor or time disagrees.
 *
 * @param {string} state
 * @param {{isLevel: boolean, pending: number, behindS?: number}} more
 */
export function stateShown(state, { isLevel, pending, behindS = 0 }) {
  if (state !== SessionState.LIVE && state !== SessionState.CATCHING_UP) return state;
  return isLevel && !pending && behindS < LIVE_LATE_MAX_S ? SessionState.LIVE : SessionState.CATCHING_UP;
}
