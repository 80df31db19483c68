/**
 * The transaction that changes a store's content.
 *
 * It keeps an undo list, so that one that fails leaves nothing behind, and remembers the rows that
 * it touched, which is what a journal is told.
 *
 * @module
 */

import { Entry, VOID, keyOf, newPending, partsOf, replaced } from "../models.js";
import { encodeChange } from "../protocol.js";
import { Reader } from "./reader.js";
import { FORMAT, rowOf, rowOfConflict } from "./rows.js";

/** @typedef {import("../models.js").Conflict} Conflict */
/** @typedef {import("../models.js").Key} Key */
/** @typedef {import("../models.js").Pending} Pending */
/** @typedef {import("../models.js").Update} Update */

/** Reads and writes of a store's content. */
export class Transaction extends Reader {
  /** @param {import("./tables.js").Tables} tables */
  constructor(tables) {
    super(tables);
    /** @type {(() => void)[]} */
    this._undo = [];
    /** @type {Set<Key>} */
    this._entries = new Set();
    /** @type {Set<Key>} */
    this._pending = new Set();
    /** @type {Set<string>} */
    this._conflicts = new Set();
    /** @type {Set<string>} */
    this._meta = new Set();
    this._headBefore = tables.head;
    this._stageKept = tables.stage.length;
    this._isStageAnew = false;
  }

  /** Return a mark to undo to. */
  savepoint() {
    return this._undo.length;
  }

  /**
   * Take everything back that was done since a savepoint, last first.
   *
   * @param {number} [mark]
   */
  undo(mark = 0) {
    while (this._undo.length > mark) /** @type {() => void} */ (this._undo.pop())();
  }

  /** Return the text that says what was changed, or null when nothing was. */
  delta() {
    const { entries, pending, conflicts, meta, stage, head } = this._tables;
    const isStaged = this._isStageAnew || stage.length > this._stageKept;
    const touched = this._entries.size + this._pending.size + this._conflicts.size + this._meta.size;
    if (!touched && !isStaged && head === this._headBefore) return null;
    /** @type {Record<string, any>} */
    const delta = { format: FORMAT, head };
    const held = [...this._entries].map((key) => entries.get(key));
    add(delta, "entries", held.filter((one) => one !== undefined).map(rowOf));
    add(delta, "removed", missing(this._entries, entries));
    add(delta, "pending", [...this._pending].flatMap((key) => pending.get(key) ?? []));
    add(delta, "cleared", missing(this._pending, pending));
    const logged = [...this._conflicts].flatMap((id) => conflicts.get(id) ?? []);
    add(delta, "conflicts", logged.map(rowOfConflict));
    add(delta, "forgotten", [...this._conflicts].filter((id) => !conflicts.has(id)));
    if (this._meta.size) {
      delta.meta = Object.fromEntries([...this._meta].map((name) => [name, meta.get(name)]));
    }
    if (isStaged) {
      const pages = this._isStageAnew ? stage : stage.slice(this._stageKept);
      delta.stage = { isAnew: this._isStageAnew, pages: pages.map((page) => page.map(encodeChange)) };
    }
    return JSON.stringify(delta);
  }

  // ---- writing --------------------------------------------------------------------------

  /**
   * Take `count` new seqs and return the first of them.
   *
   * @param {number} count
   */
  nextSeqs(count) {
    const tables = this._tables;
    const { head } = tables;
    this._undo.push(() => {
      tables.head = head;
    });
    tables.head = head + count;
    return head + 1;
  }

  /**
   * Store entries, one at most per record; pending rows are left alone.
   *
   * @param {readonly Entry[]} entries
   */
  write(entries) {
    const { entries: held, keyOfSeq, seqs } = this._tables;
    for (const { update, baseSeq } of entries) {
      const { key, seq } = update;
      const oldSeq = held.get(key)?.update.seq;
      if (oldSeq !== seq) {
        if (oldSeq !== undefined) this._unset(keyOfSeq, oldSeq);
        this._set(keyOfSeq, seq, key);
        seqs.push(seq);
        this._undo.push(() => {
          // One that was compacted meanwhile is no longer the last.
          const index = this._tables.seqs.lastIndexOf(seq);
          if (index >= 0) this._tables.seqs.splice(index, 1);
        });
      }
      this._hold(key, new Entry(update, baseSeq));
    }
  }

  /**
   * @param {Key} key
   * @param {Entry} entry
   */
  _hold(key, entry) {
    this._entries.add(key);
    this._set(this._tables.entries, key, entry);
  }

  /**
   * Move the base seqs of entries that are held.
   *
   * @param {readonly [Key, number][]} bases
   */
  setBaseSeqs(bases) {
    for (const [key, seq] of bases) {
      const old = this._tables.entries.get(key);
      if (old !== undefined) this._hold(key, new Entry(old.update, seq));
    }
  }

  /**
   * Drop entries without a tombstone, their pending rows too.
   *
   * @param {readonly Key[]} keys
   */
  remove(keys) {
    for (const key of keys) {
      const entry = this._tables.entries.get(key);
      if (entry === undefined) continue;
      this._entries.add(key);
      this._unset(this._tables.keyOfSeq, entry.update.seq);
      this._unset(this._tables.entries, key);
    }
    this.clearPending(keys);
  }

  /**
   * Store pending rows, one at most per record.
   *
   * @param {readonly Pending[]} rows
   */
  writePending(rows) {
    for (const row of rows) {
      const key = keyOf(row.model, row.recordId);
      this._pending.add(key);
      this._set(this._tables.pending, key, row);
    }
  }

