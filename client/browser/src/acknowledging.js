/**
 * What a replica does with its upstream's answer to a push.
 *
 * @module
 */

import { saveCursor } from "./following.js";
import { isAboutSize } from "./limits.js";
import { Answer, keyOf, replaced } from "./models.js";
import { shortOf } from "./revision.js";

/** @typedef {import("./models.js").Cursor} Cursor */
/** @typedef {import("./models.js").Entry} Entry */
/** @typedef {import("./models.js").ItemResult} ItemResult */
/** @typedef {import("./models.js").Key} Key */
/** @typedef {import("./outcome.js").Outcome} Outcome */
/** @typedef {import("./models.js").Pending} Pending */
/** @typedef {import("./models.js").Update} Update */
/** @typedef {import("./store/transaction.js").Transaction} Transaction */

/** Takes answers to pushes into one replica's store, inside the caller's transaction. */
export class Acknowledging {
  /**
   * @param {import("./author.js").Author} author
   * @param {import("./pending.js").Outbox} outbox
   * @param {import("./conflictLog.js").ConflictLog} conflictLog
   * @param {import("./settling.js").Settling} settling
   * @param {import("./following.js").Following} following
   */
  constructor(author, outbox, conflictLog, settling, following) {
    this._author = author;
    this._outbox = outbox;
    this._conflictLog = conflictLog;
    this._settling = settling;
    this._following = following;
  }

  /**
   * Take the upstream's word on a push.
   *
   * @param {Transaction} tx
   * @param {readonly Update[]} pushed
   * @param {import("./models.js").BulkResult} answer
   * @param {Cursor} cursor
   * @param {Outcome} outcome
   */
  acknowledge(tx, pushed, answer, cursor, outcome) {
    const sent = new Map(pushed.map((update) => [update.key, update]));
    /** @type {Update[]} */
    const missed = [];
    /** @type {Set<string>} */
    const refusedGroups = new Set();
    for (const result of answer.results) {
      const key = keyOf(result.model, result.recordId);
      const update = sent.get(key);
      if (update === undefined) continue;
      const entry = tx.entry(key);
      if (isApplied(result)) {
        if (!this._acknowledgeApplied(tx, entry, update, result, outcome)) {
          missed.push(replaced(update, { seq: result.seq }));
        }
        continue;
      }
      if (entry === null || entry.pending === null) continue;
      this._acknowledgeOther(tx, entry, update, result, outcome);
      if (wordOf(result) === Answer.REFUSED && update.group !== null) refusedGroups.add(update.group);
      this._takeCurrent(tx, key, result.current, cursor, outcome);
    }
    // Ours had given way here to what it collided with, and was taken upstream all the same: where
    // the cursor says that the list was read so far, nothing else would bring it back.
    this._following.takeUpdates(tx, missed.filter(({ seq }) => seq <= cursor.seq), outcome);
    if (refusedGroups.size) this._refuseRest(tx, refusedGroups, sent, outcome);
    if (answer.results.length) saveCursor(tx, cursor);
  }

  /**
   * @param {Transaction} tx
   * @param {Entry | null} entry
   * @param {Update} update
   * @param {ItemResult} result
   * @param {Outcome} outcome
   * @returns {boolean} whether it was still ours, or behind what the list has brought.
   */
  _acknowledgeApplied(tx, entry, update, result, outcome) {
    if (entry === null || entry.pending === null) return false;
    // The list has already brought what came after it.
    if (entry.baseSeq !== null && result.seq < entry.baseSeq) return true;
    const { key, rev, ancestors } = entry.update;
    if (rev === result.rev) {
      this._settling.release(tx, entry, "ours", outcome);
      this._settling.moveBase(tx, entry, result.seq);
      return true;
    }
    if (!ancestors.includes(shortOf(result.rev))) return false;
    // What it collided with has given way to ours upstream.
    this._settling.release(tx, entry, "ours", outcome);
    tx.setBaseSeqs([[key, result.seq]]);
    tx.writePending([rebasedOn(entry.pending, update)]);
    outcome.mustPush = true;
    return true;
  }

