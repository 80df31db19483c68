/**
 * Everything that a replica does to its store, each as one transaction.
 *
 * The engine knows no network: `Replica` and its link drive it.
 *
 * @module
 */

import { Acknowledging } from "./acknowledging.js";
import { Author } from "./author.js";
import { Brake } from "./brake.js";
import { ChangeLog } from "./changeLog.js";
import { ConflictLog } from "./conflictLog.js";
import { diff } from "./diff.js";
import { Mode } from "./effects.js";
import { EVERYTHING } from "./filters.js";
import { Following, loadCursor, saveCursor } from "./following.js";
import { Lineage } from "./lineage.js";
import { log } from "./logs.js";
import { ANCESTORS_MAX, BulkResult, Interval } from "./models.js";
import { Outcome } from "./outcome.js";
import { loadLimits, unpark } from "./parking.js";
import { Outbox } from "./pending.js";
import { PAGE_BYTES_MAX, sizeOf } from "./protocol.js";
import { Resetting } from "./resetting.js";
import { Settling } from "./settling.js";

/** @typedef {import("./models.js").Cursor} Cursor */
/** @typedef {import("./models.js").Key} Key */
/** @typedef {import("./models.js").Update} Update */
/** @typedef {import("./store/transaction.js").Transaction} Transaction */

/** @type {import("./store/query.js").Query} */
const ALL = { condition: EVERYTHING, order: [], limit: null, after: null };
const LINEAGE = "lineage";
const REPLICA_ID = "replica_id";
/** Where the replica that has that id was; a store that finds itself elsewhere is a copy. */
const PLACE = "place";
const SOURCE = "source";
/** Marks a store whose writes wait for an upstream, however it is opened next. */
const FOLLOWS = "follows";

/** One replica's engine. */
export class Engine {
  /**
   * @param {import("./store/store.js").Store} store
   * @param {{newNonce: () => string, nowMs: () => number, follows: boolean,
   *   strategyOf: (model: string) => import("./conflicts.js").Strategy,
   *   needsRuling: (model: string) => boolean, ancestorsMax?: number, brake?: Brake}} options
   *   `brake`: what holds back mass deletions.
   */
  constructor(store, options) {
    const { newNonce, nowMs, follows, strategyOf, needsRuling } = options;
    const { ancestorsMax = ANCESTORS_MAX, brake = new Brake() } = options;
    this.brake = brake;
    this.store = store;
    this.author = new Author({ replicaId: "", newNonce, nowMs, follows, ancestorsMax });
    this.outbox = new Outbox();
    this.lineage = new Lineage("", []);
    this._strategyOf = strategyOf;
    this._needsRuling = needsRuling;
    const conflictLog = new ConflictLog(this.author);
    this._changeLog = new ChangeLog(this.author, this.outbox, conflictLog);
    const settling = new Settling(this.author, this.outbox, conflictLog);
    const following = new Following(this.author, settling, conflictLog, strategyOf);
    this._settling = settling;
    this._following = following;
    this._acknowledging = new Acknowledging(this.author, this.outbox, conflictLog, settling, following);
    this._resetting = new Resetting(this.outbox, settling, following);
  }

  /** Open the store; learn or choose who we are. */
  async open() {
    await this.store.open();
    const [outcome] = await this.store.write([(tx) => this._learn(tx)]);
    if (outcome.error !== undefined) throw outcome.error;
  }

  /** @param {Transaction} tx */
  _learn(tx) {
    this.outbox.limits = loadLimits(tx);
    const source = known(tx, SOURCE, this.author.newNonce);
    this._leaveNameToOriginal(tx);
    this.author.replicaId = known(tx, REPLICA_ID, this.author.newNonce);
    if (tx.meta(FOLLOWS) !== null) this.author.follows = true;
    else if (this.author.follows) {
      // All that was written before there was an upstream waits for it.
      tx.offerAll();
      tx.setMeta(FOLLOWS, true);
    }
    const firstEpoch = () => [{ name: this.author.newNonce(), firstSeq: tx.head() }];
    this.lineage = new Lineage(source, known(tx, LINEAGE, firstEpoch));
  }

