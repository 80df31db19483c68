/**
 * The link: keeps a replica level with a daemon, over Socket.IO.
 *
 * Here is what users ask of it; the conversation goes on in `driver.js`.
 *
 * @module
 */

import { Driver, now } from "./driver.js";
import { LinkClosed, LinkError } from "./errors.js";
import { Onlookers } from "./onlookers.js";
import { decodeHead } from "./protocol.js";
import { Sending } from "./sending.js";
import { SessionState, newStatus, stateShown } from "./status.js";

/** @typedef {import("./driver.js").Token} Token */
/** @typedef {import("./status.js").Status} Status */
/**
 * @typedef {object} LinkOptions
 * @property {readonly string[]} models what to follow
 * @property {Token} [token] a text, or a function that gives one at each connection
 * @property {Partial<import("./deadlines.js").SessionSettings>} [settings]
 * @property {boolean | null} [offersBack] whether a daemon that lost what this replica holds is
 *   offered it again; null: yes, unless the replica followed another daemon's data before, at
 *   another address; then the store is copied aside, and only what was pending is offered
 */

/** Keeps a replica level with a daemon. */
export class Link {
  /**
   * @param {import("./replica.js").Replica} replica
   * @param {string} url the daemon, `http://host:port`.
   * @param {LinkOptions} options
   */
  constructor(replica, url, options) {
    this._core = replica.core;
    this._engine = replica.core.engine;
    this._driver = new Driver(replica, url, options, {
      onStep: () => this._noteStep(),
      onDeposed: () => void this.close(),
    });
    this._session = this._driver.session;
    this._onlookers = new Onlookers(() => this.status);
    this._levelAtMs = performance.now();
    this._isPaused = false;
  }

  /** Begin to connect, and keep on until `close`. */
  async start() {
    await this._driver.takeOver();
    this._engine.outbox.forgetAll();
    // Whoever holds the link knows what was handed out, and so what may still be squashed.
    this._engine.outbox.maySquash = true;
    this._core.wake = () => this._noteWritten();
    this._driver.restart();
    this._driver.run();
  }

  _noteWritten() {
    this._driver.noteWritten();
    // Offline no step follows that would tell how many wait.
    this._onlookers.tell();
  }

  // ---- the status -----------------------------------------------------------------------

  /**
   * How the replica stands to the daemon, as of the last step.
   *
   * @returns {Status}
   */
  get status() {
    const { _session: session, _driver: driver } = this;
    const { store } = this._engine;
    const counts = driver.outgoing.counts();
    const pending = counts[""];
    const unsaid = pending + Number(session.hasUnsent) + Number(session.isPushing);
    const isLevel = session.isLevel && !driver.isAhead;
    const behindS = Math.round(session.lateS(now()) * 10) / 10;
    let state = stateShown(session.state, { isLevel, pending: unsaid, behindS });
    let { reason } = session;
    if (driver.stall.isStalled && state === SessionState.CATCHING_UP) {
      state = SessionState.STALLED;
      reason = `no progress for ${Math.round(driver.stall.idleS(now()))} s`;
    }
    const [done, total] = session.progress;
    return newStatus({
      state,
      reason,
      hint: session.isWelcome ? "" : driver.hint,
      pending,
      conflicts: counts.conflict,
      parked: counts.parked,
      behind: session.behind,
      done,
      total,
      behindS,
      lagMs: state === SessionState.LIVE ? 0 : performance.now() - this._levelAtMs,
      storage: store.kind,
      notice: store.notice,
    });
  }

  /** What the daemon said at the last hello; null before the first. */
  get welcome() {
    return this._driver.welcome;
  }

  /** What stopped the link until `goOn`; null when nothing did. */
  get halted() {
    return this._driver.halted;
  }

  /**
   * Call `listener` with the status whenever it changes; return what ends that.
   *
   * @param {(status: Status) => unknown} listener
   */
  onStatus(listener) {
    return this._onlookers.listen(listener);
  }

  _noteStep() {
    const session = this._session;
    if (session.isLevel && !session.hasUnsent && !session.isPushing) {
      this._levelAtMs = performance.now();
    }
    this._onlookers.look();
  }

  // ---- waiting --------------------------------------------------------------------------

