/**
 * Who is told of changes: watchers, live queries and plain listeners.
 *
 * @module
 */

import { log } from "./logs.js";
import { shown } from "./models.js";

/** @typedef {import("./models.js").Update} Update */
/** @typedef {(updates: readonly Update[]) => void} Listener */

/**
 * An async iterator of a model's changes, from now on.
 *
 * One that is read slowly skips to the latest change of each record, so it holds no more than one
 * change a record.
 *
 * @implements {AsyncIterableIterator<Update>}
 */
export class Watch {
  /** @param {() => void} onClose */
  constructor(onClose) {
    this._onClose = onClose;
    /** @type {Map<string, Update>} */
    this._waiting = new Map();
    /** @type {Set<() => void>} Those who wait for the next. */
    this._waiters = new Set();
    this._isClosed = false;
  }

  /**
   * Take a change; the one before of the same record is superseded.
   *
   * @param {Update} update
   */
  offer(update) {
    this._waiting.delete(update.key);
    this._waiting.set(update.key, update);
    this._wake();
  }

  /** Drop what waits: the reader looks at the records themselves. */
  drain() {
    this._waiting.clear();
  }

  /** End the iteration. */
  close() {
    this._isClosed = true;
    this._onClose();
    this._wake();
  }

  /** Whether it was ended; what waits is still read. */
  get isClosed() {
    return this._isClosed;
  }

  _wake() {
    for (const wake of this._waiters) wake();
    this._waiters.clear();
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  /** @returns {Promise<IteratorResult<Update, undefined>>} */
  async next() {
    while (!this._waiting.size) {
      if (this._isClosed) return { value: undefined, done: true };
      await new Promise((resolve) => this._waiters.add(() => resolve(undefined)));
    }
    const [key, update] = /** @type {[string, Update]} */ (this._waiting.entries().next().value);
    this._waiting.delete(key);
    return { value: shown(update), done: false };
  }

  /** @returns {Promise<IteratorResult<Update, undefined>>} */
  async return() {
    this.close();
    return { value: undefined, done: true };
  }
}

/** The observers of one replica. */
export class Observers {
  constructor() {
    /** @type {Map<string, Set<Watch>>} */
    this._watches = new Map();
    /** @type {Set<Listener>} */
    this._listeners = new Set();
  }

  /**
   * Return a new iterator of a model's changes.
   *
   * @param {string} model
   */
  watch(model) {
    const watches = this._watches.get(model) ?? new Set();
    this._watches.set(model, watches);
    const watch = new Watch(() => watches.delete(watch));
    watches.add(watch);
    return watch;
  }

  /**
   * Call `listener` with the changes of every commit; return what ends that.
   *
   * @param {Listener} listener
   */
  listen(listener) {
    this._listeners.add(listener);
    return () => void this._listeners.delete(listener);
  }

  /**
   * Tell everybody of a commit's changes.
   *
   * @param {readonly Update[]} updates
   */
  tell(updates) {
    if (!updates.length) return;
    for (const listener of [...this._listeners]) {
      try {
        listener(updates);
      } catch (error) {
        // It is committed: whoever wrote it did nothing wrong.
        log("error", "observer.failed", { reason: String(error) });
      }
    }
    for (const update of updates) {
      for (const watch of this._watches.get(update.model) ?? []) watch.offer(update);
    }
  }

  /** End all iterations. */
  close() {
    for (const watches of this._watches.values()) for (const watch of [...watches]) watch.close();
    this._listeners.clear();
  }
}
