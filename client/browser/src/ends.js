/**
 * A daemon's models as replication ends, without a local replica: for `replicate` and tools.
 *
 * @module
 */

import { nextStamp } from "./clock.js";
import { Connection } from "./connection.js";
import { ConflictError, MessageTooLarge, ProtocolError, RecordNotFound, WriteRefused } from "./errors.js";
import { matches, parseWhere, plainWhere } from "./filters.js";
import { unitsOf } from "./limits.js";
import { Answer, BulkResult, Interval, Update, joinAncestors, replaced } from "./models.js";
import {
  changeOf, decodeBulkResult, decodeHead, decodePage, listOf, updateOf, withList,
} from "./protocol.js";
import { newNonce } from "./random.js";
import { replicate } from "./replicate.js";
import { newRevision, nextGeneration, shortOf } from "./revision.js";
import { checkRecord, recordIdOf, underItsId } from "./schema.js";

/** @typedef {import("./models.js").RecordData} RecordData */
/** @typedef {import("./model.js").RecordId} RecordId */
/** @typedef {import("./replicate.js").Filter} Filter */

/** How many records a daemon gives at once. */
const FIND_LIMIT_MAX = 10_000;

/**
 * Connect to a daemon without a local replica.
 *
 * @param {string} url
 * @param {{token?: string | null}} [options]
 * @returns {Promise<RemoteReplica>}
 * @throws {Unreachable} and whatever the daemon names.
 */
export async function connectRemote(url, { token = null } = {}) {
  const connection = new Connection(url, { token });
  await connection.open();
  return new RemoteReplica(connection);
}

/** A daemon, spoken to directly; open it with `connectRemote`. */
export class RemoteReplica {
  /** @param {Connection} connection */
  constructor(connection) {
    this._connection = connection;
    /** @type {Map<string, RemoteModel>} */
    this._models = new Map();
  }

  /**
   * Send a request of the protocol and return its answer.
   *
   * @param {string} event
   * @param {...unknown} args
   */
  request(event, ...args) {
    return this._connection.request(event, args);
  }

  /**
   * Return the handle of a model; whether the daemon has it shows at the first use.
   *
   * @param {string} name
   */
  model(name) {
    const handle = this._models.get(name) ?? new RemoteModel(this, name);
    this._models.set(name, handle);
    return handle;
  }

  /**
   * Return the names of the daemon's models that may be read.
   *
   * @returns {Promise<string[]>}
   */
  async modelNames() {
    return [...(await this.request("models", {}))[0].models];
  }

  /** Return where the daemon's list stands. */
  async head() {
    return decodeHead((await this.request("barrier", {}))[0]);
  }

  /** Disconnect. */
  async close() {
    await this._connection.close();
  }
}

/** A model at a daemon: the same verbs as `Model`, each a question to the daemon. */
export class RemoteModel {
  /**
   * @param {RemoteReplica} remote
   * @param {string} name
   */
  constructor(remote, name) {
    this._remote = remote;
    this.name = name;
  }

  // ---- records --------------------------------------------------------------------------

  /**
   * Return a record, or null.
   *
   * @param {RecordId} recordId
   */
  async get(recordId) {
    return (await this.getChange(recordId))?.data ?? null;
  }

  /**
   * Return a record with its change; null when it was never there.
   *
   * @param {RecordId} recordId
   */
  async getChange(recordId) {
    const request = { model: this.name, id: recordIdOf(recordId) };
    const [{ change }] = await this._remote.request("get", request);
    return change == null ? null : updateOf(change);
  }

