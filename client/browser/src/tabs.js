/**
 * Tabs of one origin: which of them leads, and what they say to each other.
 *
 * A Web Lock makes one tab the leader, and the browser hands it on when that tab is closed or
 * killed.
 * A frozen tab keeps its lock but answers nothing, so tabs that someone looks at ask the leader
 * every second, and after three without an answer one of them steals the lock.
 * Questions and answers travel as messages and are answered from message handlers: a browser slows
 * the timers of a hidden tab down to one a minute, but not its messages.
 *
 * @module
 */

import { newNonce } from "./random.js";

export const PROBE_MS = 1000;
export const SILENCE_MS = 3000;

/** @typedef {{kind: string, from: string, [field: string]: any}} TabMessage */

/** One tab among the tabs of an origin that share a store. */
export class Tabs {
  /**
   * @param {string} name of what they share.
   * @param {{onLead: () => void, onDeposed: () => void,
   *   onMessage: (message: TabMessage) => void}} handlers `onLead`: this tab leads from now;
   *   `onDeposed`: it no longer does.
   */
  constructor(name, { onLead, onDeposed, onMessage }) {
    this.id = newNonce();
    this.isLeader = false;
    this._lockName = `syncline:${name}:link`;
    this._onLead = onLead;
    this._onDeposed = onDeposed;
    this._onMessage = onMessage;
    this._name = name;
    /** @type {BroadcastChannel | null} */
    this._channel = null;
    /** @type {AbortController | null} Ends the wait for the lock. */
    this._waiting = null;
    /** @type {(() => void) | null} Gives the lock back. */
    this._release = null;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this._probe = undefined;
    this._heardAtMs = 0;
  }

  /** Join: hear the others, and wait for the lead. */
  join() {
    if (this._channel !== null) return;
    this._channel = new BroadcastChannel(`syncline:${this._name}`);
    this._channel.onmessage = ({ data }) => this._heard(data);
    this._heardAtMs = performance.now();
    this._probe = setInterval(() => this._ask(), PROBE_MS);
    void this._await();
  }

  /** Leave: give the lead back, and hear nothing more. */
  leave() {
    clearInterval(this._probe);
    this._channel?.close();
    this._channel = null;
    this._waiting?.abort();
    this._waiting = null;
    this._release?.();
  }

  /**
   * Tell all other tabs.
   *
   * @param {string} kind
   * @param {Record<string, unknown>} [fields]
   */
  say(kind, fields = {}) {
    this._channel?.postMessage({ ...fields, kind, from: this.id });
  }

  /** @param {{steal?: boolean}} [how] */
  async _await({ steal = false } = {}) {
    const waiting = new AbortController();
    this._waiting?.abort();
    this._waiting = waiting;
    // The browser takes no signal for a theft, which never waits.
    const options = steal ? { steal } : { signal: waiting.signal };
    try {
      await navigator.locks.request(this._lockName, options, () => this._lead(waiting));
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== "AbortError") throw error;
    }
    // Given back, stolen by another tab, or not waited for any longer.
    if (this._waiting !== waiting) return;
    this._stop();
    if (this._channel !== null) void this._await();
  }

  /** @param {AbortController} waiting */
  _lead(waiting) {
    if (this._channel === null || this._waiting !== waiting) return undefined;
    this.isLeader = true;
    const held = new Promise((resolve) => {
      this._release = () => {
        this._stop();
        resolve(undefined);
      };
    });
    this._onLead();
    this.say("led");
    return held;
  }

  _stop() {
    this._release = null;
    if (!this.isLeader) return;
    this.isLeader = false;
    this._heardAtMs = performance.now();
    this._onDeposed();
  }

  _ask() {
    if (this.isLeader) return;
    // A tab that nobody looks at leaves it to the others; its own clock can't be trusted.
    if (document.visibilityState !== "visible") {
      this._heardAtMs = performance.now();
      return;
    }
    if (performance.now() - this._heardAtMs > SILENCE_MS) {
      this._heardAtMs = performance.now();
      void this._await({ steal: true });
      return;
    }
    this.say("ping");
  }

  /** @param {TabMessage} message */
  _heard(message) {
    if (message.kind === "pong" || message.kind === "led") this._heardAtMs = performance.now();
    if (message.kind === "ping" && this.isLeader) this.say("pong");
    this._onMessage(message);
  }
}
