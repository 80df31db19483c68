/**
 * What a replica does with its upstream's word: intervals, acknowledgements, resets.
 *
 * @module
 */

import { settle } from "./conflicts.js";
import { merge } from "./merge.js";
import {
  Answer, Entry, Resolution, VOID, Verdict, joinAncestors, keyOf, newCursor, newPending, replaced,
} from "./models.js";
import { keepGreater, rebase, restoreBase } from "./rebase.js";
import { newRevision, nextGeneration, shortOf } from "./revision.js";
import { take } from "./verdicts.js";

/** @typedef {import("./models.js").Conflict} Conflict */
/** @typedef {import("./models.js").Cursor} Cursor */
/** @typedef {import("./models.js").ItemResult} ItemResult */
/** @typedef {import("./models.js").Key} Key */
/** @typedef {import("./models.js").Pending} Pending */
/** @typedef {import("./models.js").RecordData} RecordData */
/** @typedef {import("./models.js").Update} Update */
/** @typedef {import("./store/transaction.js").Transaction} Transaction */

const CURSOR = "cursor";

/**
 * Return the stored cursor; the very start when nothing was stored.
 *
 * @param {Transaction} reader
 * @returns {Cursor}
 */
export function loadCursor(reader) {
  return newCursor(reader.meta(CURSOR) ?? {});
}

/** What came of taking updates. */
export class Outcome {
  constructor() {
    /** @type {Update[]} The records that changed, as they are now. */
    this.visible = [];
    /** @type {Conflict[]} Those that were opened or moved on, and wait. */
    this.conflicts = [];
    /** @type {[Update, string][]} Own writes that the upstream refused, with the reason. */
    this.refusals = [];
    /** Something became ready to be pushed. */
    this.mustPush = false;
    /** At a reset, how many records that the upstream did not list were offered to it again. */
    this.offered = 0;
    /** At a reset, how many were let go. */
    this.dropped = 0;
    /** @type {Map<string, number>} How many records went, by model. */
    this.deleted = new Map();
  }

  /**
   * Count a record that went.
   *
   * @param {string} model
   */
  noteDeleted(model) {
    this.deleted.set(model, (this.deleted.get(model) ?? 0) + 1);
  }
}

/** Takes what an upstream says into one replica's store, inside the caller's transaction. */
export class Following {
  /**
   * @param {import("./author.js").Author} author
   * @param {import("./pending.js").Outbox} outbox
   * @param {import("./conflictLog.js").ConflictLog} conflictLog
   * @param {(model: string) => import("./conflicts.js").Strategy} strategyOf
   */
  constructor(author, outbox, conflictLog, strategyOf) {
    this._author = author;
    this._outbox = outbox;
    this._conflictLog = conflictLog;
    this._strategyOf = strategyOf;
  }

  /**
   * Store the cursor with whatever else the transaction does.
   *
   * @param {Transaction} tx
   * @param {Cursor} cursor
   */
  saveCursor(tx, cursor) {
    tx.setMeta(CURSOR, cursor);
  }

  // ---- intervals ------------------------------------------------------------------------

  /**
   * Take pulled updates, each by its own verdict.
   *
   * @param {Transaction} tx
   * @param {readonly Update[]} updates
   * @param {Outcome} outcome
   */
  takeUpdates(tx, updates, outcome) {
    const held = tx.entriesOf(updates.map((update) => update.key));
    /** @type {Entry[]} */
    const plain = [];
    /** @type {[Key, number][]} */
    const moved = [];
    for (const update of updates) {
      const { key } = update;
      const entry = held.get(key);
      if (entry === undefined) {
        // A leaf has no use for the tombstone of a record that it never held.
        if (!update.isDeletion) plain.push(new Entry(update, update.seq));
        continue;
      }
      const verdict = this._verdictOf(entry, update);
      const isClean = entry.pending === null;
      if (verdict === Verdict.FORWARD && isClean) {
        if (update.isDeletion && !entry.update.isDeletion) outcome.noteDeleted(update.model);
        plain.push(new Entry(update, update.seq));
      } else if (verdict === Verdict.SAME && isClean) moved.push([key, update.seq]);
      else if (verdict !== Verdict.KNOWN || !isClean || entry.base.isVoid) {
        this._takeOne(tx, entry, update, verdict, outcome);
      }
    }
    this._writePlain(tx, plain, outcome);
    tx.setBaseSeqs(moved);
  }

  /**
   * @param {Entry} entry
   * @param {Update} update
   */
  _verdictOf(entry, update) {
    const isPending = entry.pending !== null;
    const { replicaId } = this._author;
    return take(entry.update, entry.base, update, { isPending, replicaId });
  }

  /**
   * @param {Transaction} tx
   * @param {Entry[]} entries
   * @param {Outcome} outcome
   */
  _writePlain(tx, entries, outcome) {
    if (!entries.length) return;
    let seq = tx.nextSeqs(entries.length);
    let stamp = 0;
    const stored = entries.map(({ update, baseSeq }) => {
      stamp = Math.max(stamp, update.stamp);
      return new Entry(replaced(update, { seq: seq++ }), baseSeq);
    });
    tx.write(stored);
    this._author.observe(stamp);
    for (const { update } of stored) outcome.visible.push(update);
  }

