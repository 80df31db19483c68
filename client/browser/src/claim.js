/**
 * What a tab's link is for: tabs share a store, and so one link, and are refused when they were
 * opened for another daemon or with another token.
 *
 * Whatever a tab writes into the shared store goes out by the link of the tab that leads, so a tab
 * that means another daemon, or another person, must not even open it. Each tab therefore holds a
 * shared Web Lock for as long as it lives, whose name says what it is for; the browser tells the
 * names of all locks, also those of tabs that are frozen.
 *
 * @module
 */

import { ConfigError } from "./errors.js";

/**
 * @typedef {object} Purpose
 * @property {string} url the daemon, without a slash at the end
 * @property {string} identity who the token is for
 */

/** What one tab's link is for, said to the other tabs that share its store. */
export class Claim {
  /**
   * @param {string} store the name of what the tabs share
   * @param {Purpose} purpose
   */
  constructor(store, purpose) {
    this._store = store;
    this._purpose = purpose;
    this._prefix = `syncline:${store}:for:`;
    this._name = this._prefix + JSON.stringify([purpose.url, purpose.identity]);
    /** @type {(() => void) | null} */
    this._release = null;
  }

  /**
   * Say what this tab's link is for, until `release`.
   *
   * @throws {ConfigError} another tab's is for something else.
   */
  async take() {
    if (this._release !== null) return;
    await this._hold();
    const { held = [] } = await navigator.locks.query();
    const other = held.find(
      ({ name = "" }) => name.startsWith(this._prefix) && name !== this._name,
    );
    if (other === undefined) return;
    // Two that come at once may both see the other one, and are both refused: neither is right.
    this.release();
    throw this._refusal(String(other.name));
  }

  /** Let other tabs be for something else. */
  release() {
    this._release?.();
    this._release = null;
  }

  _hold() {
    /** @type {Promise<void>} */
    const taken = new Promise((resolve, reject) => {
      navigator.locks
        .request(this._name, { mode: "shared" }, () => {
          resolve();
          return new Promise((release) => {
            this._release = () => release(undefined);
          });
        })
        .catch(reject);
    });
    return taken;
  }

  /** @param {string} name */
  _refusal(name) {
    const [url] = JSON.parse(name.slice(this._prefix.length));
    const isElsewhere = url !== this._purpose.url;
    const what = isElsewhere ? `follows ${url}` : "was opened with another token";
    return new ConfigError(`another tab holds the store '${this._store}', and ${what}`, {
      hint: isElsewhere
        ? "give this one a store of its own, store: \"indexeddb:NAME\", or close that tab"
        : "close that tab; or say by identity: that both tokens are the same person's",
    });
  }
}

/**
 * Return who a token is for: whom it names, where it is a JSON Web Token, else a hash of it.
 *
 * @param {string | null} token
 * @param {string | null} identity what the application says, which is then it.
 */
export async function identityOf(token, identity) {
  if (identity !== null) return `named:${await hashOf(identity)}`;
  if (token === null) return "";
  return hashOf(subjectOf(token) ?? token);
}

/**
 * Return issuer and subject of a JSON Web Token (RFC 7519), which stay when the token is renewed.
 *
 * @param {string} token
 */
function subjectOf(token) {
  const parts = token.split(".");
  if (parts.length !== 3) return null;
  try {
    const { iss = "", sub } = JSON.parse(atob(parts[1].replaceAll("-", "+").replaceAll("_", "/")));
    return typeof sub === "string" && sub ? JSON.stringify([iss, sub]) : null;
  } catch {
    return null;
  }
}

/**
 * Return a text's SHA-256 in hex; the browser's own is there wherever Web Locks are.
 *
 * @param {string} text
 */
async function hashOf(text) {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
