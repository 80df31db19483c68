/**
 * The heartbeats of a connection: when they are due, and what the wait for their answers tells.
 *
 * An answer comes behind all that was sent before it, so what is shown when it comes is as new as
 * the request was, at least: no clock of another machine is needed to know how late one may be.
 *
 * @module
 */

/** A shorter wait is none to speak of; seconds. */
export const LATE_S = 1;
/** Who waits longer for an answer is not live, whatever it knows of the list; seconds. */
export const LIVE_LATE_MAX_S = 3;

/** One session's heartbeats. */
export class Pulse {
  /**
   * @param {import("./deadlines.js").Deadlines} deadlines the session's: `heartbeat`, when one is
   *   due; `heartbeat_answer`, when the link counts as lost without one; `late`, when the status is
   *   to be looked at.
   * @param {number} misses after how many intervals without an answer the link counts as lost.
   */
  constructor(deadlines, misses) {
    this._deadlines = deadlines;
    this._misses = misses;
    this._everyS = 10;
    /** @type {number[]} */
    this._askedAt = [];
    this._tookS = 0;
  }

  /**
   * Beat from now on, so often.
   *
   * @param {number} now
   * @param {number} everyS
   */
  begin(now, everyS) {
    this._everyS = everyS;
    this._deadlines.set("heartbeat", now + everyS);
  }

  /** The connection is gone; the deadlines go with it. */
  forget() {
    this._askedAt = [];
    this._tookS = 0;
  }

  /**
   * A heartbeat is sent; the wait for its answer is the judge of the link.
   *
   * @param {number} now
   */
  beat(now) {
    this._deadlines.set("heartbeat", now + this._everyS);
    const waitS = Math.max(this._everyS * (this._misses - 1), 0.05);
    this._deadlines.setOnce("heartbeat_answer", now + waitS);
    this._deadlines.setOnce("late", now + LATE_S);
    this._askedAt.push(now);
  }

  /**
   * The oldest heartbeat was answered; whoever was late is asked again soon.
   *
   * @param {number} now
   */
  answered(now) {
    const askedAt = this._askedAt.shift();
    if (askedAt !== undefined) this._tookS = now - askedAt;
    if (!this._askedAt.length) this._deadlines.delete("late");
    if (this._tookS >= LATE_S) this._deadlines.hasten("heartbeat", now + LATE_S);
  }

  /** The link carries answers. */
  heard() {
    this._deadlines.delete("heartbeat_answer");
  }

  /**
   * The status was to be looked at; look again while an answer is awaited.
   *
   * @param {number} now
   */
  noteLate(now) {
    this._deadlines.set("late", now + LATE_S);
  }

  /**
   * Return how old what is shown may be, in seconds; 0 when it is not worth a word.
   *
   * @param {number} now
   */
  lateS(now) {
    const waitsS = this._askedAt.length ? now - this._askedAt[0] : 0;
    const lateS = Math.max(this._tookS, waitsS);
    return lateS >= LATE_S ? lateS : 0;
  }
}