  /**
   * @param {Transaction} tx
   * @param {Entry} entry
   * @param {Update} update
   * @param {string} verdict
   * @param {Outcome} outcome
   */
  _takeOne(tx, entry, update, verdict, outcome) {
    this._author.observe(update.stamp);
    if (entry.pending?.hold && verdict !== Verdict.KNOWN) {
      // What it held back with it, its group, may be free now.
      outcome.mustPush = true;
    }
    switch (verdict) {
      case Verdict.KNOWN:
        this._takeKnown(tx, entry, update, outcome);
        break;
      case Verdict.SAME:
        this._release(tx, entry, "same", outcome);
        this._set(tx, entry, update.seq);
        break;
      case Verdict.FORWARD:
        this._release(tx, entry, "theirs", outcome);
        this._replace(tx, entry, update, update.seq, outcome);
        break;
      case Verdict.EQUAL:
        this._takeEqual(tx, entry, update, outcome);
        break;
      case Verdict.REBASE:
        this._release(tx, entry, "ours", outcome);
        this._stand(tx, entry, update, entry.update.data, outcome);
        break;
      case Verdict.AMENDED:
        this._takeAmended(tx, entry, update, outcome);
        break;
      default:
        this._collide(tx, entry, update, outcome);
    }
  }

  /**
   * Close an open conflict that the list has settled; its group may be pushed again.
   *
   * @param {Transaction} tx
   * @param {Entry} entry
   * @param {string} resolution
   * @param {Outcome} outcome
   */
  _release(tx, entry, resolution, outcome) {
    if (this._conflictLog.close(tx, entry, resolution) !== null) outcome.mustPush = true;
  }

  /**
   * @param {Transaction} tx
   * @param {Entry} entry
   * @param {Update} update
   * @param {Outcome} outcome
   */
  _takeKnown(tx, entry, update, outcome) {
    const { base, pending } = entry;
    const { key } = entry.update;
    if (base.seq !== null && update.seq <= base.seq) return;
    if (pending !== null && base.rev === update.rev && pending.hold !== "conflict") {
      tx.setBaseSeqs([[key, update.seq]]);
      return;
    }
    // The upstream stands at an ancestor of ours, or has gone back to our base, which ends a
    // conflict: ours stays pending on top of it.
    this._release(tx, entry, "ours", outcome);
    tx.setBaseSeqs([[key, update.seq]]);
    tx.writePending([pendingOn(update)]);
    outcome.mustPush = true;
  }

  /**
   * @param {Transaction} tx
   * @param {Entry} entry
   * @param {Update} update
   * @param {Outcome} outcome
   */
  _takeEqual(tx, entry, update, outcome) {
    this._release(tx, entry, "equal", outcome);
    const kept = keepGreater(entry.update, update, this._author.ancestorsMax);
    if (kept.rev === update.rev) {
      this._replace(tx, entry, kept, update.seq, outcome);
      return;
    }
    tx.write([new Entry(replaced(kept, { seq: entry.update.seq }), update.seq)]);
    tx.writePending([pendingOn(update)]);
    outcome.mustPush = true;
  }

  /**
   * @param {Transaction} tx
   * @param {Entry} entry
   * @param {Update} update
   * @param {Outcome} outcome
   */
  _takeAmended(tx, entry, update, outcome) {
    const { data: ours } = entry.update;
    const { data: theirs } = update;
    const canMerge = ours !== null && theirs !== null;
    const data = canMerge ? merge(entry.base.data, ours, theirs, { prefer: "ours" }).data : ours;
    this._release(tx, entry, "merge", outcome);
    this._stand(tx, entry, update, data, outcome);
  }

  /**
   * @param {Transaction} tx
   * @param {Entry} met
   * @param {Update} update
   * @param {Outcome} outcome
   */
  _collide(tx, met, update, outcome) {
    let entry = met;
    if (entry.pending === null) {
      // The base is void and nothing was pending: what we hold is what we have to say.
      const row = newPending(update);
      entry = new Entry(entry.update, entry.baseSeq, row);
      tx.writePending([row]);
    }
    const { base, update: ours } = entry;
    const sides = { base: base.data, ours, theirs: update };
    const settlement = settle(this._strategyOf(update.model), sides);
    if (settlement === null) {
      const conflict = this._conflictLog.open(tx, entry, update);
      tx.setBaseSeqs([[ours.key, update.seq]]);
      outcome.conflicts.push(conflict);
      return;
    }
    const { resolution } = settlement;
    if (entry.pending?.hold === "conflict") this._release(tx, entry, resolution, outcome);
    else this._conflictLog.noteSettled(tx, { base, ours, theirs: update, resolution });
    if (resolution === Resolution.THEIRS) this._replace(tx, entry, update, update.seq, outcome);
    else this._stand(tx, entry, update, settlement.data ?? ours.data, outcome);
  }

  // ---- the ways to settle on a record ---------------------------------------------------

