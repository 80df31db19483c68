/**
 * The conversation of a replica with its upstream, as a pure state machine.
 *
 * ```
 *   offline ──connect──▶ connecting ──hello answered──▶ catching_up ⇄ live
 *      ▲                     │                              │
 *      └──── delay over ─────┴─────── lost, bye, silent ◀───┘
 * ```
 *
 * Inputs are method calls that return effects; whoever drives it carries the effects out, in
 * order, before the next input.
 * Time enters as `now`, in seconds; `nextDeadline` says when to call `tick`.
 * Positions are the truth: a repeat is ignored, a gap is fetched, and no event is needed for
 * correctness.
 *
 * @module
 */

import { backoffDelay } from "./backoff.js";
import { Mode } from "./effects.js";
import { Answer, Interval, newCursor, sameCursor } from "./models.js";
import { SessionState } from "./status.js";

/** @typedef {import("./effects.js").Effect} Effect */
/** @typedef {import("./models.js").Cursor} Cursor */
/** @typedef {import("./models.js").BulkResult} BulkResult */
/** @typedef {import("./protocol.js").Welcome} Welcome */

/**
 * @typedef {object} SessionSettings deadlines, in seconds
 * @property {number} ackTimeoutS
 * @property {number} connectTimeoutS
 * @property {number} heartbeatMisses
 * @property {number} firstDelayS
 * @property {number} delayCapS
 * @property {number} stallTimeoutS
 */

/** @type {Readonly<SessionSettings>} */
export const SESSION_SETTINGS = Object.freeze({
  ackTimeoutS: 20,
  connectTimeoutS: 20,
  heartbeatMisses: 2,
  firstDelayS: 0.25,
  delayCapS: 30,
  stallTimeoutS: 60,
});

/** The waits of a session that are running, by name; times in seconds. */
export class Deadlines {
  constructor() {
    /** @type {Map<string, number>} */
    this._times = new Map();
  }

  /** When the first of them ends, or null. */
  get next() {
    return this._times.size ? Math.min(...this._times.values()) : null;
  }

  /**
   * Tell whether one is running.
   *
   * @param {string} name
   */
  has(name) {
    return this._times.has(name);
  }

  /**
   * Start one, or start it anew.
   *
   * @param {string} name
   * @param {number} at
   */
  set(name, at) {
    this._times.set(name, at);
  }

  /**
   * Start one, unless it is running.
   *
   * @param {string} name
   * @param {number} at
   */
  setOnce(name, at) {
    if (!this._times.has(name)) this._times.set(name, at);
  }

  /**
   * End one, if it is running.
   *
   * @param {string} name
   */
  delete(name) {
    this._times.delete(name);
  }

  /** End all. */
  clear() {
    this._times.clear();
  }

  /**
   * End those that are over, one after the other, and name each.
   *
   * One that the caller ends meanwhile is not named any more.
   *
   * @param {number} now
   */
  *takeDue(now) {
    const due = [...this._times].filter(([, at]) => at <= now).map(([name]) => name);
    for (const name of due) if (this._times.delete(name)) yield name;
  }
}

/** How many pushes may be on their way: the next is collected while the daemon takes the first. */
export const PUSHES_MAX = 2;

/** @type {ReadonlySet<string>} */
const RETRIED = new Set([Answer.KNOWN, Answer.CONFLICT, Answer.HELD]);

/** One session's pushes. */
export class Pushing {
  /** @param {boolean} hasUnsent */
  constructor(hasUnsent) {
    /** Whether something may wait to be pushed. */
    this.hasUnsent = hasUnsent;
    /** The seq up to which the list must be read before the next push. */
    this.holdUntil = 0;
    this._lastId = 0;
    /** @type {readonly number[]} */
    this._ids = [];
    this._hasBacklog = false;
    this._isOwnNews = false;
  }

  /** The pushes that are on their way, oldest first. */
  get ids() {
    return [...this._ids];
  }

  /** Whether a push is on its way. */
  get isOut() {
    return this._ids.length > 0;
  }

  /** Whether the answer to a push is awaited that will say the same as the list. */
  get isOwnNewsAwaited() {
    return this._isOwnNews && this.isOut;
  }

  /** Take note that the connection is gone, and with it every answer that was awaited. */
  forgetConnection() {
    this._ids = [];
    this._hasBacklog = false;
    this.holdUntil = 0;
    this._isOwnNews = false;
  }

