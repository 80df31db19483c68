/**
 * How far a session has read the upstream's list, and what an interval of it adds.
 *
 * @module
 */

import { Mode } from "./effects.js";
import { Answer, Interval, newCursor, sameCursor } from "./models.js";
import { Told } from "./news.js";

/** @typedef {import("./effects.js").Effect} Effect */
/** @typedef {import("./models.js").BulkResult} BulkResult */
/** @typedef {import("./models.js").Cursor} Cursor */
/** @typedef {import("./protocol.js").Welcome} Welcome */

/**
 * @typedef {object} Taken what is to be done with an interval; nothing, where it adds nothing
 * @property {Effect[]} first before the next page is asked for
 * @property {Effect[]} last after that, so that asking and storing go on at once
 */

/** One session's reading of the list: its cursor, the stage ahead of it, the back-fill behind it. */
export class Pulling {
  /** @param {Cursor} cursor */
  constructor(cursor) {
    this.cursor = cursor;
    this.knownHead = cursor.seq;
    /** Whether the list must be read, whatever is known of its head. */
    this.mustPull = false;
    /** Whether a page was asked for. */
    this.isFetching = false;
    /** @type {{epoch: string, since: number, end: number, head: number} | null} */
    this._stage = null;
    this._isStageDirty = false;
    this._seenHead = 0;
    this._catchUpFrom = cursor.seq;
    /** @type {readonly string[]} */
    this._backfill = [];
    this._backfillAt = 0;
    this._isBackfilling = false;
  }

  /** Take note that the connection is gone; what is staged stays. */
  forgetConnection() {
    this.mustPull = false;
    this.isFetching = false;
    this._backfill = [];
    this._backfillAt = 0;
    this._isBackfilling = false;
  }

  // ---- where it stands ------------------------------------------------------------------

  /** Whether the cursor is at the known head, the list read whole. */
  get isLevel() {
    return (
      this.isWhole &&
      !this.hasBackfill &&
      this.cursor.resetting === null &&
      this.cursor.seq >= this.knownHead
    );
  }

  /** Whether the list was read whole, up to the cursor, with nothing beyond. */
  get isWhole() {
    return this.cursor.isWhole && this._stage === null;
  }

  /** Whether there is more to read. */
  get isBehind() {
    return this.position < this.knownHead || !this.isWhole || this.mustPull;
  }

  /** Whether models that are followed anew are yet to be filled in. */
  get hasBackfill() {
    return this._backfill.length > 0;
  }

  /** How far the list was read, what is staged and unseen included. */
  get position() {
    return this._stage === null ? this.cursor.seq : this._stage.end;
  }

  /**
   * Changes taken and changes to take, of the catch-up that is running or was last.
   *
   * @returns {[number, number]}
   */
  get progress() {
    const total = Math.max(this.knownHead - this._catchUpFrom, 0);
    return [Math.min(Math.max(this.position - this._catchUpFrom, 0), total), total];
  }

  /**
   * Tell whether what a live interval leaves out can be in the store: not what is staged.
   *
   * @param {Interval} interval
   */
  canComplete(interval) {
    return this._stage === null || !interval.updates.some((update) => update instanceof Told);
  }

  /**
   * Take note of a head of the list.
   *
   * @param {number} head
   */
  noteHead(head) {
    this.knownHead = Math.max(this.knownHead, head);
  }

  // ---- asking ---------------------------------------------------------------------------

  /** Take note that a catch-up begins. */
  beginCatchUp() {
    this._catchUpFrom = this.cursor.seq;
  }

  /**
   * Ask for what comes next: the back-fill, else the list from where it was read to.
   *
   * @returns {Effect}
   */
  request() {
    this.isFetching = true;
    if (!this.hasBackfill) return { kind: "RequestChanges", since: this.position, models: null };
    this._isBackfilling = true;
    return { kind: "RequestChanges", since: this._backfillAt, models: this._backfill };
  }

  // ---- hello ----------------------------------------------------------------------------

