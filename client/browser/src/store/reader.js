/**
 * What can be asked of a store's content.
 *
 * @module
 */

import { compareText, matches } from "../filters.js";
import { Entry, copyOf } from "../models.js";
import { pageOf, sortRecords } from "../ordering.js";

/** @typedef {import("../models.js").Key} Key */
/** @typedef {import("../models.js").RecordData} RecordData */
/** @typedef {import("../models.js").Update} Update */
/** @typedef {import("./query.js").Query} Query */

/** Reads of a store's content. */
export class Reader {
  /** @param {import("./tables.js").Tables} tables */
  constructor(tables) {
    this._tables = tables;
  }

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

  /**
   * Return how many records are pending, by what holds them; `""` for nothing.
   *
   * Those that wait for a parked one of their group count as parked themselves.
   */
  pendingCounts() {
    const counts = { "": 0, conflict: 0, parked: 0 };
    for (const { hold } of this._tables.pending.values()) counts[hold] += 1;
    if (!counts.parked || !counts[""]) return counts;
    const groups = new Set(this.held("parked").map(({ update }) => update.group));
    groups.delete(null);
    const barred = this.held("").filter(({ update }) => groups.has(update.group)).length;
    return { ...counts, "": counts[""] - barred, parked: counts.parked + barred };
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
