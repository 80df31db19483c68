/**
 * The frozen records that everything is said in.
 *
 * Fields have the Python replica's names in camelCase; `protocol.js` maps them to the wire's.
 *
 * @module
 */

import { setOwn } from "./digest.js";
import { generationOf, isDeletion, shortOf } from "./revision.js";

/** @typedef {Record<string, any>} RecordData a record: a JSON object */
/** @typedef {string} Key model and record id in one text, see `keyOf` */
/** @typedef {import("./revision.js").Revision} Revision */

export const ANCESTORS_MAX = 64;
/** The base seq of a record whose base an upstream lost. */
export const VOID = -1;

/** What a change did, as LoopBack names it. */
export const ChangeKind = Object.freeze({ CREATE: "create", UPDATE: "update", DELETE: "delete" });

/**
 * Return what names a record in a data source.
 *
 * @param {string} model
 * @param {string} recordId
 * @returns {Key}
 */
export function keyOf(model, recordId) {
  return `${model}\0${recordId}`;
}

/**
 * Return the model and the record id of a key; an id may hold U+0000, a model's name does not.
 *
 * @param {Key} key
 * @returns {[string, string]}
 */
export function partsOf(key) {
  const end = key.indexOf("\0");
  return [key.slice(0, end), key.slice(end + 1)];
}

/**
 * @typedef {object} ChangeFields
 * @property {string} model
 * @property {string} recordId
 * @property {number} [seq]
 * @property {Revision} rev
 * @property {Revision | null} [prev]
 * @property {readonly string[]} [ancestors]
 * @property {string} [origin]
 * @property {string | null} [group]
 * @property {number} [stamp]
 */

/** The change list's entry for one record. */
export class Change {
  /** @param {ChangeFields} fields */
  constructor(fields) {
    /** The model's name. */
    this.model = fields.model;
    /** The record's id, as text. */
    this.recordId = fields.recordId;
    /** Its place in the change list that it was read from; 0 while it has none. */
    this.seq = fields.seq ?? 0;
    /** The revision of the state that the record is in. */
    this.rev = fields.rev;
    /** @type {Revision | null} What the upstream held when this was made, or null. */
    this.prev = fields.prev ?? null;
    /** @type {readonly string[]} Earlier revisions in their short form, oldest first, bounded. */
    this.ancestors = fields.ancestors ?? NO_ANCESTORS;
    /** The replica that made the revision. */
    this.origin = fields.origin ?? "";
    /** @type {string | null} The transaction that it was written in, or null. */
    this.group = fields.group ?? null;
    /** Hybrid logical clock, for last-write-wins only. */
    this.stamp = fields.stamp ?? 0;
  }

  /** Model and record id. */
  get key() {
    return keyOf(this.model, this.recordId);
  }

  /** Whether the record is deleted. */
  get isDeletion() {
    return isDeletion(this.rev);
  }

  /** The generation of the revision. */
  get generation() {
    return generationOf(this.rev);
  }

  /** What this change did, seen from its `prev`. */
  get kind() {
    if (this.isDeletion) return ChangeKind.DELETE;
    if (this.prev === null || isDeletion(this.prev)) return ChangeKind.CREATE;
    return ChangeKind.UPDATE;
  }

  /**
   * Tell whether `rev` is this one's `prev` or among its ancestors.
   *
   * @param {Revision} rev
   */
  descendsFrom(rev) {
    return this.prev === rev || this.ancestors.includes(shortOf(rev));
  }
}

/** @type {readonly string[]} */
const NO_ANCESTORS = Object.freeze([]);

/** @typedef {ChangeFields & {data?: RecordData | null, amendedFor?: string | null}} UpdateFields */

/** A change with the record's data: what travels. */
export class Update extends Change {
  /** @param {UpdateFields} fields */
  constructor(fields) {
    super(fields);
    /**
     * @type {RecordData | null} The record; null for a deletion. Shared, so never to be changed:
     * a caller gets a copy.
     */
    this.data = fields.data ?? null;
    /** @type {string | null} The replica whose push a hook amended into this. */
    this.amendedFor = fields.amendedFor ?? null;
  }
}

/**
 * Return an update with some fields replaced.
 *
 * @param {Update} update
 * @param {Partial<UpdateFields>} fields
 */
export function replaced(update, fields) {
  return new Update({ ...update, ...fields });
}

/**
 * Return an update's change without its data.
 *
 * @param {Change} update
 */
export function bare(update) {
  return new Change(update);
}

/**
 * @typedef {object} Pending a record that has something to tell upstream
 * @property {string} model
 * @property {string} recordId
 * @property {Revision | null} baseRev what the upstream is known to hold; null when there is none
 * @property {RecordData | null} baseData its data; null when it is a deletion or there is none
 * @property {"" | "conflict" | "parked"} hold why it is not being pushed now
 * @property {string} reason what the upstream said when it parked it
 * @property {readonly Sent[]} [sent] what was sent and edited since, oldest first. Whether it arrived
 *   is unknown; what the upstream makes of it names it, and that is then the base of a merge
 */
