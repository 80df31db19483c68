/**
 * How long a session waits for what.
 *
 * @module
 */

/**
 * @typedef {object} SessionSettings deadlines, in seconds
 * @property {number} ackTimeoutS
 * @property {number} connectTimeoutS
 * @property {number} heartbeatMisses
 * @property {number} firstDelayS
 * @property {number} delayCapS
 * @property {number} stallTimeoutS
 */

/** @type {Readonly<SessionSettings>} */
export const SESSION_SETTINGS = Object.freeze({
  ackTimeoutS: 20,
  connectTimeoutS: 20,
  heartbeatMisses: 2,
  firstDelayS: 0.25,
  delayCapS: 30,
  stallTimeoutS: 60,
});

/** The waits of a session that are running, by name; times in seconds. */
export class Deadlines {
  constructor() {
    /** @type {Map<string, number>} */
    this._times = new Map();
  }

  /** When the first of them ends, or null. */
  get next() {
    return this._times.size ? Math.min(...this._times.values()) : null;
  }

  /**
   * Tell whether one is running.
   *
   * @param {string} name
   */
  has(name) {
    return this._times.has(name);
  }

  /**
   * Start one, or start it anew.
   *
   * @param {string} name
   * @param {number} at
   */
  set(name, at) {
    this._times.set(name, at);
  }

  /**
   * Start one, unless it is running.
   *
   * @param {string} name
   * @param {number} at
   */
  setOnce(name, at) {
    if (!this._times.has(name)) this._times.set(name, at);
  }

  /**
   * Have one that is running end by then.
   *
   * @param {string} name
   * @param {number} at
   */
  hasten(name, at) {
    const ends = this._times.get(name);
    if (ends !== undefined) this._times.set(name, Math.min(ends, at));
  }

  /**
   * End one, if it is running.
   *
   * @param {string} name
   */
  delete(name) {
    this._times.delete(name);
  }

  /** End all. */
  clear() {
    this._times.clear();
  }

  /**
   * End those that are over, one after the other, and name each.
   *
   * One that the caller ends meanwhile is not named any more.
   *
   * @param {number} now
   */
  *takeDue(now) {
    const due = [...this._times].filter(([, at]) => at <= now).map(([name]) => name);
    for (const name of due) if (this._times.delete(name)) yield name;
  }
}