  /**
   * @param {Transaction} tx
   * @param {Key} key
   * @param {Update | null} current
   * @param {Cursor} cursor
   * @param {Outcome} outcome
   */
  _takeCurrent(tx, key, current, cursor, outcome) {
    if (current === null || current.seq > cursor.seq) return;
    const now = tx.entry(key);
    if (now !== null) this._following.takeOne(tx, now, current, outcome);
  }

  /**
   * @param {Transaction} tx
   * @param {Entry} entry
   * @param {Update} pushed
   * @param {ItemResult} result
   * @param {Outcome} outcome
   */
  _acknowledgeOther(tx, entry, pushed, result, outcome) {
    const pending = /** @type {Pending} */ (entry.pending);
    const isOursStill = entry.update.rev === result.rev;
    switch (wordOf(result)) {
      case Answer.APPLIED: {
        // A hook amended it: the upstream passed through our revision to its own, which the list
        // brings; so the base's seq must not move beyond it.
        if (result.current === null || result.current.seq <= (entry.baseSeq ?? 0)) return;
        this._settling.release(tx, entry, "ours", outcome);
        if (isOursStill) this._settling.moveBase(tx, entry, Math.max(entry.baseSeq ?? 0, 0));
        else if (entry.update.ancestors.includes(shortOf(result.rev))) {
          tx.writePending([rebasedOn(pending, pushed)]);
        }
        break;
      }
      case Answer.PARKED:
        if (isOursStill) {
          outcome.parked.push([pushed, result.reason]);
          const hold = pending.hold || "parked";
          tx.writePending([{ ...pending, hold, reason: result.reason }]);
        }
        break;
      case Answer.REFUSED:
        outcome.refusals.push([pushed, result.reason]);
        if (isOursStill) this._rollBack(tx, entry, outcome);
        break;
      default:
        break;
    }
  }

  /**
   * Roll back the other members of a refused transaction, unless they have moved on.
   *
   * @param {Transaction} tx
   * @param {ReadonlySet<string>} groups
   * @param {ReadonlyMap<Key, Update>} sent
   * @param {Outcome} outcome
   */
  _refuseRest(tx, groups, sent, outcome) {
    // By what was sent, since the group may have been renamed by a later one meanwhile.
    for (const update of sent.values()) {
      if (update.group === null || !groups.has(update.group)) continue;
      const entry = tx.entry(update.key);
      if (entry === null || entry.pending === null || update.rev !== entry.update.rev) continue;
      outcome.refusals.push([update, "another write of its transaction was refused"]);
      this._rollBack(tx, entry, outcome);
    }
  }

  /**
   * Restore the base; a refused create is dropped.
   *
   * @param {Transaction} tx
   * @param {Entry} entry
   * @param {Outcome} outcome
   */
  _rollBack(tx, entry, outcome) {
    const conflict = this._conflictLog.close(tx, entry, "refused");
    if (conflict !== null) {
      // The list has brought what it collided with, beyond the base.
      outcome.mustPush = true;
      this._settling.replace(tx, entry, conflict.theirs, conflict.theirs.seq, outcome);
      return;
    }
    this._settling.rollBack(tx, entry, /** @type {Pending} */ (entry.pending), outcome);
  }
}

/**
 * @param {Pending} pending
 * @param {Update} pushed
 * @returns {Pending}
 */
function rebasedOn(pending, pushed) {
  return { ...pending, baseRev: pushed.rev, baseData: pushed.data, hold: "", reason: "", sent: [] };
}

/**
 * Return the word on an item; what is only too large is parked, since limits can be raised.
 *
 * @param {ItemResult} result
 */
function wordOf({ answer, reason }) {
  return answer === Answer.REFUSED && isAboutSize(reason) ? Answer.PARKED : answer;
}

/** @param {ItemResult} result */
function isApplied(result) {
  return result.answer === Answer.APPLIED && result.current === null;
}
