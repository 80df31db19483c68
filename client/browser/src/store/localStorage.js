/**
 * The journal in localStorage: small, for where there is no IndexedDB.
 *
 * Browsers give about 5 MB to all pages of an origin together.
 * Turns exclude each other by a Web Lock where the browser has them.
 *
 * @module
 */

import { StoreFull, StoreUnavailable } from "../errors.js";

/** @typedef {import("./journal.js").Foreign} Foreign */
/** @typedef {import("./journal.js").Written} Written */
/** @typedef {{version: number, base: number, chunks: number}} Head the base's version and texts */

/** A journal in localStorage. */
export class LocalStorageJournal {
  kind = "localstorage";
  isShared = true;

  /**
   * @param {string} name what its keys begin with.
   * @param {Storage} [storage]
   */
  constructor(name, storage) {
    this.name = name;
    this._given = storage;
  }

  /**
   * @param {string} suffix
   * @returns {LocalStorageJournal}
   */
  beside(suffix) {
    return new LocalStorageJournal(`${this.name}.${suffix}`, this._given);
  }

  /** @throws {StoreUnavailable} the browser gives no storage. */
  async open() {
    this._readHead();
  }

  async close() {}

  /** @returns {Storage} */
  get _storage() {
    try {
      const storage = this._given ?? globalThis.localStorage;
      if (storage) return storage;
    } catch (error) {
      throw new StoreUnavailable(`localStorage is forbidden: ${String(error)}`, { cause: error });
    }
    throw new StoreUnavailable("there is no localStorage here");
  }

  /**
   * @param {number} version
   * @param {(foreign: Foreign) => Written | null} work
   * @returns {Promise<number>}
   */
  async turn(version, work) {
    const locks = globalThis.navigator?.locks;
    if (!locks) return this._turn(version, work);
    return locks.request(`syncline:${this.name}:journal`, async () => this._turn(version, work));
  }

  /**
   * @param {number} version
   * @param {(foreign: Foreign) => Written | null} work
   */
  _turn(version, work) {
    const head = this._readHead();
    const foreign = this._foreignSince(head, version);
    const written = work(foreign);
    if (written === null) return foreign.version;
    const next = foreign.version + 1;
    const before = head ?? { version: 0, base: 0, chunks: 0 };
    if (written.base !== undefined) {
      this._writeBase(next, before, written.base);
      return next;
    }
    this._put(`delta/${next}`, written.delta ?? "");
    this._putHead({ ...before, version: next }, [`delta/${next}`]);
    return next;
  }

  /** @returns {Head | null} */
  _readHead() {
    const text = this._storage.getItem(this._key("head"));
    return text === null ? null : JSON.parse(text);
  }

  /**
   * @param {Head | null} head
   * @param {number} version
   * @returns {Foreign}
   */
  _foreignSince(head, version) {
    if (head === null) {
      return { version, isReset: version === 0, isCleared: version > 0, texts: [] };
    }
    const isKnown = version > 0 && version >= head.base && version <= head.version;
    /** @type {string[]} */
    const names = [];
    if (!isKnown) {
      for (let index = 0; index < head.chunks; index += 1) names.push(`base/${head.base}/${index}`);
    }
    for (let seq = (isKnown ? version : head.base) + 1; seq <= head.version; seq += 1) {
      names.push(`delta/${seq}`);
    }
    const texts = names.map((name) => this._storage.getItem(this._key(name)) ?? "");
    return { version: head.version, isReset: !isKnown, isCleared: false, texts };
  }

  /**
   * Write the whole anew, beside the old, which goes when that is done.
   *
   * @param {number} version
   * @param {Head} before
   * @param {string[]} texts
   */
  _writeBase(version, before, texts) {
    const names = texts.map((_, index) => `base/${version}/${index}`);
    try {
      texts.forEach((text, index) => this._put(names[index], text));
      this._putHead({ version, base: version, chunks: texts.length }, names);
    } catch (error) {
      for (const name of names) this._storage.removeItem(this._key(name));
      throw error;
    }
    for (let index = 0; index < before.chunks; index += 1) {
      this._storage.removeItem(this._key(`base/${before.base}/${index}`));
    }
    for (let seq = before.base + 1; seq <= before.version; seq += 1) {
      this._storage.removeItem(this._key(`delta/${seq}`));
    }
  }

  /**
   * @param {Head} head
   * @param {string[]} names what was written for it, to be taken back if there is no room.
   */
  _putHead(head, names) {
    try {
      this._put("head", JSON.stringify(head));
    } catch (error) {
      for (const name of names) this._storage.removeItem(this._key(name));
      throw error;
    }
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  _put(name, text) {
    try {
      this._storage.setItem(this._key(name), text);
    } catch (error) {
      throw new StoreFull(`localStorage takes no more: ${String(error)}`, {
        hint: "use IndexedDB, or delete records",
        cause: error,
      });
    }
  }

  /** @param {string} name */
  _key(name) {
    return `syncline/${this.name}/${name}`;
  }
}
