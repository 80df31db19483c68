/**
 * Replicate one end to another, once: LoopBack's `replicate`, by ancestry.
 *
 * An end is a model of a local replica, a model at a daemon, or a whole replica of either kind;
 * any two go together.
 * A page at a time: the source's changes, the target's `diff`, then a bulk update of what it
 * lacks.
 * Repeated at rest it moves nothing, and one that was cut off goes on where it stopped.
 *
 * @module
 */

import { Brake } from "./brake.js";
import { canonicalJson } from "./digest.js";
import { ConfigError, ConflictError, WriteRefused } from "./errors.js";
import { Answer, Change, ChangeKind, Update, bare, replaced } from "./models.js";
import { RECORD_BYTES_MAX } from "./protocol.js";
import { newNonce } from "./random.js";
import { adopt, rebase } from "./rebase.js";
import { checkRecord, underItsId } from "./schema.js";

/** @typedef {import("./models.js").BulkResult} BulkResult */
/** @typedef {import("./models.js").Diff} Diff */
/** @typedef {import("./models.js").Interval} Interval */
/** @typedef {import("./models.js").ItemResult} ItemResult */
/** @typedef {import("./models.js").RecordData} RecordData */
/** @typedef {{where?: import("./filters.js").Where}} Filter LoopBack's */
/**
 * @typedef {object} End a model that can be replicated from and to
 * @property {string} name
 * @property {(since?: number, filter?: Filter | null, page?: {limit?: number, bytesMax?: number})
 *   => Promise<Interval>} interval
 * @property {(since: number, changes: readonly Change[]) => Promise<Diff>} diff
 * @property {(updates: readonly Update[]) => Promise<BulkResult>} bulkUpdate
 * @property {() => Promise<number>} currentCheckpoint
 * @property {(recordId: string) => Promise<Update | null>} getChange
 * @property {() => Promise<string>} getSourceId
 * @property {() => Promise<number>} [count] how many records there are
 * @property {(recordId: string, data: RecordData, before: RecordData | null) => RecordData}
 *   [checkRecord] returns a record as a `put` would keep it
 * @property {(name: string) => Promise<any>} [loadMark] what was kept under that name
 * @property {(name: string, value: any) => Promise<void>} [saveMark]
 */
/**
 * @typedef {object} ManyEnds a whole replica: many models
 * @property {() => Promise<string[]>} modelNames
 * @property {(name: string) => any} model
 */
/** @typedef {{source: number, target: number}} Checkpoints how far both ends have come */
/** @typedef {number | Partial<Checkpoints> | null} Since */
/**
 * @typedef {object} Replication what a replication came to
 * @property {ReplicationConflict[]} conflicts what collided, each to be resolved
 * @property {Checkpoints} checkpoints what to pass as `since` next time
 * @property {number} applied how many updates the target took
 * @property {ItemResult[]} refused what the target refused by its own rules
 */
/** @typedef {(done: number, total: number) => void} Progress */

export const PAGE_ITEMS = 2000;
export const PAGE_BYTES = 2 * 1024 * 1024;

/** A record that source and target changed without knowing of each other: LoopBack's conflict. */
export class ReplicationConflict {
  /**
   * @param {End} source
   * @param {End} target
   * @param {string} recordId
   */
  constructor(source, target, recordId) {
    this.source = source;
    this.target = target;
    this.recordId = recordId;
  }

  /**
   * Return the last change of both ends.
   *
   * @returns {Promise<[Update | null, Update | null]>}
   */
  async changes() {
    const { recordId } = this;
    return Promise.all([this.source.getChange(recordId), this.target.getChange(recordId)]);
  }

  /**
   * Return the record of both ends; null where it is gone.
   *
   * @returns {Promise<[RecordData | null, RecordData | null]>}
   */
  async models() {
    const [source, target] = await this.changes();
    return [source?.data ?? null, target?.data ?? null];
  }

