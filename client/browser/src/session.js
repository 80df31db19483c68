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
/**
 * @typedef {object} SessionSettings deadlines, in seconds
 * @property {number} ackTimeoutS
 * @property {number} connectTimeoutS
 * @property {number} heartbeatMisses
 * @property {number} firstDelayS
 * @property {number} delayCapS
 * @property {number} stallTimeoutS
 */

/** How many pushes may be on their way: the next is collected while the daemon takes the first. */
export const PUSHES_MAX = 2;

/** @type {Readonly<SessionSettings>} */
export const SESSION_SETTINGS = Object.freeze({
  ackTimeoutS: 20,
  connectTimeoutS: 20,
  heartbeatMisses: 2,
  firstDelayS: 0.25,
  delayCapS: 30,
  stallTimeoutS: 60,
});

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
    this.cursor = cursor;
    /** @type {SessionSettings} */
    this.settings = { ...SESSION_SETTINGS, ...settings };
    /** @type {string} */
    this.state = SessionState.OFFLINE;
    this.reason = "";
    this.knownHead = cursor.seq;
    this._chance = chance;
    this._unsent = hasPending;
    this._attempts = 0;
    this._pushIds = 0;
    /** @type {Map<string, number>} */
    this._deadlines = new Map();
    /** @type {{epoch: string, since: number, end: number, head: number} | null} */
    this._stage = null;
    this._isStageDirty = false;
    this._seenHead = 0;
    this._heartbeatS = 10;
    this._catchUpFrom = cursor.seq;
    this._isWelcome = false;
    this._fetching = false;
    /** @type {readonly string[]} */
    this._backfill = [];
    this._backfillAt = 0;
    this._backfilling = false;
    /** @type {number[]} */
    this._pushes = [];
    this._hasBacklog = false;
    this._mustPull = false;
    this._holdUntil = 0;
    this._isOwnNews = false;
  }

  _forgetConnection() {
    this._isWelcome = false;
    this._fetching = false;
    this._backfill = [];
    this._backfillAt = 0;
    this._backfilling = false;
    this._pushes = [];
    this._hasBacklog = false;
    this._mustPull = false;
    this._holdUntil = 0;
    this._isOwnNews = false;
    this._deadlines.clear();
  }

  // ---- what a driver asks ---------------------------------------------------------------

  /** Whether the link is up and the cursor is at the known head, the list read whole. */
  get isLevel() {
    return (
      this._isWelcome &&
      this._stage === null &&
      !this._backfill.length &&
      this.cursor.isWhole &&
      this.cursor.resetting === null &&
      this.cursor.seq >= this.knownHead
    );
  }

  /** Whether a push is on its way. */
  get isPushing() {
    return this._pushes.length > 0;
  }

  /** The pushes that are on their way, oldest first. */
  get pushes() {
    return [...this._pushes];
  }

  /** Whether something may wait to be pushed. */
  get hasUnsent() {
    return this._unsent;
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

  /** How many changes of the upstream are known to be missing. */
  get behind() {
    return Math.max(this.knownHead - this.cursor.seq, 0);
  }

  /** Return when `tick` must be called, or null. */
  nextDeadline() {
    return this._deadlines.size ? Math.min(...this._deadlines.values()) : null;
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
    this._unsent = true;
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
    this._unsent = true;
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
   * Take the stored cursor again, after an apply failed; the stage is void.
   *
   * @param {Cursor} cursor
   */
  reload(cursor) {
    this.cursor = cursor;
    this._stage = null;
    this._isStageDirty = true;
    this.knownHead = Math.max(this.knownHead, cursor.seq);
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
    /** @type {Effect[]} */
    const effects = [];
    if (this._stage !== null && this._stage.epoch !== welcome.epoch) effects.push(...this._dropStage());
    const followed = this.models.filter((model) => model in welcome.models);
    if (welcome.standing === "reset") effects.push(...this._reset(welcome, followed, offersBack));
    else effects.push(...this._resume(welcome, followed));
    this._catchUpFrom = this.cursor.seq;
    this._seenHead = welcome.head;
    return [...effects, ...this._goOn(now)];
  }

  /**
   * @param {import("./protocol.js").Welcome} welcome
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
   * @param {import("./protocol.js").Welcome} welcome
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
    this.knownHead = Math.max(this.knownHead, interval.head, interval.checkpoint);
    const isOld = interval.checkpoint <= this.cursor.seq;
    if (!isOld && interval.since <= this.cursor.seq && this._isLikelyOwn(interval)) {
      this._isOwnNews = true;
      return this._goOn(now);
    }
    if (isOld || !carries || this._backfill.length) return this._goOn(now);
    return this._takeInterval(now, interval);
  }

  /** @param {Interval} interval */
  _isLikelyOwn(interval) {
    // A push that is out is answered right behind the news of it, and that answer accounts for all
    // that the news would bring; so does the list, should the answer be lost.
    if (!this._pushes.length) return false;
    return interval.updates.every(({ origin }) => origin === this.replicaId);
  }

  /**
   * Take the answer to `RequestChanges`.
   *
   * @param {number} now
   * @param {Interval} interval
   * @returns {Effect[]}
   */
  page(now, interval) {
    if (!this._fetching) return [];
    this._fetching = false;
    this._deadlines.delete("fetch");
    if (interval.epoch !== this.cursor.epoch) {
      // Another life of the list, or tombstones that were purged: the next hello is judged.
      return [...this._dropStage(), ...this._lose(now, "epoch changed")];
    }
    this.knownHead = Math.max(this.knownHead, interval.head);
    if (this._backfilling) return this._takeBackfill(now, interval);
    if (interval.isWhole) this._mustPull = false;
    return this._takeInterval(now, interval);
  }

  /**
   * The daemon refused `RequestChanges`, by name.
   *
   * @param {number} now
   * @param {string} code
   * @returns {Effect[]}
   */
  lostPage(now, code) {
    return this._fetching ? [...this._dropStage(), ...this._lose(now, code)] : [];
  }

  /** @returns {Effect[]} */
  _dropStage() {
    if (this._stage === null) return [];
    this._stage = null;
    return [{ kind: "DropStage" }];
  }

  /**
   * @param {number} now
   * @param {Interval} interval
   * @returns {Effect[]}
   */
  _takeInterval(now, interval) {
    const { cursor, _stage: stage } = this;
    const completes = interval.isWhole && !cursor.isWhole && interval.since <= cursor.seq;
    if (interval.checkpoint <= cursor.seq && !completes) return this._goOn(now);
    if (!cursor.isWhole && interval.head < this._seenHead) {
      // Rows were shown as of a later head: what has moved on since is in neither.
      return this._goOn(now);
    }
    if (interval.since <= cursor.seq && interval.isWhole) {
      return [...this._dropStage(), ...this._applyWhole(now, interval, false)];
    }
    if (stage !== null) return this._joinStage(now, interval, stage);
    if (interval.since > cursor.seq) return this._goOn(now);
    if (!cursor.isWhole && cursor.resetting === null) return this._showPage(now, interval);
    const { epoch, since, checkpoint: end, head } = interval;
    this._stage = { epoch, since, end, head };
    const ahead = this._ahead(now, applyOf(interval, Mode.STAGE, cursor));
    if (!this._isStageDirty) return ahead;
    // An apply failed: what it had staged must not be spliced into this one.
    this._isStageDirty = false;
    return [{ kind: "DropStage" }, ...ahead];
  }

  /**
   * @param {number} now
   * @param {Interval} interval
   * @param {{end: number, head: number}} stage
   * @returns {Effect[]}
   */
  _joinStage(now, interval, stage) {
    if (interval.since !== stage.end || interval.head < stage.head) return this._goOn(now);
    stage.end = interval.checkpoint;
    stage.head = interval.head;
    if (interval.isWhole) {
      this._stage = null;
      return this._applyWhole(now, interval, true);
    }
    return this._ahead(now, applyOf(interval, Mode.STAGE, this.cursor));
  }

  /**
   * A first sync shows rows as they come.
   *
   * @param {number} now
   * @param {Interval} interval
   * @returns {Effect[]}
   */
  _showPage(now, interval) {
    this._seenHead = interval.head;
    const moved = this._moved(interval.checkpoint, null);
    // What is missing from the page has moved on as far as its head, and a list that was restored
    // to before that would not bring it.
    this.cursor = { ...moved, reach: Math.max(moved.reach, interval.head) };
    return this._ahead(now, applyOf(interval, Mode.DIRECT, this.cursor));
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

  /**
   * @param {number} now
   * @param {Interval} interval
   * @param {boolean} withStage
   * @returns {Effect[]}
   */
  _applyWhole(now, interval, withStage) {
    // The effect carries the cursor as it was in `resetting`, so that the driver settles what a
    // reset did not list in the same transaction.
    const { resetting } = this.cursor;
    this.cursor = this._moved(interval.checkpoint, true);
    const stored = { ...this.cursor, resetting };
    return [applyOf(interval, Mode.WHOLE, stored, withStage), ...this._goOn(now)];
  }

  /**
   * @param {number} now
   * @param {Effect} apply
   * @returns {Effect[]}
   */
  _ahead(now, apply) {
    // The next page is asked for before this one is stored, so that both go on at once.
    return [...this._goOn(now), apply];
  }

  /**
   * @param {number} now
   * @param {Interval} interval
   * @returns {Effect[]}
   */
  _takeBackfill(now, interval) {
    this._backfilling = false;
    this._backfillAt = interval.checkpoint;
    if (interval.isWhole || interval.checkpoint >= this.cursor.seq) {
      const models = [...new Set([...this.cursor.models, ...this._backfill])].sort();
      this._backfill = [];
      this.cursor = { ...this.cursor, models };
    }
    // What lies beyond the cursor comes again with the joined list.
    const updates = interval.updates.filter((update) => update.seq <= this.cursor.seq);
    const kept = new Interval({ ...interval, updates });
    return [applyOf(kept, Mode.BACKFILL, this.cursor), ...this._goOn(now)];
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
    if (epoch !== this.cursor.epoch) return [...this._dropStage(), ...this._lose(now, "epoch changed")];
    this.knownHead = Math.max(this.knownHead, head);
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
    this._mustPull = true;
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
    this._unsent = true;
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
    // What was collected behind another push left out what that one carries.
    this._unsent = hasMore || this._pushes.length > 1;
    this._hasBacklog = hasMore;
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
    this._unsent = this._pushes.length > 1;
    this._endPush(now, pushId);
    return this._goOn(now);
  }

  /**
   * @param {number} now
   * @param {number} pushId
   */
  _endPush(now, pushId) {
    this._hasBacklog = false;
    this._pushes = this._pushes.filter((one) => one !== pushId);
    if (this._pushes.length) this._deadlines.set("push", now + this.settings.ackTimeoutS);
    else this._deadlines.delete("push");
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
    if (!this._pushes.includes(pushId)) return [];
    const hasBacklog = this._hasBacklog;
    this._endPush(now, pushId);
    this._hasBacklog = hasBacklog;
    this._isOwnNews = false;
    if (answer.epoch !== this.cursor.epoch) return this._lose(now, "epoch changed");
    let reach = this.cursor.reach;
    for (const { seq, current, answer: word } of answer.results) {
      reach = Math.max(reach, seq);
      if (current !== null && current.seq > this.cursor.seq) {
        this._holdUntil = Math.max(this._holdUntil, current.seq);
      }
      if (RETRIED.has(word)) this._unsent = true;
    }
    if (this._holdUntil) this.knownHead = Math.max(this.knownHead, this._holdUntil);
    this.cursor = { ...this.cursor, reach };
    if (this._isWholeAnswer(answer)) this.cursor = this._moved(answer.checkpoint, null);
    const { cursor } = this;
    return [{ kind: "Acknowledge", pushId, answer, cursor }, ...this._goOn(now)];
  }

  /**
   * Tell whether the answer accounts for every change from the cursor to the head.
   *
   * Then all of them are our own, and need not be read back.
   *
   * @param {import("./models.js").BulkResult} answer
   */
  _isWholeAnswer(answer) {
    const { cursor } = this;
    if (this._stage !== null || this._backfill.length || !cursor.isWhole) return false;
    if (cursor.resetting !== null) return false;
    const own = new Set();
    for (const { answer: word, current, seq } of answer.results) {
      if (word === Answer.APPLIED && current === null && seq > cursor.seq) own.add(seq);
    }
    return own.size > 0 && own.size === answer.checkpoint - cursor.seq;
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
    return this._pushes.includes(pushId) ? this._lose(now, code) : [];
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
    const due = [...this._deadlines].filter(([, at]) => at <= now).map(([name]) => name);
    for (const name of due) {
      if (this._deadlines.delete(name)) effects.push(...this._due(now, name));
    }
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
        this._pushes = [];
        this._isOwnNews = false;
        this._unsent = true;
        this._mustPull = true;
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
    if (!this._deadlines.has("heartbeat_answer")) {
      this._deadlines.set("heartbeat_answer", now + Math.max(wait, 0.05));
    }
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
   * Ask for what is missing; when nothing is, push what is unsent.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  _goOn(now) {
    if (!this._isWelcome || this._fetching) return [];
    if (this._backfill.length && !this._backfilling) {
      this._backfilling = true;
      return [this._fetch(now, this._backfillAt, this._backfill)];
    }
    const { position } = this;
    const isWhole = this.cursor.isWhole && this._stage === null;
    if (this._isOwnNews && this._pushes.length && isWhole && !this._mustPull) return [];
    if (position < this.knownHead || !isWhole || this._mustPull) {
      if (this.state !== SessionState.CATCHING_UP) this._catchUpFrom = this.cursor.seq;
      this.state = SessionState.CATCHING_UP;
      return [this._fetch(now, position, null)];
    }
    this.state = SessionState.LIVE;
    if (!this._mayPush()) return [];
    this._holdUntil = 0;
    this._pushIds += 1;
    this._pushes.push(this._pushIds);
    if (!this._deadlines.has("push")) {
      this._deadlines.set("push", now + this.settings.ackTimeoutS);
    }
    return [{ kind: "SendUpdates", pushId: this._pushIds }];
  }

  _mayPush() {
    // One at a time lets live writes gather behind the push that is out; a backlog need not.
    const { length } = this._pushes;
    const isFree = !length || (this._hasBacklog && length < PUSHES_MAX);
    return isFree && this._unsent && this.cursor.seq >= this._holdUntil;
  }

  /**
   * @param {number} now
   * @param {number} since
   * @param {readonly string[] | null} models
   * @returns {Effect}
   */
  _fetch(now, since, models) {
    this._fetching = true;
    this._deadlines.set("fetch", now + this.settings.ackTimeoutS);
    return { kind: "RequestChanges", since, models };
  }
}

/** @type {ReadonlySet<string>} */
const RETRIED = new Set([Answer.KNOWN, Answer.CONFLICT, Answer.HELD]);

/**
 * @param {Interval} interval
 * @param {string} mode
 * @param {Cursor} cursor
 * @returns {Effect}
 */
function applyOf(interval, mode, cursor, withStage = false) {
  return { kind: "ApplyUpdates", interval, mode, cursor, withStage };
}