  /** Whether the pushes arrived is unknown: have all of it pushed again. */
  lostAnswer() {
    this._ids = [];
    this._isOwnNews = false;
    this.hasUnsent = true;
  }

  /**
   * Tell whether a push is awaited still.
   *
   * @param {number} pushId
   */
  isAwaited(pushId) {
    return this._ids.includes(pushId);
  }

  /**
   * Take note of news that is likely of our own making; answer whether it is.
   *
   * @param {Interval} interval
   * @param {string} replicaId
   */
  noteNews(interval, replicaId) {
    // A push that is out is answered right behind the news of it, and that answer accounts for all
    // that the news would bring; so does the list, should the answer be lost.
    const isOwn = this.isOut && interval.updates.every(({ origin }) => origin === replicaId);
    this._isOwnNews ||= isOwn;
    return isOwn;
  }

  /**
   * Tell whether to push, where the list was read so far.
   *
   * @param {number} seq
   */
  mayBegin(seq) {
    // One at a time lets live writes gather behind the push that is out; a backlog need not.
    const { length } = this._ids;
    const isFree = !length || (this._hasBacklog && length < PUSHES_MAX);
    return isFree && this.hasUnsent && seq >= this.holdUntil;
  }

  /** Begin a push, and return its id. */
  begin() {
    this.holdUntil = 0;
    this._lastId += 1;
    this._ids = [...this._ids, this._lastId];
    return this._lastId;
  }

  /**
   * Take note of what was collected for the last push.
   *
   * @param {boolean} hasMore it did not take all.
   */
  collected(hasMore) {
    // What was collected behind another push left out what that one carries.
    this.hasUnsent = hasMore || this._ids.length > 1;
    this._hasBacklog = hasMore;
  }

  /**
   * Take note that nothing was found for a push.
   *
   * @param {number} pushId
   */
  foundNothing(pushId) {
    this.hasUnsent = this._ids.length > 1;
    this._hasBacklog = false;
    this._end(pushId);
  }

  /**
   * Take note that a push was answered.
   *
   * @param {number} pushId
   */
  answered(pushId) {
    this._end(pushId);
    this._isOwnNews = false;
  }

  /**
   * Take from an answer what is to be pushed again, and what must be read before.
   *
   * @param {BulkResult} answer
   * @param {number} seq how far the list was read.
   */
  takeAnswer(answer, seq) {
    for (const { current, answer: word } of answer.results) {
      if (current !== null && current.seq > seq) {
        this.holdUntil = Math.max(this.holdUntil, current.seq);
      }
      if (RETRIED.has(word)) this.hasUnsent = true;
    }
  }

  /** @param {number} pushId */
  _end(pushId) {
    this._ids = this._ids.filter((one) => one !== pushId);
  }
}

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

/** One replica's conversation with one upstream. */
export class Session {
  /**
   * @param {{replicaId: string, models: readonly string[], cursor: Cursor, hasPending: boolean,
   *   chance: () => number, settings?: Partial<SessionSettings>}} options `chance`: random
   *   numbers in [0, 1), for the reconnect delay.
   */
  constructor({ replicaId, models, cursor, hasPending, chance, settings = {} }) {
    this.replicaId = replicaId;
    this.models = [...models].sort();
    /** @type {SessionSettings} */
    this.settings = { ...SESSION_SETTINGS, ...settings };
    /** @type {string} */
    this.state = SessionState.OFFLINE;
    this.reason = "";
    this._pulling = new Pulling(cursor);
    this._pushing = new Pushing(hasPending);
    this._deadlines = new Deadlines();
    this._chance = chance;
    this._attempts = 0;
    this._heartbeatS = 10;
    this._isWelcome = false;
  }

  _forgetConnection() {
    this._isWelcome = false;
    this._pulling.forgetConnection();
    this._pushing.forgetConnection();
    this._deadlines.clear();
  }

  // ---- what a driver asks ---------------------------------------------------------------

  /** How far the list was followed, as it is or is about to be stored. */
  get cursor() {
    return this._pulling.cursor;
  }

  /** The greatest head of the list that was heard of. */
  get knownHead() {
    return this._pulling.knownHead;
  }

  /** Whether the link is up and the cursor is at the known head, the list read whole. */
  get isLevel() {
    return this._isWelcome && this._pulling.isLevel;
  }

  /** Whether a push is on its way. */
  get isPushing() {
    return this._pushing.isOut;
  }

  /** The pushes that are on their way, oldest first. */
  get pushes() {
    return this._pushing.ids;
  }

