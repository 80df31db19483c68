/**
 * Tell when a link that is up gets nowhere.
 *
 * The best tested peers lose nothing and still get stuck; so being stuck has a name, is said aloud,
 * and is looked for by each link as long as it runs.
 *
 * @module
 */

/** Watches for progress while there is something to do. */
export class StallWatch {
  /** @param {number} limitS how long there may be none. */
  constructor(limitS) {
    this.limitS = limitS;
    this._progress = "";
    /** @type {number | null} */
    this._since = null;
    /** @type {number | null} */
    this._toldAt = null;
  }

  /** Whether it was found, and nothing has moved since. */
  get isStalled() {
    return this._toldAt !== null;
  }

  /**
   * Return for how long nothing has moved though something was to do, in seconds.
   *
   * @param {number} now
   */
  idleS(now) {
    return this._since === null ? 0 : now - this._since;
  }

  /**
   * Compare with the look before; answer whether to speak of a stall now.
   *
   * That is once when the limit is reached, and again after each further limit.
   *
   * @param {number} now
   * @param {{hasWork: boolean, progress: string}} seen `hasWork`: the link is up, and something is
   *   pending here or missing from the upstream; `progress`: anything that changes whenever the
   *   link gets somewhere.
   */
  look(now, { hasWork, progress }) {
    if (!hasWork || this._since === null || progress !== this._progress) {
      this._since = hasWork ? now : null;
      this._progress = progress;
      this._toldAt = null;
      return false;
    }
    if (now - (this._toldAt ?? this._since) < this.limitS) return false;
    this._toldAt = now;
    return true;
  }
}