  /**
   * Forget the name of a store that was copied from elsewhere.
   *
   * An upstream takes two of one name for one that came back, and ends the older connection: a
   * copy and its original would do so to each other for ever.
   *
   * @param {Transaction} tx
   */
  _leaveNameToOriginal(tx) {
    const { place } = this.store;
    const was = tx.meta(PLACE);
    if (!place || was === place) return;
    tx.setMeta(PLACE, place);
    const follows = this.author.follows || tx.meta(FOLLOWS) !== null;
    const name = tx.meta(REPLICA_ID);
    if (was === null || name === null || !follows) return;
    const replicaId = this.author.newNonce();
    tx.setMeta(REPLICA_ID, replicaId);
    log("warning", "store.copied", { was: name, replica_id: replicaId });
  }

  // ---- local writes ---------------------------------------------------------------------

  /**
   * Record local writes inside the caller's transaction.
   *
   * @param {Transaction} tx
   * @param {readonly import("./changeLog.js").Write[]} writes
   * @param {string | null} [group]
   */
  write(tx, writes, group = null) {
    return this._changeLog.recordWrites(tx, writes, group);
  }

  // ---- what others push here ------------------------------------------------------------

  /**
   * Apply what was pushed here, inside the caller's transaction.
   *
   * @param {Transaction} tx
   * @param {readonly Update[]} updates
   * @param {ReadonlyMap<number, import("./bulk.js").Ruling>} rulings
   * @param {string} [pusher]
   */
  offer(tx, updates, rulings, pusher = "") {
    return this._changeLog.offerUpdates(tx, updates, rulings, this.rules(pusher));
  }

  /**
   * Return what a plan depends on, for a dry run outside a transaction.
   *
   * @param {string} [pusher]
   */
  rules(pusher = "") {
    const { _needsRuling: needsRuling, _strategyOf: strategyOf } = this;
    return this._changeLog.rules({ needsRuling, strategyOf, pusher });
  }

  /**
   * Return the answer to a push.
   *
   * @param {Transaction} tx
   * @param {import("./bulk.js").BulkPlan} plan
   */
  answer(tx, { results }) {
    return new BulkResult({ epoch: this.lineage.current, checkpoint: tx.head(), results });
  }

  /**
   * Read the changes after `since`, as many as the bytes and rows allow, one at least.
   *
   * @param {Transaction} reader
   * @param {number} since
   * @param {{models: readonly string[] | null, bytesMax?: number, rowsMax?: number}} more
   */
  interval(reader, since, { models, bytesMax = PAGE_BYTES_MAX, rowsMax = Infinity }) {
    const head = reader.head();
    /** @type {Update[]} */
    const updates = [];
    let size = 0;
    for (const update of reader.changes(since, { models, limit: Infinity })) {
      size += sizeOf(update);
      if (updates.length && (size > bytesMax || updates.length >= rowsMax)) {
        const checkpoint = /** @type {Update} */ (updates.at(-1)).seq;
        return new Interval({ epoch: this.lineage.current, since, checkpoint, head, updates });
      }
      updates.push(update);
    }
    const checkpoint = Math.max(head, since);
    return new Interval({ epoch: this.lineage.current, since, checkpoint, head, updates });
  }

  /**
   * Compare a source's changes with what is held here.
   *
   * @param {Transaction} reader
   * @param {readonly import("./models.js").Change[]} changes
   */
  diff(reader, changes) {
    const entries = reader.entriesOf(changes.map((change) => change.key));
    return diff(new Map([...entries].map(([key, { update }]) => [key, update])), changes);
  }

  // ---- following ------------------------------------------------------------------------

