/**
 * The life of a session's connection: when to connect, when to leave, when to come back.
 *
 * @module
 */

import { backoffDelay } from "./backoff.js";
import { Deadlines } from "./deadlines.js";
import { Pulse } from "./pulse.js";
import { SessionState } from "./status.js";

/** @typedef {import("./effects.js").Effect} Effect */

/** A session as far as its connection goes. */
export class Contact {
  /**
   * @param {import("./pulling.js").Pulling} pulling
   * @param {import("./pushing.js").Pushing} pushing
   * @param {() => number} chance
   * @param {import("./deadlines.js").SessionSettings} settings
   */
  constructor(pulling, pushing, chance, settings) {
    this.settings = settings;
    /** @type {string} */
    this.state = SessionState.OFFLINE;
    this.reason = "";
    /** Whether the upstream has answered the hello of this connection. */
    this.isWelcome = false;
    this._pulling = pulling;
    this._pushing = pushing;
    this._deadlines = new Deadlines();
    this._pulse = new Pulse(this._deadlines, settings.heartbeatMisses);
    this._chance = chance;
    this._attempts = 0;
  }

  /**
   * Begin: connect at once.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  start(now) {
    return this._connect(now);
  }

  /**
   * @param {number} now
   * @returns {Effect[]}
   */
  _connect(now) {
    this._deadlines.clear();
    this._deadlines.set("connect", now + this.settings.connectTimeoutS);
    this.state = SessionState.CONNECTING;
    return [{ kind: "Connect" }];
  }

  /**
   * Come back at once: the network is said to be there again.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  hurry(now) {
    if (!this._deadlines.has("reconnect")) return [];
    this._attempts = 0;
    return this._connect(now);
  }

  /** Take note that the upstream answered the hello. */
  _noteWelcome() {
    this._deadlines.delete("welcome");
    this.isWelcome = true;
    this._attempts = 0;
    this.reason = "";
  }

  /**
   * Take note that the connection is gone, or could not be made.
   *
   * @param {number} now
   * @param {string} [reason]
   * @param {{delayS?: number | null}} [more] when the server said when to come back.
   * @returns {Effect[]}
   */
  disconnected(now, reason = "", { delayS = null } = {}) {
    this._forgetConnection();
    this._pushing.hasUnsent = true;
    this._attempts += 1;
    if (this.state !== SessionState.AUTH_REQUIRED) this.state = SessionState.OFFLINE;
    this.reason = reason;
    const { firstDelayS: firstS, delayCapS: capS } = this.settings;
    const delay = delayS ?? backoffDelay(this._attempts, this._chance(), { firstS, capS });
    this._deadlines.set("reconnect", now + delay);
    return [];
  }

  /**
   * Take note that the server refused the hello by name.
   *
   * @param {number} now
   * @param {string} code
   * @param {{isAuth: boolean, retryable: boolean}} more
   * @returns {Effect[]}
   */
  refused(now, code, { isAuth, retryable }) {
    this.disconnected(now, code);
    this.state = isAuth ? SessionState.AUTH_REQUIRED : SessionState.BLOCKED;
    if (!retryable) this._deadlines.set("reconnect", now + this.settings.delayCapS);
    return [{ kind: "Disconnect", reason: code }];
  }

  /**
   * The server closes the connection and says when to come back.
   *
   * @param {number} now
   * @param {number} delayS
   * @param {string} reason
   * @returns {Effect[]}
   */
  bye(now, delayS, reason) {
    this.disconnected(now, reason, { delayS });
    return [{ kind: "Disconnect", reason }];
  }

  /**
   * Take note that this replica's own store or hook failed: leave, and come back later.
   *
   * @param {number} now
   * @param {string} reason
   * @returns {Effect[]}
   */
  blocked(now, reason) {
    this.disconnected(now, reason);
    this.state = SessionState.BLOCKED;
    return [{ kind: "Disconnect", reason }];
  }

  /**
   * The driver sees no progress: leave, and have the next hello judge us anew.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  stalled(now) {
    return this.isWelcome ? this._lose(now, "stalled") : [];
  }

  /**
   * Stay away until `start`: coming back by itself would only meet the same again.
   *
   * @param {string} reason
   * @returns {Effect[]}
   */
  halted(reason) {
    const effects = this.paused(reason);
    this.state = SessionState.BLOCKED;
    return effects;
  }

  /**
   * Stay offline until `start`.
   *
   * @param {string} [reason]
   * @returns {Effect[]}
   */
  paused(reason = "paused") {
    this._forgetConnection();
    this._pushing.hasUnsent = true;
    this.state = SessionState.OFFLINE;
    this.reason = reason;
    return [{ kind: "Disconnect", reason }];
  }

  /**
   * @param {number} now
   * @param {string} reason
   * @returns {Effect[]}
   */
  _lose(now, reason) {
    this.disconnected(now, reason);
    return [{ kind: "Disconnect", reason }];
  }

  /**
   * Leave since the list is not the one that was read, or can't be read on.
   *
   * @param {number} now
   * @param {string} reason
   */
  _loseList(now, reason) {
    return [...this._pulling.dropStage(), ...this._lose(now, reason)];
  }

  _forgetConnection() {
    this.isWelcome = false;
    this._pulling.forgetConnection();
    this._pushing.forgetConnection();
    this._pulse.forget();
    this._deadlines.clear();
  }
}
