/**
 * A replica: a database with a change list, its models and its conflicts.
 *
 * @module
 */

import { Brake } from "./brake.js";
import { RulingKind, planBulkUpdate } from "./bulk.js";
import { checkStrategy } from "./conflicts.js";
import { Core } from "./core.js";
import { Ending } from "./ending.js";
import { Engine } from "./engine.js";
import { ConfigError, HookFailed, StoreUnavailable, SynclineError } from "./errors.js";
import { Linked } from "./linked.js";
import { log } from "./logs.js";
import { Model } from "./model.js";
import { Resolution, copyOf, shown } from "./models.js";
import { newNonce } from "./random.js";
import { checkModels } from "./schema.js";
import { Store } from "./store/store.js";
import { ReplicaTransaction } from "./transaction.js";

/** @typedef {import("./bulk.js").Ruling} Ruling */
/** @typedef {import("./conflicts.js").Strategy} Strategy */
/** @typedef {import("./models.js").Conflict} Conflict */
/** @typedef {import("./models.js").RecordData} RecordData */
/** @typedef {import("./models.js").Update} Update */
/** @typedef {Strategy | Record<string, Strategy>} Strategies */
/**
 * @typedef {object} ReplicaOptions
 * @property {Store} [store] in memory without one
 * @property {readonly string[] | null} [models] the names of its models; null lets every name be one
 * @property {Strategies} [strategies] the conflict strategy, or one a model; `"*"` for the rest
 * @property {import("./hooks.js").Hooks} [hooks]
 * @property {boolean} [follows] its writes wait to be acknowledged by an upstream
 * @property {number} [deletionShareMax] the share of a model's records, 0 to 1, that a link deletes
 *   unasked; 1 for all. See `brake.js`
 * @property {number} [closeTimeoutMs] how long `close` goes on sending; 5,000 by default
 * @property {boolean} [isKept] whether the store outlives the replica; by default whether it has a
 *   journal
 * @property {number} [recordBytesMax]
 * @property {number} [hookDeadlineMs]
 * @property {() => number} [nowMs]
 */

const RULING_ROUNDS_MAX = 8;
const ALLOWED_MS = 60 * 60 * 1000;

/**
 * A database with a change list.
 *
 * Open one with `Replica.open`, or with `connect` to have it follow a daemon.
 */
export class Replica extends Linked {
  /**
   * @param {Core} core
   * @param {Strategies} strategies
   * @param {Ending} ending
   */
  constructor(core, strategies, ending) {
    super(core);
    this._ending = ending;
    this._strategies = strategies;
    /** @type {Map<string, Model>} */
    this._models = new Map();
    core.onConflicts = (conflicts) => this._settleByFunction(conflicts);
  }

  /**
   * Open a replica.
   *
   * @param {ReplicaOptions} [options]
   * @returns {Promise<Replica>}
   * @throws {ConfigError} a model or a strategy can't be.
   * @throws {StoreError} the store can't be opened, by name.
   */
  static async open({
    store = new Store(),
    models = null,
    strategies = "manual",
    hooks = {},
    follows = false,
    deletionShareMax,
    closeTimeoutMs,
    isKept = store.journal !== null,
    recordBytesMax,
    hookDeadlineMs,
    nowMs = Date.now,
  } = {}) {
    const validate = hooks.validate ?? {};
    checkStrategies(strategies);
    const engine = new Engine(store, {
      newNonce,
      nowMs,
      follows,
      strategyOf: (model) => strategyOf(strategies, model),
      needsRuling: (model) => model in validate || "*" in validate,
      brake: new Brake({ shareMax: deletionShareMax }),
    });
    const options = { models: checkModels(models), hooks, hookDeadlineMs, recordBytesMax };
    const core = new Core(engine, options);
    const ending = new Ending(core, { timeoutMs: closeTimeoutMs, isKept });
    try {
      await engine.open();
    } catch (error) {
      await store.close();
      throw error;
    }
    core.learnLimits(engine.outbox.limits);
    return new Replica(core, strategies, ending);
  }

  // ---- models and writes ----------------------------------------------------------------

  /** Who this replica is, to its upstream and in the origin of its changes. */
  get replicaId() {
    return this.core.engine.author.replicaId;
  }

  /**
   * Return the handle of a model.
   *
   * @param {string} name
   * @throws {ModelUnknown}
   */
  model(name) {
    this.core.checkModel(name);
    const handle =
      this._models.get(name) ?? new Model(this.core, name, (updates) => this.bulkUpdate(updates));
    this._models.set(name, handle);
    return handle;
  }

