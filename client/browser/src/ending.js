/**
 * How a replica ends: what waits is sent, all is closed, and what was left is said.
 *
 * @module
 */

import { ConfigError, LinkClosed, SynclineError, UnsentWrites, WaitTimeout } from "./errors.js";
import { log } from "./logs.js";

/** @typedef {import("./linked.js").LinkLike} LinkLike */
/**
 * @typedef {object} Left what a closed replica had not sent
 * @property {number} count the records that waited to be sent
 * @property {string} reason why the link did not send them
 */

/** How long a close goes on sending, unless told otherwise. */
export const CLOSE_TIMEOUT_MS = 5000;

/** The end of one replica, however often it is asked for. */
export class Ending {
  /**
   * @param {import("./core.js").Core} core
   * @param {{timeoutMs?: number, isKept: boolean}} how `timeoutMs`: how long it goes on sending;
   *   `isKept`: whether the store outlives the replica.
   * @throws {ConfigError} a deadline that can't be.
   */
  constructor(core, { timeoutMs = CLOSE_TIMEOUT_MS, isKept }) {
    this._core = core;
    this._timeoutMs = checked(timeoutMs);
    this._isKept = isKept;
    /** @type {Promise<Left> | null} */
    this._end = null;
    this._isSaid = false;
  }

  /**
   * End the replica, and return how many writes stay in its store unsent.
   *
   * @param {LinkLike | null} link
   * @param {number | null} timeoutMs null: the one that it was opened with.
   * @returns {Promise<number>}
   * @throws {UnsentWrites} they don't stay, for the store was in memory; it is closed all the same.
   */
  async run(link, timeoutMs) {
    const limitMs = timeoutMs === null ? this._timeoutMs : checked(timeoutMs);
    this._end ??= this._run(link, limitMs);
    const left = await this._end;
    if (left.count && !this._isKept && !this._isSaid) {
      this._isSaid = true;
      throw lost(left);
    }
    return left.count;
  }

  /**
   * @param {LinkLike | null} link
   * @param {number} timeoutMs
   * @returns {Promise<Left>}
   */
  async _run(link, timeoutMs) {
    /** @type {Left} */
    let left = { count: 0, reason: "" };
    try {
      if (link !== null && timeoutMs > 0) await this._send(link, timeoutMs);
    } finally {
      try {
        const reason = link?.status.reason ?? "";
        await link?.close();
        this._core.leave();
        left = { count: (await this._counts())[""], reason };
      } finally {
        await this._core.close();
      }
    }
    if (link !== null) this._say(left);
    return left;
  }

  /**
   * @param {LinkLike} link
   * @param {number} timeoutMs
   */
  async _send(link, timeoutMs) {
    try {
      await link.sendRest(timeoutMs === Infinity ? null : timeoutMs);
    } catch (error) {
      // What is left is counted, and said.
      if (error instanceof WaitTimeout || error instanceof LinkClosed) return;
      const code = error instanceof SynclineError ? error.code : "internal error";
      log("warning", "replica.sending_failed", { error: code, reason: String(error) });
    }
  }

  async _counts() {
    return this._core.engine.store.read((reader) => reader.pendingCounts());
  }

  /** @param {Left} left */
  _say({ count, reason }) {
    if (!count) return;
    log(this._isKept ? "warning" : "error", "replica.closed_unsent", {
      replicaId: this._core.engine.author.replicaId,
      outcome: this._isKept ? "kept" : "lost",
      count,
      reason,
    });
  }
}

/**
 * @param {Left} left
 * @returns {UnsentWrites}
 */
function lost({ count, reason }) {
  const [writes, them] = count === 1 ? ["1 write was", "it is"] : [`${count} writes were`, "they are"];
  const why = reason ? ` (${reason})` : "";
  const error = new UnsentWrites(`${writes} not sent${why}, and ${them} lost: the store was in memory`, {
    hint: "a store that is kept has them for the next time",
  });
  error.count = count;
  return error;
}

/** @param {number} timeoutMs */
function checked(timeoutMs) {
  if (typeof timeoutMs === "number" && timeoutMs >= 0) return timeoutMs;
  throw new ConfigError(`the deadline of a close is ${String(timeoutMs)}`, {
    hint: "0 or more, in milliseconds",
  });
}
