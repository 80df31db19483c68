/**
 * What all handles of a replica share: its engine, its writer, its observers, its models.
 *
 * @module
 */

import { WriteKind } from "./changeLog.js";
import { ModelUnknown, ReplicaClosed } from "./errors.js";
import { HookRunner, asSynclineError } from "./hooks.js";
import { writableBytesMax } from "./limits.js";
import { log } from "./logs.js";
import { keyOf, shown } from "./models.js";
import { Observers } from "./observers.js";
import { RECORD_BYTES_MAX } from "./protocol.js";
import { checkRecord, recordIdOf, underItsId } from "./schema.js";
import { Writer } from "./writer.js";

/** @typedef {import("./changeLog.js").Write} Write */
/** @typedef {import("./models.js").RecordData} RecordData */
/** @typedef {import("./models.js").Update} Update */
/** @typedef {import("./store/transaction.js").Transaction} Transaction */

/** The shared heart of a replica. */
export class Core {
  /**
   * @param {import("./engine.js").Engine} engine
   * @param {{models: readonly string[] | null, hooks?: import("./hooks.js").Hooks,
   *   hookDeadlineMs?: number, recordBytesMax?: number}} options `models`: null lets every name be
   *   a model.
   */
  constructor(engine, { models, hooks = {}, hookDeadlineMs, recordBytesMax = RECORD_BYTES_MAX }) {
    this.engine = engine;
    this.writer = new Writer(engine.store);
    this.models = models;
    this.hooks = hooks;
    this.runner = new HookRunner(hookDeadlineMs);
    this.observers = new Observers();
    /** Whom the upstream takes this replica for, as far as it says. */
    this.principal = "";
    this._ownBytesMax = recordBytesMax;
    this.recordBytesMax = recordBytesMax;
    /** @type {() => void} Called after a commit that left something to push. */
    this.wake = () => {};
    /** @type {(conflicts: readonly import("./models.js").Conflict[]) => void} */
    this.onConflicts = () => {};
    /** @type {Map<string, Promise<void>>} By record, the last call of a user's function. */
    this._calls = new Map();
    engine.store.onForeign = (updates) => {
      this.published(updates);
      this.wake();
    };
  }

  /**
   * Return the model's name.
   *
   * @param {string} model
   * @throws {ModelUnknown}
   */
  checkModel(model) {
    const isText = typeof model === "string" && model !== "" && !model.startsWith("syncline_");
    // A key is the model, U+0000 and the id.
    const isName = isText && !model.includes("\0");
    if (isName && (this.models === null || this.models.includes(model))) return model;
    const known = this.models?.join(", ") || "none";
    throw new ModelUnknown(`there is no model '${String(model)}' here`, {
      hint: `known models: ${known}`,
    });
  }

  /**
   * Refuse from now on what the upstream does not take.
   *
   * @param {import("./limits.js").PushLimits} limits
   */
  learnLimits(limits) {
    this.engine.outbox.limits = limits;
    if (!this.engine.author.follows) return;
    this.recordBytesMax = Math.min(this._ownBytesMax, writableBytesMax(limits));
  }

  /**
   * Return a record as it is kept.
   *
   * @param {unknown} recordId
   * @param {unknown} data
   * @param {RecordData | null} [before] what it takes the place of, whose id stays of its type.
   * @throws {RecordError} it can't be kept.
   */
  check(recordId, data, before = null) {
    return checkRecord(recordId, underItsId(data, before), { bytesMax: this.recordBytesMax });
  }

  /**
   * Return the checked write of a whole record, its id as it was given.
   *
   * @param {string} model
   * @param {unknown} given
   * @param {unknown} fields
   * @param {string | null} [ifRev]
   * @returns {Write}
   */
  putOf(model, given, fields, ifRev = null) {
    const recordId = recordIdOf(given);
    const key = keyOf(this.checkModel(model), recordId);
    const data = this.check(given, fields);
    const merge =
      /** @type {any} */ (fields).id == null
        ? (/** @type {RecordData} */ before) => /** @type {RecordData} */ ({ ...data, id: before.id ?? data.id })
        : null;
    return { kind: WriteKind.PUT, model, recordId, key, data, merge, ifRev };
  }

