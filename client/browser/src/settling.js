/**
 * The ways in which a replica and its upstream come to agree on one record.
 *
 * @module
 */

import { Entry, Resolution, joinAncestors, newPending, replaced } from "./models.js";
import { rebase } from "./rebase.js";
import { newRevision, nextGeneration, shortOf } from "./revision.js";

/** @typedef {import("./models.js").Conflict} Conflict */
/** @typedef {import("./outcome.js").Outcome} Outcome */
/** @typedef {import("./models.js").RecordData} RecordData */
/** @typedef {import("./models.js").Update} Update */
/** @typedef {import("./store/transaction.js").Transaction} Transaction */

/** Settles on what is held of a record, inside the caller's transaction. */
export class Settling {
  /**
   * @param {import("./author.js").Author} author
   * @param {import("./pending.js").Outbox} outbox
   * @param {import("./conflictLog.js").ConflictLog} conflictLog
   */
  constructor(author, outbox, conflictLog) {
    this._author = author;
    this._outbox = outbox;
    this._conflictLog = conflictLog;
  }

  /**
   * Close an open conflict that the list has settled; its group may be pushed again.
   *
   * @param {Transaction} tx
   * @param {Entry} entry
   * @param {string} resolution
   * @param {Outcome} outcome
   */
  release(tx, entry, resolution, outcome) {
    if (this._conflictLog.close(tx, entry, resolution) !== null) outcome.mustPush = true;
  }

  /**
   * Hold an update as it is.
   *
   * @param {Transaction} tx
   * @param {Entry} entry
   * @param {Update} update
   * @param {number} baseSeq
   * @param {Outcome} outcome
   */
  replace(tx, entry, update, baseSeq, outcome) {
    const stored = replaced(update, { seq: tx.nextSeqs(1) });
    if (update.isDeletion && !entry.update.isDeletion) outcome.noteDeleted(update.model);
    tx.write([new Entry(stored, baseSeq)]);
    if (entry.pending !== null) tx.clearPending([update.key]);
    this._outbox.forget(update.key);
    outcome.visible.push(stored);
  }

  /**
   * Make a new revision on top of both, pending upon theirs.
   *
   * @param {Transaction} tx
   * @param {Entry} entry
   * @param {Update} theirs
   * @param {RecordData | null} data
   * @param {Outcome} outcome
   */
  stand(tx, entry, theirs, data, outcome) {
    const stood = rebase(entry.update, theirs, {
      data,
      nonce: this._author.newNonce(),
      origin: this._author.replicaId,
      stamp: this._author.stamp(),
      ancestorsMax: this._author.ancestorsMax,
    });
    const stored = replaced(stood, { seq: tx.nextSeqs(1) });
    tx.write([new Entry(stored, theirs.seq)]);
    tx.writePending([pendingOn(theirs)]);
    this._outbox.noteMade(stored.key, stored.rev, { overBase: false });
    outcome.visible.push(stored);
    outcome.mustPush = true;
  }

  /**
   * Move the base to what is here: nothing is pending any more.
   *
   * @param {Transaction} tx
   * @param {Entry} entry
   * @param {number} seq
   */
  moveBase(tx, entry, seq) {
    const { key } = entry.update;
    tx.setBaseSeqs([[key, seq]]);
    if (entry.pending !== null) tx.clearPending([key]);
    this._outbox.forget(key);
  }

  /**
   * Settle an open conflict; answer whether it was still the one that was looked at.
   *
   * @param {Transaction} tx
   * @param {Conflict} conflict
   * @param {string} resolution
   * @param {{data: RecordData | null} | null} standing for MANUAL and MERGE, what is to stand.
   * @param {Outcome} outcome
   */
  resolve(tx, conflict, resolution, standing, outcome) {
    const current = tx.conflict(conflict.conflictId);
    const entry = tx.entry(conflict.key);
    if (current === null || !current.isOpen || entry === null || entry.pending === null) return false;
    if (current.theirs.rev !== conflict.theirs.rev) return false;
    if (entry.update.rev !== conflict.ours.rev) return false;
    this.release(tx, entry, resolution, outcome);
    const { theirs } = current;
    const { data: ours, stamp } = entry.update;
    const theirsIsLater = resolution === Resolution.LATEST && stamp < theirs.stamp;
    if (resolution === Resolution.THEIRS || theirsIsLater) {
      this.replace(tx, entry, theirs, theirs.seq, outcome);
      return true;
    }
    const isGiven = standing !== null && resolution !== Resolution.OURS;
    this.stand(tx, entry, theirs, isGiven ? standing.data : ours, outcome);
    return true;
  }

  /** @param {Update} update */
  tombstoneOver(update) {
    const { ancestorsMax } = this._author;
    const ancestors = joinAncestors([update.ancestors, [shortOf(update.rev)]], ancestorsMax);
    const generation = nextGeneration([update.rev], ancestors);
    return replaced(update, {
      seq: 0,
      rev: newRevision(generation, this._author.newNonce(), { deleted: true }),
      prev: update.rev,
      ancestors,
      origin: this._author.replicaId,
      group: null,
      stamp: this._author.stamp(),
      data: null,
    });
  }
}

/**
 * Return the pending row of a record that is pending upon theirs.
 *
 * @param {Update} theirs
 */
export function pendingOn({ model, recordId, rev: baseRev, data: baseData }) {
  return newPending({ model, recordId, baseRev, baseData });
}
