/**
 * What a link tells its upstream of the conflicts that wait here, so that an inbox there sees all.
 *
 * A report names all open conflicts: a position, no event, so one that is lost, late or repeated
 * does no harm. The answer says which of them the upstream wants to be told in full, and the next
 * report tells these, as many as a message holds.
 *
 * @module
 */

import { checked } from "./connection.js";
import { SynclineError } from "./errors.js";
import { log } from "./logs.js";
import { INLINE_CHARS_MAX, decodeReportAnswer, encodeReported } from "./protocol.js";

/** @typedef {import("./models.js").Conflict} Conflict */
/** @typedef {{model: string, id: string, rev: string}} ConflictName */
/** @typedef {{names: readonly ConflictName[], args: unknown[]}} Report names, and what to send */

/** The characters of conflicts told in full in one report; a single one may be larger. */
const REPORT_CHARS_MAX = 256 * 1024;
/** After so many heartbeats an answer is not waited for any more. */
const BEATS_WAITED_MAX = 2;

const utf8Encoder = new TextEncoder();

/**
 * Decides when to tell the upstream of open conflicts, and what.
 *
 * Whoever drives the link asks for `nextReport` while `isDue`, but only when the cursor is at the
 * head and no push is out: else a conflict that is yet to be met here would pass for settled.
 */
export class Reporting {
  constructor() {
    this._conflictsMax = 0;
    this._room = REPORT_CHARS_MAX;
    this._isDue = false;
    /** @type {string | null} What the upstream was told last; null when it isn't known. */
    this._told = textOf([]);
    /** @type {readonly ConflictName[] | null} */
    this._sent = null;
    this._beats = 0;
    /** @type {Set<string>} */
    this._wanted = new Set();
    /** @type {Set<string>} */
    this._given = new Set();
    this._hasSome = false;
  }

  /** Whether there may be something to report. */
  get isDue() {
    return this._isDue && this._sent === null && this._conflictsMax > 0;
  }

  /** How many open conflicts to read, oldest first. */
  get limit() {
    return this._conflictsMax + 1;
  }

  // ---- what happens to the link -----------------------------------------------------------

  /**
   * Begin anew on a new connection.
   *
   * @param {import("./protocol.js").Welcome} welcome
   */
  welcomed({ conflictsMax, conflicts, messageBytesMax }) {
    this._conflictsMax = conflictsMax;
    this._room = messageBytesMax / 4;
    this._told = conflicts ? null : textOf([]);
    this._sent = null;
    this._wanted.clear();
    this._given.clear();
    this._isDue = true;
  }

  /** Take note of a commit. */
  noteWritten() {
    this._isDue ||= this._hasSome;
  }

  /**
   * Take note of what the upstream's word did here.
   *
   * @param {import("./outcome.js").Outcome} outcome
   */
  noteOutcome({ conflicts, mustPush }) {
    // What ends a conflict leaves something to push, or may.
    this._isDue ||= conflicts.length > 0 || (mustPush && this._hasSome);
  }

  /** A push collided: the upstream lists that, however it is settled here. */
  noteCollision() {
    this._told = null;
    this._isDue = true;
  }

  /** Once a heartbeat: look again, and at what was sent and is not answered. */
  beat() {
    this._isDue = true;
    if (this._sent === null) return;
    this._beats += 1;
    if (this._beats < BEATS_WAITED_MAX) return;
    this._sent = null;
    this._told = null;
  }

  // ---- reports ----------------------------------------------------------------------------

  /**
   * Return the report that is due; null when nothing is new.
   *
   * @param {readonly Conflict[]} found the open conflicts, oldest first, `limit` of them.
   * @returns {Report | null}
   */
  nextReport(found) {
    this._isDue = false;
    this._hasSome = found.length > 0;
    const names = this._namesOf(found);
    const told = this._inFull(found, names);
    if (textOf(names) === this._told && !told.length) return null;
    this._sent = names;
    this._beats = 0;
    const header = { open: names, ...(names.length < found.length && { more: true }) };
    if (!told.length) return { names, args: [header] };
    const text = JSON.stringify(told);
    const isSmall = text.length <= INLINE_CHARS_MAX;
    return { names, args: isSmall ? [{ ...header, conflicts: told }] : [header, utf8Encoder.encode(text)] };
  }

  /**
   * Return the names of the oldest, as many as the upstream lists and a message holds.
   *
   * @param {readonly Conflict[]} found
   */
  _namesOf(found) {
    /** @type {ConflictName[]} */
    const names = [];
    let size = 0;
    for (const { ours } of found.slice(0, this._conflictsMax)) {
      const name = { model: ours.model, id: ours.recordId, rev: ours.rev };
      size += JSON.stringify(name).length;
      if (names.length && size > this._room) break;
      names.push(name);
    }
    return names;
  }

  /**
   * Return those that the upstream wants and was not given yet, as many as there is room.
   *
   * @param {readonly Conflict[]} found
   * @param {readonly ConflictName[]} names
   */
  _inFull(found, names) {
    const told = [];
    let size = 0;
    for (const [place, name] of names.entries()) {
      const key = textOf(name);
      if (!this._wanted.has(key) || this._given.has(key)) continue;
      const one = encodeReported(found[place]);
      const weight = JSON.stringify(one).length;
      if (told.length && size + weight > Math.min(REPORT_CHARS_MAX, this._room)) break;
      this._given.add(key);
      // What fits no message stays a name.
      if (weight > 2 * this._room) continue;
      size += weight;
      told.push(one);
    }
    return told;
  }

  /**
   * Take the answer to a report, or the error that it is.
   *
   * @param {readonly ConflictName[]} names
   * @param {any[]} got
   */
  answered(names, got) {
    if (names !== this._sent) return;
    this._sent = null;
    try {
      const { wanted } = decodeReportAnswer(checked(got)[0]);
      this._wanted = new Set(wanted.flatMap((place) => (names[place] ? [textOf(names[place])] : [])));
      this._told = textOf(names);
      this._isDue = true;
    } catch (error) {
      if (!(error instanceof SynclineError)) throw error;
      log("warning", "report.refused", { error: error.code, reason: error.message });
      this._told = null;
      // Else it is asked no more on this connection.
      if (!error.retryable) this._conflictsMax = 0;
    }
  }
}

/** @param {unknown} names */
function textOf(names) {
  return JSON.stringify(names);
}
