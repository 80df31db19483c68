/**
 * The user's functions, guarded: each with a deadline, none inside a transaction.
 *
 * @module
 */

import { RulingKind } from "./bulk.js";
import { HookFailed, RecordError, SynclineError } from "./errors.js";
import { copyOf } from "./models.js";
import { equalValues } from "./verdicts.js";

/** @typedef {import("./models.js").RecordData} RecordData */
/** @typedef {import("./models.js").Update} Update */
/**
 * @callback Validate rule on a write; return null or true to pass, a record to amend, or throw
 *   `Refuse` (or return it) to refuse. Amending must be idempotent.
 * @param {unknown} principal
 * @param {RecordData | null} before
 * @param {RecordData | null} after
 * @returns {unknown}
 */
/**
 * @typedef {object} Hooks what a user hangs into a replica
 * @property {Record<string, Validate>} [validate] by model, rules on what is pushed here
 * @property {(update: Update) => unknown} [onChange] called with each update after its commit
 * @property {(conflict: import("./models.js").Conflict) => unknown} [onConflict] called with each
 *   conflict that waits to be settled
 * @property {(update: Update, reason: string) => unknown} [onRefused] called when the upstream
 *   refused an own write
 * @property {(error: Error, operation: string) => unknown} [handleChangeError] called when another
 *   hook failed
 */

export const DEADLINE_MS = 5000;

/** Thrown, or returned, by a validation hook to refuse a write, with the reason. */
export class Refuse extends Error {}

/** Runs the user's functions with a deadline. */
export class HookRunner {
  /** @param {number} [deadlineMs] how long one may take. */
  constructor(deadlineMs = DEADLINE_MS) {
    this._deadlineMs = deadlineMs;
  }

  /**
   * Call a user's function and return what it returns.
   *
   * @param {(...args: any[]) => any} hook
   * @param {...unknown} args
   * @returns {Promise<any>}
   * @throws {Refuse} passed through.
   * @throws {HookFailed} it threw anything else, or took too long.
   */
  async call(hook, ...args) {
    const name = hook.name || "a hook";
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(
        () => reject(new HookFailed(`${name} took longer than ${this._deadlineMs} ms`)),
        this._deadlineMs,
      );
    });
    try {
      return await Promise.race([(async () => hook(...args))(), late]);
    } catch (error) {
      if (error instanceof Refuse || error instanceof HookFailed) throw error;
      throw new HookFailed(`${name} threw ${String(error)}`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Ask a validation hook about an update; never throws for what the hook does.
   *
   * @param {Validate} validate
   * @param {unknown} principal
   * @param {Update | null} before
   * @param {Update} after
   * @param {(data: RecordData) => RecordData} check finds an amended record valid, or throws.
   * @returns {Promise<import("./bulk.js").Ruling>}
   */
  async rule(validate, principal, before, after, check) {
    const seen = before?.rev ?? null;
    try {
      const old = copyOf(before?.data ?? null);
      const word = await this.call(validate, principal, old, copyOf(after.data));
      if (word instanceof Refuse) throw word;
      if (word == null || word === true || equalValues(word, after.data)) {
        return { kind: RulingKind.PASSED, seen };
      }
      if (typeof word !== "object") {
        throw new HookFailed(
          `a validation hook returned ${typeof word}: return null, a record, or Refuse`,
        );
      }
      return { kind: RulingKind.AMENDED, seen, data: check(word) };
    } catch (error) {
      if (error instanceof Refuse) {
        return { kind: RulingKind.REFUSED, seen, reason: error.message || "refused" };
      }
      if (error instanceof HookFailed || error instanceof RecordError) {
        return { kind: RulingKind.PARKED, seen, reason: error.message };
      }
      throw error;
    }
  }
}

/**
 * Return an error as one of ours.
 *
 * @param {unknown} error
 */
export function asSynclineError(error) {
  return error instanceof SynclineError ? error : new HookFailed(String(error), { cause: error });
}