  /** Return `update` when both are updates, `delete` when either is a delete, else null. */
  async type() {
    const kinds = (await this.changes()).flatMap((change) => change?.kind ?? []);
    if (kinds.includes(ChangeKind.DELETE)) return ChangeKind.DELETE;
    const areUpdates = kinds.length && kinds.every((kind) => kind === ChangeKind.UPDATE);
    return areUpdates ? ChangeKind.UPDATE : null;
  }

  /** Set the source's record upon the target's revision; replicate again to send it. */
  async resolve() {
    const [source, target] = await this.changes();
    if (source && target) await this._stand(source, target, source.data);
  }

  /** Let the source's record win. */
  async resolveUsingSource() {
    await this.resolve();
  }

  /** Take the target's record at the source. */
  async resolveUsingTarget() {
    const [source, target] = await this.changes();
    if (!source || !target) return;
    const adopted = replaced(adopt(target, source), { group: null, model: source.model });
    await this._store(adopted);
  }

  /**
   * Let `data` win; null deletes the record.
   *
   * @param {RecordData | null} data
   * @throws {import("./errors.js").RecordError} as of a `put` at the source; nothing was settled.
   */
  async resolveManually(data) {
    const [source, target] = await this.changes();
    if (!source || !target) return;
    const checked = data === null ? null : this._checked(data, source.data ?? target.data);
    await this._stand(source, target, checked);
  }

  /**
   * @param {RecordData} data
   * @param {RecordData | null} before
   */
  _checked(data, before) {
    const { recordId, source } = this;
    if (source.checkRecord) return source.checkRecord(recordId, data, before);
    return checkRecord(recordId, underItsId(data, before), { bytesMax: RECORD_BYTES_MAX });
  }

  /** Return the same conflict with the roles exchanged. */
  swapParties() {
    return new ReplicationConflict(this.target, this.source, this.recordId);
  }

  /**
   * @param {Update} source
   * @param {Update} target
   * @param {RecordData | null} data
   */
  async _stand(source, target, data) {
    const stood = rebase(replaced(source, { group: null }), target, {
      data,
      nonce: newNonce(),
      origin: source.origin,
      stamp: Math.max(source.stamp, target.stamp) + 1,
    });
    await this._store(stood);
  }

  /**
   * Store a resolution at the source.
   *
   * @param {Update} update
   * @throws {ConflictError | WriteRefused} it was not taken.
   */
  async _store(update) {
    const [result] = (await this.source.bulkUpdate([update])).results;
    const place = `${this.source.name}/${this.recordId}`;
    switch (result.answer) {
      case Answer.CONFLICT:
        throw new ConflictError(`${place} moved on meanwhile`, { hint: "look at it again" });
      case Answer.REFUSED:
      case Answer.PARKED:
      case Answer.HELD:
        throw new WriteRefused(`${place}: ${result.reason}`);
      default:
    }
  }
}

/**
 * Replicate the source's changes to the target.
 *
 * @param {End | ManyEnds} source two models, or two replicas; local or remote.
 * @param {End | ManyEnds} target
 * @param {{since?: Since, filter?: Filter | null, progress?: Progress | null, brake?: Brake}}
 *   [options] `since`:
 *   the source's checkpoint to begin at; none goes on where the last replication between the two
 *   stopped; `filter`: which of the source's records, deletes always pass; `progress`: called with
 *   (changes read, changes to read); `brake`: how many deletions go through unasked,
 *   `new Brake({shareMax: 1})` lets all through.
 * @returns {Promise<Replication>}
 * @throws {MassDeletion} most of the target's records would go; none was deleted.
 * @throws {LinkError} an end went away; what was moved until then stays moved.
 */