  /** Whether something may wait to be pushed. */
  get hasUnsent() {
    return this._pushing.hasUnsent;
  }

  /** How far the list was read, what is staged and unseen included. */
  get position() {
    return this._pulling.position;
  }

  /** Changes taken and changes to take, of the catch-up that is running or was last. */
  get progress() {
    return this._pulling.progress;
  }

  /** How many changes of the upstream are known to be missing. */
  get behind() {
    return Math.max(this.knownHead - this.cursor.seq, 0);
  }

  /** Return when `tick` must be called, or null. */
  nextDeadline() {
    return this._deadlines.next;
  }

  // ---- connecting -----------------------------------------------------------------------

  /**
   * Begin: connect at once.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  start(now) {
    return this._connect(now);
  }

  /**
   * @param {number} now
   * @returns {Effect[]}
   */
  _connect(now) {
    this._deadlines.clear();
    this._deadlines.set("connect", now + this.settings.connectTimeoutS);
    this.state = SessionState.CONNECTING;
    return [{ kind: "Connect" }];
  }

  /**
   * Take note that the connection stands.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  connected(now) {
    this._forgetConnection();
    this.state = SessionState.CONNECTING;
    this._deadlines.set("welcome", now + this.settings.ackTimeoutS);
    const { source, epoch, seq, reach } = this.cursor;
    const hello = {
      replica: this.replicaId,
      models: this.models,
      source,
      epoch,
      seq,
      reach: Math.max(reach, seq),
    };
    return [{ kind: "SendHello", hello }];
  }

  /**
   * Take note that the connection is gone, or could not be made.
   *
   * @param {number} now
   * @param {string} [reason]
   * @param {{delayS?: number | null}} [more] when the server said when to come back.
   * @returns {Effect[]}
   */
  disconnected(now, reason = "", { delayS = null } = {}) {
    this._forgetConnection();
    this._pushing.hasUnsent = true;
    this._attempts += 1;
    if (this.state !== SessionState.AUTH_REQUIRED) this.state = SessionState.OFFLINE;
    this.reason = reason;
    const { firstDelayS: firstS, delayCapS: capS } = this.settings;
    const delay = delayS ?? backoffDelay(this._attempts, this._chance(), { firstS, capS });
    this._deadlines.set("reconnect", now + delay);
    return [];
  }

  /**
   * Take note that the server refused the hello by name.
   *
   * @param {number} now
   * @param {string} code
   * @param {{isAuth: boolean, retryable: boolean}} more
   * @returns {Effect[]}
   */
  refused(now, code, { isAuth, retryable }) {
    this.disconnected(now, code);
    this.state = isAuth ? SessionState.AUTH_REQUIRED : SessionState.BLOCKED;
    if (!retryable) this._deadlines.set("reconnect", now + this.settings.delayCapS);
    return [{ kind: "Disconnect", reason: code }];
  }

  /**
   * Take note that this replica's own store or hook failed: leave, and come back later.
   *
   * @param {number} now
   * @param {string} reason
   * @returns {Effect[]}
   */
  blocked(now, reason) {
    this.disconnected(now, reason);
    this.state = SessionState.BLOCKED;
    return [{ kind: "Disconnect", reason }];
  }

  /**
   * The driver sees no progress: leave, and have the next hello judge us anew.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  stalled(now) {
    return this._isWelcome ? this._lose(now, "stalled") : [];
  }

  /**
   * Stay away until `start`: coming back by itself would only meet the same again.
   *
   * @param {string} reason
   * @returns {Effect[]}
   */
  halted(reason) {
    const effects = this.paused(reason);
    this.state = SessionState.BLOCKED;
    return effects;
  }

  /**
   * Stay offline until `start`.
   *
   * @param {string} [reason]
   * @returns {Effect[]}
   */
  paused(reason = "paused") {
    this._forgetConnection();
    this._pushing.hasUnsent = true;
    this.state = SessionState.OFFLINE;
    this.reason = reason;
    return [{ kind: "Disconnect", reason }];
  }

