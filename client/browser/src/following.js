/**
 * What a replica does with the updates of its upstream, each by its own verdict.
 *
 * @module
 */

import { settle } from "./conflicts.js";
import { merge } from "./merge.js";
import { Entry, Resolution, Verdict, newCursor, newPending, replaced } from "./models.js";
import { Told, completed } from "./news.js";
import { keepGreater } from "./rebase.js";
import { pendingOn } from "./settling.js";
import { take } from "./verdicts.js";

/** @typedef {import("./models.js").Cursor} Cursor */
/** @typedef {import("./models.js").Key} Key */
/** @typedef {import("./outcome.js").Outcome} Outcome */
/** @typedef {import("./settling.js").Settling} Settling */
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

/**
 * Store the cursor with whatever else the transaction does.
 *
 * @param {Transaction} tx
 * @param {Cursor} cursor
 */
export function saveCursor(tx, cursor) {
  tx.setMeta(CURSOR, cursor);
}

/** Takes the updates of an upstream into one replica's store, inside the caller's transaction. */
export class Following {
  /**
   * @param {import("./author.js").Author} author
   * @param {Settling} settling
   * @param {import("./conflictLog.js").ConflictLog} conflictLog
   * @param {(model: string) => import("./conflicts.js").Strategy} strategyOf
   */
  constructor(author, settling, conflictLog, strategyOf) {
    this._author = author;
    this._settling = settling;
    this._conflictLog = conflictLog;
    this._strategyOf = strategyOf;
  }

  /**
   * Take pulled updates, each by its own verdict.
   *
   * None of them, where what live ones left out is not held here; the outcome says so.
   *
   * @param {Transaction} tx
   * @param {readonly Update[]} pulled
   * @param {Outcome} outcome
   */
  takeUpdates(tx, pulled, outcome) {
    const held = tx.entriesOf(pulled.map((update) => update.key));
    const updates = pulled.map((update) => this._completed(tx, update, held.get(update.key)));
    if (!isEach(updates)) {
      outcome.lacksAnchor = true;
      return;
    }
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
        for (const other of this._takeBy(tx, entry, update, verdict, outcome)) {
          // It gave way with its transaction: what was read of it is no longer so.
          const now = tx.entry(other);
          if (now === null) held.delete(other);
          else held.set(other, now);
        }
      }
    }
    this._writePlain(tx, plain, outcome);
    tx.setBaseSeqs(moved);
  }

  /**
   * Return an update with what was left out of it; null where that is not held here.
   *
   * @param {Transaction} tx
   * @param {Update} update
   * @param {Entry | undefined} entry
   */
  _completed(tx, update, entry) {
    if (!(update instanceof Told)) return update;
    const isOpen = entry?.pending?.hold === "conflict";
    const theirs = isOpen ? (tx.openConflict(update.key)?.theirs ?? null) : null;
    return completed(update, entry, theirs, this._author.ancestorsMax);
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
   * Take the upstream's word on one record that is held here.
   *
   * @param {Transaction} tx
   * @param {Entry} entry
   * @param {Update} update
   * @param {Outcome} outcome
   */
  takeOne(tx, entry, update, outcome) {
    this._takeBy(tx, entry, update, this._verdictOf(entry, update), outcome);
  }

  /**
   * @param {Transaction} tx
   * @param {Entry} met
   * @param {Update} update
   * @param {string} verdict
   * @param {Outcome} outcome
   * @returns {readonly Key[]} the other records that gave way with it.
   */
  _takeBy(tx, met, update, verdict, outcome) {
    this._author.observe(update.stamp);
    let entry = met;
    if (entry.pending === null && entry.update.group !== null) {
      // The upstream lost it, and it may wait again; the transaction that it was once written in is
      // over.
      entry = new Entry(replaced(entry.update, { group: null }), entry.baseSeq);
      tx.write([entry]);
    }
    if (entry.pending?.hold && verdict !== Verdict.KNOWN) {
      // What it held back with it, its group, may be free now.
      outcome.mustPush = true;
    }
    switch (verdict) {
      case Verdict.KNOWN:
        this._takeKnown(tx, entry, update, outcome);
        break;
      case Verdict.SAME:
        this._settling.release(tx, entry, "same", outcome);
        this._settling.moveBase(tx, entry, update.seq);
        break;
      case Verdict.FORWARD:
        this._settling.release(tx, entry, "theirs", outcome, update);
        this._settling.replace(tx, entry, update, update.seq, outcome);
        break;
      case Verdict.EQUAL:
        this._takeEqual(tx, entry, update, outcome);
        break;
      case Verdict.REBASE:
        this._settling.release(tx, entry, "ours", outcome);
        this._settling.stand(tx, entry, update, entry.update.data, outcome);
        break;
      case Verdict.AMENDED:
        this._takeAmended(tx, entry, update, outcome);
        break;
      default:
        return this.collide(tx, entry, update, outcome);
    }
    return [];
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
    this._settling.release(tx, entry, "ours", outcome);
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
    this._settling.release(tx, entry, "equal", outcome);
    const kept = keepGreater(entry.update, update, this._author.ancestorsMax);
    if (kept.rev === update.rev) {
      this._settling.replace(tx, entry, kept, update.seq, outcome);
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
    const data = canMerge ? merge(entry.baseOf(update).data, ours, theirs, { prefer: "ours" }).data : ours;
    this._settling.release(tx, entry, "merge", outcome);
    this._settling.stand(tx, entry, update, data, outcome);
  }

  /**
   * Settle a collision by the model's strategy, or open a conflict.
   *
   * A record that loses anything takes with it all that was written in its transaction.
   *
   * @param {Transaction} tx
   * @param {Entry} met
   * @param {Update} update
   * @param {Outcome} outcome
   * @returns {readonly Key[]} the other records that gave way with it.
   */
  collide(tx, met, update, outcome) {
    let entry = met;
    if (entry.pending === null) {
      // The base is void and nothing was pending: what we hold is what we have to say.
      const row = newPending(update);
      entry = new Entry(entry.update, entry.baseSeq, row);
      tx.writePending([row]);
    }
    const { update: ours } = entry;
    const base = entry.baseOf(update);
    const sides = { base: base.data, ours, theirs: update };
    const settlement = settle(this._strategyOf(update.model), sides);
    if (settlement === null) {
      const conflict = this._conflictLog.open(tx, entry, update);
      tx.setBaseSeqs([[ours.key, update.seq]]);
      outcome.conflicts.push(conflict);
      return [];
    }
    const others = settlement.loser === "ours" ? this._settling.othersOfGroup(tx, ours) : [];
    const resolution = others.length ? Resolution.THEIRS : settlement.resolution;
    if (entry.pending?.hold === "conflict") {
      this._settling.release(tx, entry, resolution, outcome, update);
    } else this._conflictLog.noteSettled(tx, { base, ours, theirs: update, resolution });
    if (resolution === Resolution.THEIRS) {
      this._settling.replace(tx, entry, update, update.seq, outcome);
      this._settling.giveUp(tx, others, outcome);
    } else this._settling.stand(tx, entry, update, settlement.data ?? ours.data, outcome);
    return others;
  }
}

/**
 * @param {(Update | null)[]} updates
 * @returns {updates is Update[]}
 */
function isEach(updates) {
  return !updates.includes(null);
}
