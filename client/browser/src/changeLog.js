/**
 * Every write leaves a change: local writes, and what others push here.
 *
 * @module
 */

import { planBulkUpdate } from "./bulk.js";
import { bounded } from "./clock.js";
import { ConflictError, RecordNotFound, RecordTooLarge } from "./errors.js";
import { joinGroups } from "./grouping.js";
import { tooLarge } from "./limits.js";
import { Base, Conflict, Entry, SENT_MAX, Update, VOID, joinAncestors, keyOf, newPending, replaced } from "./models.js";
import { loadLimits, unparkGroup } from "./parking.js";
import { isDeletion, newRevision, nextGeneration, shortOf } from "./revision.js";
import { equalValues } from "./verdicts.js";

/** @typedef {import("./models.js").RecordData} RecordData */
/** @typedef {import("./store/transaction.js").Transaction} Transaction */
/** @typedef {import("./bulk.js").BulkPlan} BulkPlan */

/** What a local write does. */
export const WriteKind = Object.freeze({ PUT: "put", PATCH: "patch", DELETE: "delete" });

/**
 * @typedef {object} Write a local write, already found valid
 * @property {string} kind see `WriteKind`
 * @property {string} model
 * @property {string} recordId
 * @property {string} key
 * @property {RecordData | null} data the record, for a put
 * @property {((before: RecordData) => RecordData) | null} merge for a patch: makes the record from
 *   the one before; for a put that names no id: gives it the one that is there, in its own type
 * @property {string | null} ifRev the revision that must stand, or null for any
 */

/** Records writes in the change list of one replica, inside a transaction that the caller commits. */
export class ChangeLog {
  /**
   * @param {import("./author.js").Author} author
   * @param {import("./pending.js").Outbox} outbox
   * @param {import("./conflictLog.js").ConflictLog} conflictLog
   */
  constructor(author, outbox, conflictLog) {
    this._author = author;
    this._outbox = outbox;
    this._conflictLog = conflictLog;
    this._isJoined = false;
  }

  /**
   * Store local writes, in order; see `recordWrite`.
   *
   * @param {Transaction} tx
   * @param {readonly Write[]} writes
   * @param {string | null} [group]
   */
  recordWrites(tx, writes, group = null) {
    this._isJoined = false;
    const written = writes.map((write) => this.recordWrite(tx, write, group));
    if (group !== null && this._author.follows) this._checkSize(tx, group, written);
    return written;
  }

  /**
   * @param {Transaction} tx
   * @param {string} group
   * @param {readonly Update[]} written
   * @throws {RecordTooLarge} no push could carry the transaction: it would never leave.
   */
  _checkSize(tx, group, written) {
    const own = new Map(written.filter((u) => u.group === group).map((u) => [u.key, u]));
    const unit = this._isJoined
      ? tx.groupedOutbox([group]).map(({ update }) => update)
      : [...own.values()];
    // As stored, since another tab may have met the daemon.
    const reason = tooLarge(unit, loadLimits(tx));
    if (!reason) return;
    throw new RecordTooLarge(reason.slice(reason.indexOf(": ") + 2), {
      hint: "write in several transactions, use putMany, or raise the daemon's limits",
    });
  }

  /**
   * Store a local write with its change, and return the record as it is now.
   *
   * A write that changes nothing makes no revision.
   *
   * @param {Transaction} tx
   * @param {Write} write
   * @param {string | null} [group]
   * @returns {Update}
   * @throws {RecordNotFound} a patch or a delete of what is not there.
   * @throws {ConflictError} `ifRev` does not stand.
   */
  recordWrite(tx, write, group = null) {
    const entry = tx.entry(write.key);
    const before = entry?.update ?? null;
    if (write.ifRev !== null && before?.rev !== write.ifRev) {
      throw new ConflictError(
        `${write.model}/${write.recordId} is at ${before?.rev ?? "nothing"}, not at ${write.ifRev}`,
      );
    }
    const data = dataAfter(before, write);
    if (before !== null && isSame(before, data)) return before;
    if (entry !== null && this._isUndone(entry, data)) return this._undo(tx, entry);
    const next = this._nextUpdate(entry, write, data, group);
    const update = replaced(next, { seq: tx.nextSeqs(1) });
    tx.write([new Entry(update, entry?.baseSeq ?? null)]);
    if (!this._author.follows) return update;
    this._notePending(tx, entry, update);
    if (group !== null && joinGroups(tx, [[entry, group]])) this._isJoined = true;
    return update;
  }

  /** @param {Entry | null} entry */
  _squashes(entry) {
    if (entry === null || entry.pending === null || entry.pending.hold) return false;
    return this._outbox.squashable(entry.update.key, entry.update.rev);
  }

