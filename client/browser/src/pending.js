/**
 * What has not been acknowledged: which revisions may still be squashed, and what to push.
 *
 * @module
 */

import { DEFAULT_LIMITS, isSurelySmall, sortOut } from "./limits.js";
import { replaced } from "./models.js";
import { sizeOf } from "./protocol.js";

/** @typedef {import("./models.js").Entry} Entry */
/** @typedef {import("./models.js").Key} Key */
/** @typedef {import("./models.js").Update} Update */
/** @typedef {import("./store/transaction.js").Transaction} Transaction */

/**
 * The pending updates of a replica that follows.
 *
 * Only a revision that was made here since the link was taken, and was never handed to it, may be
 * edited in place; after a restart every pending revision counts as sent.
 */
export class Outbox {
  constructor() {
    /** Whether this tab or process owns the link, and so knows what was handed out. */
    this.maySquash = false;
    /** @type {import("./limits.js").PushLimits} How much the upstream takes, as far as is known. */
    this.limits = DEFAULT_LIMITS;
    /** @type {Map<Key, {rev: string, overBase: boolean}>} */
    this._fresh = new Map();
  }

  /**
   * Take note of a new pending revision.
   *
   * @param {Key} key
   * @param {string} rev
   * @param {{overBase: boolean}} more it was made directly over the base, so going back to the
   *   base's data leaves nothing pending.
   */
  noteMade(key, rev, { overBase }) {
    if (this.maySquash) this._fresh.set(key, { rev, overBase });
  }

  /**
   * Tell whether this revision was never handed out.
   *
   * @param {Key} key
   * @param {string} rev
   */
  squashable(key, rev) {
    return this.maySquash && this._fresh.get(key)?.rev === rev;
  }

  /**
   * Tell whether the fresh revision of this record was made directly over the base.
   *
   * @param {Key} key
   */
  isOverBase(key) {
    return this._fresh.get(key)?.overBase ?? false;
  }

  /**
   * Count a record's revision as sent.
   *
   * @param {Key} key
   */
  forget(key) {
    this._fresh.delete(key);
  }

  /** Count everything as sent. */
  forgetAll() {
    this._fresh.clear();
  }

  /**
   * Return what to push next, groups whole, and whether more is waiting behind it.
   *
   * Each update's `prev` names what the upstream holds.
   *
   * @param {Transaction} reader
   * @param {{itemsMax: number, bytesMax: number, inFlight?: readonly Update[]}} limits `inFlight`:
   *   what was pushed and is not answered yet. A record is in at most one push on its way, so what
   *   was made of these since then waits, and its group with it.
   * @returns {{updates: Update[], hasMore: boolean, barred: import("./limits.js").TooLarge[]}}
   *   `barred`: what the upstream does not take, which is left out.
   */
  collect(reader, { itemsMax, bytesMax, inFlight = [] }) {
    const after = inFlight.reduce((greatest, { seq }) => Math.max(greatest, seq), 0);
    let entries = reader.outbox(itemsMax + 1, after);
    let hasMore = entries.length > itemsMax;
    entries = entries.slice(0, itemsMax);
    const groups = new Set(entries.flatMap(({ update }) => update.group ?? []));
    if (groups.size) entries = withGroups(entries, reader.groupedOutbox([...groups]));
    if (inFlight.length) entries = without(entries, new Set(inFlight.map(({ key }) => key)));
    /** @type {Update[]} */
    const collected = [];
    let size = 0;
    for (const batch of batches(entries)) {
      const weight = batch.reduce((sum, { update }) => sum + sizeOf(update), 0);
      const count = collected.length + batch.length;
      if (collected.length && (size + weight > bytesMax || count > this.limits.pushItemsMax)) {
        hasMore = true;
        break;
      }
      for (const entry of batch) collected.push(asPushed(entry));
      size += weight;
    }
    const isSmall = collected.length <= this.limits.pushItemsMax && isSurelySmall(size, this.limits);
    const sorted = isSmall
      ? { updates: collected, barred: [], isCut: false }
      : sortOut(collected, this.limits);
    for (const { key } of sorted.updates) this.forget(key);
    return { updates: sorted.updates, hasMore: hasMore || sorted.isCut, barred: sorted.barred };
  }
}

/**
 * @param {Entry[]} entries
 * @param {ReadonlySet<Key>} keys
 */
function without(entries, keys) {
  const barred = new Set();
  for (const { update } of entries) if (keys.has(update.key)) barred.add(update.group);
  barred.delete(null);
  return entries.filter(({ update }) => !keys.has(update.key) && !barred.has(update.group));
}

/**
 * Return an entry's update as it is pushed: `prev` is the base's revision.
 *
 * @param {Entry} entry
 */
function asPushed({ update, pending }) {
  const prev = pending?.baseRev ?? null;
  return update.prev === prev ? update : replaced(update, { prev });
}

/**
 * @param {Entry[]} entries
 * @param {Entry[]} grouped
 */
function withGroups(entries, grouped) {
  const seen = new Set(entries.map(({ update }) => update.key));
  return [...entries, ...grouped.filter(({ update }) => !seen.has(update.key))];
}

/**
 * Return entries that must travel together, in order of their first.
 *
 * @param {Entry[]} entries
 */
function batches(entries) {
  /** @type {Map<string, Entry[]>} */
  const found = new Map();
  for (const entry of entries) {
    const name = entry.update.group ?? entry.update.key;
    const batch = found.get(name);
    if (batch) batch.push(entry);
    else found.set(name, [entry]);
  }
  return found.values();
}
