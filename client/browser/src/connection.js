/**
 * One Socket.IO connection to a daemon: requests with answers, events in order.
 *
 * This is all that knows socket.io-client.
 *
 * @module
 */

import { io } from "socket.io-client";

import { readAddress } from "./address.js";
import { diagnose } from "./diagnosis.js";
import { AckTimeout, LinkClosed, ProtocolError, Unauthenticated, errorOfCode } from "./errors.js";
import { PROTOCOL_VERSION } from "./protocol.js";

/** @typedef {any[]} Answer an acknowledgement's arguments */

export const CONNECT_TIMEOUT_MS = 10_000;
export const ACK_TIMEOUT_MS = 20_000;
const EVENTS = ["changed", "news", "beat", "behind", "bye"];

/** A connection to a daemon. */
export class Connection {
  /**
   * @param {string} url the daemon, `http://host:port`, and the path that it lies below; `/state`
   *   behind it names another data source of the daemon.
   * @param {{token?: string | null, bare?: boolean, ticket?: string,
   *   onEvent?: (event: string, payload: unknown) => void, onClose?: (reason: string) => void}}
   *   [options] `ticket`: what a daemon that was busy gave, see `Busy`; `bare`: name no protocol, and hear only which models changed; `onEvent`: called
   *   for each event, in order; `onClose`: called once when an open connection is gone.
   */
  constructor(url, options = {}) {
    const { token = null, bare = false, ticket = "" } = options;
    const { onEvent = () => {}, onClose = () => {} } = options;
    this._address = readAddress(url);
    this._onEvent = onEvent;
    this._onClose = onClose;
    this._isOpen = false;
    /** @type {Record<string, unknown>} */
    const auth = bare ? {} : { protocol: PROTOCOL_VERSION };
    if (token !== null) auth.token = token;
    if (ticket) auth.ticket = ticket;
    const { origin, base, namespace } = this._address;
    this._socket = io(origin + namespace, {
      path: `${base}/socket.io/`,
      auth,
      transports: ["websocket"],
      reconnection: false,
      autoConnect: false,
      forceNew: true,
      timeout: CONNECT_TIMEOUT_MS,
    });
    for (const event of EVENTS) {
      this._socket.on(event, (payload) => this._onEvent(event, payload));
    }
    this._socket.on("disconnect", (reason) => this._gone(reason));
    /** @type {Set<(reason: string) => void>} */
    this._waiting = new Set();
  }

  /** Whether it is connected. */
  get isOpen() {
    return this._isOpen;
  }

  /**
   * Connect.
   *
   * @returns {Promise<void>}
   * @throws {LinkError} why no daemon is reached, see `diagnosis`.
   * @throws {AuthError} by name, and so is any other refusal.
   */
  open() {
    return new Promise((resolve, reject) => {
      const lost = (/** @type {string} */ reason) => reject(new LinkClosed(reason));
      this._waiting.add(lost);
      this._socket.once("connect", () => {
        this._isOpen = true;
        this._waiting.clear();
        resolve();
      });
      this._socket.once("connect_error", (/** @type {any} */ error) => {
        const refusal = error.data;
        const isRefusal = refusal && typeof refusal === "object";
        // What closes it meanwhile rejects first, and says that.
        if (isRefusal) reject(refusedBy(refusal));
        else void diagnose(this._address).then(reject).finally(() => this.close());
        if (isRefusal) void this.close();
      });
      this._socket.connect();
    });
  }

  /**
   * Send a request; `answer` is called with the acknowledgement's arguments.
   *
   * On a dying connection nothing is sent; its end is heard by itself.
   *
   * @param {string} event
   * @param {unknown[]} args
   * @param {(answer: Answer) => void} answer
   */
  send(event, args, answer) {
    if (this._isOpen) this._socket.emit(event, ...args, (/** @type {Answer} */ ...got) => answer(got));
  }

  /**
   * Send a request and return the acknowledgement's arguments.
   *
   * @param {string} event
   * @param {unknown[]} args
   * @param {{timeoutMs?: number}} [more]
   * @returns {Promise<Answer>}
   * @throws {AckTimeout}
   * @throws {LinkClosed}
   * @throws {SynclineError} whatever error the daemon named.
   */
  request(event, args, { timeoutMs = ACK_TIMEOUT_MS } = {}) {
    return new Promise((resolve, reject) => {
      if (!this._isOpen) {
        reject(new LinkClosed("the connection is closed"));
        return;
      }
      const end = () => {
        clearTimeout(timer);
        this._waiting.delete(lost);
      };
      const lost = (/** @type {string} */ reason) => {
        end();
        reject(new LinkClosed(`${event}: ${reason}`));
      };
      const timer = setTimeout(() => {
        end();
        reject(new AckTimeout(`${event}: no answer within ${timeoutMs} ms`));
      }, timeoutMs);
      this._waiting.add(lost);
      this._socket.emit(event, ...args, (/** @type {Answer} */ ...got) => {
        end();
        try {
          resolve(checked(got));
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  /** Disconnect; nothing is heard afterwards. */
  async close() {
    this._onEvent = () => {};
    this._onClose = () => {};
    this._gone("the connection was closed");
    this._socket.disconnect();
  }

  /** @param {string} reason */
  _gone(reason) {
    const wasOpen = this._isOpen;
    this._isOpen = false;
    const waiting = [...this._waiting];
    this._waiting.clear();
    for (const lost of waiting) lost(reason);
    if (wasOpen) this._onClose(reason);
  }
}

/**
 * Return an acknowledgement's arguments, or throw the error that it carries.
 *
 * @param {Answer} answer
 */
export function checked(answer) {
  const [first] = answer;
  if (first && typeof first === "object" && "error" in first) throw errorOf(first.error);
  return answer;
}

/**
 * Return the error that a daemon named.
 *
 * @param {any} payload
 */
function errorOf(payload) {
  const wire = payload?.error ?? payload;
  if (typeof wire?.code === "string") return errorOfCode(wire);
  return new ProtocolError(`the daemon refused: ${JSON.stringify(payload)}`);
}

/**
 * Return the error with which a daemon refused a connection, in the words of this library.
 *
 * @param {any} payload
 */
function refusedBy(payload) {
  const error = errorOf(payload);
  if (error instanceof Unauthenticated) error.hint = "give the token that the daemon knows: token:";
  return error;
}
