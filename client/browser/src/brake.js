/**
 * A brake on mass deletion: a replication that would empty a model stops, and asks.
 *
 * An upstream that lost its records, a filter with a mistake or a program gone wild looks like
 * many deletions, and replication would carry them everywhere.
 * It guards what replication infers from two lists; what a person or program deletes by a verb goes.
 * Pure: the time is passed in.
 *
 * @module
 */

import { ConfigError, MassDeletion } from "./errors.js";

/** More than this share of a model's records, and more than so many, are not deleted unasked. */
export const SHARE_MAX = 0.5;
export const COUNT_MAX = 100;
/** Fewer at a time are somebody's daily work, such as a queue that is drained: never counted. */
export const BULK_MIN = 20;
/** Those that come in bulk add up over so long, since one command may arrive in many parts. */
export const WINDOW_MS = 10 * 60 * 1000;

/** @typedef {{sinceMs: number, deletions: number, held: number}} Window */

/** Holds back mass deletions. */
export class Brake {
  /**
   * @param {{shareMax?: number, countMax?: number}} [limits] `shareMax`: of a model's records, 0 to
   *   1; 1 lets everything through; `countMax`: so many deletions are never held back.
   * @throws {ConfigError}
   */
  constructor({ shareMax = SHARE_MAX, countMax = COUNT_MAX } = {}) {
    if (!(shareMax >= 0 && shareMax <= 1)) {
      throw new ConfigError(`${shareMax} is no share of records`, { hint: "0 to 1; 1 is all" });
    }
    this.shareMax = shareMax;
    this.countMax = countMax;
    /** @type {Map<string, Window>} */
    this._windows = new Map();
    /** Whether what comes at a time is let through, where a list is of what is now. */
    this.isOff = false;
    /** Until when everything is let through, milliseconds since 1970. */
    this.liftedUntilMs = 0;
  }

  /**
   * Let everything through until then.
   *
   * @param {number} untilMs
   */
  lift(untilMs) {
    this.liftedUntilMs = untilMs;
    this._windows.clear();
  }

  /**
   * Tell whether so many deletions need a look at how many records there are.
   *
   * @param {number} deletions
   */
  minds(deletions) {
    return deletions > this.countMax;
  }

  /**
   * Look at deletions of records of which so many are held before any of them.
   *
   * @param {string} model
   * @param {{deletions: number, held: number}} counts
   * @throws {MassDeletion} too many of the records held would go.
   */
  check(model, { deletions, held }) {
    if (!this.minds(deletions) || deletions <= this.shareMax * held) return;
    throw new MassDeletion(
      `${deletions} of ${held} records of '${model}' would be deleted here`,
      { hint: "if that is meant: replica.allowDeletions()" },
    );
  }

  /**
   * Check deletions that come at a time together with the bulk of the last minutes.
   *
   * @param {string} model
   * @param {number} deletions
   * @param {{nowMs: number, left: () => number}} more `left`: returns how many records will be
   *   left; asked once in a while, being slow.
   * @throws {MassDeletion}
   */
  checkNext(model, deletions, { nowMs, left }) {
    if (this.isOff || nowMs < this.liftedUntilMs || deletions < BULK_MIN) return;
    const window = this._window(model, nowMs);
    const total = window.deletions + deletions;
    if (!this.minds(total)) return;
    if (!window.held) window.held = left() + total;
    this.check(model, { deletions: total, held: window.held });
  }

  /**
   * Take note of deletions that were carried out at a time.
   *
   * @param {string} model
   * @param {number} deletions
   * @param {number} nowMs
   */
  note(model, deletions, nowMs) {
    if (deletions >= BULK_MIN) this._window(model, nowMs).deletions += deletions;
  }

  /**
   * @param {string} model
   * @param {number} nowMs
   * @returns {Window}
   */
  _window(model, nowMs) {
    const known = this._windows.get(model);
    if (known !== undefined && nowMs - known.sinceMs <= WINDOW_MS) return known;
    const window = { sinceMs: nowMs, deletions: 0, held: 0 };
    this._windows.set(model, window);
    return window;
  }
}