  /**
   * Tell whether this write leads a never-sent revision back to the base's data.
   *
   * @param {Entry} entry
   * @param {RecordData | null} data
   */
  _isUndone(entry, data) {
    if (entry.pending === null || !this._squashes(entry)) return false;
    if (!this._outbox.isOverBase(entry.update.key) || entry.baseSeq === VOID) return false;
    const { baseRev, baseData } = entry.pending;
    if (baseRev === null || isDeletion(baseRev)) return data === null;
    return data !== null && equalValues(baseData, data);
  }

  /**
   * @param {Transaction} tx
   * @param {Entry} entry
   */
  _undo(tx, { update, pending, baseSeq }) {
    const baseRev = pending?.baseRev ?? null;
    this._outbox.forget(update.key);
    if (baseRev === null) {
      tx.remove([update.key]);
      const rev = newRevision(update.generation, this._author.newNonce(), { deleted: true });
      return replaced(update, { seq: 0, rev, data: null });
    }
    const restored = replaced(update, {
      seq: tx.nextSeqs(1),
      rev: baseRev,
      prev: null,
      ancestors: update.ancestors.filter((one) => one !== shortOf(baseRev)),
      group: null,
      data: pending?.baseData ?? null,
    });
    tx.write([new Entry(restored, baseSeq)]);
    tx.clearPending([update.key]);
    return restored;
  }

  /**
   * @param {Entry | null} entry
   * @param {Write} write
   * @param {RecordData | null} data
   * @param {string | null} group
   */
  _nextUpdate(entry, write, data, group) {
    const before = entry?.update ?? null;
    const baseRev = baseRevOf(entry);
    /** @type {readonly string[]} */
    let ancestors = before?.ancestors ?? [];
    let generation = before?.generation ?? 1;
    if (before !== null && !this._squashes(entry)) {
      ancestors = joinAncestors([ancestors, [shortOf(before.rev)]], this._author.ancestorsMax);
      generation = nextGeneration([before.rev, baseRev], ancestors);
    }
    const { model, recordId } = write;
    return new Update({
      model,
      recordId,
      rev: newRevision(generation, this._author.newNonce(), { deleted: data === null }),
      prev: this._author.follows ? baseRev : (before?.rev ?? null),
      ancestors,
      origin: this._author.replicaId,
      group: group ?? (entry?.pending ? entry.update.group : null),
      stamp: this._author.stamp(),
      data,
    });
  }

  /**
   * @param {Transaction} tx
   * @param {Entry | null} entry
   * @param {Update} update
   */
  _notePending(tx, entry, update) {
    const before = entry?.pending ?? null;
    if (entry === null || before === null) {
      tx.writePending([pendingOver(entry, update)]);
      this._outbox.noteMade(update.key, update.rev, { overBase: true });
      return;
    }
    const overBase = this._squashes(entry) && this._outbox.isOverBase(update.key);
    const hold = before.hold === "conflict" ? before.hold : "";
    const sent = this._sentOf(entry, before);
    if (hold !== before.hold || before.reason || sent !== before.sent) {
      tx.writePending([{ ...before, hold, reason: "", sent }]);
    }
    if (before.hold === "parked") {
      // One of it is another record now, which may let all of it go.
      for (const group of new Set([entry.update.group, update.group])) {
        if (group !== null) unparkGroup(tx, group);
      }
    }
    if (hold) this._moveOurs(tx, update);
    this._outbox.noteMade(update.key, update.rev, { overBase });
  }

  /**
   * Return what is kept of revisions that were sent, when this one is edited.
   *
   * @param {Entry} entry
   * @param {import("./models.js").Pending} pending
   */
  _sentOf(entry, { hold, sent = [] }) {
    if (hold === "conflict" || this._squashes(entry)) return sent;
    const { rev, data } = entry.update;
    return [...sent, { rev, data }].slice(-SENT_MAX);
  }

  /**
   * @param {Transaction} tx
   * @param {Update} update
   */
  _moveOurs(tx, update) {
    const conflict = tx.openConflict(update.key);
    if (conflict !== null) tx.writeConflict(new Conflict({ ...conflict, ours: update }));
  }

  /**
   * Return what a plan depends on beside the records.
   *
   * @param {{needsRuling: (model: string) => boolean,
   *   strategyOf: (model: string) => import("./conflicts.js").Strategy, pusher?: string}} options
   * @returns {import("./bulk.js").BulkRules}
   */
  rules({ needsRuling, strategyOf, pusher = "" }) {
    const { newNonce, replicaId, ancestorsMax } = this._author;
    const stamp = this._author.stamp();
    return { needsRuling, strategyOf, newNonce, stamp, replicaId, pusher, ancestorsMax };
  }