  /**
   * Hold an update as it is.
   *
   * @param {Transaction} tx
   * @param {Entry} entry
   * @param {Update} update
   * @param {number} baseSeq
   * @param {Outcome} outcome
   */
  _replace(tx, entry, update, baseSeq, outcome) {
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
  _stand(tx, entry, theirs, data, outcome) {
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
  _set(tx, entry, seq) {
    const { key } = entry.update;
    tx.setBaseSeqs([[key, seq]]);
    if (entry.pending !== null) tx.clearPending([key]);
    this._outbox.forget(key);
  }

  // ---- acknowledgements -----------------------------------------------------------------

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
      if (result.answer === Answer.REFUSED && update.group !== null) refusedGroups.add(update.group);
      this._takeCurrent(tx, key, result.current, cursor, outcome);
    }
    // Ours had given way here to what it collided with, and was taken upstream all the same: where
    // the cursor says that the list was read so far, nothing else would bring it back.
    this.takeUpdates(tx, missed.filter(({ seq }) => seq <= cursor.seq), outcome);
    if (refusedGroups.size) this._refuseRest(tx, refusedGroups, sent, outcome);
    if (answer.results.length) this.saveCursor(tx, cursor);
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
      this._release(tx, entry, "ours", outcome);
      this._set(tx, entry, result.seq);
      return true;
    }
    if (!ancestors.includes(shortOf(result.rev))) return false;
    // What it collided with has given way to ours upstream.
    this._release(tx, entry, "ours", outcome);
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
    if (now !== null) this._takeOne(tx, now, current, this._verdictOf(now, current), outcome);
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
    switch (result.answer) {
      case Answer.APPLIED: {
        // A hook amended it: the upstream passed through our revision to its own, which the list
        // brings; so the base's seq must not move beyond it.
        if (result.current === null || result.current.seq <= (entry.baseSeq ?? 0)) return;
        this._release(tx, entry, "ours", outcome);
        if (isOursStill) this._set(tx, entry, Math.max(entry.baseSeq ?? 0, 0));
        else if (entry.update.ancestors.includes(shortOf(result.rev))) {
          tx.writePending([rebasedOn(pending, pushed)]);
        }
        break;
      }
      case Answer.PARKED:
        if (isOursStill) {
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
    const { key } = entry.update;
    const conflict = this._conflictLog.close(tx, entry, "refused");
    if (conflict !== null) {
      // The list has brought what it collided with, beyond the base.
      outcome.mustPush = true;
      this._replace(tx, entry, conflict.theirs, conflict.theirs.seq, outcome);
      return;
    }
    const pending = /** @type {Pending} */ (entry.pending);
    const restored = restoreBase(entry, pending, this._author.ancestorsMax);
    this._outbox.forget(key);
    if (restored === null) {
      tx.remove([key]);
      outcome.visible.push(this._tombstoneOver(entry.update));
      return;
    }
    const stored = replaced(restored, { seq: tx.nextSeqs(1) });
    tx.write([new Entry(stored, entry.baseSeq)]);
    tx.clearPending([key]);
    outcome.visible.push(stored);
  }

  /** @param {Update} update */
  _tombstoneOver(update) {
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

  // ---- settling -------------------------------------------------------------------------

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
    this._release(tx, entry, resolution, outcome);
    const { theirs } = current;
    const { data: ours, stamp } = entry.update;
    const theirsIsLater = resolution === Resolution.LATEST && stamp < theirs.stamp;
    if (resolution === Resolution.THEIRS || theirsIsLater) {
      this._replace(tx, entry, theirs, theirs.seq, outcome);
      return true;
    }
    const isGiven = standing !== null && resolution !== Resolution.OURS;
    this._stand(tx, entry, theirs, isGiven ? standing.data : ours, outcome);
    return true;
  }

  // ---- resets ---------------------------------------------------------------------------

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
    this.saveCursor(tx, cursor);
  }

  /**
   * Decide on what a whole list did not name, after a reset.
   *
   * What the upstream lost and we still hold is offered again; what it had purged is dropped; a
   * pending edit of a purged record is a conflict with a deletion.
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
    if (entry.update.isDeletion) {
      this._drop(tx, entry, outcome);
      return;
    }
    outcome.offered += 1;
    tx.write([new Entry(entry.update, null)]);
    tx.writePending([newPending(entry.update)]);
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
    const theirs = replaced(this._tombstoneOver(entry.update), {
      seq: Math.max(entry.baseSeq ?? 0, 0),
      ancestors: baseRev === null ? [] : [shortOf(baseRev)],
      prev: baseRev,
    });
    this._collide(tx, entry, theirs, outcome);
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
    outcome.visible.push(this._tombstoneOver(entry.update));
  }
}

/** @param {Update} theirs */
function pendingOn({ model, recordId, rev: baseRev, data: baseData }) {
  return newPending({ model, recordId, baseRev, baseData });
}

/**
 * @param {Pending} pending
 * @param {Update} pushed
 * @returns {Pending}
 */
function rebasedOn(pending, pushed) {
  return { ...pending, baseRev: pushed.rev, baseData: pushed.data, hold: "", reason: "" };
}

/** @param {ItemResult} result */
function isApplied(result) {
  return result.answer === Answer.APPLIED && result.current === null;
}