  /**
   * Return the write that sets some properties; the whole is checked when it is made.
   *
   * @param {string} model
   * @param {string} recordId
   * @param {RecordData} fields
   * @param {string | null} [ifRev]
   * @returns {Write}
   */
  patchOf(model, recordId, fields, ifRev = null) {
    const key = keyOf(this.checkModel(model), recordId);
    const kept = { ...fields };
    /** @param {RecordData} before */
    const merge = (before) => this.check(recordId, { ...before, ...kept });
    return { kind: WriteKind.PATCH, model, recordId, key, data: null, merge, ifRev };
  }

  /**
   * Return the write that deletes a record.
   *
   * @param {string} model
   * @param {string} recordId
   * @param {string | null} [ifRev]
   * @returns {Write}
   */
  deleteOf(model, recordId, ifRev = null) {
    const key = keyOf(this.checkModel(model), recordId);
    return { kind: WriteKind.DELETE, model, recordId, key, data: null, merge: null, ifRev };
  }

  /**
   * Record local writes in one commit; tell the observers and the link.
   *
   * @param {readonly Write[]} writes
   * @param {string | null} [group]
   * @returns {Promise<Update[]>}
   */
  async write(writes, group = null) {
    const before = { head: 0 };
    const written = await this.writer.run((tx) => {
      before.head = tx.head();
      return this.engine.write(tx, writes, group);
    });
    // What was there already made no change, and one that was taken back has no place any more.
    this.published(written.filter(({ seq }) => seq > before.head || seq === 0));
    this.wake();
    return written.map(shown);
  }

  /**
   * Run a job that takes the upstream's word; tell the observers.
   *
   * @param {(tx: Transaction) => import("./outcome.js").Outcome} job
   */
  async carryOut(job) {
    const outcome = await this.writer.run(job);
    this.published(outcome.visible);
    if (outcome.conflicts.length) {
      this.onConflicts(outcome.conflicts);
      for (const conflict of outcome.conflicts) this.call("onConflict", conflict.key, conflict);
    }
    const { principal } = this;
    for (const [{ model, recordId, rev }, reason] of outcome.parked) {
      log("warning", "update.parked", { model, recordId, rev, reason, principal });
    }
    for (const [update, reason] of outcome.refusals) {
      const { model, recordId, rev } = update;
      log("warning", "update.refused", { model, recordId, rev, reason, principal });
      this.call("onRefused", update.key, shown(update), reason);
    }
    return outcome;
  }

  /**
   * Run a job on what is committed.
   *
   * @template T
   * @param {(reader: Transaction) => T} job
   * @returns {Promise<T>}
   * @throws {ReplicaClosed}
   */
  async read(job) {
    this.checkOpen();
    return this.engine.store.read(job);
  }

  /**
   * Tell the observers of a commit.
   *
   * @param {readonly Update[]} updates
   */
  published(updates) {
    this.observers.tell(updates);
    if (this.hooks.onChange) for (const update of updates) this.call("onChange", update.key, shown(update));
  }

  /**
   * Call one of the user's functions; its failure never stops the stream.
   *
   * The calls for one record are made in order, others meanwhile.
   *
   * @param {"onChange" | "onConflict" | "onRefused"} name
   * @param {string} key the record's.
   * @param {...unknown} args
   */
  call(name, key, ...args) {
    const hook = this.hooks[name];
    if (!hook) return;
    const before = this._calls.get(key) ?? Promise.resolve();
    const made = before
      .then(() => this.runner.call(hook, ...args))
      .catch((error) => this.hookFailed(name, error))
      .then(() => {
        if (this._calls.get(key) === made) this._calls.delete(key);
      });
    this._calls.set(key, made);
  }

  /**
   * Say that a user's function failed, to the log and to the user's handler.
   *
   * @param {string} name
   * @param {unknown} error
   */
  async hookFailed(name, error) {
    log("error", "hook.failed", { hook: name, error: String(error) });
    const handler = this.hooks.handleChangeError;
    if (!handler) return;
    try {
      await this.runner.call(handler, asSynclineError(error), name);
    } catch (second) {
      log("error", "hook.failed", { hook: "handleChangeError", error: String(second) });
    }
  }

  /**
   * Do nothing while the replica is open.
   *
   * @throws {ReplicaClosed}
   */
  checkOpen() {
    if (this.writer.isClosed) throw new ReplicaClosed();
  }

  /** Refuse whatever is asked from now on. */
  leave() {
    this.writer.isClosed = true;
  }

  /** End the observers and close the store. */
  async close() {
    this.leave();
    this.wake = () => {};
    this.observers.close();
    await this.engine.store.close();
  }
}
