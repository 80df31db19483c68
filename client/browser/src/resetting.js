/**
 * What a replica does when its upstream's list begins anew.
 *
 * @module
 */

import { saveCursor } from "./following.js";
import { Entry, VOID, newPending, replaced } from "./models.js";
import { shortOf } from "./revision.js";

/** @typedef {import("./models.js").Cursor} Cursor */
/** @typedef {import("./models.js").Key} Key */
/** @typedef {import("./outcome.js").Outcome} Outcome */
/** @typedef {import("./store/transaction.js").Transaction} Transaction */

/** Carries out resets in one replica's store, inside the caller's transaction. */
export class Resetting {
  /**
   * @param {import("./pending.js").Outbox} outbox
   * @param {import("./settling.js").Settling} settling
   * @param {import("./following.js").Following} following
   */
  constructor(outbox, settling, following) {
    this._outbox = outbox;
    this._settling = settling;
    this._following = following;
  }

  /**
   * Void what the upstream lost; open conflicts are found again.
   *
   * @param {Transaction} tx
   * @param {Cursor} cursor
   * @param {number} shared
   * @param {boolean} offersBack whether what the upstream lost is offered to it again.
   */
  beginReset(tx, cursor, shared, offersBack) {
    for (const entry of tx.held("conflict")) {
      // The conflict moved the base's seq on to theirs, which the list shall bring again.
      tx.write([new Entry(entry.update, entry.base.rev === null ? null : 0)]);
    }
    tx.dropOpenConflicts();
    if (!offersBack) tx.yieldBases(shared);
    tx.voidBases(shared);
    tx.clearStage();
    this._outbox.forgetAll();
    saveCursor(tx, cursor);
  }

  /**
   * Decide on what a whole list did not name, after a reset.
   *
   * What the upstream lost and we still hold is offered again, deletions too, since others may hold
   * the record and offer that; what it had purged is dropped; a pending edit of a purged record is
   * a conflict with a deletion.
   *
   * @param {Transaction} tx
   * @param {readonly string[]} models
   * @param {ReadonlySet<Key>} listed
   * @param {Outcome} outcome
   */
  settleUnlisted(tx, models, listed, outcome) {
    for (const entry of tx.entriesIn(models)) {
      if (listed.has(entry.update.key)) continue;
      if (entry.baseSeq === VOID) this._offerAgain(tx, entry, outcome);
      else if (entry.baseSeq !== null) this._settlePurged(tx, entry, outcome);
    }
  }

  /**
   * @param {Transaction} tx
   * @param {Entry} entry
   * @param {Outcome} outcome
   */
  _offerAgain(tx, entry, outcome) {
    // Long acknowledged, the transaction that it was written in does not wait for it.
    const update = entry.pending === null ? replaced(entry.update, { group: null }) : entry.update;
    outcome.offered += 1;
    tx.write([new Entry(update, null)]);
    tx.writePending([newPending(update)]);
    outcome.mustPush = true;
  }

  /**
   * @param {Transaction} tx
   * @param {Entry} entry
   * @param {Outcome} outcome
   */
  _settlePurged(tx, entry, outcome) {
    if (entry.pending === null || entry.update.isDeletion) {
      this._drop(tx, entry, outcome);
      return;
    }
    const { baseRev } = entry.pending;
    const theirs = replaced(this._settling.tombstoneOver(entry.update), {
      seq: Math.max(entry.baseSeq ?? 0, 0),
      ancestors: baseRev === null ? [] : [shortOf(baseRev)],
      prev: baseRev,
    });
    this._following.collide(tx, entry, theirs, outcome);
  }

  /**
   * @param {Transaction} tx
   * @param {Entry} entry
   * @param {Outcome} outcome
   */
  _drop(tx, entry, outcome) {
    tx.remove([entry.update.key]);
    if (entry.update.isDeletion) return;
    outcome.dropped += 1;
    outcome.noteDeleted(entry.update.model);
    outcome.visible.push(this._settling.tombstoneOver(entry.update));
  }
}
