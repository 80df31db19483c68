/**
 * Who looks at a link: those who wait until something is so, and those who are told its status.
 *
 * @module
 */

import { WaitTimeout } from "./errors.js";
import { log } from "./logs.js";

/** @typedef {import("./status.js").Status} Status */
/** @typedef {{condition: () => boolean, resolve: () => void, reject: (e: unknown) => void}} Waiter */

/** The onlookers of one link. */
export class Onlookers {
  /** @param {() => Status} status */
  constructor(status) {
    this._status = status;
    this._shown = "";
    /** @type {Set<(status: Status) => unknown>} */
    this._listeners = new Set();
    /** @type {Set<Waiter>} */
    this._waiters = new Set();
  }

  /**
   * Call `listener` with the status whenever it changes; return what ends that.
   *
   * @param {(status: Status) => unknown} listener
   */
  listen(listener) {
    this._listeners.add(listener);
    return () => void this._listeners.delete(listener);
  }

  /**
   * Return when `look` finds the condition true.
   *
   * @param {() => boolean} condition
   * @param {number | null} untilMs
   * @returns {Promise<void>}
   * @throws {WaitTimeout}
   */
  until(condition, untilMs) {
    return new Promise((resolve, reject) => {
      /** @type {ReturnType<typeof setTimeout> | undefined} */
      let timer;
      const waiter = {
        condition,
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
        reject: (/** @type {unknown} */ error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      this._waiters.add(waiter);
      if (untilMs === null) return;
      timer = setTimeout(
        () => {
          this._waiters.delete(waiter);
          reject(new WaitTimeout(`still ${this._status().state} when the time was over`));
        },
        Math.max(untilMs - performance.now(), 0),
      );
    });
  }

  /** Something may have changed: free those who waited for it, and tell the listeners. */
  look() {
    for (const waiter of [...this._waiters]) {
      if (waiter.condition()) {
        this._waiters.delete(waiter);
        waiter.resolve();
      }
    }
    this.tell();
  }

  /** Tell the listeners, if the status is another one. */
  tell() {
    if (!this._listeners.size) return;
    const status = this._status();
    const shown = JSON.stringify({ ...status, lagMs: 0 });
    if (shown === this._shown) return;
    this._shown = shown;
    tellAll(this._listeners, status);
  }

  /**
   * Let nobody wait any more.
   *
   * @param {Error} error
   */
  end(error) {
    for (const { reject } of this._waiters) reject(error);
    this._waiters.clear();
  }
}

/**
 * Call each listener with a status; one that throws harms nobody else.
 *
 * @param {Iterable<(status: Status) => unknown>} listeners
 * @param {Status} status
 */
export function tellAll(listeners, status) {
  for (const listener of [...listeners]) {
    /** @param {unknown} error */
    const failed = (error) => log("error", "status.listener_failed", { reason: String(error) });
    try {
      Promise.resolve(listener(status)).catch(failed);
    } catch (error) {
      failed(error);
    }
  }
}