  /**
   * Return the names of the declared models, and of those that hold anything.
   *
   * @returns {Promise<string[]>}
   */
  async modelNames() {
    const held = await this.core.read((reader) => reader.models());
    return [...new Set([...(this.core.models ?? []), ...held])].sort();
  }

  /**
   * Group writes to several records and models: one commit, one interval, whole everywhere.
   *
   * `await replica.transaction((tx) => tx.model("todo").put("1", {title: "milk"}))`
   * The writes are made when the function returns, none if it throws.
   *
   * @param {(tx: ReplicaTransaction) => unknown} work
   * @returns {Promise<Update[]>}
   */
  async transaction(work) {
    const transaction = new ReplicaTransaction(this.core);
    await work(transaction);
    return transaction.commit();
  }

  // ---- what others push here ------------------------------------------------------------

  /**
   * Apply updates that others made, each by its own verdict.
   *
   * Validation hooks are asked before the commit and outside of any transaction; if the record
   * moved meanwhile they are asked again.
   *
   * @param {readonly Update[]} updates
   * @param {{principal?: unknown, pusher?: string}} [more]
   */
  async bulkUpdate(updates, { principal = null, pusher = "" } = {}) {
    /** @type {Map<number, Ruling>} */
    const rulings = new Map();
    const own = updates.map(shown);
    for (let round = 0; round < RULING_ROUNDS_MAX; round += 1) {
      if (this.core.hooks.validate) await this._rule(own, rulings, principal);
      const { plan, result } = await this.core.writer.run((tx) => {
        const planned = this.core.engine.offer(tx, own, rulings, pusher);
        return { plan: planned, result: this.core.engine.answer(tx, planned) };
      });
      if (plan.unruled.length) continue;
      this.core.published(plan.writes);
      if (plan.writes.length) this.core.wake();
      return result;
    }
    throw new StoreUnavailable("the records moved faster than the validation hook could rule", {
      hint: "push again",
    });
  }

  /**
   * Ask the hooks about what a dry run finds in want of a ruling.
   *
   * @param {readonly Update[]} updates
   * @param {Map<number, Ruling>} rulings
   * @param {unknown} principal
   */
  async _rule(updates, rulings, principal) {
    const validate = this.core.hooks.validate ?? {};
    for (let round = 0; round < RULING_ROUNDS_MAX; round += 1) {
      const { plan, current } = await this.core.read((reader) => {
        const entries = reader.entriesOf(updates.map((update) => update.key));
        const held = new Map([...entries].map(([key, entry]) => [key, entry.update]));
        const rules = this.core.engine.rules();
        return { plan: planBulkUpdate(held, updates, rulings, rules), current: held };
      });
      if (!plan.unruled.length) return;
      for (const index of plan.unruled) {
        const update = updates[index];
        const { model, recordId } = update;
        const hook = validate[model] ?? validate["*"];
        const before = current.get(update.key) ?? null;
        const check = (/** @type {RecordData} */ data) => this.core.check(recordId, data, update.data);
        const ruling = await this.core.runner.rule(hook, principal, before, update, check);
        rulings.set(index, ruling);
        if (ruling.kind === RulingKind.PARKED) {
          log("error", "hook.failed", { hook: "validate", model, recordId, error: ruling.reason });
        }
      }
    }
  }

  // ---- conflicts ------------------------------------------------------------------------

  /**
   * Return the conflict log, oldest first; with `openOnly: false` the settled ones too.
   *
   * @param {{openOnly?: boolean, model?: string | null}} [which]
   * @returns {Promise<OpenConflict[]>}
   */
  async conflicts({ openOnly = true, model = null } = {}) {
    const found = await this.core.read((reader) => reader.conflicts({ openOnly, model }));
    return found.map((conflict) => new OpenConflict(this, conflict));
  }

  /**
   * Settle an open conflict; the resolution replicates.
   *
   * @param {Conflict} conflict
   * @param {string} resolution `"ours"`, `"theirs"`, `"latest"`, or `"manual"` with `data`.
   * @param {RecordData | null} [data] for `"manual"`: what is to stand; null deletes.
   * @returns {Promise<boolean>} whether it still stood as it was looked at; if not, look again.
   */
  async resolve(conflict, resolution, data = null) {
    if (!RESOLUTIONS.includes(resolution)) {
      throw new ConfigError(`no resolution '${String(resolution)}'`, {
        hint: `one of ${RESOLUTIONS.join(", ")}`,
      });
    }
    const isManual = resolution === Resolution.MANUAL;
    const { recordId, ours, theirs } = conflict;
    const kept = data === null ? null : this.core.check(recordId, data, ours.data ?? theirs.data);
    let settled = false;
    await this.core.carryOut((tx) => {
      const standing = isManual ? { data: kept } : null;
      const { isSettled, outcome } = this.core.engine.resolve(tx, conflict, resolution, standing);
      settled = isSettled;
      return outcome;
    });
    this.core.wake();
    return settled;
  }

