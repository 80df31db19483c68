/**
 * What a replica holds, in maps, and the transaction that reads and writes them.
 *
 * A transaction keeps an undo list, so that one that fails leaves nothing behind, and remembers
 * the rows that it touched, which is what a journal is told.
 *
 * @module
 */

import { StoreCorrupt } from "../errors.js";
import { compareText, matches, pageOf, sortRecords } from "../filters.js";
import { Conflict, Entry, Update, VOID, copyOf, keyOf, newPending, replaced } from "../models.js";
import { encodeChange } from "../protocol.js";
import { isDeletion } from "../revision.js";
import { BASE_ROWS } from "./journal.js";

/** @typedef {import("../models.js").Key} Key */
/** @typedef {import("../models.js").Pending} Pending */
/** @typedef {import("../models.js").RecordData} RecordData */
/** @typedef {import("./query.js").Query} Query */

const COMPACT_MIN = 1024;
const FORMAT = 1;

/** The content of a store. */
export class Tables {
  constructor() {
    this.head = 0;
    /** @type {Map<Key, Entry>} Without their pending rows. */
    this.entries = new Map();
    /** @type {Map<number, Key>} */
    this.keyOfSeq = new Map();
    /** @type {number[]} All seqs in order, some of which may be gone. */
    this.seqs = [];
    /** @type {Map<Key, Pending>} */
    this.pending = new Map();
    /** @type {Map<string, Conflict>} */
    this.conflicts = new Map();
    /** @type {Map<string, any>} */
    this.meta = new Map();
    /** @type {Update[][]} */
    this.stage = [];
  }

  /** Forget the places in the list that nothing holds any more. */
  compactSeqs() {
    if (this.seqs.length > Math.max(COMPACT_MIN, 2 * this.keyOfSeq.size)) this.sortSeqs();
  }

  sortSeqs() {
    this.seqs = [...this.keyOfSeq.keys()].sort((a, b) => a - b);
  }

  /**
   * Take in what a text of a journal says; return the updates that it brings.
   *
   * @param {string} text
   * @returns {Update[]}
   * @throws {StoreCorrupt}
   */
  apply(text) {
    const delta = readDelta(text);
    this.head = Math.max(this.head, delta.head);
    for (const [model, id] of delta.removed ?? []) this._remove(keyOf(model, id));
    const updates = (delta.entries ?? []).map(([item, baseSeq]) => this._hold(item, baseSeq));
    for (const row of delta.pending ?? []) this.pending.set(keyOf(row.model, row.recordId), row);
    for (const [model, id] of delta.cleared ?? []) this.pending.delete(keyOf(model, id));
    for (const item of delta.conflicts ?? []) this.conflicts.set(item.conflictId, conflictOf(item));
    for (const id of delta.forgotten ?? []) this.conflicts.delete(id);
    for (const [name, value] of Object.entries(delta.meta ?? {})) this.meta.set(name, value);
    if (delta.stage) {
      if (delta.stage.isAnew) this.stage = [];
      this.stage.push(...delta.stage.pages.map((page) => page.map(updateFrom)));
    }
    return updates;
  }

  /** @param {Key} key */
  _remove(key) {
    const entry = this.entries.get(key);
    if (entry === undefined) return;
    this.keyOfSeq.delete(entry.update.seq);
    this.entries.delete(key);
    this.pending.delete(key);
  }

  /**
   * @param {any} item
   * @param {number | null} baseSeq
   */
  _hold(item, baseSeq) {
    const update = updateFrom(item);
    const { key, seq } = update;
    const old = this.entries.get(key);
    if (old !== undefined && old.update.seq !== seq) this.keyOfSeq.delete(old.update.seq);
    if (old === undefined || old.update.seq !== seq) {
      const last = this.seqs.at(-1) ?? 0;
      this.keyOfSeq.set(seq, key);
      this.seqs.push(seq);
      if (seq < last) this.sortSeqs();
    }
    this.entries.set(key, new Entry(update, baseSeq));
    return update;
  }

  /** Return the texts that say the whole. */
  snapshot() {
    const rows = [...this.entries.values()].sort((a, b) => a.update.seq - b.update.seq);
    /** @type {string[]} */
    const texts = [];
    for (let start = 0; start < rows.length; start += BASE_ROWS) {
      const entries = rows.slice(start, start + BASE_ROWS).map(rowOf);
      texts.push(JSON.stringify({ format: FORMAT, head: this.head, entries }));
    }
    const rest = {
      format: FORMAT,
      head: this.head,
      pending: [...this.pending.values()],
      conflicts: [...this.conflicts.values()].map(rowOfConflict),
      meta: Object.fromEntries(this.meta),
      stage: { isAnew: true, pages: this.stage.map((page) => page.map(encodeChange)) },
    };
    return [...texts, JSON.stringify(rest)];
  }
}

