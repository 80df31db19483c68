/**
 * A model of a replica: the verbs on its records, and LoopBack's sync methods.
 *
 * @module
 */

import { FilterInvalid, ReplicaClosed } from "./errors.js";
import { matches, parseWhere } from "./filters.js";
import { Interval, bare, copyOf, keyOf, replaced, shown } from "./models.js";
import { parseOrder } from "./ordering.js";
import { newId } from "./random.js";
import { replicate } from "./replicate.js";
import { recordIdOf, shortly } from "./schema.js";

/** @typedef {import("./filters.js").Where} Where */
/** @typedef {import("./models.js").Change} Change */
/** @typedef {import("./models.js").RecordData} RecordData */
/** @typedef {import("./models.js").Update} Update */
/** @typedef {import("./replicate.js").Filter} Filter */
/** @typedef {string | number | bigint} RecordId */
/**
 * @typedef {object} Find what to find
 * @property {Where | null} [where] a LoopBack-style filter, see `filters.js`
 * @property {string | readonly string[] | null} [order] `"name ASC"`, or several; by id without
 * @property {number | null} [limit] the most records to return
 * @property {RecordId | null} [after] the id of the last record of the page before
 */

/** A handle on one model of a replica; records are JSON objects, their id also a property. */
export class Model {
  /**
   * @param {import("./core.js").Core} core
   * @param {string} name
   * @param {(updates: readonly Update[]) => Promise<import("./models.js").BulkResult>} bulkUpdate
   */
  constructor(core, name, bulkUpdate) {
    this._core = core;
    this._bulkUpdate = bulkUpdate;
    this.name = name;
  }

  // ---- records --------------------------------------------------------------------------

  /**
   * Store a whole record and return it with its change.
   *
   * `put(id, data)`, or `put(data)` for a record with an id property, or a new id.
   * Storing what is already there makes no change.
   *
   * @param {RecordId | RecordData} idOrData
   * @param {RecordData} [data]
   * @param {{ifRev?: string | null}} [more] the revision that must stand, for compare-and-set.
   * @returns {Promise<Update>}
   * @throws {RecordError} the record can't be kept; nothing was written.
   * @throws {ConflictError} `ifRev` does not stand.
   * @throws {StoreError} the store refused, by name.
   */
  async put(idOrData, data, { ifRev = null } = {}) {
    const [id, fields] = this._idAndFields(idOrData, data);
    return this._write(this._core.putOf(this.name, id, fields, ifRev));
  }

  /**
   * @param {RecordId | RecordData} idOrData
   * @param {RecordData} [data]
   * @returns {[unknown, unknown]}
   */
  _idAndFields(idOrData, data) {
    if (idOrData === null || typeof idOrData !== "object") return [idOrData, data];
    return [idOrData.id ?? newId(), idOrData];
  }

  /**
   * Return a record as `put` would keep it; nothing is written.
   *
   * @param {string} recordId
   * @param {RecordData} data
   * @param {RecordData | null} [before] the record that it takes the place of, whose id stays of its
   *   type.
   * @throws {RecordError} it can't be kept.
   */
  checkRecord(recordId, data, before = null) {
    return this._core.check(recordId, data, before);
  }

  /**
   * Store many records in one commit; each takes its id property, or a new id.
   *
   * @param {readonly RecordData[]} records
   * @returns {Promise<Update[]>}
   */
  async putMany(records) {
    const writes = records.map((record) =>
      this._core.putOf(this.name, record.id ?? newId(), record),
    );
    return this._core.write(writes);
  }

  /**
   * Set some properties of a record and return it with its change.
   *
   * @param {RecordId} recordId
   * @param {RecordData} data
   * @param {{ifRev?: string | null}} [more]
   * @returns {Promise<Update>}
   * @throws {RecordNotFound} there is none.
   */
  async patch(recordId, data, { ifRev = null } = {}) {
    return this._write(this._core.patchOf(this.name, recordIdOf(recordId), data, ifRev));
  }

