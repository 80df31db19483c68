/**
 * The journal in IndexedDB.
 *
 * A turn is one read-write transaction, and IndexedDB lets only one of these run at a time, in
 * whatever tab.
 *
 * @module
 */

import { openDB } from "idb";

import { StoreCorrupt, StoreError, StoreFull, StoreUnavailable } from "../errors.js";

/** @typedef {import("./journal.js").Foreign} Foreign */
/** @typedef {import("./journal.js").Written} Written */
/** @typedef {{version: number, base: number}} Head where the journal stands, and its base */

const SCHEMA_VERSION = 1;
const OPEN_TIMEOUT_MS = 5000;
/** @type {["head", "base", "deltas"]} */
const STORES = ["head", "base", "deltas"];

/** A journal in IndexedDB; `relaxed` answers before the disk was told to keep it. */
export class IndexedDbJournal {
  kind = "indexeddb";
  isShared = true;

  /**
   * @param {string} name the database's name.
   * @param {{durability?: "relaxed" | "strict"}} [options] what a commit waits for: the browser
   *   has it (relaxed: a crash of the page loses nothing, a power cut may), or the disk (strict).
   */
  constructor(name, { durability = "relaxed" } = {}) {
    this.name = name;
    this._durability = durability;
    /** @type {Promise<import("idb").IDBPDatabase<any>> | null} */
    this._opening = null;
    /** @type {any} The transaction of the turn that runs. */
    this._running = null;
    /** @type {Promise<void> | null} Until a frozen page goes on. */
    this._frozen = null;
    this._thaw = () => {};
    this._freezes = 0;
  }

  /**
   * @param {string} suffix
   * @returns {IndexedDbJournal}
   */
  beside(suffix) {
    return new IndexedDbJournal(`${this.name}.${suffix}`, { durability: this._durability });
  }

  /** @throws {StoreUnavailable} the browser gives no database. */
  async open() {
    await this._open();
  }

  async close() {
    const opening = this._opening;
    this._opening = null;
    if (opening !== null) (await opening.catch(() => null))?.close();
  }

  /**
   * Give the database back at once: the page is about to be frozen.
   *
   * A frozen page keeps its transactions, and all other tabs would wait for it to go on.
   */
  freeze() {
    if (this._frozen !== null) return;
    this._freezes += 1;
    this._frozen = new Promise((resolve) => {
      this._thaw = resolve;
    });
    if (this._running !== null) abort(this._running);
  }

  /** Go on, with the turn that `freeze` took back. */
  thaw() {
    this._frozen = null;
    this._thaw();
  }

  /**
   * @param {number} version
   * @param {(foreign: Foreign) => Written | null} work
   */
  async turn(version, work) {
    let wasOpenedAnew = false;
    for (;;) {
      while (this._frozen !== null) await this._frozen;
      const freezes = this._freezes;
      try {
        return await this._turn(version, work);
      } catch (error) {
        if (freezes !== this._freezes) continue;
        if (!isClosedUnderUs(error) || wasOpenedAnew) throw namedError(error);
        // The browser closed it, as when the user clears the site's data: open it once more.
        this._opening = null;
        wasOpenedAnew = true;
      }
    }
  }

  /**
   * @param {number} version
   * @param {(foreign: Foreign) => Written | null} work
   */
  async _turn(version, work) {
    const db = await this._open();
    const tx = db.transaction(STORES, "readwrite", { durability: this._durability });
    // Looked at in `done` below; on its own it would count as unhandled.
    tx.done.catch(() => {});
    this._running = tx;
    try {
      const foreign = await foreignSince(tx, version);
      const written = work(foreign);
      const next = written === null ? foreign.version : await append(tx, foreign, written);
      tx.commit();
      await tx.done;
      return next;
    } catch (error) {
      abort(tx);
      throw error;
    } finally {
      this._running = null;
    }
  }

  /** @returns {Promise<import("idb").IDBPDatabase<any>>} */
  _open() {
    this._opening ??= this._openAnew();
    return this._opening;
  }

  async _openAnew() {
    try {
      return await withinTime(
        openDB(this.name, SCHEMA_VERSION, {
          upgrade: (db) => {
            for (const store of STORES) db.createObjectStore(store);
          },
          blocking: () => void this.close(),
          terminated: () => {
            this._opening = null;
          },
        }),
      );
    } catch (error) {
      this._opening = null;
      throw namedError(error);
    }
  }
}

/**
 * @param {any} tx
 * @param {number} version
 * @returns {Promise<Foreign>}
 */
async function foreignSince(tx, version) {
  /** @type {Head | undefined} */
  const head = await tx.objectStore("head").get("head");
  if (head === undefined) {
    return { version, isReset: version === 0, isCleared: version > 0, texts: [] };
  }
  const isKnown = version >= head.base && version <= head.version && version > 0;
  if (isKnown && version === head.version) {
    return { version, isReset: false, isCleared: false, texts: [] };
  }
  const since = isKnown ? version : head.base;
  const deltas = tx.objectStore("deltas").getAll(IDBKeyRange.lowerBound(since, true));
  const base = isKnown ? [] : await tx.objectStore("base").getAll();
  const texts = [...base, ...(await deltas)];
  if (texts.some((text) => typeof text !== "string")) {
    throw new StoreCorrupt("the database holds what syncline never wrote there");
  }
  return { version: head.version, isReset: !isKnown, isCleared: false, texts };
}

/**
 * @param {any} tx
 * @param {Foreign} foreign
 * @param {Written} written
 */
async function append(tx, foreign, { base, delta }) {
  const version = foreign.version + 1;
  const heads = tx.objectStore("head");
  if (base === undefined) {
    const head = foreign.version === 0 ? { base: 0 } : await heads.get("head");
    void tx.objectStore("deltas").put(delta, version);
    void heads.put({ version, base: head.base }, "head");
    return version;
  }
  void tx.objectStore("deltas").clear();
  void tx.objectStore("base").clear();
  base.forEach((text, index) => void tx.objectStore("base").put(text, index));
  void heads.put({ version, base: version }, "head");
  return version;
}

/** @param {any} tx */
function abort(tx) {
  try {
    tx.abort();
  } catch {
    // It has ended by itself.
  }
}

/**
 * @template T
 * @param {Promise<T>} opening
 * @returns {Promise<T>}
 */
function withinTime(opening) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new StoreUnavailable("IndexedDB does not open", { hint: "close other tabs" })),
      OPEN_TIMEOUT_MS,
    );
    opening.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** @param {unknown} error */
function isClosedUnderUs(error) {
  return error instanceof DOMException && error.name === "InvalidStateError";
}

/** @param {unknown} error */
function namedError(error) {
  if (error instanceof StoreError) return error;
  const name = error instanceof DOMException ? error.name : "";
  if (name === "QuotaExceededError") {
    return new StoreFull("the browser gives no more room to this site", {
      hint: "free some space on the device, or delete records",
      cause: error,
    });
  }
  return new StoreUnavailable(`IndexedDB failed: ${String(error)}`, {
    hint: "a private window or a full disk may forbid it",
    cause: error,
  });
}
