/**
 * What a replica holds, in maps.
 *
 * The texts of a journal fill them, and a snapshot is such texts again.
 *
 * @module
 */

import { Entry, keyOf, replaced } from "../models.js";
import { encodeChange } from "../protocol.js";
import { generationOf, isDeletion, newRevision, nonceOf } from "../revision.js";
import { BASE_ROWS } from "./journal.js";
import { FORMAT, conflictOf, readDelta, rowOf, rowOfConflict, updateFrom } from "./rows.js";

/** @typedef {import("../models.js").Conflict} Conflict */
/** @typedef {import("../models.js").Key} Key */
/** @typedef {import("../models.js").Pending} Pending */
/** @typedef {import("../models.js").Update} Update */

const COMPACT_MIN = 1024;

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
   * Take in what a text of a journal says; return the updates that it brings, and of what it
   * removes the deletions, which have no place in the list.
   *
   * @param {string} text
   * @returns {Update[]}
   * @throws {StoreCorrupt}
   */
  apply(text) {
    const delta = readDelta(text);
    this.head = Math.max(this.head, delta.head);
    const gone = (delta.removed ?? []).flatMap(([model, id]) => this._remove(keyOf(model, id)));
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
    return [...gone, ...updates];
  }

  /**
   * Take over the content of other tables; return what is new in them, in order of seq, and of what
   * is gone the deletions.
   *
   * @param {Tables} newer
   * @returns {Update[]}
   */
  become(newer) {
    const { head } = this;
    const gone = [...this.entries].flatMap(([key, { update }]) =>
      newer.entries.has(key) ? [] : goneOf(update),
    );
    Object.assign(this, newer);
    this.sortSeqs();
    const news = this.seqs.filter((seq) => seq > head).flatMap((seq) => {
      const key = this.keyOfSeq.get(seq);
      const entry = key === undefined ? undefined : this.entries.get(key);
      return entry === undefined ? [] : [entry.update];
    });
    return [...gone, ...news];
  }

  /**
   * @param {Key} key
   * @returns {Update[]} the deletion of what was there.
   */
  _remove(key) {
    const entry = this.entries.get(key);
    if (entry === undefined) return [];
    this.keyOfSeq.delete(entry.update.seq);
    this.entries.delete(key);
    this.pending.delete(key);
    return goneOf(entry.update);
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
 * Return the deletion that stands for what was dropped without one; none for a deletion.
 *
 * @param {Update} update
 * @returns {Update[]}
 */
function goneOf(update) {
  const { rev } = update;
  if (isDeletion(rev)) return [];
  const deleted = newRevision(generationOf(rev) + 1, nonceOf(rev), { deleted: true });
  return [replaced(update, { seq: 0, rev: deleted, prev: rev, group: null, data: null })];
}