  /**
   * Delete a record and return its tombstone.
   *
   * @param {RecordId} recordId
   * @param {{ifRev?: string | null}} [more]
   * @returns {Promise<Update>}
   * @throws {RecordNotFound} there is none.
   */
  async delete(recordId, { ifRev = null } = {}) {
    return this._write(this._core.deleteOf(this.name, recordIdOf(recordId), ifRev));
  }

  /** @param {import("./changeLog.js").Write} write */
  async _write(write) {
    return (await this._core.write([write]))[0];
  }

  /**
   * Return a record, or null.
   *
   * @param {RecordId} recordId
   */
  async get(recordId) {
    return (await this.getChange(recordId))?.data ?? null;
  }

  /**
   * Return a record with its change, its tombstone too; null when it was never here.
   *
   * @param {RecordId} recordId
   * @returns {Promise<Update | null>}
   */
  async getChange(recordId) {
    const key = keyOf(this.name, recordIdOf(recordId));
    const update = await this._core.read((reader) => reader.entry(key)?.update ?? null);
    return update === null ? null : shown(update);
  }

  /**
   * Return the records that match.
   *
   * @param {Find} [what]
   * @returns {Promise<RecordData[]>}
   * @throws {FilterInvalid} naming what can't be read.
   */
  async find(what = {}) {
    const query = queryOf(what);
    return this._core.read((reader) => reader.find(this.name, query));
  }

  /**
   * Return how many records match.
   *
   * @param {Where | null} [where]
   */
  async count(where = null) {
    const query = queryOf({ where });
    return this._core.read((reader) => reader.count(this.name, query));
  }

  // ---- observing ------------------------------------------------------------------------

  /**
   * Return an async iterator of changes, each an `Update`, from now on.
   *
   * @throws {ReplicaClosed}
   */
  watch() {
    this._core.checkOpen();
    return this._core.observers.watch(this.name);
  }

  /**
   * Call `callback` with the rows that match now, and again whenever the model changed.
   *
   * The callback may be async; it is not called again while it runs. It may use the replica, and
   * end the subscription. What it throws at the first call is thrown here; later it is logged, told
   * to `handleChangeError`, and the subscription goes on.
   *
   * @param {(rows: RecordData[]) => unknown} callback
   * @param {Find} [what]
   * @returns {Promise<() => void>} ends the subscription.
   */
  async subscribe(callback, what = {}) {
    const watch = this.watch();
    const show = async () => {
      const rows = await this.find(what);
      if (!watch.isClosed) await callback(rows);
    };
    try {
      await show();
    } catch (error) {
      watch.close();
      throw error;
    }
    const follow = async () => {
      for await (const _ of watch) {
        watch.drain();
        try {
          await show();
        } catch (error) {
          if (error instanceof ReplicaClosed) return;
          await this._core.hookFailed("subscribe", error);
        }
      }
    };
    void follow();
    return () => watch.close();
  }

  // ---- LoopBack's sync methods ----------------------------------------------------------

  /**
   * Return the changes after `since`, as LoopBack's `changes`.
   *
   * Every delete is listed, and of the rest those whose record matches `filter.where`.
   *
   * @param {number} [since]
   * @param {Filter | null} [filter]
   * @param {{limit?: number}} [page]
   * @returns {Promise<Change[]>}
   */
  async changes(since = 0, filter = null, { limit } = {}) {
    return (await this.interval(since, filter, { limit })).updates.map(bare);
  }

  /**
   * Return a page of changes with their data, and how far it reaches.
   *
   * @param {number} [since]
   * @param {Filter | null} [filter]
   * @param {{limit?: number, bytesMax?: number}} [page]
   */
  async interval(since = 0, filter = null, { limit, bytesMax = Infinity } = {}) {
    const condition = parseWhere(filter?.where);
    const page = await this._core.read((reader) =>
      this._core.engine.interval(reader, since, { models: [this.name], bytesMax, rowsMax: limit }),
    );
    const kept = page.updates.filter(({ data }) => data === null || matches(condition, data));
    return new Interval({ ...page, updates: kept.map(shown) });
  }