  /**
   * Drop pending rows.
   *
   * @param {readonly Key[]} keys
   */
  clearPending(keys) {
    for (const key of keys) {
      if (!this._tables.pending.has(key)) continue;
      this._pending.add(key);
      this._unset(this._tables.pending, key);
    }
  }

  /** Make every record without a base pending, as something that the upstream never saw. */
  offerAll() {
    for (const [key, { update, baseSeq }] of this._tables.entries) {
      const isBare = baseSeq === null && !this._tables.pending.has(key);
      if (isBare && !update.isDeletion) this.writePending([newPending(update)]);
    }
  }

  /**
   * Rename the group of pending entries.
   *
   * @param {string} old
   * @param {string} group
   */
  setGroup(old, group) {
    for (const key of this._tables.pending.keys()) {
      const entry = /** @type {Entry} */ (this._tables.entries.get(key));
      if (entry.update.group === old) {
        this._hold(key, new Entry(replaced(entry.update, { group }), entry.baseSeq));
      }
    }
  }

  /**
   * Give up what is not pending beyond `shared`: the upstream's word stands.
   *
   * @param {number} shared
   */
  yieldBases(shared) {
    for (const [key, { update, baseSeq }] of [...this._tables.entries]) {
      const isBeyond = baseSeq !== null && baseSeq > shared;
      if (isBeyond && !this._tables.pending.has(key)) this._hold(key, new Entry(update, 0));
    }
  }

  /**
   * Mark every base beyond `shared` as lost by the upstream.
   *
   * @param {number} shared
   */
  voidBases(shared) {
    for (const [key, { update, baseSeq }] of [...this._tables.entries]) {
      if (baseSeq === null || baseSeq <= shared) continue;
      this._hold(key, new Entry(update, VOID));
      const row = this._tables.pending.get(key);
      if (row !== undefined) this.writePending([{ ...row, baseRev: null, baseData: null }]);
    }
  }

  /**
   * Store a conflict under its id, anew or over the one before.
   *
   * @param {Conflict} conflict
   */
  writeConflict(conflict) {
    this._conflicts.add(conflict.conflictId);
    this._set(this._tables.conflicts, conflict.conflictId, conflict);
  }

  /** Forget the open conflicts of this replica, and release the records they hold. */
  dropOpenConflicts() {
    this._keepConflicts();
    for (const [id, one] of [...this._tables.conflicts]) {
      if (one.isOpen && one.side === "ours") this._forget(id);
    }
    for (const row of [...this._tables.pending.values()]) {
      if (row.hold === "conflict") this.writePending([{ ...row, hold: "" }]);
    }
  }

  /**
   * Forget all but the newest `keep` conflicts that are settled or were received.
   *
   * @param {number} keep
   */
  trimConflicts(keep) {
    const { conflicts } = this._tables;
    if (conflicts.size <= keep) return;
    const idle = [...conflicts.values()].filter((one) => !one.isOpen || one.side !== "ours");
    const old = idle.slice(0, Math.max(0, idle.length - keep));
    if (old.length) this._keepConflicts();
    for (const { conflictId } of old) this._forget(conflictId);
  }

  /** @param {string} conflictId */
  _forget(conflictId) {
    this._conflicts.add(conflictId);
    this._tables.conflicts.delete(conflictId);
  }

  _keepConflicts() {
    // Put back one by one, they would come last: the log's order is the map's.
    const tables = this._tables;
    const before = new Map(tables.conflicts);
    this._undo.push(() => {
      tables.conflicts = before;
    });
  }

  /**
   * Store a small named value.
   *
   * @param {string} name
   * @param {any} value
   */
  setMeta(name, value) {
    this._meta.add(name);
    this._set(this._tables.meta, name, value);
  }

  /**
   * Add a page to the stage.
   *
   * @param {readonly Update[]} page
   */
  appendStage(page) {
    const { stage } = this._tables;
    this._undo.push(() => {
      stage.pop();
    });
    stage.push([...page]);
  }

  /** Empty the stage. */
  clearStage() {
    const tables = this._tables;
    const before = tables.stage;
    if (!before.length) return;
    this._undo.push(() => {
      tables.stage = before;
    });
    this._isStageAnew = true;
    tables.stage = [];
  }

  /**
   * @template K, V
   * @param {Map<K, V>} table
   * @param {K} key
   * @param {V} value
   */
  _set(table, key, value) {
    if (table.has(key)) {
      const before = /** @type {V} */ (table.get(key));
      this._undo.push(() => table.set(key, before));
    } else {
      this._undo.push(() => table.delete(key));
    }
    table.set(key, value);
  }

  /**
   * @template K, V
   * @param {Map<K, V>} table
   * @param {K} key
   */
  _unset(table, key) {
    if (!table.has(key)) return;
    const before = /** @type {V} */ (table.get(key));
    this._undo.push(() => table.set(key, before));
    table.delete(key);
  }
}

/**
 * @param {Record<string, any>} delta
 * @param {string} name
 * @param {any[]} rows
 */
function add(delta, name, rows) {
  if (rows.length) delta[name] = rows;
}

/**
 * @param {Set<Key>} touched
 * @param {Map<Key, any>} table
 */
function missing(touched, table) {
  return [...touched].filter((key) => !table.has(key)).map(partsOf);
}