  /**
   * Return how far the upstream was followed.
   *
   * @param {Transaction} reader
   */
  cursor(reader) {
    return loadCursor(reader);
  }

  /**
   * Carry out what the session asked of the store, inside the caller's transaction.
   *
   * @param {Transaction} tx
   * @param {import("./effects.js").StoreEffect} effect
   */
  carryOut(tx, effect) {
    const outcome = new Outcome();
    switch (effect.kind) {
      case "ApplyUpdates":
        this._apply(tx, effect, outcome);
        break;
      case "BeginReset":
        this._resetting.beginReset(tx, effect.cursor, effect.shared, effect.offersBack);
        break;
      case "SaveCursor":
        saveCursor(tx, effect.cursor);
        break;
      default:
        tx.clearStage();
    }
    return outcome;
  }

  /**
   * @param {Transaction} tx
   * @param {import("./effects.js").ApplyUpdates} effect
   * @param {Outcome} outcome
   */
  _apply(tx, { interval, mode, cursor, withStage }, outcome) {
    if (mode === Mode.STAGE) {
      tx.appendStage(interval.updates);
      return;
    }
    const pages = withStage ? [...tx.stage(), interval.updates] : [interval.updates];
    if (withStage) tx.clearStage();
    for (const page of pages) this._following.takeUpdates(tx, page, outcome);
    if (outcome.lacksAnchor) return;
    const isReset = mode === Mode.WHOLE && cursor.resetting !== null;
    if (isReset) {
      /** @type {Set<Key>} */
      const listed = new Set(pages.flat().map((update) => update.key));
      this._resetting.settleUnlisted(tx, cursor.models, listed, outcome);
    }
    saveCursor(tx, isReset ? { ...cursor, resetting: null } : cursor);
    this._checkDeletions(tx, outcome);
  }

  /**
   * @param {Transaction} tx
   * @param {Outcome} outcome
   * @throws {MassDeletion} too many records went; that undoes the transaction.
   */
  _checkDeletions(tx, { deleted }) {
    const nowMs = this.author.nowMs();
    for (const [model, count] of deleted) {
      this.brake.checkNext(model, count, { nowMs, left: () => tx.count(model, ALL) });
    }
  }

  /**
   * Take note, after the commit, of deletions that were carried out.
   *
   * @param {ReadonlyMap<string, number>} counts
   */
  noteDeletions(counts) {
    const nowMs = this.author.nowMs();
    for (const [model, count] of counts) this.brake.note(model, count, nowMs);
  }

  /**
   * Take the upstream's word on a push, inside the caller's transaction.
   *
   * @param {Transaction} tx
   * @param {readonly Update[]} pushed
   * @param {import("./effects.js").Acknowledge} effect
   */
  acknowledge(tx, pushed, { answer, cursor }) {
    const outcome = new Outcome();
    this._acknowledging.acknowledge(tx, pushed, answer, cursor, outcome);
    return outcome;
  }

  /**
   * Settle an open conflict; answer whether it still stood as it was looked at.
   *
   * @param {Transaction} tx
   * @param {import("./models.js").Conflict} conflict
   * @param {string} resolution
   * @param {{data: import("./models.js").RecordData | null} | null} [standing]
   */
  resolve(tx, conflict, resolution, standing = null) {
    const outcome = new Outcome();
    const isSettled = this._settling.resolve(tx, conflict, resolution, standing, outcome);
    return { isSettled, outcome };
  }

  /**
   * Let parked records be pushed again; return how many.
   *
   * @param {Transaction} tx
   */
  unpark(tx) {
    return unpark(tx);
  }
}

/**
 * Return a stored value, or choose and store one.
 *
 * @template T
 * @param {Transaction} tx
 * @param {string} name
 * @param {() => T} choose
 * @returns {T}
 */
function known(tx, name, choose) {
  const stored = tx.meta(name);
  if (stored !== null) return stored;
  const chosen = choose();
  tx.setMeta(name, chosen);
  return chosen;
}
