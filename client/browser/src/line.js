/**
 * The connection that a link has now; of a former one nothing is heard any more.
 *
 * @module
 */

import { Connection } from "./connection.js";
import { LinkClosed, SynclineError } from "./errors.js";
import { eventHeard } from "./heard.js";
import { log } from "./logs.js";

/** @typedef {import("./effects.js").Effect} Effect */
/** @typedef {import("./heard.js").Input} Input */
/** @typedef {import("./session.js").Session} Session */

/** One link's connections, one after the other. */
export class Line {
  /**
   * @param {string} url
   * @param {(input: Input) => void} put takes what is heard, to be told when it is its turn.
   */
  constructor(url, put) {
    this._url = url;
    this._put = put;
    /** @type {Connection | null} */
    this._socket = null;
  }

  /** Whether there is a connection, or one is being made. */
  get isTaken() {
    return this._socket !== null;
  }

  /**
   * Connect.
   *
   * @param {string | null} token
   * @param {string} ticket
   * @throws {SynclineError} as `Connection.open`.
   */
  async open(token, ticket) {
    const socket = new Connection(this._url, {
      token,
      ticket,
      onEvent: (event, payload) => {
        if (socket === this._socket) this._noteEvent(event, payload);
      },
      onClose: (reason) => {
        if (socket === this._socket) this._noteLost(reason);
      },
    });
    this._socket = socket;
    await socket.open();
  }

  /** Forget a connection that could not be made. */
  forget() {
    this._socket = null;
  }

  /** Disconnect. */
  async drop() {
    const socket = this._socket;
    this._socket = null;
    await socket?.close();
  }

  /** Give up a connection that is being made. */
  async giveUp() {
    if (this._socket !== null && !this._socket.isOpen) await this._socket.close();
  }

  /**
   * Send a request; `hear` tells the session the answer.
   *
   * @param {string} event
   * @param {unknown[]} args
   * @param {(session: Session, now: number, got: any[]) => Effect[]} hear
   */
  send(event, args, hear) {
    const socket = this._socket;
    socket?.send(event, args, (got) => {
      // The answers of a former socket are nobody's.
      if (socket === this._socket) this._put((session, now) => hear(session, now, got));
    });
  }

  /**
   * Send a request and return its answer, past the session.
   *
   * @param {string} event
   * @param {unknown[]} args
   * @param {number} timeoutMs
   * @throws {LinkError}
   */
  async request(event, args, timeoutMs) {
    if (this._socket === null) throw new LinkClosed("not connected");
    return this._socket.request(event, args, { timeoutMs });
  }

  /**
   * @param {string} event
   * @param {unknown} payload
   */
  _noteEvent(event, payload) {
    try {
      this._put(eventHeard(event, payload));
    } catch (error) {
      const code = error instanceof SynclineError ? error.code : String(error);
      log("warning", "link.nonsense", { handled: event, error: code, reason: String(error) });
      this._noteLost(code);
    }
  }

  /** @param {string} reason */
  _noteLost(reason) {
    const socket = this._socket;
    this._put((session, now) => {
      if (socket !== this._socket) return [];
      session.disconnected(now, reason);
      return [{ kind: "Disconnect", reason }];
    });
  }
}
