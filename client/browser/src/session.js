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
 * Here is the order of things: what an interval adds is decided in `pulling.js`, when to push in
 * `pushing.js`, and when to leave and come back in `contact.js`.
 *
 * @module
 */

import { Contact } from "./contact.js";
import { SESSION_SETTINGS } from "./deadlines.js";
import { MessageTooLarge } from "./errors.js";
import { Pulling } from "./pulling.js";
import { Pushing } from "./pushing.js";
import { SessionState } from "./status.js";

/** @typedef {import("./deadlines.js").SessionSettings} SessionSettings */
/** @typedef {import("./effects.js").Effect} Effect */
/** @typedef {import("./models.js").Cursor} Cursor */
/** @typedef {import("./models.js").Interval} Interval */

/** One replica's conversation with one upstream. */
export class Session extends Contact {
  /**
   * @param {{replicaId: string, models: readonly string[], cursor: Cursor, hasPending: boolean,
   *   chance: () => number, settings?: Partial<SessionSettings>}} options `chance`: random
   *   numbers in [0, 1), for the reconnect delay.
   */
  constructor({ replicaId, models, cursor, hasPending, chance, settings = {} }) {
    super(new Pulling(cursor), new Pushing(hasPending), chance, { ...SESSION_SETTINGS, ...settings });
    this.replicaId = replicaId;
    this.models = [...models].sort();
    this._foreignEpoch = "";
  }

  // ---- what a driver asks ---------------------------------------------------------------

  /** How far the list was followed, as it is or is about to be stored. */
  get cursor() {
    return this._pulling.cursor;
  }

  /**
   * Return how old what was read of the list may be, in seconds; 0 for hardly.
   *
   * @param {number} now
   */
  lateS(now) {
    return this._pulse.lateS(now);
  }

  /** The greatest head of the list that was heard of. */
  get knownHead() {
    return this._pulling.knownHead;
  }

  /** Whether the link is up and the cursor is at the known head, the list read whole. */
  get isLevel() {
    return this.isWelcome && this._pulling.isLevel;
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

  // ---- hello ----------------------------------------------------------------------------

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
      news: true,
    };
    return [{ kind: "SendHello", hello }];
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
    if (this.state !== SessionState.CONNECTING || this.isWelcome) return [];
    this._noteWelcome();
    this._pulse.begin(now, welcome.heartbeatS);
    this._foreignEpoch = "";
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
    if (!this.isWelcome) return [];
    if (interval.epoch !== this.cursor.epoch) return this._askAbout(now, interval.epoch);
    const { _pulling: pulling } = this;
    pulling.noteHead(Math.max(interval.head, interval.checkpoint));
    const { seq } = this.cursor;
    if (interval.checkpoint <= seq) return this._goOn(now);
    if (interval.since <= seq && this._pushing.noteNews(interval, this.replicaId)) {
      return this._goOn(now);
    }
    if (!carries || pulling.hasBackfill || !pulling.canComplete(interval)) return this._goOn(now);
    return this._carryOn(now, pulling.takeInterval(interval));
  }

  /**
   * Ask, once, where the list stands: this may be old, or the list has begun anew since.
   *
   * @param {number} now
   * @param {string} epoch
   * @returns {Effect[]}
   */
  _askAbout(now, epoch) {
    if (epoch === this._foreignEpoch) return [];
    this._foreignEpoch = epoch;
    return this._beat(now);
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
   * @param {import("./pulling.js").Taken} taken
   */
  _carryOn(now, { first, last }) {
    return [...first, ...this._goOn(now), ...last];
  }

  /**
   * Take the answer to a barrier: where the list stands.
   *
   * @param {number} now
   * @param {string} epoch
   * @param {number} head
   * @returns {Effect[]}
   */
  heardHead(now, epoch, head) {
    this._pulse.heard();
    if (!this.isWelcome) return [];
    if (epoch !== this.cursor.epoch) return this._loseList(now, "epoch changed");
    this._pulling.noteHead(head);
    return this._goOn(now);
  }

  /**
   * Take the answer to a heartbeat: as `heardHead`, and it came behind all before it.
   *
   * @param {number} now
   * @param {string} epoch
   * @param {number} head
   * @returns {Effect[]}
   */
  beatAnswered(now, epoch, head) {
    this._pulse.answered(now);
    return this.heardHead(now, epoch, head);
  }

  /**
   * The server asks for a heartbeat, to see how far we have read.
   *
   * @param {number} now
   * @param {number} number
   * @returns {Effect[]}
   */
  beatAsked(now, number) {
    return this.isWelcome ? this._beat(now, number) : [];
  }

  /**
   * The server stopped sending live events to us: fetch.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  behindTold(now) {
    if (!this.isWelcome) return [];
    this._pulling.mustPull = true;
    return this._goOn(now);
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
    return this.isWelcome ? this._goOn(now) : [];
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
    if (!this._pushing.isAwaited(pushId)) return [];
    if (code !== MessageTooLarge.code) return this._lose(now, code);
    // Nothing was done, and the driver makes the next one smaller.
    this._pushing.answered(pushId);
    this._pushing.hasUnsent = true;
    this._waitForPushes(now);
    return this._goOn(now);
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
      case "late":
        this._pulse.noteLate(now);
        return [];
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
   * @param {number} [heard]
   * @returns {Effect[]}
   */
  _beat(now, heard = 0) {
    this._pulse.beat(now);
    return [{ kind: "SendHeartbeat", cursor: this.cursor.seq, heard }];
  }

  /**
   * Ask for what is missing; when nothing is, push what is unsent.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  _goOn(now) {
    const { _pulling: pulling, _pushing: pushing } = this;
    if (!this.isWelcome || pulling.isFetching) return [];
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
