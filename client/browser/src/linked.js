/**
 * What a replica asks of its link, and the verbs about its upstream.
 *
 * @module
 */

import { LinkClosed } from "./errors.js";
import { newStatus } from "./status.js";

/** @typedef {import("./status.js").Status} Status */
/**
 * @typedef {object} LinkLike what a replica asks of its link
 * @property {Status} status
 * @property {(timeoutMs?: number | null) => Promise<void>} barrier
 * @property {(timeoutMs?: number | null) => Promise<void>} waitLive
 * @property {(timeoutMs?: number | null) => Promise<void>} flush
 * @property {(timeoutMs?: number | null) => Promise<void>} sendRest resolves when nothing waits to be
 *   sent any more, or there is no hope that it will be
 * @property {() => Promise<void>} pause
 * @property {() => Promise<void>} resume
 * @property {() => void} goOn connect again after what stopped the link was allowed
 * @property {(listener: (status: Status) => unknown) => () => void} onStatus
 * @property {() => Promise<void>} close
 */

/** A replica, as far as its link goes. */
export class Linked {
  /** @param {import("./core.js").Core} core */
  constructor(core) {
    this.core = core;
    /** @type {LinkLike | null} */
    this.link = null;
  }

  /**
   * How this replica stands to its upstream; `offline` without one.
   *
   * @returns {Status}
   */
  get status() {
    const { kind: storage, notice } = this.core.engine.store;
    return this.link === null ? newStatus({ storage, notice }) : this.link.status;
  }

  /**
   * Call `listener` with the status whenever it changes; return what ends that.
   *
   * @param {(status: Status) => unknown} listener
   */
  onStatus(listener) {
    return this._getLink().onStatus(listener);
  }

  /**
   * Return when this replica holds all that its upstream had at the call.
   *
   * It says nothing of the other direction: what was written here may still wait to be sent. For
   * that there is `flush`, and `waitLive` for both.
   *
   * @param {number | null} [timeoutMs]
   * @throws {LinkClosed} there is no link.
   * @throws {WaitTimeout} it took longer.
   */
  async barrier(timeoutMs = null) {
    await this._getLink().barrier(timeoutMs);
  }

  /**
   * Return when all that was written here was sent and answered: the outbox is empty.
   *
   * A write that the upstream refused is rolled back, and one that met a conflict waits for a
   * person; neither is waited for. `status` tells of both.
   *
   * @param {number | null} [timeoutMs]
   * @throws {LinkClosed} there is no link.
   * @throws {WaitTimeout} it took longer; the rest still waits.
   */
  async flush(timeoutMs = null) {
    await this._getLink().flush(timeoutMs);
  }

  /**
   * Return when the status is `live`: level with the upstream, and nothing left to send.
   *
   * @param {number | null} [timeoutMs]
   * @throws {LinkClosed} there is no link.
   * @throws {WaitTimeout} it took longer.
   */
  async waitLive(timeoutMs = null) {
    await this._getLink().waitLive(timeoutMs);
  }

  /** Cut the link and stay offline until `resume`; writes wait. */
  async pause() {
    await this._getLink().pause();
  }

  /** Connect again. */
  async resume() {
    await this._getLink().resume();
  }

  _getLink() {
    this.core.checkOpen();
    if (this.link !== null) return this.link;
    throw new LinkClosed("this replica follows nobody", { hint: "open it with connect" });
  }

  /** Follow nobody any more: the link is closed. */
  _forgetLink() {
    this.link = null;
  }
}