  /**
   * Apply what was pushed here, each item by its own verdict.
   *
   * Nothing is written while an item waits for a hook's ruling: see `BulkPlan.unruled`.
   *
   * @param {Transaction} tx
   * @param {readonly Update[]} updates
   * @param {ReadonlyMap<number, import("./bulk.js").Ruling>} rulings
   * @param {import("./bulk.js").BulkRules} rules
   * @returns {BulkPlan}
   */
  offerUpdates(tx, updates, rulings, rules) {
    const entries = tx.entriesOf(updates.map((update) => update.key));
    const current = new Map([...entries].map(([key, entry]) => [key, entry.update]));
    const plan = planBulkUpdate(current, updates, rulings, rules);
    if (plan.unruled.length) return plan;
    const stored = plan.writes.length ? this._storePlan(tx, plan, entries, updates) : plan;
    for (const [pushed, held, reason] of stored.clashes) {
      this._conflictLog.noteReceived(tx, pushed, held, reason);
    }
    for (const [ours, theirs, resolution] of stored.settled) {
      this._conflictLog.noteSettled(tx, { base: new Base(), ours, theirs, resolution });
    }
    return stored;
  }

  /**
   * @param {Transaction} tx
   * @param {BulkPlan} plan
   * @param {ReadonlyMap<string, Entry>} entries
   * @param {readonly Update[]} pushed
   * @returns {BulkPlan}
   */
  _storePlan(tx, plan, entries, pushed) {
    const groups = new Map(pushed.map((update) => [update.key, update.group]));
    /** @type {Map<string, Update>} */
    const last = new Map();
    for (const update of plan.writes) {
      last.delete(update.key);
      last.set(update.key, update);
    }
    const nowMs = this._author.nowMs();
    /** @type {Map<string, Update>} */
    const stored = new Map();
    /** @type {Update[]} */
    const moved = [];
    for (const [key, update] of last) {
      const entry = entries.get(key);
      if (entry?.update.rev === update.rev) {
        // Equal data under our own revision: only the ancestors grew, nobody need hear it.
        // What waits by itself waits with the transaction that brought the same.
        const group = update.group ?? (entry.pending ? (groups.get(key) ?? null) : null);
        stored.set(key, replaced(update, { seq: entry.update.seq, group }));
        continue;
      }
      const stamp = bounded(update.stamp, nowMs);
      this._author.observe(stamp);
      const group = update.group ?? (entry?.pending ? entry.update.group : null);
      const kept = replaced(update, { seq: tx.nextSeqs(1), stamp, group });
      stored.set(key, kept);
      moved.push(kept);
    }
    const rows = [...stored].map(([key, one]) => new Entry(one, entries.get(key)?.baseSeq ?? null));
    tx.write(rows);
    if (this._author.follows) {
      for (const update of moved) this._notePending(tx, entries.get(update.key) ?? null, update);
      joinGroups(tx, [...stored.keys()].map((key) => [entries.get(key), groups.get(key)]));
    }
    const results = plan.results.map((result) => withSeq(result, stored));
    return { ...plan, results, writes: moved };
  }
}

/**
 * @param {Update | null} before
 * @param {Write} write
 */
function dataAfter(before, write) {
  if (write.kind === WriteKind.PUT) {
    return write.merge === null || before === null || before.data === null
      ? write.data
      : write.merge(before.data);
  }
  if (before === null || before.data === null) {
    throw new RecordNotFound(`there is no ${write.model} '${write.recordId}'`);
  }
  return write.merge === null ? null : write.merge(before.data);
}

/**
 * @param {import("./models.js").ItemResult} result
 * @param {ReadonlyMap<string, Update>} stored
 */
function withSeq(result, stored) {
  const held = stored.get(keyOf(result.model, result.recordId));
  if (held === undefined) return result;
  const seq = held.rev === result.rev ? held.seq : result.seq;
  return { ...result, seq, current: result.current === null ? null : held };
}

/** @param {Entry | null} entry */
function baseRevOf(entry) {
  if (entry === null) return null;
  if (entry.pending !== null) return entry.pending.baseRev;
  return entry.baseSeq === VOID ? null : entry.update.rev;
}

/**
 * @param {Entry | null} entry
 * @param {Update} update
 */
function pendingOver(entry, { model, recordId }) {
  if (entry === null || entry.baseSeq === VOID) return newPending({ model, recordId });
  const { rev: baseRev, data: baseData } = entry.update;
  return newPending({ model, recordId, baseRev, baseData });
}

/**
 * @param {Update} before
 * @param {RecordData | null} data
 */
function isSame(before, data) {
  if (before.data === null || data === null) return before.data === data;
  return equalValues(before.data, data);
}
