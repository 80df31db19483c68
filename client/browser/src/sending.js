/**
 * Sending what waits: until none is left, or for as long as there is hope.
 *
 * There is hope while the link is up or is being made. When it is not, one more attempt is made at
 * once, instead of at the end of a back-off; if that fails too the daemon is away.
 *
 * @module
 */

import { Busy } from "./errors.js";
import { SessionState } from "./status.js";

/**
 * @callback Until resolves when a condition holds, which is looked at after each step of the link.
 * @param {() => boolean} condition
 * @param {number | null} untilMs
 * @returns {Promise<void>}
 */

/** @type {readonly string[]} */
const UP = [SessionState.CONNECTING, SessionState.CATCHING_UP, SessionState.LIVE];

/** The outbox of one link, on its way to be empty. */
export class Sending {
  /**
   * @param {import("./driver.js").Driver} driver
   * @param {Until} until
   */
  constructor(driver, until) {
    this._driver = driver;
    this._until = until;
  }

  /**
   * Return when nothing waits to be sent.
   *
   * @param {number | null} untilMs
   */
  async all(untilMs) {
    await this._until(() => this._isDone(), untilMs);
  }

  /**
   * Return when nothing waits to be sent, or the daemon is away.
   *
   * @param {number | null} untilMs
   */
  async rest(untilMs) {
    const isOver = () => this._isDone() || this._isAway();
    await this._until(isOver, untilMs);
    if (this._isDone()) return;
    await this._tryAtOnce(untilMs);
    await this._until(isOver, untilMs);
  }

  /** @param {number | null} untilMs */
  async _tryAtOnce(untilMs) {
    let hasTried = false;
    this._driver.put((session, at) => {
      hasTried = true;
      return session.hurry(at);
    });
    await this._until(() => hasTried, untilMs);
  }

  _isDone() {
    return this._driver.outgoing.counts()[""] === 0;
  }

  _isAway() {
    const { state, reason } = this._driver.session;
    // A daemon that is busy has said when to come back.
    return !UP.includes(state) && reason !== Busy.code;
  }
}
