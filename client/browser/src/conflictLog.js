/**
 * What could not be applied: conflicts, kept until settled and listable afterwards.
 *
 * @module
 */

import { Conflict, replaced } from "./models.js";

/** @typedef {import("./models.js").Base} Base */
/** @typedef {import("./models.js").Entry} Entry */
/** @typedef {import("./models.js").Update} Update */
/** @typedef {import("./store/transaction.js").Transaction} Transaction */

/** How many settled or received conflicts stay listable. */
export const SETTLED_KEPT = 1000;

/** Why the log keeps a record that collided with nothing: another of its transaction did. */
export const GIVEN_UP = "its transaction gave way as a whole";

/** The conflict log of one replica. */
export class ConflictLog {
  /** @param {import("./author.js").Author} author */
  constructor(author) {
    this._author = author;
  }

  /**
   * Log that a local record collides with an upstream's update; theirs may move on later.
   *
   * The record stays as it is and leaves the outbox. The base is what both were made from.
   *
   * @param {Transaction} tx
   * @param {Entry} entry
   * @param {Update} theirs
   */
  open(tx, entry, theirs) {
    const { key, model, recordId } = entry.update;
    const before = tx.openConflict(key);
    const { rev, data } = entry.baseOf(theirs);
    const conflict = new Conflict({
      conflictId: before?.conflictId ?? this._author.newNonce(),
      model,
      recordId,
      baseRev: rev,
      base: data,
      ours: entry.update,
      theirs,
      openedMs: before?.openedMs ?? this._author.nowMs(),
    });
    tx.writeConflict(conflict);
    if (entry.pending !== null && entry.pending.hold !== "conflict") {
      tx.writePending([{ ...entry.pending, hold: "conflict" }]);
    }
    return conflict;
  }

  /**
   * Keep both sides of a conflict that was settled at once, by a strategy mostly.
   *
   * @param {Transaction} tx
   * @param {{base: Base, ours: Update, theirs: Update, resolution: string, reason?: string}} sides
   */
  noteSettled(tx, { base, ours, theirs, resolution, reason = "" }) {
    const now = this._author.nowMs();
    const { model, recordId } = ours;
    tx.writeConflict(
      new Conflict({
        conflictId: this._author.newNonce(),
        model,
        recordId,
        baseRev: base.rev,
        base: base.data,
        ours,
        theirs,
        openedMs: now,
        settledMs: now,
        resolution,
        reason,
      }),
    );
    tx.trimConflicts(SETTLED_KEPT);
  }

  /**
   * Keep an update that was pushed here and refused, so that an inbox sees all.
   *
   * @param {Transaction} tx
   * @param {Update} pushed
   * @param {Update | null} current
   * @param {string} reason
   */
  noteReceived(tx, pushed, current, reason) {
    const now = this._author.nowMs();
    const { model, recordId } = pushed;
    tx.writeConflict(
      new Conflict({
        conflictId: this._author.newNonce(),
        model,
        recordId,
        ours: current ?? replaced(pushed, { data: null }),
        theirs: pushed,
        openedMs: now,
        settledMs: now,
        resolution: reason ? "refused" : "returned",
        side: "received",
        reason,
      }),
    );
    tx.trimConflicts(SETTLED_KEPT);
  }

  /**
   * Mark a record's open conflict as settled, if it has one.
   *
   * @param {Transaction} tx
   * @param {Entry} entry
   * @param {string} resolution
   * @param {Update | null} [theirs] what theirs has moved on to meanwhile.
   * @returns {Conflict | null}
   */
  close(tx, entry, resolution, theirs = null) {
    if (entry.pending === null || entry.pending.hold !== "conflict") return null;
    const conflict = tx.openConflict(entry.update.key);
    if (conflict === null) return null;
    const settledMs = this._author.nowMs();
    const settled = new Conflict({ ...conflict, theirs: theirs ?? conflict.theirs, resolution, settledMs });
    tx.writeConflict(settled);
    tx.trimConflicts(SETTLED_KEPT);
    return settled;
  }
}