/**
 * @param {string} text
 * @returns {{format: number, head: number, entries?: [any, number | null][],
 *   removed?: [string, string][], pending?: Pending[], cleared?: [string, string][],
 *   conflicts?: any[], forgotten?: string[], meta?: Record<string, any>,
 *   stage?: {isAnew: boolean, pages: any[][]}}}
 */
function readDelta(text) {
  let delta;
  try {
    delta = JSON.parse(text);
  } catch (error) {
    throw new StoreCorrupt(`a text of the journal can't be read: ${String(error)}`);
  }
  if (delta?.format !== FORMAT) {
    throw new StoreCorrupt(`the journal has the format ${delta?.format}, ${FORMAT} is known here`, {
      hint: "it was written by another version of syncline",
    });
  }
  return delta;
}

/** @param {Entry} entry */
function rowOf({ update, baseSeq }) {
  return [encodeChange(update), baseSeq];
}

/** @param {Conflict} conflict */
function rowOfConflict(conflict) {
  const { ours, theirs } = conflict;
  return { ...conflict, ours: encodeChange(ours), theirs: encodeChange(theirs) };
}

/** @param {any} item */
function conflictOf(item) {
  return new Conflict({ ...item, ours: updateFrom(item.ours), theirs: updateFrom(item.theirs) });
}

/** @param {any} item */
function updateFrom(item) {
  return new Update({ ...item, recordId: item.id, amendedFor: item.amended_for });
}