export async function replicate(source, target, options = {}) {
  const { since = null, filter = null, progress = null, brake = new Brake() } = options;
  const [many, other] = [isMany(source), isMany(target)];
  if (many !== other) {
    throw new ConfigError("a model can't be replicated with a whole replica", {
      hint: "give two models, or two replicas",
    });
  }
  if (!isMany(source) || !isMany(target)) {
    return replicateOne(
      /** @type {End} */ (source), /** @type {End} */ (target), since, filter, progress, brake,
    );
  }
  /** @type {Replication} */
  const all = { conflicts: [], checkpoints: { source: 0, target: 0 }, applied: 0, refused: [] };
  for (const name of await source.modelNames()) {
    const one = await replicateOne(source.model(name), target.model(name), since, filter, progress, brake);
    all.conflicts.push(...one.conflicts);
    all.refused.push(...one.refused);
    all.applied += one.applied;
    all.checkpoints = one.checkpoints;
  }
  return all;
}

/**
 * @param {any} end
 * @returns {end is ManyEnds}
 */
function isMany(end) {
  return typeof end?.modelNames === "function";
}

/**
 * @param {End} source
 * @param {End} target
 * @param {Since} since
 * @param {Filter | null} filter
 * @param {Progress | null} progress
 * @param {Brake} brake
 * @returns {Promise<Replication>}
 */
async function replicateOne(source, target, since, filter, progress, brake) {
  const mark = new Mark(source, target, filter);
  const startedAt = since === null ? await mark.load() : positionOf(since);
  let position = startedAt;
  let applied = 0;
  /** @type {Set<string>} */
  const collided = new Set();
  /** @type {ItemResult[]} */
  const refused = [];
  const deletions = new Deletions(target, brake);
  const note = (/** @type {Moved} */ { results, colliding }) => {
    applied += results.filter(({ answer }) => answer === Answer.APPLIED).length;
    refused.push(...results.filter(({ answer }) => REFUSALS.has(answer)));
    for (const recordId of colliding) collided.add(recordId);
  };
  for (;;) {
    const page = await source.interval(position, filter, { limit: PAGE_ITEMS, bytesMax: PAGE_BYTES });
    if (page.updates.length) {
      note(await move(source, target, position, page.updates, deletions));
      await deletions.check();
    }
    position = page.checkpoint;
    if (page.isWhole) note(await deletions.carryOut(source));
    progress?.(position - startedAt, page.head - startedAt);
    if (!collided.size && !refused.length && !deletions.held.length) await mark.save(position);
    if (page.isWhole) break;
  }
  const head = await target.currentCheckpoint();
  // With open conflicts the caller must begin again where this run began, as in LoopBack.
  const checkpoints = { source: collided.size ? startedAt : position, target: head };
  const conflicts = [...collided].map((id) => new ReplicationConflict(source, target, id));
  return { conflicts, checkpoints, applied, refused };
}

/** @typedef {{results: ItemResult[], colliding: string[]}} Moved */

/** The deletions of a replication, held until all are known, so that none goes unasked. */
class Deletions {
  /**
   * @param {End} target
   * @param {Brake} brake
   */
  constructor(target, brake) {
    this._target = target;
    this._brake = brake;
    /** @type {number | null} */
    this._records = null;
    /** @type {Update[]} */
    this.held = [];
  }

  /** @throws {MassDeletion} there are too many. */
  async check() {
    const { length: deletions } = this.held;
    if (!this._brake.minds(deletions) || !this._target.count) return;
    this._records ??= await this._target.count();
    this._brake.check(this._target.name, { deletions, held: this._records });
  }

  /**
   * Send them; return the target's word, and the ids of what collided.
   *
   * @param {End} source
   * @returns {Promise<Moved>}
   */
  async carryOut(source) {
    /** @type {ItemResult[]} */
    const results = [];
    while (this.held.length) {
      const result = await this._target.bulkUpdate(this.held.splice(0, PAGE_ITEMS));
      await takeBack(source, result);
      results.push(...result.results);
    }
    const collided = results.filter(({ answer }) => answer === Answer.CONFLICT);
    return { results, colliding: collided.map(({ recordId }) => recordId) };
  }
}

/** @type {ReadonlySet<string>} */
const REFUSALS = new Set([Answer.REFUSED, Answer.PARKED]);
/** @type {ReadonlySet<string>} */
const SETTLED = new Set([Answer.APPLIED, Answer.KNOWN]);

