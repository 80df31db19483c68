/**
 * Writes to several records and models that are made together.
 *
 * @module
 */

import { RecordTooLarge } from "./errors.js";
import { GROUP_BYTES_MAX } from "./protocol.js";
import { recordIdOf } from "./schema.js";

/** @typedef {import("./changeLog.js").Write} Write */
/** @typedef {import("./model.js").RecordId} RecordId */
/** @typedef {import("./models.js").RecordData} RecordData */

/** Writes that are made together, when the function that was given it returns. */
export class ReplicaTransaction {
  /** @param {import("./core.js").Core} core */
  constructor(core) {
    this._core = core;
    /** @type {Write[]} */
    this._writes = [];
  }

  /**
   * Return the handle of a model.
   *
   * @param {string} name
   * @throws {ModelUnknown}
   */
  model(name) {
    return new TransactionModel(this._core, this._core.checkModel(name), this._writes);
  }

  /** Make the writes. */
  async commit() {
    const writes = this._writes;
    if (!writes.length) return [];
    const size = writes.reduce((sum, { data }) => sum + (data ? bytesOf(data) : 0), 0);
    if (size > GROUP_BYTES_MAX) {
      throw new RecordTooLarge(
        `a transaction of ${size} bytes is over the limit of ${GROUP_BYTES_MAX}`,
        { hint: "write in several transactions, or use putMany" },
      );
    }
    const group = writes.length > 1 ? this._core.engine.author.newNonce() : null;
    return this._core.write(writes, group);
  }
}

/** @param {RecordData} data */
function bytesOf(data) {
  return new TextEncoder().encode(JSON.stringify(data)).length;
}

/** The verbs that write, inside a transaction. */
class TransactionModel {
  /**
   * @param {import("./core.js").Core} core
   * @param {string} name
   * @param {Write[]} writes
   */
  constructor(core, name, writes) {
    this._core = core;
    this._name = name;
    this._writes = writes;
  }

  /**
   * Store a whole record.
   *
   * @param {RecordId} recordId
   * @param {RecordData} data
   */
  put(recordId, data) {
    this._writes.push(this._core.putOf(this._name, recordId, data));
  }

  /**
   * Set some properties of a record.
   *
   * @param {RecordId} recordId
   * @param {RecordData} data
   */
  patch(recordId, data) {
    this._writes.push(this._core.patchOf(this._name, recordIdOf(recordId), data));
  }

  /**
   * Delete a record.
   *
   * @param {RecordId} recordId
   */
  delete(recordId) {
    this._writes.push(this._core.deleteOf(this._name, recordIdOf(recordId)));
  }
}
