/**
 * The link: drives a replica's session over Socket.IO.
 *
 * One loop takes inputs in order, hands each to the session, and carries out the effects before it
 * takes the next.
 *
 * @module
 */

import { deletionsOf } from "./brake.js";
import { Connection, checked } from "./connection.js";
import {
  AuthError, Busy, LinkClosed, LinkError, MassDeletion, ProtocolError, StoreError, SynclineError, WaitTimeout,
} from "./errors.js";
import { log } from "./logs.js";
import { Answer, newCursor } from "./models.js";
import {
  decodeBulkResult, decodeBye, decodeHead, decodeLive, decodePage, decodeWelcome,
  withList,
} from "./protocol.js";
import { newNonce } from "./random.js";
import { Reporting } from "./reporting.js";
import { Session } from "./session.js";
import { StallWatch } from "./stall.js";
import { SessionState, newStatus, stateShown } from "./status.js";

/** @typedef {import("./effects.js").Effect} Effect */
/** @typedef {import("./models.js").Update} Update */
/** @typedef {import("./status.js").Status} Status */
/** @typedef {import("./store/transaction.js").Transaction} Transaction */
/** @typedef {() => Effect[]} Input */
/** @typedef {string | null | (() => string | Promise<string>)} Token */
/**
 * @typedef {object} LinkOptions
 * @property {readonly string[]} models what to follow
 * @property {Token} [token] a text, or a function that gives one at each connection
 * @property {Partial<import("./deadlines.js").SessionSettings>} [settings]
 * @property {boolean | null} [offersBack] whether a daemon that lost what this replica holds is
 *   offered it again; null: yes, unless the replica followed another daemon's data before, at
 *   another address; then the store is copied aside, and only what was pending is offered
 */

const PUSH_BYTES_MAX = 1024 * 1024;
/** The most updates of a push: small enough that the daemon and this end work at once. */
const PUSH_ITEMS = 1000;
const URL_FOLLOWED = "upstream_url";
/** @type {ReadonlySet<string>} */
const FINAL = new Set([Answer.APPLIED, Answer.REFUSED, Answer.PARKED]);
const HOLDER = "link_holder";

/** Says that another tab took the link: this one must write nothing more for it. */
class Deposed extends LinkClosed {
  static sentence = "another tab holds the link";
}

/** Keeps a replica level with a daemon. */
export class Link {
  /**
   * @param {import("./replica.js").Replica} replica
   * @param {string} url the daemon, `http://host:port`.
   * @param {LinkOptions} options
   */
  constructor(replica, url, { models, token = null, settings = {}, offersBack = null }) {
    this._core = replica.core;
    this._engine = replica.core.engine;
    this._url = url;
    this._token = token;
    this._holder = newNonce();
    this._session = new Session({
      replicaId: replica.replicaId,
      models,
      cursor: newCursor(),
      hasPending: true,
      chance: Math.random,
      settings,
    });
    /** @type {Input[]} */
    this._inputs = [];
    /** @type {(() => void) | null} */
    this._wake = null;
    /** @type {Connection | null} */
    this._socket = null;
    /** @type {Map<number, Update[]>} */
    this._pushed = new Map();
    this._offersBack = offersBack;
    this._urlBefore = "";
    this._ticket = "";
    /** @type {MassDeletion | null} What stopped the link until `goOn`. */
    this.halted = null;
    this._stall = new StallWatch(this._session.settings.stallTimeoutS);
    this._settled = 0;
    this._reporting = new Reporting();
    /** @type {import("./protocol.js").Welcome | null} What the daemon said at the last hello. */
    this.welcome = null;
    this._shownStatus = "";
    /** @type {Set<{condition: () => boolean, resolve: () => void, reject: (e: unknown) => void}>} */
    this._waiters = new Set();
    /** @type {Set<(status: Status) => void>} */
    this._statusListeners = new Set();
    this._levelAtMs = performance.now();
    this._isPaused = false;
    this._isAhead = false;
    this._isCursorLost = false;
    this._isClosed = false;
    /** @type {Promise<void> | null} */
    this._loop = null;
  }