  /** Return the position of the change list: its head. */
  async currentCheckpoint() {
    return this._core.read((reader) => reader.head());
  }

  /**
   * Return a checkpoint that all later writes lie beyond.
   *
   * LoopBack bumps a counter; here every write moves the list, so this is its head.
   */
  async checkpoint() {
    return this.currentCheckpoint();
  }

  /**
   * Compare a source's changes with this model; `since` is not needed, ancestry decides.
   *
   * @param {number} _since
   * @param {readonly Change[]} changes
   */
  async diff(_since, changes) {
    return this._core.read((reader) => this._core.engine.diff(reader, changes));
  }

  /**
   * Return the updates of a diff's deltas, with the records as they are now.
   *
   * A record that vanished meanwhile travels as its deletion.
   *
   * @param {readonly Change[]} deltas
   * @returns {Promise<Update[]>}
   */
  async createUpdates(deltas) {
    return this._core.read((reader) =>
      deltas.flatMap(({ key, prev }) => {
        const held = reader.entry(key);
        return held === null ? [] : [replaced(held.update, { prev, data: copyOf(held.update.data) })];
      }),
    );
  }

  /**
   * Apply updates, each by its own verdict; see `BulkResult`.
   *
   * @param {readonly Update[]} updates
   */
  async bulkUpdate(updates) {
    return this._bulkUpdate(updates);
  }

  /**
   * Return how far a replication came, kept under that name.
   *
   * @param {string} name
   * @returns {Promise<any>}
   */
  async loadMark(name) {
    return this._core.read((reader) => reader.meta(name));
  }

  /**
   * Keep how far a replication came.
   *
   * @param {string} name
   * @param {any} value
   */
  async saveMark(name, value) {
    await this._core.writer.run((tx) => tx.setMeta(name, value));
  }

  /** Return the name of the change list, as LoopBack's `getChangeModel` would. */
  getChangeModel() {
    return `${this.name}-change`;
  }

  /** Return the id of the data source: unlike LoopBack's, unique in the world. */
  async getSourceId() {
    return this._core.engine.lineage.source;
  }

  /** Do nothing: every write goes through the replica and is tracked. */
  async enableChangeTracking() {
    return this.rectifyAllChanges();
  }

  /**
   * Return a record's change, which is always up to date: there is no table beside it.
   *
   * @param {RecordId} recordId
   */
  async rectifyChange(recordId) {
    return this.getChange(recordId);
  }

  /** Return how many changes were out of date: none, for there is no table beside the list. */
  async rectifyAllChanges() {
    return 0;
  }

  /**
   * Tell the user's handler of an error in tracking.
   *
   * @param {Error} error
   * @param {string} [operation]
   */
  async handleChangeError(error, operation = "") {
    await this._core.hookFailed(operation, error);
  }

  /**
   * Replicate this model to another end; see `replicate`.
   *
   * @param {import("./replicate.js").End} target
   * @param {import("./replicate.js").Since} [since]
   * @param {Filter | null} [filter]
   */
  async replicate(target, since = null, filter = null) {
    return replicate(this, target, { since, filter });
  }
}

/**
 * Return a find, parsed.
 *
 * @param {Find} what
 * @returns {import("./store/query.js").Query}
 * @throws {FilterInvalid}
 */
export function queryOf({ where = null, order = null, limit = null, after = null, ...rest }) {
  const unknown = Object.keys(rest);
  if (unknown.length) {
    throw new FilterInvalid(`find knows no '${unknown[0]}'`, {
      hint: "where, order, limit and after",
    });
  }
  if (limit !== null && !(Number.isInteger(limit) && limit >= 0)) {
    throw new FilterInvalid(`limit is ${shortly(limit)}`, { hint: "0 or more, or null for all" });
  }
  return {
    condition: parseWhere(where),
    order: parseOrder(order),
    limit,
    after: after === null ? null : recordIdOf(after),
  };
}