  /**
   * Return the records that match, all of them unless a limit is given.
   *
   * What the daemon does not give at once is asked for page by page, so of many records not all are
   * of one moment.
   *
   * @param {import("./model.js").Find} [what]
   * @returns {Promise<RecordData[]>}
   */
  async find({ limit = null, after = null, where = null, ...what } = {}) {
    /** @type {RecordData[]} */
    const found = [];
    const asked = { model: this.name, ...what, where: plainWhere(where) };
    /** @type {RecordId | null} */
    let from = after;
    do {
      const left = limit === null ? null : limit - found.length;
      const place = from === null ? null : recordIdOf(from);
      const request = { ...asked, limit: left, after: place };
      const [header, attachment] = await this._remote.request("find", request);
      const page = listOf(attachment);
      for (const record of page) found.push(record);
      from = goesOnAfter(header, page, left);
    } while (from !== null && (limit === null || found.length < limit));
    return found;
  }

  /**
   * Return how many records match.
   *
   * @param {import("./filters.js").Where | null} [where]
   * @returns {Promise<number>}
   */
  async count(where = null) {
    return (await this._remote.request("count", { model: this.name, where: plainWhere(where) }))[0].count;
  }

  /**
   * Store a whole record at the daemon, upon what it holds now.
   *
   * @param {RecordId} recordId
   * @param {RecordData} data
   * @throws {ConflictError} somebody else wrote it at the same moment.
   * @throws {WriteRefused} the daemon refused it, with the reason.
   */
  async put(recordId, data) {
    // Null is no record, and no deletion either.
    return this._write(recordId, () => data ?? /** @type {any} */ (undefined));
  }

  /**
   * Set some properties of a record at the daemon.
   *
   * @param {RecordId} recordId
   * @param {RecordData} data
   * @throws {RecordNotFound} there is none.
   */
  async patch(recordId, data) {
    return this._write(recordId, (before) => ({ ...mustBe(before), ...data }));
  }

  /**
   * Delete a record at the daemon.
   *
   * @param {RecordId} recordId
   * @throws {RecordNotFound} there is none.
   */
  async delete(recordId) {
    return this._write(recordId, (before) => mustBe(before) && null);
  }

  /**
   * @param {RecordId} given
   * @param {(before: RecordData | null) => RecordData | null} edit
   */
  async _write(given, edit) {
    const recordId = recordIdOf(given);
    const current = await this.getChange(recordId);
    const before = current?.data ?? null;
    const edited = underItsId(edit(before), before);
    const data = edited === null ? null : checkRecord(given, edited, { bytesMax: Infinity });
    const update = nextUpdate(this.name, recordId, current, data);
    const [result] = (await this.bulkUpdate([update])).results;
    const place = `${this.name}/${recordId}`;
    switch (result.answer) {
      case Answer.CONFLICT:
        throw new ConflictError(`${place} was written by somebody else`);
      case Answer.REFUSED:
      case Answer.PARKED:
      case Answer.HELD:
        throw new WriteRefused(`${place}: ${result.reason}`);
      default:
        return result.current ?? replaced(update, { seq: result.seq });
    }
  }

  // ---- LoopBack's sync methods ----------------------------------------------------------

  /**
   * Return the changes after `since`.
   *
   * @param {number} [since]
   * @param {Filter | null} [filter]
   */
  async changes(since = 0, filter = null) {
    /** @type {Update[]} */
    const found = [];
    for (let position = since; ; ) {
      const page = await this.interval(position, filter);
      found.push(...page.updates);
      if (page.isWhole) return found;
      position = page.checkpoint;
    }
  }

  /**
   * Return a page of changes with their data, and how far it reaches; the daemon cuts by its own
   * limit of bytes.
   *
   * @param {number} [since]
   * @param {Filter | null} [filter]
   * @param {{limit?: number}} [page]
   */
  async interval(since = 0, filter = null, { limit } = {}) {
    const request = { since, models: [this.name], ...(limit === undefined ? {} : { limit }) };
    const [header, attachment] = await this._remote.request("changes", request);
    const page = decodePage(header, attachment);
    const condition = parseWhere(filter?.where);
    const updates = page.updates.filter(({ data }) => data === null || matches(condition, data));
    return new Interval({ ...page, updates });
  }

