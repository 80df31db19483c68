/**
 * When a session may push, and what it knows of the pushes that are on their way.
 *
 * @module
 */

import { Answer } from "./models.js";

/** @typedef {import("./models.js").BulkResult} BulkResult */
/** @typedef {import("./models.js").Interval} Interval */

/** How many pushes may be on their way: the next is collected while the daemon takes the first. */
export const PUSHES_MAX = 2;

/** @type {ReadonlySet<string>} */
const RETRIED = new Set([Answer.KNOWN, Answer.CONFLICT, Answer.HELD]);

/** One session's pushes. */
export class Pushing {
  /** @param {boolean} hasUnsent */
  constructor(hasUnsent) {
    /** Whether something may wait to be pushed. */
    this.hasUnsent = hasUnsent;
    /** The seq up to which the list must be read before the next push. */
    this.holdUntil = 0;
    this._lastId = 0;
    /** @type {readonly number[]} */
    this._ids = [];
    this._hasBacklog = false;
    this._isOwnNews = false;
  }

  /** The pushes that are on their way, oldest first. */
  get ids() {
    return [...this._ids];
  }

  /** Whether a push is on its way. */
  get isOut() {
    return this._ids.length > 0;
  }

  /** Whether the answer to a push is awaited that will say the same as the list. */
  get isOwnNewsAwaited() {
    return this._isOwnNews && this.isOut;
  }

  /** Take note that the connection is gone, and with it every answer that was awaited. */
  forgetConnection() {
    this._ids = [];
    this._hasBacklog = false;
    this.holdUntil = 0;
    this._isOwnNews = false;
  }

  /** Whether the pushes arrived is unknown: have all of it pushed again. */
  lostAnswer() {
    this._ids = [];
    this._isOwnNews = false;
    this.hasUnsent = true;
  }

  /**
   * Tell whether a push is awaited still.
   *
   * @param {number} pushId
   */
  isAwaited(pushId) {
    return this._ids.includes(pushId);
  }

  /**
   * Take note of news that is likely of our own making; answer whether it is.
   *
   * @param {Interval} interval
   * @param {string} replicaId
   */
  noteNews(interval, replicaId) {
    // A push that is out is answered right behind the news of it, and that answer accounts for all
    // that the news would bring; so does the list, should the answer be lost.
    const isOwn = this.isOut && interval.updates.every(({ origin }) => origin === replicaId);
    this._isOwnNews ||= isOwn;
    return isOwn;
  }

  /**
   * Tell whether to push, where the list was read so far.
   *
   * @param {number} seq
   */
  mayBegin(seq) {
    // One at a time lets live writes gather behind the push that is out; a backlog need not.
    const { length } = this._ids;
    const isFree = !length || (this._hasBacklog && length < PUSHES_MAX);
    return isFree && this.hasUnsent && seq >= this.holdUntil;
  }

  /** Begin a push, and return its id. */
  begin() {
    this.holdUntil = 0;
    this._lastId += 1;
    this._ids = [...this._ids, this._lastId];
    return this._lastId;
  }

  /**
   * Take note of what was collected for the last push.
   *
   * @param {boolean} hasMore it did not take all.
   */
  collected(hasMore) {
    // What was collected behind another push left out what that one carries.
    this.hasUnsent = hasMore || this._ids.length > 1;
    this._hasBacklog = hasMore;
  }

  /**
   * Take note that nothing was found for a push.
   *
   * @param {number} pushId
   */
  foundNothing(pushId) {
    this.hasUnsent = this._ids.length > 1;
    this._hasBacklog = false;
    this._end(pushId);
  }

  /**
   * Take note that a push was answered.
   *
   * @param {number} pushId
   */
  answered(pushId) {
    this._end(pushId);
    this._isOwnNews = false;
  }

  /**
   * Take from an answer what is to be pushed again, and what must be read before.
   *
   * @param {BulkResult} answer
   * @param {number} seq how far the list was read.
   */
  takeAnswer(answer, seq) {
    for (const { current, answer: word } of answer.results) {
      if (current !== null && current.seq > seq) {
        this.holdUntil = Math.max(this.holdUntil, current.seq);
      }
      if (RETRIED.has(word)) this.hasUnsent = true;
    }
  }

  /** @param {number} pushId */
  _end(pushId) {
    this._ids = this._ids.filter((one) => one !== pushId);
  }
}
