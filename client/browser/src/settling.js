/**
 * The ways in which a replica and its upstream come to agree on one record.
 *
 * @module
 */

import { GIVEN_UP } from "./conflictLog.js";
import { latest } from "./conflicts.js";
import { Entry, Resolution, joinAncestors, newPending, replaced } from "./models.js";
import { rebase, restoreBase } from "./rebase.js";
import { newRevision, nextGeneration, nonceOf, shortOf } from "./revision.js";

/** @typedef {import("./models.js").Conflict} Conflict */
/** @typedef {import("./models.js").Key} Key */
/** @typedef {import("./outcome.js").Outcome} Outcome */
/** @typedef {import("./models.js").Pending} Pending */
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
   * @param {Update | null} [theirs] what theirs has moved on to meanwhile.
   */
  release(tx, entry, resolution, outcome, theirs = null) {
    if (this._conflictLog.close(tx, entry, resolution, theirs) !== null) outcome.mustPush = true;
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
   * Hold the base again; what has none is dropped.
   *
   * @param {Transaction} tx
   * @param {Entry} entry
   * @param {Pending} pending
   * @param {Outcome} outcome
   */
  rollBack(tx, entry, pending, outcome) {
    const { key } = entry.update;
    const restored = restoreBase(entry, pending, this._author.ancestorsMax);
    this._outbox.forget(key);
    if (restored === null) {
      tx.remove([key]);
      outcome.visible.push(this.tombstoneOver(entry.update));
      return;
    }
    const stored = replaced(restored, { seq: tx.nextSeqs(1) });
    tx.write([new Entry(stored, entry.baseSeq)]);
    tx.clearPending([key]);
    outcome.visible.push(stored);
  }

  /**
   * Return the other records that wait in the transaction of an update.
   *
   * @param {Transaction} tx
   * @param {Update} update
   * @returns {Key[]}
   */
  othersOfGroup(tx, { group, key }) {
    if (group === null) return [];
    return tx.groupedOutbox([group]).map(({ update }) => update.key).filter((other) => other !== key);
  }

  /**
   * Have records give way because one of their transaction did: it stands whole or not at all.
   *
   * What was written of each stays listable in the conflict log.
   *
   * @param {Transaction} tx
   * @param {readonly Key[]} others
   * @param {Outcome} outcome
   */
  giveUp(tx, others, outcome) {
    for (const key of others) {
      const entry = tx.entry(key);
      if (entry !== null && entry.pending !== null) this._giveUpOne(tx, entry, entry.pending, outcome);
    }
  }

  /**
   * @param {Transaction} tx
   * @param {Entry} entry
   * @param {Pending} pending
   * @param {Outcome} outcome
   */
  _giveUpOne(tx, entry, pending, outcome) {
    const conflict = this._conflictLog.close(tx, entry, Resolution.THEIRS);
    if (conflict !== null) {
      this.replace(tx, entry, conflict.theirs, conflict.theirs.seq, outcome);
      return;
    }
    const ours = entry.update;
    if (pending.baseRev === null && ours.ancestors.length) {
      // No create: the upstream lost what this stands on, and nothing else may hold it. So it is
      // offered back, but by itself.
      tx.write([new Entry(replaced(ours, { group: null }), entry.baseSeq)]);
      outcome.mustPush = true;
      return;
    }
    const base = restoreBase(entry, pending, this._author.ancestorsMax);
    this._conflictLog.noteSettled(tx, {
      base: entry.base,
      ours,
      theirs: base ?? nothingInsteadOf(ours),
      resolution: Resolution.THEIRS,
      reason: GIVEN_UP,
    });
    this.rollBack(tx, entry, pending, outcome);
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
   * Where theirs stands, the rest of the transaction that ours was written in gives way too.
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
    const side = resolution === Resolution.LATEST ? latest(entry.update, theirs) : resolution;
    if (side === Resolution.THEIRS) {
      const others = this.othersOfGroup(tx, entry.update);
      this.replace(tx, entry, theirs, theirs.seq, outcome);
      this.giveUp(tx, others, outcome);
      return true;
    }
    const isGiven = standing !== null && side !== Resolution.OURS;
    this.stand(tx, entry, theirs, isGiven ? standing.data : entry.update.data, outcome);
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

/**
 * Return the side of a conflict on which there is no such record: a deletion nobody made.
 *
 * @param {Update} update
 */
function nothingInsteadOf(update) {
  const rev = newRevision(update.generation, nonceOf(update.rev), { deleted: true });
  return replaced(update, { seq: 0, rev, prev: null, ancestors: [], origin: "", group: null, stamp: 0, data: null });
}