  /**
   * Compare a source's changes with the daemon's.
   *
   * @param {number} since
   * @param {readonly import("./models.js").Change[]} changes
   * @returns {Promise<import("./models.js").Diff>}
   */
  async diff(since, changes) {
    const args = withList({ since }, "changes", changes);
    const [answer] = await this._remote.request("diff", ...args);
    const { deltas = [], conflicts = [] } = answer;
    return { deltas: deltas.map(changeOf), conflicts: conflicts.map(changeOf) };
  }

  /**
   * Return the updates of a diff's deltas, with the records as they are now.
   *
   * @param {readonly import("./models.js").Change[]} deltas
   */
  async createUpdates(deltas) {
    const found = await Promise.all(deltas.map(({ recordId }) => this.getChange(recordId)));
    return found.flatMap((update, index) =>
      update === null ? [] : [replaced(update, { prev: deltas[index].prev })],
    );
  }

  /**
   * Apply updates at the daemon, each by its own verdict.
   *
   * What the daemon finds too much for one push is made in several, transactions whole.
   *
   * @param {readonly Update[]} updates
   * @returns {Promise<BulkResult>}
   * @throws {MessageTooLarge} one record or transaction is too large by itself.
   */
  async bulkUpdate(updates) {
    const units = unitsOf(updates);
    try {
      return await this._push(updates);
    } catch (error) {
      if (!(error instanceof MessageTooLarge) || units.length < 2) throw error;
    }
    const middle = units.slice(0, units.length >> 1).flat().length;
    const first = await this.bulkUpdate(updates.slice(0, middle));
    const rest = await this.bulkUpdate(updates.slice(middle));
    return new BulkResult({ ...rest, results: [...first.results, ...rest.results] });
  }

  /** @param {readonly Update[]} updates */
  async _push(updates) {
    const [header, attachment] = await this._remote.request(
      "bulk_update",
      ...withList({}, "updates", updates),
    );
    return decodeBulkResult(header, attachment);
  }

  /** Return the head of the daemon's list. */
  async currentCheckpoint() {
    return (await this._remote.head()).head;
  }

  /** Return a checkpoint that all later writes lie beyond. */
  async checkpoint() {
    return this.currentCheckpoint();
  }

  /** Return the id of the daemon's data source. */
  async getSourceId() {
    return (await this._remote.head()).source;
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
 * Return the id of a page's last record, where the daemon has more that was asked for.
 *
 * @param {any} header
 * @param {RecordData[]} page
 * @param {number | null} left
 */
function goesOnAfter(header, page, left) {
  if ("after" in header) return header.after;
  // A daemon that does not say so yet gives no more at once.
  if (page.length < FIND_LIMIT_MAX || (left !== null && left <= FIND_LIMIT_MAX)) return null;
  const id = page[page.length - 1].id ?? null;
  if (id === null) {
    throw new ProtocolError(`the daemon gives ${page.length} records at once, and no id to go on from`, {
      hint: "ask for fewer, and go on with `after`; a newer daemon gives all",
    });
  }
  return id;
}

/** @param {RecordData | null} before */
function mustBe(before) {
  if (before === null) throw new RecordNotFound();
  return before;
}

/**
 * @param {string} model
 * @param {string} recordId
 * @param {Update | null} current
 * @param {RecordData | null} data
 */
function nextUpdate(model, recordId, current, data) {
  const ancestors =
    current === null ? [] : joinAncestors([current.ancestors, [shortOf(current.rev)]]);
  const generation = nextGeneration([current?.rev], ancestors);
  return new Update({
    model,
    recordId,
    rev: newRevision(generation, newNonce(), { deleted: data === null }),
    prev: current?.rev ?? null,
    ancestors,
    origin: "remote",
    stamp: nextStamp(current?.stamp ?? 0, Date.now()),
    data,
  });
}