  // ---- what users ask -------------------------------------------------------------------

  /** Begin to connect, and keep on until `close`. */
  async start() {
    this._session.reload(await this._takeOver());
    this._engine.outbox.forgetAll();
    // Whoever holds the link knows what was handed out, and so what may still be squashed.
    this._engine.outbox.maySquash = true;
    this._core.wake = () => this._wrote();
    this._put(() => this._session.start(now()));
    this._loop = this._run();
  }

  async _takeOver() {
    return this._core.writer.run((tx) => {
      tx.setMeta(HOLDER, this._holder);
      tx.clearStage();
      this._urlBefore = tx.meta(URL_FOLLOWED) ?? "";
      return this._engine.cursor(tx);
    });
  }

  /**
   * How the replica stands to the daemon, as of the last step.
   *
   * @returns {Status}
   */
  get status() {
    const session = this._session;
    const { store } = this._engine;
    const counts = this._counts();
    const pending = counts[""];
    const unsaid = pending + Number(session.hasUnsent) + Number(session.isPushing);
    const isLevel = session.isLevel && !this._isAhead;
    let state = stateShown(session.state, { isLevel, pending: unsaid });
    let { reason } = session;
    if (this._stall.isStalled && state === SessionState.CATCHING_UP) {
      state = SessionState.STALLED;
      reason = `no progress for ${Math.round(this._stall.idleS(now()))} s`;
    }
    const [done, total] = session.progress;
    return newStatus({
      state,
      reason,
      pending,
      conflicts: counts.conflict,
      parked: counts.parked,
      behind: session.behind,
      done,
      total,
      lagMs: state === SessionState.LIVE ? 0 : performance.now() - this._levelAtMs,
      storage: store.kind,
      notice: store.notice,
    });
  }

  /**
   * Call `listener` with the status whenever it changes; return what ends that.
   *
   * @param {(status: Status) => void} listener
   */
  onStatus(listener) {
    this._statusListeners.add(listener);
    return () => void this._statusListeners.delete(listener);
  }

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
      await this._until(() => this._isWelcome(), untilMs);
      const head = await this._askHead(untilMs);
      if (head === null) continue;
      const { epoch } = session.cursor;
      if (head.epoch !== epoch) continue;
      this._put(() => session.heardHead(now(), head.epoch, head.head));
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
      if (this._socket === null) throw new LinkClosed("not connected");
      const answer = await this._socket.request("barrier", [{}], { timeoutMs });
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

  /** Cut the link and stay offline until `resume`; writes wait. */
  async pause() {
    this._isPaused = true;
    if (this._socket !== null && !this._socket.isOpen) await this._socket.close();
    this._put(() => this._session.paused());
    await this._until(() => this._socket === null, null);
  }

  /** Connect again. */
  async resume() {
    if (!this._isPaused) return;
    this._isPaused = false;
    this.halted = null;
    this._put(() => this._session.start(now()));
  }

  /** Connect again after what stopped the link was allowed. */
  goOn() {
    if (this.halted === null) return;
    this.halted = null;
    this._put(() => this._session.start(now()));
  }

  /** Connect at once instead of at the end of the delay: the network is said to be back. */
  hurry() {
    if (!this._isPaused) this._put(() => this._session.hurry(now()));
  }

  /** Disconnect and end. */
  async close() {
    if (this._isClosed) return;
    this._isClosed = true;
    this._core.wake = () => {};
    this._engine.outbox.maySquash = false;
    this._engine.outbox.forgetAll();
    await this._dropSocket();
    this._wake?.();
    for (const { reject } of this._waiters) reject(new LinkClosed("the link was closed"));
    this._waiters.clear();
    await this._loop;
  }

  // ---- the loop -------------------------------------------------------------------------