  /** @param {readonly Conflict[]} conflicts */
  _settleByFunction(conflicts) {
    for (const conflict of conflicts) {
      const strategy = strategyOf(this._strategies, conflict.model);
      if (typeof strategy === "function") void this._ask(strategy, conflict);
    }
  }

  /**
   * Let a user's function settle a conflict; one that fails leaves it open in the log.
   *
   * @param {import("./conflicts.js").Resolver} strategy
   * @param {Conflict} conflict
   */
  async _ask(strategy, conflict) {
    try {
      const word = await this.core.runner.call(strategy, conflict);
      if (word == null) return;
      if (typeof word === "object") await this.resolve(conflict, Resolution.MANUAL, word);
      else if (["ours", "theirs", "latest"].includes(word)) await this.resolve(conflict, word);
      else {
        throw new HookFailed(`a conflict function returned ${String(word)}`, {
          hint: "return 'ours', 'theirs', 'latest', a record, or null",
        });
      }
    } catch (error) {
      const { model, recordId } = conflict;
      log("error", "conflict.unresolved", { model, recordId, error: String(error) });
      const shownError = error instanceof SynclineError ? error : new HookFailed(String(error));
      await this.core.hookFailed("resolve", shownError);
    }
  }

  // ---- upkeep, and the end ---------------------------------------------------------------

  /**
   * Let mass deletions through for a while; a link that was stopped by one goes on.
   *
   * @param {{forMs?: number}} [how] how long; then the brake is on again.
   */
  allowDeletions({ forMs = ALLOWED_MS } = {}) {
    const { author, brake } = this.core.engine;
    brake.lift(author.nowMs() + forMs);
    this.link?.goOn();
  }

  /** Push again what the upstream could not rule on; return how many. */
  async retryParked() {
    const count = await this.core.writer.run((tx) => this.core.engine.unpark(tx));
    this.core.wake();
    return count;
  }

  /**
   * Send what waits, and close the link and the store; closing twice is harmless.
   *
   * It goes on sending until all is sent, up to a deadline; a daemon that is not reached at once is
   * not waited for.
   *
   * @param {{timeoutMs?: number | null}} [how] how long to go on sending; null for what the replica
   *   was opened with, 0 for not at all.
   * @returns {Promise<number>} how many writes stay in the store, unsent; they are sent when it is
   *   next connected.
   * @throws {UnsentWrites} they don't stay, for the store was in memory. It is closed all the same.
   */
  async close({ timeoutMs = null } = {}) {
    try {
      return await this._ending.run(this.link, timeoutMs);
    } finally {
      this._forgetLink();
    }
  }
}

const RESOLUTIONS = ["ours", "theirs", "latest", "manual"];

/** A conflict of a replica's log, with the means to settle it. */
export class OpenConflict {
  /**
   * @param {Replica} replica
   * @param {Conflict} conflict base, ours and theirs, as they were when it was listed.
   */
  constructor(replica, conflict) {
    this._replica = replica;
    this.conflict = conflict;
  }

  /** The record that both sides started from, when it is known. */
  get base() {
    return copyOf(this.conflict.base);
  }

  /** The record here; null when deleted. */
  get ours() {
    return copyOf(this.conflict.ours.data);
  }

  /** The record that it collided with; null when deleted. */
  get theirs() {
    return copyOf(this.conflict.theirs.data);
  }

  /**
   * Settle it: `"ours"`, `"theirs"`, `"latest"`, or `"manual"` with `data`.
   *
   * @param {string} resolution
   * @param {RecordData | null} [data]
   */
  async resolve(resolution, data = null) {
    return this._replica.resolve(this.conflict, resolution, data);
  }
}

/** @param {Strategies} strategies */
function checkStrategies(strategies) {
  const isTable = strategies !== null && typeof strategies === "object";
  for (const one of isTable ? Object.values(strategies) : [strategies]) checkStrategy(one);
}

/**
 * @param {Strategies} strategies
 * @param {string} model
 * @returns {Strategy}
 */
function strategyOf(strategies, model) {
  if (typeof strategies !== "object") return strategies;
  return strategies[model] ?? strategies["*"] ?? "manual";
}