  /**
   * Go on from the cursor, or begin anew, as the upstream judged.
   *
   * @param {Welcome} welcome
   * @param {readonly string[]} models those to follow.
   * @param {boolean} offersBack at a reset, whether what the upstream lost is offered to it again.
   * @returns {Effect[]}
   */
  welcomed(welcome, models, offersBack) {
    const isOfAnother = this._stage !== null && this._stage.epoch !== welcome.epoch;
    const dropped = isOfAnother ? this.dropStage() : [];
    const followed = models.filter((model) => model in welcome.models);
    const effects =
      welcome.standing === "reset"
        ? this._reset(welcome, followed, offersBack)
        : this._resume(welcome, followed);
    this._catchUpFrom = this.cursor.seq;
    this._seenHead = welcome.head;
    return [...dropped, ...effects];
  }

  /**
   * @param {Welcome} welcome
   * @param {readonly string[]} followed
   * @param {boolean} offersBack
   * @returns {Effect[]}
   */
  _reset(welcome, followed, offersBack) {
    const { source, epoch, shared } = welcome;
    this._stage = null;
    this.cursor = newCursor({ source, epoch, reach: shared, resetting: shared, models: followed });
    this.knownHead = welcome.head;
    const { cursor } = this;
    return [{ kind: "DropStage" }, { kind: "BeginReset", cursor, shared, offersBack }];
  }

  /**
   * @param {Welcome} welcome
   * @param {readonly string[]} followed
   * @returns {Effect[]}
   */
  _resume(welcome, followed) {
    const before = this.cursor;
    const added = followed.filter((model) => !before.models.includes(model));
    if (before.seq && added.length) this._backfill = added;
    this.cursor = {
      ...before,
      source: welcome.source,
      epoch: welcome.epoch,
      models: followed.filter((model) => !this._backfill.includes(model)),
    };
    this.knownHead = Math.max(welcome.head, this.cursor.seq);
    return sameCursor(this.cursor, before) ? [] : [{ kind: "SaveCursor", cursor: this.cursor }];
  }

  /**
   * Take the stored cursor again, after an apply failed; the stage is void.
   *
   * @param {Cursor} cursor
   */
  reload(cursor) {
    this.cursor = cursor;
    this._stage = null;
    this._isStageDirty = true;
    this.noteHead(cursor.seq);
  }

  // ---- intervals ------------------------------------------------------------------------

  /**
   * Take the answer to a request.
   *
   * @param {Interval} interval
   * @returns {Taken}
   */
  takePage(interval) {
    this.isFetching = false;
    this.noteHead(interval.head);
    if (this._isBackfilling) return this._takeBackfill(interval);
    if (interval.isWhole) this.mustPull = false;
    return this.takeInterval(interval);
  }

  /**
   * Take an interval of the list, asked for or live.
   *
   * @param {Interval} interval
   * @returns {Taken}
   */
  takeInterval(interval) {
    const { cursor, _stage: stage } = this;
    const completes = interval.isWhole && !cursor.isWhole && interval.since <= cursor.seq;
    if (interval.checkpoint <= cursor.seq && !completes) return NOTHING;
    // Rows were shown as of a later head: what has moved on since is in neither.
    if (!cursor.isWhole && interval.head < this._seenHead) return NOTHING;
    if (interval.since <= cursor.seq && interval.isWhole) {
      return { first: [...this.dropStage(), this._applyWhole(interval, false)], last: [] };
    }
    if (stage !== null) return this._joinStage(interval, stage);
    if (interval.since > cursor.seq) return NOTHING;
    if (!cursor.isWhole && cursor.resetting === null) return this._showPage(interval);
    return this._beginStage(interval);
  }

  /**
   * @param {Interval} interval
   * @returns {Taken}
   */
  _beginStage(interval) {
    const { epoch, since, checkpoint: end, head } = interval;
    this._stage = { epoch, since, end, head };
    const last = [applyOf(interval, Mode.STAGE, this.cursor)];
    if (!this._isStageDirty) return { first: [], last };
    // An apply failed: what it had staged must not be spliced into this one.
    this._isStageDirty = false;
    return { first: [{ kind: "DropStage" }], last };
  }