  /**
   * Return when the replica holds all that the daemon had at the call.
   *
   * @param {number | null} [timeoutMs]
   * @throws {WaitTimeout}
   * @throws {LinkClosed} the link was closed meanwhile.
   */
  async barrier(timeoutMs = null) {
    const untilMs = timeoutMs === null ? null : performance.now() + timeoutMs;
    const { _session: session } = this;
    for (;;) {
      await this._until(() => session.isWelcome, untilMs);
      const { epoch } = session.cursor;
      const head = await this._askHead(untilMs);
      if (head === null || session.cursor.epoch !== epoch) continue;
      this._driver.put((_session, at) => session.heardHead(at, head.epoch, head.head));
      if (head.epoch !== epoch) {
        // The list has begun anew; the session says hello again.
        await this._until(() => session.cursor.epoch !== epoch || !session.isWelcome, untilMs);
        continue;
      }
      await this._until(() => {
        const { cursor } = session;
        return cursor.epoch !== epoch || (cursor.isWhole && cursor.seq >= head.head);
      }, untilMs);
      if (session.cursor.epoch === epoch) return;
    }
  }

  /**
   * @param {number | null} untilMs
   * @returns {Promise<import("./protocol.js").Head | null>} null: lost; ask again.
   */
  async _askHead(untilMs) {
    const ackMs = this._session.settings.ackTimeoutS * 1000;
    const timeoutMs = untilMs === null ? ackMs : Math.min(ackMs, untilMs - performance.now());
    try {
      const answer = await this._driver.line.request("barrier", [{}], timeoutMs);
      return decodeHead(answer[0]);
    } catch (error) {
      if (!(error instanceof LinkError)) throw error;
      await new Promise((resolve) => setTimeout(resolve));
      return null;
    }
  }

  /**
   * Return when the status is `live`: level, and nothing left to push.
   *
   * @param {number | null} [timeoutMs]
   */
  async waitLive(timeoutMs = null) {
    const untilMs = timeoutMs === null ? null : performance.now() + timeoutMs;
    await this._until(() => this.status.state === SessionState.LIVE, untilMs);
  }

  /**
   * Return when nothing waits to be sent: all was answered, or is a conflict.
   *
   * @param {number | null} [timeoutMs]
   * @throws {WaitTimeout}
   */
  async flush(timeoutMs = null) {
    await this._sending().all(timeoutMs === null ? null : performance.now() + timeoutMs);
  }

  /**
   * Return when nothing waits to be sent any more, or the daemon is away.
   *
   * @param {number | null} [timeoutMs]
   * @throws {WaitTimeout}
   */
  async sendRest(timeoutMs = null) {
    await this._sending().rest(timeoutMs === null ? null : performance.now() + timeoutMs);
  }

  _sending() {
    return new Sending(this._driver, (condition, untilMs) => this._until(condition, untilMs));
  }

  /**
   * @param {() => boolean} condition
   * @param {number | null} untilMs
   */
  async _until(condition, untilMs) {
    if (this._driver.isClosed) throw new LinkClosed("the link was closed");
    if (condition() && !this._driver.isAhead) return;
    await this._onlookers.until(condition, untilMs);
  }

  // ---- staying away, and coming back ----------------------------------------------------

  /** Cut the link and stay offline until `resume`; writes wait. */
  async pause() {
    const { line } = this._driver;
    this._isPaused = true;
    await line.giveUp();
    this._driver.put((session) => session.paused());
    await this._until(() => !line.isTaken, null);
  }

  /** Connect again. */
  async resume() {
    if (!this._isPaused) return;
    this._isPaused = false;
    this._driver.restart();
  }

  /** Connect again after what stopped the link was allowed. */
  goOn() {
    if (this.halted !== null) this._driver.restart();
  }

  /** Connect at once instead of at the end of the delay: the network is said to be back. */
  hurry() {
    if (!this._isPaused) this._driver.put((session, at) => session.hurry(at));
  }

  /** Disconnect and end. */
  async close() {
    if (this._driver.isClosed) return;
    this._core.wake = () => {};
    this._engine.outbox.maySquash = false;
    this._engine.outbox.forgetAll();
    await this._driver.close();
    this._onlookers.end(new LinkClosed("the link was closed"));
    await this._driver.ended();
  }
}
