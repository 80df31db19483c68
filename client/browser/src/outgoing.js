/**
 * What a link has to tell its upstream: how much waits, what goes next, what is on its way.
 *
 * @module
 */

import { deletionsOf } from "./brake.js";
import { Answer } from "./models.js";

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
  }

  /** Count what is pending, by what holds it. */
  counts() {
    return this._engine.store.readNow((reader) => reader.pendingCounts());
  }

  /**
   * Return what to push, and whether more waits behind it.
   *
   * @param {readonly number[]} pushes those that are on their way.
   * @param {import("./protocol.js").Welcome | null} welcome how much the upstream takes at once.
   */
  async collect(pushes, welcome) {
    const limits = {
      itemsMax: Math.min(PUSH_ITEMS, welcome?.pushItemsMax ?? PUSH_ITEMS),
      bytesMax: Math.min(PUSH_BYTES_MAX, (welcome?.messageBytesMax ?? Infinity) / 2),
      inFlight: this.inFlight(pushes),
    };
    // Only what is committed may be handed out.
    return this._core.read((reader) => this._engine.outbox.collect(reader, limits));
  }

  /**
   * Look at what is about to be pushed.
   *
   * @param {readonly Update[]} updates
   * @throws {MassDeletion} what waits to be pushed would empty the upstream.
   */
  check(updates) {
    this._engine.store.readNow((reader) => this._engine.checkPush(reader, updates));
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
    const outcome = await this._holding.write((tx) => this._engine.acknowledge(tx, updates, effect));
    this._engine.noteDeletions("push", deletionsOf(updates));
    return outcome;
  }
}