  /**
   * Come back at once: the network is said to be there again.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  hurry(now) {
    if (!this._deadlines.has("reconnect")) return [];
    this._attempts = 0;
    return this._connect(now);
  }

  /**
   * Take the answer to the hello.
   *
   * @param {number} now
   * @param {import("./protocol.js").Welcome} welcome
   * @param {{offersBack?: boolean}} [more] at a reset, whether what the upstream lost is offered to
   *   it again.
   * @returns {Effect[]}
   */
  welcomed(now, welcome, { offersBack = true } = {}) {
    if (this.state !== SessionState.CONNECTING || this._isWelcome) return [];
    this._deadlines.delete("welcome");
    this._deadlines.set("heartbeat", now + welcome.heartbeatS);
    this._heartbeatS = welcome.heartbeatS;
    this._isWelcome = true;
    this._attempts = 0;
    this.reason = "";
    this.state = SessionState.CATCHING_UP;
    const effects = this._pulling.welcomed(welcome, this.models, offersBack);
    return [...effects, ...this._goOn(now)];
  }

  /**
   * Take the stored cursor again, after an apply failed; the stage is void.
   *
   * @param {Cursor} cursor
   */
  reload(cursor) {
    this._pulling.reload(cursor);
  }

  // ---- pulling --------------------------------------------------------------------------

  /**
   * Take a live event; one that carries no updates only names where the list stands.
   *
   * @param {number} now
   * @param {Interval} interval
   * @param {{carries?: boolean}} [more]
   * @returns {Effect[]}
   */
  changed(now, interval, { carries = true } = {}) {
    if (!this._isWelcome || interval.epoch !== this.cursor.epoch) return [];
    const { _pulling: pulling } = this;
    pulling.noteHead(Math.max(interval.head, interval.checkpoint));
    const { seq } = this.cursor;
    if (interval.checkpoint <= seq) return this._goOn(now);
    if (interval.since <= seq && this._pushing.noteNews(interval, this.replicaId)) {
      return this._goOn(now);
    }
    if (!carries || pulling.hasBackfill) return this._goOn(now);
    return this._carryOn(now, pulling.takeInterval(interval));
  }

  /**
   * Take the answer to `RequestChanges`.
   *
   * @param {number} now
   * @param {Interval} interval
   * @returns {Effect[]}
   */
  page(now, interval) {
    if (!this._pulling.isFetching) return [];
    this._deadlines.delete("fetch");
    // Another life of the list, or tombstones that were purged: the next hello is judged.
    if (interval.epoch !== this.cursor.epoch) return this._loseList(now, "epoch changed");
    return this._carryOn(now, this._pulling.takePage(interval));
  }

  /**
   * The daemon refused `RequestChanges`, by name.
   *
   * @param {number} now
   * @param {string} code
   * @returns {Effect[]}
   */
  lostPage(now, code) {
    return this._pulling.isFetching ? this._loseList(now, code) : [];
  }

  /**
   * @param {number} now
   * @param {Taken} taken
   */
  _carryOn(now, { first, last }) {
    return [...first, ...this._goOn(now), ...last];
  }

  /**
   * Take the answer to a heartbeat or a barrier: where the list stands.
   *
   * @param {number} now
   * @param {string} epoch
   * @param {number} head
   * @returns {Effect[]}
   */
  heardHead(now, epoch, head) {
    this._deadlines.delete("heartbeat_answer");
    if (!this._isWelcome) return [];
    if (epoch !== this.cursor.epoch) return this._loseList(now, "epoch changed");
    this._pulling.noteHead(head);
    return this._goOn(now);
  }

  /**
   * The server stopped sending live events to us: fetch.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  behindTold(now) {
    if (!this._isWelcome) return [];
    this._pulling.mustPull = true;
    return this._goOn(now);
  }

  /**
   * The server closes the connection and says when to come back.
   *
   * @param {number} now
   * @param {number} delayS
   * @param {string} reason
   * @returns {Effect[]}
   */
  bye(now, delayS, reason) {
    this.disconnected(now, reason, { delayS });
    return [{ kind: "Disconnect", reason }];
  }

  // ---- pushing --------------------------------------------------------------------------

  /**
   * Something was written here.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  wrote(now) {
    this._pushing.hasUnsent = true;
    return this._isWelcome ? this._goOn(now) : [];
  }

  /**
   * Take note of what `SendUpdates` found, once that is on its way.
   *
   * @param {number} now
   * @param {boolean} hasMore it did not take all; then another push follows without waiting.
   * @returns {Effect[]}
   */
  collected(now, hasMore) {
    this._pushing.collected(hasMore);
    return this._goOn(now);
  }

  /**
   * `SendUpdates` found nothing.
   *
   * @param {number} now
   * @param {number} pushId
   * @returns {Effect[]}
   */
  nothingToPush(now, pushId) {
    this._pushing.foundNothing(pushId);
    this._waitForPushes(now);
    return this._goOn(now);
  }