/** @typedef {{rev: Revision, data: RecordData | null}} Sent a revision that was handed to a link */

/** How many revisions that were sent and edited since are kept of a record that waits. */
export const SENT_MAX = 4;

/**
 * Return a pending row.
 *
 * @param {{model: string, recordId: string} & Partial<Pending>} fields
 * @returns {Pending}
 */
export function newPending({ model, recordId, baseRev = null, baseData = null, hold = "", reason = "", sent = [] }) {
  return { model, recordId, baseRev, baseData, hold, reason, sent };
}

/** What a replica's store holds of one record. */
export class Entry {
  /**
   * @param {Update} update the record and its change; `seq` is its place in this replica's list.
   * @param {number | null} [baseSeq] where the upstream's list held the base; null when it never
   *   did; `VOID` when the upstream lost it.
   * @param {Pending | null} [pending] what it has to tell upstream.
   */
  constructor(update, baseSeq = null, pending = null) {
    this.update = update;
    this.baseSeq = baseSeq;
    this.pending = pending;
  }

  /** What the upstream is known to hold of this record. */
  get base() {
    if (this.pending === null) return new Base({ rev: this.update.rev, seq: this.baseSeq });
    const { baseRev, baseData } = this.pending;
    return new Base({ rev: baseRev, seq: this.baseSeq, data: baseData });
  }

  /**
   * Return what both this and theirs were made from: what was sent, where theirs knows it.
   *
   * @param {Update} theirs
   */
  baseOf(theirs) {
    const sent = (this.pending?.sent ?? []).findLast(({ rev }) => theirs.descendsFrom(rev));
    return sent === undefined ? this.base : new Base({ ...sent, seq: this.baseSeq });
  }
}

/** What a replica knows its upstream to hold of a record. */
export class Base {
  /** @param {{rev?: Revision | null, seq?: number | null, data?: RecordData | null}} [fields] */
  constructor({ rev = null, seq = null, data = null } = {}) {
    this.rev = rev;
    this.seq = seq;
    this.data = data;
  }

  /** Whether the upstream lost what it held. */
  get isVoid() {
    return this.seq === VOID;
  }

  /** Whether the upstream never held it, as far as this replica knows. */
  get isAbsent() {
    return this.seq === null;
  }
}

/**
 * @typedef {object} Cursor how far a replica has followed its upstream
 * @property {string} source the upstream's data source
 * @property {string} epoch the upstream's epoch in which it was last confirmed
 * @property {number} seq everything up to and including it is held
 * @property {number} reach the greatest upstream seq known, from acknowledgements too
 * @property {boolean} isWhole whether a whole interval was ever taken
 * @property {number | null} resetting the list is being taken again from the start; the seq up to
 *   which the old lineage was shared
 * @property {readonly string[]} models the models followed, sorted
 */

/**
 * Return a cursor; the very start by default.
 *
 * @param {Partial<Cursor>} [fields]
 * @returns {Cursor}
 */
export function newCursor(fields = {}) {
  return {
    source: "",
    epoch: "",
    seq: 0,
    reach: 0,
    isWhole: false,
    resetting: null,
    models: [],
    ...fields,
  };
}

/**
 * Tell whether two cursors are the same.
 *
 * @param {Cursor} one
 * @param {Cursor} other
 */
export function sameCursor(one, other) {
  return (
    one.source === other.source &&
    one.epoch === other.epoch &&
    one.seq === other.seq &&
    one.reach === other.reach &&
    one.isWhole === other.isWhole &&
    one.resetting === other.resetting &&
    one.models.join("\0") === other.models.join("\0")
  );
}

/** The changes of `(since, checkpoint]`, with the head of the list at the time of reading. */
export class Interval {
  /**
   * @param {{epoch: string, since: number, checkpoint: number, head: number,
   *   updates?: readonly Update[]}} fields
   */
  constructor({ epoch, since, checkpoint, head, updates = [] }) {
    this.epoch = epoch;
    this.since = since;
    this.checkpoint = checkpoint;
    this.head = head;
    this.updates = updates;
  }

  /** Whether nothing beyond it existed when it was read. */
  get isWhole() {
    return this.checkpoint >= this.head;
  }
}

/** What `offer` and `take` answer. */
export const Verdict = Object.freeze({
  SAME: "same",
  KNOWN: "known",
  FORWARD: "forward",
  EQUAL: "equal",
  REBASE: "rebase",
  AMENDED: "amended",
  CONFLICT: "conflict",
});