/**
 * Send what the target lacks; return its word, and the ids of what collided.
 *
 * @param {End} source
 * @param {End} target
 * @param {number} since
 * @param {readonly Update[]} updates
 * @param {Deletions} deletions takes the deletions, to be carried out later.
 * @returns {Promise<Moved>}
 */
async function move(source, target, since, updates, deletions) {
  const byId = new Map(updates.map((update) => [update.recordId, update]));
  const asked = updates.map((update) => new Change({ ...bare(update), model: target.name }));
  const wanted = await target.diff(since, asked);
  let colliding = wanted.conflicts.map(({ recordId }) => recordId);
  const lacking = wanted.deltas.flatMap(({ recordId, prev }) =>
    sentOf(byId, target, recordId, { prev, group: null }),
  );
  deletions.held.push(...lacking.filter((update) => update.isDeletion));
  const chosen = lacking.filter((update) => !update.isDeletion);
  // A diff sees no data; what turns out equal is no conflict, and the bulk update says so.
  for (const recordId of colliding) chosen.push(...sentOf(byId, target, recordId, {}));
  if (!chosen.length) return { results: [], colliding };
  const result = await target.bulkUpdate(chosen);
  const settled = new Set(
    result.results.filter(({ answer }) => SETTLED.has(answer)).map(({ recordId }) => recordId),
  );
  colliding = colliding.filter((recordId) => !settled.has(recordId));
  for (const { recordId } of result.conflicts) {
    if (!colliding.includes(recordId)) colliding.push(recordId);
  }
  await takeBack(source, result);
  return { results: [...result.results], colliding };
}

/**
 * @param {ReadonlyMap<string, Update>} byId
 * @param {End} target
 * @param {string} recordId
 * @param {Partial<Update>} fields
 */
function sentOf(byId, target, recordId, fields) {
  const update = byId.get(recordId);
  return update === undefined ? [] : [replaced(update, { ...fields, model: target.name })];
}

/**
 * Give the source what the target made of an update: an amendment, or an equal revision.
 *
 * @param {End} source
 * @param {BulkResult} result
 */
async function takeBack(source, result) {
  const made = result.results.flatMap(({ current, answer }) =>
    current !== null && SETTLED.has(answer)
      ? [replaced(current, { model: source.name, group: null })]
      : [],
  );
  if (made.length) await source.bulkUpdate(made);
}

/** How far the last replication between two ends came, kept by whichever end can. */
class Mark {
  /**
   * @param {End} source
   * @param {End} target
   * @param {Filter | null} filter
   */
  constructor(source, target, filter) {
    this._source = source;
    this._target = target;
    this._filter = filter === null ? "" : canonicalJson(filter);
    this._keeper = [source, target].find((end) => end.loadMark && end.saveMark);
  }

  async _name() {
    const { _source: source, _target: target } = this;
    const [from, to] = await Promise.all([source.getSourceId(), target.getSourceId()]);
    return `mark ${from}/${source.name} ${to}/${target.name} ${this._filter}`;
  }

  /** @returns {Promise<number>} */
  async load() {
    const stored = await this._keeper?.loadMark?.(await this._name());
    if (!stored) return 0;
    const [position, targetHead] = stored;
    const heads = await Promise.all([
      this._source.currentCheckpoint(),
      this._target.currentCheckpoint(),
    ]);
    // A list that is shorter than it was is a restored one: compare everything again.
    return heads[0] < position || heads[1] < targetHead ? 0 : position;
  }

  /** @param {number} position */
  async save(position) {
    if (!this._keeper) return;
    const head = await this._target.currentCheckpoint();
    await this._keeper.saveMark?.(await this._name(), [position, head]);
  }
}

/** @param {number | Partial<Checkpoints>} since */
function positionOf(since) {
  return typeof since === "number" ? since : (since.source ?? 0);
}