/** Reads and writes of a store's content. */
export class Transaction {
  /** @param {Tables} tables */
  constructor(tables) {
    this._tables = tables;
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

  // ---- reading --------------------------------------------------------------------------

  /** Return the seq of the last change ever written. */
  head() {
    return this._tables.head;
  }

  /**
   * Return what is held of a record, its tombstone included.
   *
   * @param {Key} key
   */
  entry(key) {
    const entry = this._tables.entries.get(key);
    if (entry === undefined) return null;
    const pending = this._tables.pending.get(key);
    return pending === undefined ? entry : new Entry(entry.update, entry.baseSeq, pending);
  }

  /**
   * Return what is held of those records, tombstones included.
   *
   * @param {readonly Key[]} keys
   * @returns {Map<Key, Entry>}
   */
  entriesOf(keys) {
    const found = new Map();
    if (!this._tables.entries.size) return found;
    for (const key of keys) {
      const entry = this.entry(key);
      if (entry !== null) found.set(key, entry);
    }
    return found;
  }

  /**
   * Return the first `limit` entries with `since < seq`, in order of seq.
   *
   * @param {number} since
   * @param {{models: readonly string[] | null, limit: number}} more
   */
  changes(since, { models, limit }) {
    const { seqs, keyOfSeq, entries } = this._tables;
    /** @type {Update[]} */
    const found = [];
    for (let index = placeAfter(seqs, since); index < seqs.length; index += 1) {
      const key = keyOfSeq.get(seqs[index]);
      const update = key === undefined ? undefined : entries.get(key)?.update;
      if (update === undefined || (models !== null && !models.includes(update.model))) continue;
      found.push(update);
      if (found.length >= limit) break;
    }
    return found;
  }

  /**
   * Return all entries of those models, tombstones included.
   *
   * @param {readonly string[]} models
   */
  entriesIn(models) {
    return [...this._tables.entries]
      .filter(([, { update }]) => models.includes(update.model))
      .map(([key]) => /** @type {Entry} */ (this.entry(key)));
  }

  /**
   * Return the records that match, in the query's order, else by id.
   *
   * @param {string} model
   * @param {Query} query
   */
  find(model, query) {
    const { order, after, limit } = query;
    let records = sortRecords(this._matching(model, query), order);
    if (after !== null && !order.length) {
      records = records.filter(([id]) => compareText(id, after) > 0);
      return pageOf(records, { limit }).map(copyOf);
    }
    return pageOf(records, { after, limit }).map(copyOf);
  }

  /**
   * Return how many records match.
   *
   * @param {string} model
   * @param {Query} query
   */
  count(model, query) {
    let count = 0;
    for (const _ of this._matching(model, query)) count += 1;
    return count;
  }

  /**
   * @param {string} model
   * @param {Query} query
   * @returns {Iterable<[string, RecordData]>}
   */
  *_matching(model, { condition }) {
    for (const { update } of this._tables.entries.values()) {
      if (update.model === model && update.data !== null && matches(condition, update.data)) {
        yield [update.recordId, update.data];
      }
    }
  }

  /** Return the names of all models with entries, sorted. */
  models() {
    const names = new Set();
    for (const { update } of this._tables.entries.values()) names.add(update.model);
    return [...names].sort();
  }

  /**
   * Return the pending entries that nothing holds, in order of seq.
   *
   * @param {number} limit
   * @param {number} [after] those at or before this seq are left out.
   */
  outbox(limit, after = 0) {
    const rows = this._pendingEntries(() => true);
    const barred = new Set();
    for (const { update, pending } of rows) {
      if (pending?.hold && update.group !== null) barred.add(update.group);
    }
    return rows
      .filter(
        ({ update, pending }) =>
          !pending?.hold && update.seq > after && !barred.has(update.group),
      )
      .slice(0, limit);
  }

  /**
   * Return every pending entry of those groups, held ones included, in order of seq.
   *
   * @param {readonly string[]} groups
   */
  groupedOutbox(groups) {
    return this._pendingEntries(({ update }) => update.group !== null && groups.includes(update.group));
  }

  /**
   * Return the pending entries that are held for that cause, in order of seq.
   *
   * @param {string} hold
   */
  held(hold) {
    return this._pendingEntries(({ pending }) => pending?.hold === hold);
  }

  /** @param {(entry: Entry) => boolean} isWanted */
  _pendingEntries(isWanted) {
    return [...this._tables.pending.keys()]
      .map((key) => /** @type {Entry} */ (this.entry(key)))
      .filter(isWanted)
      .sort((a, b) => a.update.seq - b.update.seq);
  }

  /** Return how many records are pending, by what holds them; `""` for nothing. */
  pendingCounts() {
    const counts = { "": 0, conflict: 0, parked: 0 };
    for (const { hold } of this._tables.pending.values()) counts[hold] += 1;
    return counts;
  }

  /**
   * Return how many records of the upstream the pending deletions that nothing holds would delete,
   * by model.
   *
   * @returns {Map<string, number>}
   */
  deletionsPending() {
    return deletionsOf(
      this.outbox(Infinity).map(({ update, pending }) =>
        replaced(update, { prev: pending?.baseRev ?? null }),
      ),
    );
  }

  /**
   * Return the conflict log, oldest first.
   *
   * @param {{openOnly: boolean, model?: string | null, limit?: number}} more
   */
  conflicts({ openOnly, model = null, limit = 1000 }) {
    return [...this._tables.conflicts.values()]
      .filter((one) => (one.isOpen || !openOnly) && (model === null || model === one.model))
      .slice(0, limit);
  }

  /**
   * Return one conflict, or null.
   *
   * @param {string} conflictId
   */
  conflict(conflictId) {
    return this._tables.conflicts.get(conflictId) ?? null;
  }

  /**
   * Return the open conflict of a record that this replica met, if any.
   *
   * @param {Key} key
   */
  openConflict(key) {
    for (const one of this._tables.conflicts.values()) {
      if (one.isOpen && one.side === "ours" && one.key === key) return one;
    }
    return null;
  }

  /**
   * Return a small named value, or null.
   *
   * @param {string} name
   */
  meta(name) {
    return this._tables.meta.get(name) ?? null;
  }

  /** Return the staged pages, in order. */
  stage() {
    return [...this._tables.stage];
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
 * Return how many records of the upstream a push would delete, by model.
 *
 * @param {readonly Update[]} updates
 * @returns {Map<string, number>}
 */
export function deletionsOf(updates) {
  const counts = new Map();
  for (const { isDeletion: isGone, prev, model } of updates) {
    if (isGone && prev !== null && !isDeletion(prev)) {
      counts.set(model, (counts.get(model) ?? 0) + 1);
    }
  }
  return counts;
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
  return [...touched].filter((key) => !table.has(key)).map((key) => key.split("\0"));
}

/**
 * Return the index of the first seq beyond `since`.
 *
 * @param {number[]} seqs
 * @param {number} since
 */
function placeAfter(seqs, since) {
  let [low, high] = [0, seqs.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (seqs[middle] <= since) low = middle + 1;
    else high = middle;
  }
  return low;
}
