/**
 * `connect`: open a replica that follows a daemon.
 *
 * @module
 */

import { readAddress } from "./address.js";
import { Claim, identityOf } from "./claim.js";
import { ConfigError, StoreError } from "./errors.js";
import { keepWithPage } from "./lifecycle.js";
import { Link } from "./link.js";
import { log } from "./logs.js";
import { Replica } from "./replica.js";
import { checkModels } from "./schema.js";
import { SharedLink, canShareLink, nameOfShared } from "./sharedLink.js";
import { IndexedDbJournal } from "./store/indexeddb.js";
import { LocalStorageJournal } from "./store/localStorage.js";
import { Store } from "./store/store.js";

/** @typedef {import("./store/journal.js").Journal} Journal */
/**
 * @typedef {object} ConnectOptions
 * @property {readonly string[]} models the models to follow
 * @property {string | Journal | Store} [store] `"indexeddb:NAME"` (the default in a page, with the
 *   name `syncline`), `"localstorage:NAME"`, `"memory:"` (the default in Node), or a journal, such
 *   as `fileJournal(path)` of `syncline/node`
 * @property {boolean} [fallback] keep records in memory, and say so in the status, where the
 *   browser gives no storage; true by default
 * @property {import("./link.js").Token} [token] what the daemon asks for, or a function that gives
 *   it
 * @property {string | null} [identity] who the token is for, where tokens of one person differ from
 *   each other; by default whom a JSON Web Token names, else the token itself. Tabs of another
 *   identity are refused the same store.
 * @property {import("./replica.js").Strategies} [strategies] the conflict strategy, or one a model
 * @property {import("./hooks.js").Hooks} [hooks]
 * @property {Partial<import("./deadlines.js").SessionSettings>} [settings] deadlines, in seconds
 * @property {number} [deletionShareMax] the share of a model's records, 0 to 1, that the link
 *   deletes unasked; 1 for all
 * @property {number} [closeTimeoutMs] how long `close` goes on sending; 5,000 by default
 * @property {boolean | null} [offersBack] whether a daemon that lost what is held here is offered it
 *   again; see `LinkOptions`
 */

/**
 * Open a replica that follows a daemon.
 *
 * `const replica = await connect("http://127.0.0.1:8765", {models: ["todo"]})`
 * It opens offline too; writes wait until the daemon is reached.
 *
 * @param {string} url the daemon, `http://host:port`, with the path that it lies below, if any; in a
 *   page `location.origin` is the daemon
 *   that served it.
 * @param {ConnectOptions} options
 * @returns {Promise<Replica>}
 * @throws {ConfigError} by name; also where another tab has the same store for another daemon, or
 *   with another token. An unreachable daemon is no error, but a status.
 * @throws {StoreError} by name, with `fallback: false`.
 */
export async function connect(url, options) {
  const address = readAddress(url);
  if (options === null || typeof options !== "object") {
    throw new ConfigError("models is missing", { hint: 'connect(url, {models: ["todo"]})' });
  }
  const { store = defaultStore(), fallback = true } = options;
  const names = checkModels(options.models);
  if (names === null || !names.length) {
    throw new ConfigError("models is missing", { hint: 'connect(url, {models: ["todo"]})' });
  }
  const { strategies, hooks, deletionShareMax, closeTimeoutMs } = options;
  // A store in memory that the program made itself is the program's.
  const isKept = store instanceof Store ? true : undefined;
  const replicaOptions = {
    models: names, strategies, hooks, follows: true, deletionShareMax, closeTimeoutMs, isKept,
  };
  const opened = storeOf(store);
  const { token = null, identity = null } = options;
  const claim = await claimOf(opened, address, token, identity);
  /** @type {Replica} */
  let replica;
  try {
    replica = await openReplica(opened, fallback, replicaOptions);
  } catch (error) {
    claim?.release();
    throw error;
  }
  try {
    const { settings = {}, offersBack = null } = options;
    const linkOptions = { models: names, token, settings, offersBack };
    const isShared = claim !== null && canShareLink(replica.core.engine.store);
    if (!isShared) claim?.release();
    const link = isShared
      ? new SharedLink(replica, url, linkOptions, claim)
      : new Link(replica, url, linkOptions);
    replica.link = link;
    await link.start();
    keepWithPage(replica, link);
  } catch (error) {
    await replica.close({ timeoutMs: 0 });
    claim?.release();
    throw error;
  }
  return replica;
}

/**
 * Say to the other tabs what this one's link will be for, before it opens what they share.
 *
 * @param {Store} store
 * @param {import("./address.js").Address} address
 * @param {import("./link.js").Token} token
 * @param {string | null} identity
 * @returns {Promise<Claim | null>} null where nothing is shared.
 */
async function claimOf(store, { origin, base, namespace }, token, identity) {
  if (!canShareLink(store)) return null;
  const given = identity !== null || typeof token !== "function" ? token : await token();
  const who = await identityOf(typeof given === "function" ? null : given, identity);
  const claim = new Claim(nameOfShared(store), {
    url: origin + base + (namespace === "/" ? "" : namespace),
    identity: who,
  });
  try {
    await claim.take();
  } catch (error) {
    // A browser that lets the site keep nothing refuses locks as well: then nothing is shared.
    if (error instanceof DOMException && error.name === "SecurityError") return null;
    throw error;
  }
  return claim;
}

/**
 * @param {Store} store
 * @param {boolean} fallback
 * @param {import("./replica.js").ReplicaOptions} options
 */
async function openReplica(store, fallback, options) {
  try {
    return await Replica.open({ ...options, store });
  } catch (error) {
    if (!fallback || !(error instanceof StoreError) || !isOfBrowser(store)) throw error;
    log("error", "store.unavailable", { error: error.code, reason: error.message });
    const memory = new Store();
    memory.notice = `${store.kind} can't be used, records are lost with the page: ${error.message}`;
    return Replica.open({ ...options, store: memory, isKept: false });
  }
}

/** @param {Store} store */
function isOfBrowser({ kind }) {
  return kind === "indexeddb" || kind === "localstorage";
}

function defaultStore() {
  return typeof document === "undefined" ? "memory:" : "indexeddb:syncline";
}

/**
 * Return the store of a name, or of a journal.
 *
 * @param {string | Journal | Store} store
 * @returns {Store}
 * @throws {ConfigError}
 */
export function storeOf(store) {
  if (store instanceof Store) return store;
  if (typeof store !== "string") return new Store(store);
  const [kind, name] = [store.slice(0, store.indexOf(":") + 1), store.slice(store.indexOf(":") + 1)];
  if (kind === "memory:") return new Store();
  if (kind === "indexeddb:" && name) return new Store(new IndexedDbJournal(name));
  if (kind === "localstorage:" && name) return new Store(new LocalStorageJournal(name));
  throw new ConfigError(`'${store}' is no store`, {
    hint: '"indexeddb:NAME", "localstorage:NAME", "memory:", or a journal',
  });
}
