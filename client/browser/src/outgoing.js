/**
 * What a link has to tell its upstream: how much waits, what goes next, what is on its way.
 *
 * @module
 */

import { RecordTooLarge } from "./errors.js";
import { limitsOf, unitsOf } from "./limits.js";
import { log } from "./logs.js";
import { Answer } from "./models.js";
import { Outcome } from "./outcome.js";
import { mindLimits, park } from "./parking.js";

/** @typedef {import("./limits.js").TooLarge} TooLarge */
/** @typedef {import("./models.js").Update} Update */

const PUSH_BYTES_MAX = 1024 * 1024;
/** The most updates of a push: small enough that the daemon and this end work at once. */
const PUSH_ITEMS = 1000;
/** @type {ReadonlySet<string>} */
const FINAL = new Set([Answer.APPLIED, Answer.REFUSED, Answer.PARKED]);

/** The outbox, as the link sees it. */
export class Outgoing {
  /**
   * @param {import("./core.js").Core} core
   * @param {import("./holding.js").Holding} holding
   */
  constructor(core, holding) {
    this._core = core;
    this._engine = core.engine;
    this._holding = holding;
    /** How many items were answered for good, ever. */
    this.settled = 0;
    /** @type {Map<number, Update[]>} */
    this._pushed = new Map();
    /** @type {import("./limits.js").PushLimits | null} What the last welcome said, until it is kept. */
    this._news = null;
    /** @type {TooLarge[]} */
    this._barred = [];
    this._unitsMax = PUSH_ITEMS;
  }

  // ---- limits ---------------------------------------------------------------------------

  /**
   * Take note of how much the upstream takes.
   *
   * @param {import("./protocol.js").Welcome} welcome
   */
  noteWelcome(welcome) {
    this._news = limitsOf(welcome);
    this._unitsMax = PUSH_ITEMS;
    this._core.learnLimits(this._news);
  }

  /**
   * The upstream found a push too large, whatever its limits: push less at once.
   *
   * @param {number} pushId
   * @param {string} reason
   */
  noteTooLarge(pushId, reason) {
    const updates = this._pushed.get(pushId);
    if (updates === undefined) return;
    this._pushed.delete(pushId);
    const { length } = unitsOf(updates);
    this._unitsMax = Math.max(length >> 1, 1);
    if (length === 1) this._barred.push({ updates, reason: `${RecordTooLarge.code}: ${reason}` });
  }

  /** Once after a welcome, store what it said, and release what had been too large. */
  async _mindLimits() {
    const limits = this._news;
    this._news = null;
    if (limits === null) return;
    const count = await this._held((tx) => mindLimits(tx, limits));
    if (count) log("info", "update.released", { count });
  }

  /**
   * Keep back what can't be pushed, by name, and let the rest go on.
   *
   * @param {readonly TooLarge[]} barred
   */
  async _park(barred) {
    for (const [[{ model, recordId, rev }, ...rest], reason] of await this._held((tx) => park(tx, barred))) {
      log("error", "update.parked", {
        model, recordId, rev, count: 1 + rest.length, reason, principal: this._core.principal,
        hint: "raise the daemon's limits, or write less at once",
      });
    }
  }

  /**
   * Run a job on the store, as the tab that holds the link.
   *
   * @template T
   * @param {(tx: import("./store/transaction.js").Transaction) => T} job
   * @returns {Promise<T>}
   */
  async _held(job) {
    /** @type {T[]} */
    const found = [];
    await this._holding.write((tx) => {
      found.splice(0, 1, job(tx));
      return new Outcome();
    });
    return found[0];
  }

  // ---- pushes ---------------------------------------------------------------------------

  /** Count what is pending, by what holds it. */
  counts() {
    return this._engine.store.readNow((reader) => reader.pendingCounts());
  }

  /**
   * Return what to push, and whether more waits behind it; what the upstream does not take is parked.
   *
   * @param {readonly number[]} pushes those that are on their way.
   * @param {import("./protocol.js").Welcome | null} welcome how much the upstream takes at once.
   */
  async collect(pushes, welcome) {
    await this._mindLimits();
    for (;;) {
      const barred = this._barred.splice(0);
      if (barred.length) await this._park(barred);
      const limits = {
        itemsMax: Math.min(this._unitsMax, welcome?.pushItemsMax ?? PUSH_ITEMS),
        bytesMax: Math.min(PUSH_BYTES_MAX, (welcome?.messageBytesMax ?? Infinity) / 2),
        inFlight: this.inFlight(pushes),
      };
      // Only what is committed may be handed out.
      const found = await this._core.read((reader) => this._engine.outbox.collect(reader, limits));
      if (!found.barred.length) return found;
      this._barred = found.barred;
    }
  }

  /**
   * Take note of a push that goes out.
   *
   * @param {number} pushId
   * @param {Update[]} updates
   */
  noteSent(pushId, updates) {
    this._pushed.set(pushId, updates);
  }

  /**
   * Return what is on its way; a push that is not among `pushes` any more was lost.
   *
   * @param {readonly number[]} pushes
   */
  inFlight(pushes) {
    for (const pushId of this._pushed.keys()) {
      if (!pushes.includes(pushId)) this._pushed.delete(pushId);
    }
    return [...this._pushed.values()].flat();
  }

  /**
   * Take the upstream's word on a push; null when that push is nobody's any more.
   *
   * @param {import("./effects.js").Acknowledge} effect
   */
  async acknowledge(effect) {
    const updates = this._pushed.get(effect.pushId);
    if (updates === undefined) return null;
    this._pushed.delete(effect.pushId);
    this.settled += effect.answer.results.filter(({ answer }) => FINAL.has(answer)).length;
    return this._holding.write((tx) => this._engine.acknowledge(tx, updates, effect));
  }
}