/** An upstream's word on one pushed item. */
export const Answer = Object.freeze({
  APPLIED: "applied",
  KNOWN: "known",
  CONFLICT: "conflict",
  REFUSED: "refused",
  PARKED: "parked",
  HELD: "held",
});

/** How a conflict is settled. */
export const Resolution = Object.freeze({
  OURS: "ours",
  THEIRS: "theirs",
  MANUAL: "manual",
  MERGE: "merge",
  LATEST: "latest",
});

/**
 * @typedef {object} ItemResult the word on one pushed update
 * @property {string} model
 * @property {string} recordId
 * @property {Revision} rev the revision that was pushed
 * @property {string} answer what became of it, see `Answer`
 * @property {number} seq where the upstream's list holds it, when applied
 * @property {Update | null} current what the upstream holds, when it is another revision
 * @property {string} reason why it was refused or parked
 */

/** What became of a bulk update: one result an item, in the order of the items. */
export class BulkResult {
  /** @param {{epoch?: string, checkpoint?: number, results?: readonly ItemResult[]}} fields */
  constructor({ epoch = "", checkpoint = 0, results = [] }) {
    this.epoch = epoch;
    /** The head of the list after it. */
    this.checkpoint = checkpoint;
    this.results = results;
  }

  /** The items that collided. */
  get conflicts() {
    return this.results.filter((result) => result.answer === Answer.CONFLICT);
  }
}

/**
 * @typedef {object} Diff what a target answers when it is shown a source's changes
 * @property {readonly Change[]} deltas the source's changes that the target lacks, `prev` set to
 *   what the target holds
 * @property {readonly Change[]} conflicts the target's own changes that the source's collide with
 */

/**
 * @typedef {object} ConflictFields
 * @property {string} conflictId
 * @property {string} model
 * @property {string} recordId
 * @property {Revision | null} [baseRev]
 * @property {RecordData | null} [base]
 * @property {Update} ours
 * @property {Update} theirs
 * @property {number} [openedMs]
 * @property {string} [resolution]
 * @property {number} [settledMs]
 * @property {string} [side]
 * @property {string} [reason]
 */

/** Two edits of one record that knew nothing of each other. */
export class Conflict {
  /** @param {ConflictFields} fields */
  constructor(fields) {
    /** Names it in the conflict log. */
    this.conflictId = fields.conflictId;
    this.model = fields.model;
    this.recordId = fields.recordId;
    this.baseRev = fields.baseRev ?? null;
    /** What both sides started from, when it is known; null for a create on both sides. */
    this.base = fields.base ?? null;
    /** The record here. */
    this.ours = fields.ours;
    /** The record that it collided with. */
    this.theirs = fields.theirs;
    /** When it was found, milliseconds since 1970. */
    this.openedMs = fields.openedMs ?? 0;
    /** Empty while open; else how it was settled. */
    this.resolution = fields.resolution ?? "";
    this.settledMs = fields.settledMs ?? 0;
    /** `"ours"` when this replica met it; `"received"` when a push met it here. */
    this.side = fields.side ?? "ours";
    this.reason = fields.reason ?? "";
  }

  /** Model and record id. */
  get key() {
    return keyOf(this.model, this.recordId);
  }

  /** Whether it waits to be settled. */
  get isOpen() {
    return !this.resolution;
  }

  /** `update` when both are updates, `delete` when either deletes, else null, as LoopBack. */
  get kind() {
    if (this.ours.isDeletion || this.theirs.isDeletion) return ChangeKind.DELETE;
    if (this.baseRev !== null && !isDeletion(this.baseRev)) return ChangeKind.UPDATE;
    return null;
  }
}

/**
 * Return the ancestors of all groups, each once, oldest first.
 *
 * When there are too many, those of the greatest generations are kept, whichever group they came
 * from: of two histories that meet, the common past is what may be forgotten.
 *
 * @param {readonly (readonly string[])[]} groups
 * @param {number} [limit]
 * @returns {readonly string[]}
 */
export function joinAncestors(groups, limit = ANCESTORS_MAX) {
  const joined = [...new Set(groups.flat())];
  if (!limit) return [];
  if (joined.length <= limit) return joined;
  return joined.sort((a, b) => generationOf(a) - generationOf(b)).slice(-limit);
}

/**
 * Return a copy of a JSON value.
 *
 * @template T
 * @param {T} value
 * @returns {T}
 */
export function copyOf(value) {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return /** @type {any} */ (value.map(copyOf));
  /** @type {Record<string, unknown>} */
  const copy = {};
  for (const key of Object.keys(value)) setOwn(copy, key, copyOf(/** @type {any} */ (value)[key]));
  return /** @type {any} */ (copy);
}

/**
 * Return an update that a caller may do with as it likes: its data are a copy.
 *
 * @param {Update} update
 */
export function shown(update) {
  return update.data === null ? update : replaced(update, { data: copyOf(update.data) });
}