  /**
   * Take the upstream's word on a push.
   *
   * @param {number} now
   * @param {number} pushId
   * @param {import("./models.js").BulkResult} answer
   * @returns {Effect[]}
   */
  answered(now, pushId, answer) {
    const { _pulling: pulling, _pushing: pushing } = this;
    if (!pushing.isAwaited(pushId)) return [];
    pushing.answered(pushId);
    this._waitForPushes(now);
    if (answer.epoch !== this.cursor.epoch) return this._lose(now, "epoch changed");
    pushing.takeAnswer(answer, this.cursor.seq);
    pulling.noteHead(pushing.holdUntil);
    pulling.takeAnswer(answer);
    const { cursor } = this;
    return [{ kind: "Acknowledge", pushId, answer, cursor }, ...this._goOn(now)];
  }

  /** @param {number} now */
  _waitForPushes(now) {
    if (this._pushing.isOut) this._deadlines.set("push", now + this.settings.ackTimeoutS);
    else this._deadlines.delete("push");
  }

  /**
   * The push was refused as a whole, by name.
   *
   * @param {number} now
   * @param {number} pushId
   * @param {string} code
   * @returns {Effect[]}
   */
  pushFailed(now, pushId, code) {
    return this._pushing.isAwaited(pushId) ? this._lose(now, code) : [];
  }

  // ---- time -----------------------------------------------------------------------------

  /**
   * Do what is due.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  tick(now) {
    /** @type {Effect[]} */
    const effects = [];
    for (const name of this._deadlines.takeDue(now)) effects.push(...this._due(now, name));
    return effects;
  }

  /**
   * @param {number} now
   * @param {string} name
   * @returns {Effect[]}
   */
  _due(now, name) {
    switch (name) {
      case "reconnect":
        return this._connect(now);
      case "connect":
        return this._lose(now, "connect timeout");
      case "welcome":
        return this._lose(now, "hello timeout");
      case "heartbeat":
        return this._beat(now);
      case "heartbeat_answer":
        return this._lose(now, "heartbeat lost");
      case "fetch":
        return this._lose(now, "ack timeout");
      default:
        // Whether the push arrived is unknown: read the list first, then push again.
        this._pushing.lostAnswer();
        this._pulling.mustPull = true;
        return this._goOn(now);
    }
  }

  /**
   * @param {number} now
   * @returns {Effect[]}
   */
  _beat(now) {
    // Only one is on its way; the wait for its answer is the judge of the link.
    this._deadlines.set("heartbeat", now + this._heartbeatS);
    const wait = this._heartbeatS * (this.settings.heartbeatMisses - 1);
    this._deadlines.setOnce("heartbeat_answer", now + Math.max(wait, 0.05));
    return [{ kind: "SendHeartbeat", cursor: this.cursor.seq }];
  }

  /**
   * @param {number} now
   * @param {string} reason
   * @returns {Effect[]}
   */
  _lose(now, reason) {
    this.disconnected(now, reason);
    return [{ kind: "Disconnect", reason }];
  }

  /**
   * Leave since the list is not the one that was read, or can't be read on.
   *
   * @param {number} now
   * @param {string} reason
   */
  _loseList(now, reason) {
    return [...this._pulling.dropStage(), ...this._lose(now, reason)];
  }

  /**
   * Ask for what is missing; when nothing is, push what is unsent.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  _goOn(now) {
    const { _pulling: pulling, _pushing: pushing } = this;
    if (!this._isWelcome || pulling.isFetching) return [];
    if (pulling.hasBackfill) return [this._fetch(now)];
    if (pushing.isOwnNewsAwaited && pulling.isWhole && !pulling.mustPull) return [];
    if (pulling.isBehind) {
      if (this.state !== SessionState.CATCHING_UP) pulling.beginCatchUp();
      this.state = SessionState.CATCHING_UP;
      return [this._fetch(now)];
    }
    this.state = SessionState.LIVE;
    if (!pushing.mayBegin(this.cursor.seq)) return [];
    this._deadlines.setOnce("push", now + this.settings.ackTimeoutS);
    return [{ kind: "SendUpdates", pushId: pushing.begin() }];
  }

  /** @param {number} now */
  _fetch(now) {
    this._deadlines.set("fetch", now + this.settings.ackTimeoutS);
    return this._pulling.request();
  }
}