  /** @param {Input} input */
  _put(input) {
    this._inputs.push(input);
    this._wake?.();
  }

  _wrote() {
    this._reporting.noteWritten();
    if (!this._session.hasUnsent) this._put(() => this._session.wrote(now()));
    // Offline no step follows that would tell how many wait.
    this._tellStatus();
  }

  async _run() {
    const session = this._session;
    while (!this._isClosed) {
      if (!this._inputs.length) await this._wait(session.nextDeadline());
      if (this._isClosed) return;
      // Until the effects are carried out the session is ahead of the store, and no status may be
      // read off it.
      this._isAhead = true;
      try {
        const input = this._inputs.shift();
        await this._take(input === undefined ? session.tick(now()) : input());
        await this._report();
      } catch (error) {
        if (error instanceof Deposed) {
          void this.close();
          return;
        }
        await this._failed(error);
      }
      this._isAhead = false;
      this._noteStatus();
    }
  }

  /** @param {unknown} error */
  async _failed(error) {
    if (this._isClosed) return;
    if (error instanceof MassDeletion) {
      await this._halt(error);
      return;
    }
    const { code, message, hint } =
      error instanceof SynclineError ? error : { code: "internal error", message: String(error), hint: "" };
    const isStore = error instanceof StoreError;
    // A bug of ours must not end the link silently either: say it, leave, come back.
    log("error", isStore ? "link.blocked" : "link.failed", { error: code, reason: message, hint });
    if (isStore) this._isCursorLost = true;
    await this._take(this._session.blocked(now(), isStore ? `storage: ${code}` : code));
  }

  /** @param {MassDeletion} error */
  async _halt(error) {
    const { code, message, hint } = error;
    log("error", "link.halted", { error: code, reason: message, hint });
    this.halted = error;
    this._isCursorLost = true;
    await this._take(this._session.halted(`${code}: ${message}`));
  }

  /** @param {Effect[]} effects */
  async _take(effects) {
    for (const effect of effects) {
      if (this._isClosed) return;
      await this._carryOut(effect);
    }
  }

  /** @param {number | null} deadline */
  async _wait(deadline) {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    await new Promise((resolve) => {
      this._wake = () => resolve(undefined);
      if (deadline !== null) {
        timer = setTimeout(this._wake, Math.max(deadline - now(), 0) * 1000);
      }
    });
    this._wake = null;
    clearTimeout(timer);
  }

  _noteStatus() {
    const session = this._session;
    if (session.isLevel && !session.hasUnsent && !session.isPushing) {
      this._levelAtMs = performance.now();
    }
    for (const waiter of [...this._waiters]) {
      if (waiter.condition()) {
        this._waiters.delete(waiter);
        waiter.resolve();
      }
    }
    this._tellStatus();
  }

  _tellStatus() {
    if (!this._statusListeners.size) return;
    const status = this.status;
    const shown = JSON.stringify({ ...status, lagMs: 0 });
    if (shown === this._shownStatus) return;
    this._shownStatus = shown;
    for (const listener of [...this._statusListeners]) listener(status);
  }