  /**
   * @param {Interval} interval
   * @param {{end: number, head: number}} stage
   * @returns {Taken}
   */
  _joinStage(interval, stage) {
    if (interval.since !== stage.end || interval.head < stage.head) return NOTHING;
    stage.end = interval.checkpoint;
    stage.head = interval.head;
    if (interval.isWhole) {
      this._stage = null;
      return { first: [this._applyWhole(interval, true)], last: [] };
    }
    return { first: [], last: [applyOf(interval, Mode.STAGE, this.cursor)] };
  }

  /**
   * A first sync shows rows as they come.
   *
   * @param {Interval} interval
   * @returns {Taken}
   */
  _showPage(interval) {
    this._seenHead = interval.head;
    const moved = this._moved(interval.checkpoint, null);
    // What is missing from the page has moved on as far as its head, and a list that was restored
    // to before that would not bring it.
    this.cursor = { ...moved, reach: Math.max(moved.reach, interval.head) };
    return { first: [], last: [applyOf(interval, Mode.DIRECT, this.cursor)] };
  }

  /**
   * @param {Interval} interval
   * @param {boolean} withStage
   */
  _applyWhole(interval, withStage) {
    // The effect carries the cursor as it was in `resetting`, so that the driver settles what a
    // reset did not list in the same transaction.
    const { resetting } = this.cursor;
    this.cursor = this._moved(interval.checkpoint, true);
    return applyOf(interval, Mode.WHOLE, { ...this.cursor, resetting }, withStage);
  }

  /**
   * @param {Interval} interval
   * @returns {Taken}
   */
  _takeBackfill(interval) {
    this._isBackfilling = false;
    this._backfillAt = interval.checkpoint;
    if (interval.isWhole || interval.checkpoint >= this.cursor.seq) {
      const models = [...new Set([...this.cursor.models, ...this._backfill])].sort();
      this._backfill = [];
      this.cursor = { ...this.cursor, models };
    }
    // What lies beyond the cursor comes again with the joined list.
    const updates = interval.updates.filter((update) => update.seq <= this.cursor.seq);
    const kept = new Interval({ ...interval, updates });
    return { first: [applyOf(kept, Mode.BACKFILL, this.cursor)], last: [] };
  }

  /** @returns {Effect[]} */
  dropStage() {
    if (this._stage === null) return [];
    this._stage = null;
    return [{ kind: "DropStage" }];
  }

  /**
   * @param {number} seq
   * @param {boolean | null} isWhole
   * @returns {Cursor}
   */
  _moved(seq, isWhole) {
    const { cursor } = this;
    return {
      ...cursor,
      seq: Math.max(seq, cursor.seq),
      reach: Math.max(cursor.reach, seq),
      isWhole: isWhole ?? cursor.isWhole,
      resetting: isWhole ? null : cursor.resetting,
    };
  }

  // ---- answers to pushes ----------------------------------------------------------------

  /**
   * Take from the answer to a push how far the list goes, and what need not be read of it.
   *
   * @param {BulkResult} answer
   */
  takeAnswer(answer) {
    const reach = answer.results.reduce((most, { seq }) => Math.max(most, seq), this.cursor.reach);
    this.cursor = { ...this.cursor, reach };
    if (this._isWholeAnswer(answer)) this.cursor = this._moved(answer.checkpoint, null);
  }

  /**
   * Tell whether the answer accounts for every change from the cursor to the head.
   *
   * Then all of them are our own, and need not be read back.
   *
   * @param {BulkResult} answer
   */
  _isWholeAnswer(answer) {
    const { cursor } = this;
    if (!this.isWhole || this.hasBackfill || cursor.resetting !== null) return false;
    const own = new Set();
    for (const { answer: word, current, seq } of answer.results) {
      if (word === Answer.APPLIED && current === null && seq > cursor.seq) own.add(seq);
    }
    return own.size > 0 && own.size === answer.checkpoint - cursor.seq;
  }
}

/** @type {Taken} */
const NOTHING = Object.freeze({ first: [], last: [] });

/**
 * @param {Interval} interval
 * @param {string} mode
 * @param {Cursor} cursor
 * @returns {Effect}
 */
function applyOf(interval, mode, cursor, withStage = false) {
  return { kind: "ApplyUpdates", interval, mode, cursor, withStage };
}
