/**
 * The one writer of a store: group commit.
 *
 * What arrives while a transaction is being kept goes together into the next one; callers are
 * answered after the commit.
 *
 * @module
 */

import { ReplicaClosed } from "./errors.js";

/** @typedef {import("./store/store.js").Job} Job */
/** @typedef {{job: Job, resolve: (value: any) => void, reject: (error: unknown) => void}} Waiting */

export const GROUP_JOBS_MAX = 10_000;

/** Runs jobs against a store, in order, several to a transaction. */
export class Writer {
  /** @param {import("./store/store.js").Store} store */
  constructor(store) {
    this._store = store;
    /** @type {Waiting[]} */
    this._queue = [];
    this._isRunning = false;
    /** Whether it refuses what is asked from now on. */
    this.isClosed = false;
  }

  /**
   * Run a job in a transaction and return its answer after the commit.
   *
   * @template T
   * @param {(tx: import("./store/transaction.js").Transaction) => T} job
   * @returns {Promise<T>}
   * @throws {ReplicaClosed}
   */
  run(job) {
    if (this.isClosed) return Promise.reject(new ReplicaClosed());
    return new Promise((resolve, reject) => {
      this._queue.push({ job, resolve, reject });
      if (!this._isRunning) void this._pump();
    });
  }

  async _pump() {
    this._isRunning = true;
    while (this._queue.length) {
      const batch = this._queue.splice(0, GROUP_JOBS_MAX);
      try {
        const outcomes = await this._store.write(batch.map(({ job }) => job));
        outcomes.forEach((outcome, index) => {
          if ("error" in outcome) batch[index].reject(outcome.error);
          else batch[index].resolve(outcome.value);
        });
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this._isRunning = false;
  }
}