  /**
   * @param {() => boolean} condition
   * @param {number | null} untilMs
   * @returns {Promise<void>}
   */
  _until(condition, untilMs) {
    if (this._isClosed) return Promise.reject(new LinkClosed("the link was closed"));
    if (condition() && !this._isAhead) return Promise.resolve();
    return new Promise((resolve, reject) => {
      /** @type {ReturnType<typeof setTimeout> | undefined} */
      let timer;
      const waiter = {
        condition,
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
        reject: (/** @type {unknown} */ error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      this._waiters.add(waiter);
      if (untilMs === null) return;
      timer = setTimeout(
        () => {
          this._waiters.delete(waiter);
          reject(new WaitTimeout(`still ${this.status.state} when the time was over`));
        },
        Math.max(untilMs - performance.now(), 0),
      );
    });
  }

  _isWelcome() {
    const { state } = this._session;
    return state === SessionState.LIVE || state === SessionState.CATCHING_UP;
  }

  // ---- effects --------------------------------------------------------------------------

  /** @param {Effect} effect */
  async _carryOut(effect) {
    switch (effect.kind) {
      case "Connect":
        await this._connect();
        break;
      case "Disconnect":
        log("info", "link.closed", { url: this._url, reason: effect.reason });
        await this._dropSocket();
        break;
      case "SendHello":
        this._send("hello", [effect.hello], (got) => this._welcomed(got));
        break;
      case "RequestChanges": {
        const { since, models } = effect;
        const request = models === null ? { since } : { since, models };
        this._send("changes", [request], (got) => this._paged(got));
        break;
      }
      case "SendUpdates":
        await this._push(effect.pushId);
        break;
      case "Acknowledge":
        await this._acknowledge(effect);
        break;
      case "SendHeartbeat":
        this._beat(effect.cursor);
        break;
      case "BeginReset":
        await this._beginReset(effect);
        break;
      default:
        await this._storeEffect((tx) => {
          if (effect.kind === "SaveCursor") this._noteUrl(tx);
          return this._engine.carryOut(tx, effect);
        });
    }
  }

  async _connect() {
    const session = this._session;
    await this._dropSocket();
    if (this._isCursorLost) {
      // The session ran ahead of a store that failed: what is stored is where we are.
      session.reload(await this._core.read((reader) => this._engine.cursor(reader)));
      this._isCursorLost = false;
    }
    const token = typeof this._token === "function" ? await this._token() : this._token;
    const socket = new Connection(this._url, {
      token,
      ticket: this._ticket,
      onEvent: (event, payload) => this._heard(socket, event, payload),
      onClose: (reason) => this._lost(socket, reason),
    });
    this._ticket = "";
    this._socket = socket;
    try {
      await socket.open();
    } catch (error) {
      await this._notOpened(error);
      return;
    }
    log("info", "link.connected", { url: this._url, replicaId: session.replicaId });
    await this._take(session.connected(now()));
  }

  /** @param {unknown} error */
  async _notOpened(error) {
    if (this._isClosed) return;
    if (error instanceof AuthError || error instanceof ProtocolError) {
      await this._take(this._refused(error));
      return;
    }
    this._socket = null;
    const code = error instanceof SynclineError ? error.code : String(error);
    const isBusy = error instanceof Busy;
    if (isBusy) this._ticket = error.ticket;
    this._session.disconnected(now(), code, { delayS: isBusy ? error.delayMs / 1000 : null });
  }

  /** @param {SynclineError} error */
  _refused(error) {
    const { code, message, hint, retryable } = error;
    log("error", "link.refused", { url: this._url, error: code, reason: message, hint });
    return this._session.refused(now(), code, { isAuth: error instanceof AuthError, retryable });
  }

  async _dropSocket() {
    const socket = this._socket;
    this._socket = null;
    await socket?.close();
  }

  /**
   * @param {string} event
   * @param {unknown[]} args
   * @param {(got: any[]) => void} answer
   */
  _send(event, args, answer) {
    const socket = this._socket;
    socket?.send(event, args, (got) => {
      // The answers of a former socket are nobody's.
      if (socket === this._socket) answer(got);
    });
  }

  /**
   * @param {Connection} socket
   * @param {string} event
   * @param {unknown} payload
   */
  _heard(socket, event, payload) {
    if (socket !== this._socket) return;
    try {
      this._put(this._inputOf(event, payload));
    } catch (error) {
      const code = error instanceof SynclineError ? error.code : String(error);
      log("warning", "link.nonsense", { handled: event, error: code, reason: String(error) });
      this._lost(socket, code);
    }
  }

  /**
   * @param {string} event
   * @param {unknown} payload
   * @returns {Input}
   */
  _inputOf(event, payload) {
    const session = this._session;
    if (event === "changed") {
      const { interval, carries } = decodeLive(payload);
      return () => session.changed(now(), interval, { carries });
    }
    if (event === "bye") {
      const { delayMs, reason } = decodeBye(payload);
      return () => session.bye(now(), delayMs / 1000, reason);
    }
    return () => session.behindTold(now());
  }

  /**
   * @param {Connection} socket
   * @param {string} reason
   */
  _lost(socket, reason) {
    if (socket !== this._socket) return;
    this._put(() => {
      if (socket !== this._socket) return [];
      this._session.disconnected(now(), reason);
      return [{ kind: "Disconnect", reason }];
    });
  }

  /** @param {any[]} got */
  _welcomed(got) {
    this._put(() => {
      try {
        this.welcome = decodeWelcome(checked(got)[0]);
      } catch (error) {
        if (error instanceof SynclineError) return this._refused(error);
        throw error;
      }
      this._reporting.welcomed(this.welcome);
      const offersBack = this._doesOfferBack(this.welcome.reason);
      return this._session.welcomed(now(), this.welcome, { offersBack });
    });
  }

  /** @param {string} reason why a reset is asked for. */
  _doesOfferBack(reason) {
    return this._offersBack ?? (reason !== "source" || ["", this._url].includes(this._urlBefore));
  }

  /** @param {any[]} got */
  _paged(got) {
    this._put(() => {
      try {
        const [header, attachment] = checked(got);
        return this._session.page(now(), decodePage(header, attachment));
      } catch (error) {
        if (!(error instanceof SynclineError)) throw error;
        log("warning", "link.page_refused", { error: error.code, reason: error.message });
        return this._session.lostPage(now(), error.code);
      }
    });
  }

  /** @param {any[]} got */
  _headed(got) {
    this._put(() => {
      const { epoch, head } = decodeHead(checked(got)[0]);
      return this._session.heardHead(now(), epoch, head);
    });
  }

  /** @param {(tx: Transaction) => import("./outcome.js").Outcome} job */
  async _storeEffect(job) {
    const outcome = await this._core.carryOut((tx) => {
      // What a tab that was frozen would still write is no longer its to say.
      if (tx.meta(HOLDER) !== this._holder) throw new Deposed();
      return job(tx);
    });
    const { offered, dropped, deleted } = outcome;
    this._engine.noteDeletions("pull", deleted);
    if (offered || dropped) log("warning", "reset.settled", { offered, dropped });
    this._reporting.noteOutcome(outcome);
    if (outcome.mustPush) this._put(() => this._session.wrote(now()));
  }

  /**
   * Say why the list is taken anew; keep a copy of what the upstream's word may end.
   *
   * @param {import("./effects.js").BeginReset} effect
   */
  async _beginReset(effect) {
    const { shared, offersBack } = effect;
    const copy = offersBack ? null : await this._engine.store.copyAside("replaced");
    const reason = this.welcome?.reason ?? "";
    log("warning", "reset.began", { url: this._url, reason, shared, offersBack, copy });
    await this._storeEffect((tx) => {
      this._noteUrl(tx);
      return this._engine.carryOut(tx, effect);
    });
  }

  /** @param {Transaction} tx */
  _noteUrl(tx) {
    if (tx.meta(URL_FOLLOWED) !== this._url) tx.setMeta(URL_FOLLOWED, this._url);
  }

  /** @param {number} cursor */
  _beat(cursor) {
    const { "": pending, conflict: conflicts } = this._counts();
    this._send("heartbeat", [{ cursor, pending, conflicts }], (got) => this._headed(got));
    this._reporting.beat();
    this._lookForStall();
  }

  /** Tell the daemon which conflicts wait here, when that has changed. */
  async _report() {
    const reporting = this._reporting;
    if (!reporting.isDue || !this._session.isLevel || this._inFlight().length) return;
    const { limit } = reporting;
    const report = reporting.nextReport(
      await this._core.read((reader) => reader.conflicts({ openOnly: true, limit })),
    );
    if (report === null) return;
    this._send("report_conflicts", report.args, (got) =>
      this._put(() => {
        reporting.answered(report.names, got);
        return [];
      }),
    );
  }

  _counts() {
    return this._engine.store.readNow((reader) => reader.pendingCounts());
  }

  /** Once a heartbeat: say so when there is something to do and nothing moves. */
  _lookForStall() {
    const session = this._session;
    const { "": pending } = this._counts();
    // Not the status: while effects are carried out, as now, that never says live.
    const hasWork =
      this._isWelcome() &&
      (!session.isLevel || pending > 0 || session.hasUnsent || session.isPushing);
    const progress = `${session.position} ${this._settled}`;
    if (!this._stall.look(now(), { hasWork, progress })) return;
    log("error", "link.stalled", {
      url: this._url,
      replicaId: session.replicaId,
      durationMs: Math.round(this._stall.idleS(now()) * 1000),
      pending,
      pushing: session.pushes.length,
      cursor: session.cursor.seq,
      head: session.knownHead,
      hint: "the link starts anew; if it stays so, report it with this line",
    });
    this._put(() => session.stalled(now()));
  }

  // ---- pushing --------------------------------------------------------------------------

  /** @param {number} pushId */
  async _push(pushId) {
    const session = this._session;
    const bytes = this.welcome?.messageBytesMax ?? Infinity;
    const limits = {
      itemsMax: Math.min(PUSH_ITEMS, this.welcome?.pushItemsMax ?? PUSH_ITEMS),
      bytesMax: Math.min(PUSH_BYTES_MAX, bytes / 2),
      inFlight: this._inFlight(),
    };
    // Only what is committed may be handed out.
    const { updates, hasMore } = await this._core.read((reader) =>
      this._engine.outbox.collect(reader, limits),
    );
    if (!updates.length) {
      await this._take(session.nothingToPush(now(), pushId));
      return;
    }
    this._engine.store.readNow((reader) => this._engine.checkPush(reader, updates));
    // While pushes follow each other without a pause, this is where none is out.
    await this._report();
    this._pushed.set(pushId, updates);
    const header = { epoch: session.cursor.epoch, cursor: session.cursor.seq };
    const args = withList(header, "updates", updates);
    this._send("bulk_update", args, (got) => this._answered(pushId, got));
    await this._take(session.collected(now(), hasMore));
  }

  /** Forget the pushes that nobody waits for any more; return what is on its way. */
  _inFlight() {
    const waiting = this._session.pushes;
    for (const pushId of this._pushed.keys()) {
      if (!waiting.includes(pushId)) this._pushed.delete(pushId);
    }
    return [...this._pushed.values()].flat();
  }

  /**
   * @param {number} pushId
   * @param {any[]} got
   */
  _answered(pushId, got) {
    this._put(() => {
      try {
        const [header, attachment] = checked(got);
        return this._session.answered(now(), pushId, decodeBulkResult(header, attachment));
      } catch (error) {
        if (!(error instanceof SynclineError)) throw error;
        log("warning", "link.push_refused", { error: error.code, reason: error.message });
        return this._session.pushFailed(now(), pushId, error.code);
      }
    });
  }

  /** @param {import("./effects.js").Acknowledge} effect */
  async _acknowledge(effect) {
    const updates = this._pushed.get(effect.pushId);
    if (updates === undefined) return;
    this._pushed.delete(effect.pushId);
    this._settled += effect.answer.results.filter(({ answer }) => FINAL.has(answer)).length;
    if (effect.answer.results.some(({ answer }) => answer === Answer.CONFLICT)) {
      this._reporting.noteCollision();
    }
    await this._storeEffect((tx) => this._engine.acknowledge(tx, updates, effect));
    this._engine.noteDeletions("push", deletionsOf(updates));
  }
}

/** Seconds, on a clock that only goes forward. */
function now() {
  return performance.now() / 1000;
}
