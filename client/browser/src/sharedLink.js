/**
 * One link for all tabs of an origin: the leading tab holds it, the others ask that tab.
 *
 * Writes need no leader: each tab commits its own to the store that all share, and tells the
 * others to look.
 *
 * @module
 */

import { LinkClosed, SynclineError, WaitTimeout, errorOfCode } from "./errors.js";
import { Link } from "./link.js";
import { log } from "./logs.js";
import { tellAll } from "./onlookers.js";
import { newNonce } from "./random.js";
import { SessionState, newStatus } from "./status.js";
import { Tabs } from "./tabs.js";

/** @typedef {import("./status.js").Status} Status */
/**
 * @typedef {{verb: Verb, untilMs: number | null, resolve: () => void,
 *   reject: (error: unknown) => void}} Asked what waits for an answer, from whichever leader
 */
/**
 * @typedef {"barrier" | "waitLive" | "flush" | "sendRest" | "pause" | "resume"} Verb what a tab asks
 *   the leader for
 */

/**
 * Tell whether the replica of a store can share its link with other tabs.
 *
 * @param {import("./store/store.js").Store} store
 */
export function canShareLink(store) {
  const hasParts =
    typeof document !== "undefined" &&
    typeof BroadcastChannel !== "undefined" &&
    Boolean(globalThis.navigator?.locks);
  return hasParts && store.isShared;
}

/**
 * Return the name of what tabs share.
 *
 * @param {import("./store/store.js").Store} store
 */
export function nameOfShared({ kind, journal }) {
  return `${kind}:${journal?.name}`;
}

/** How often a tab looks for what others committed without being told. */
const LOOK_MS = 10_000;

/** The link of a tab, whichever tab holds it. */
export class SharedLink {
  /**
   * @param {import("./replica.js").Replica} replica
   * @param {string} url
   * @param {import("./link.js").LinkOptions} options
   * @param {import("./claim.js").Claim} claim that this tab's link is for what the others' are,
   *   taken
   */
  constructor(replica, url, options, claim) {
    this._replica = replica;
    this._url = url;
    this._options = options;
    this._claim = claim;
    /** What the tabs follow together, as far as this one has heard. */
    this._models = new Set(options.models);
    this._store = replica.core.engine.store;
    this._tabs = new Tabs(nameOfShared(this._store), {
      onLead: () => void this._lead(),
      onDeposed: () => void this._follow(),
      onMessage: (message) => this._heard(message),
    });
    /** @type {Link | null} */
    this._link = null;
    /** @type {Promise<void>} The former link, while it ends. */
    this._ending = Promise.resolve();
    /** @type {Status} */
    this._leaderStatus = newStatus({ reason: "no tab leads yet" });
    this._shownStatus = "";
    /** @type {Set<(status: Status) => unknown>} */
    this._statusListeners = new Set();
    /** @type {Map<string, Asked>} */
    this._asked = new Map();
    this._isClosed = false;
    this._isRefreshing = false;
    this._mustRefresh = false;
    this._isPaused = false;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this._look = undefined;
  }

  /** Join the tabs; the one that leads connects. */
  async start() {
    this._store.onCommit = () => this._tabs.say("wrote");
    this._replica.core.wake = () => this._noteStatus();
    this._join();
  }

  _join() {
    this._tabs.join();
    this._sayModels();
    // A tab that was killed behind its commit told nobody of it.
    clearInterval(this._look);
    this._look = setInterval(() => void this._refresh(), LOOK_MS);
  }

  _sayModels() {
    this._tabs.say("ping", { models: this._options.models });
  }

  /** Whether this tab holds the link. */
  get isLeader() {
    return this._tabs.isLeader;
  }

  /**
   * How the replica stands to the daemon: what the leading tab says.
   *
   * @returns {Status}
   */
  get status() {
    if (this._link !== null) return { ...this._link.status, tab: "leader" };
    const { kind: storage, notice } = this._store;
    const counts = this._store.readNow((reader) => reader.pendingCounts());
    const pending = counts[""];
    // What this tab has just committed, the leader may not have seen yet.
    const isLate = pending > 0 && this._leaderStatus.state === SessionState.LIVE;
    const state = isLate ? SessionState.CATCHING_UP : this._leaderStatus.state;
    return {
      ...this._leaderStatus,
      state,
      pending,
      conflicts: counts.conflict,
      parked: counts.parked,
      storage,
      notice,
      tab: "follower",
    };
  }

  /**
   * Call `listener` with the status whenever it changes; return what ends that.
   *
   * @param {(status: Status) => unknown} listener
   */
  onStatus(listener) {
    this._statusListeners.add(listener);
    return () => void this._statusListeners.delete(listener);
  }

  /**
   * Return when the replica holds all that the daemon had at the call.
   *
   * @param {number | null} [timeoutMs]
   */
  async barrier(timeoutMs = null) {
    await this._ask("barrier", timeoutMs);
    await this._store.refresh();
  }

  /**
   * Return when the status is `live`: level, and nothing left to push.
   *
   * @param {number | null} [timeoutMs]
   */
  async waitLive(timeoutMs = null) {
    await this._ask("waitLive", timeoutMs);
    await this._store.refresh();
  }

  /**
   * Return when nothing of any tab waits to be sent: all was answered, or is a conflict.
   *
   * @param {number | null} [timeoutMs]
   */
  async flush(timeoutMs = null) {
    await this._ask("flush", timeoutMs);
    await this._store.refresh();
  }

  /**
   * Return when nothing waits to be sent any more, or the daemon is away.
   *
   * @param {number | null} [timeoutMs]
   */
  async sendRest(timeoutMs = null) {
    if (!this.status.pending) return;
    await this._ask("sendRest", timeoutMs);
    await this._store.refresh();
  }

  /** Cut the link of all tabs and stay offline until `resume`; writes wait. */
  async pause() {
    this._isPaused = true;
    await this._ask("pause", null);
  }

  /** Connect again. */
  async resume() {
    this._isPaused = false;
    await this._ask("resume", null);
  }

  /** Connect at once: the network is said to be back. */
  hurry() {
    if (this._link !== null) this._link.hurry();
    else this._tabs.say("hurry");
  }

  /** Let the link go on that a mass deletion stopped, in whatever tab it is. */
  goOn() {
    const { liftedUntilMs: untilMs } = this._replica.core.engine.brake;
    this._tabs.say("goOn", { untilMs });
    this._link?.goOn();
  }

  /** Leave the tabs: another one takes the link. */
  async close() {
    this._isClosed = true;
    for (const { reject } of this._asked.values()) reject(new LinkClosed("the link was closed"));
    this._asked.clear();
    await this.suspend();
  }

  /** Let go of all that keeps a page from being put away; another tab takes the link. */
  async suspend() {
    clearInterval(this._look);
    this._tabs.leave();
    await this._ending;
    await this._store.suspend();
    this._claim.release();
  }

  /** Come back after `suspend`. */
  async restore() {
    if (this._isClosed) return;
    try {
      await this._claim.take();
    } catch (error) {
      // Meanwhile the store went to tabs that mean something else: it is theirs now.
      const { message: reason, hint } = /** @type {SynclineError} */ (error);
      log("error", "tab.refused", { reason, hint });
      this._leaderStatus = newStatus({ state: SessionState.BLOCKED, reason, hint });
      this._noteStatus();
      return;
    }
    this._join();
    await this._store.refresh();
  }

  // ---- leading and following ------------------------------------------------------------

  async _lead() {
    await this._ending;
    if (!this._tabs.isLeader || this._isClosed) return;
    const models = [...this._models].sort();
    const link = new Link(this._replica, this._url, { ...this._options, models });
    this._link = link;
    link.onStatus(() => this._noteStatus());
    try {
      await link.start();
    } catch (error) {
      const code = error instanceof SynclineError ? error.code : String(error);
      log("error", "tab.failed_to_lead", { error: code, reason: String(error) });
      this._leaderStatus = newStatus({ state: SessionState.BLOCKED, reason: `storage: ${code}` });
      this._link = null;
      this._noteStatus();
      setTimeout(() => void this._lead(), 1000);
      return;
    }
    if (this._isPaused) await link.pause();
    this._noteStatus();
    for (const [id, { verb, untilMs }] of this._asked) void this._serve(verb, untilMs, id);
  }

  /**
   * Follow what another tab follows, too.
   *
   * @param {readonly string[]} models
   */
  async _widen(models) {
    const before = this._models.size;
    for (const model of models) this._models.add(model);
    const link = this._link;
    if (this._models.size === before || link === null) return;
    this._link = null;
    this._ending = link.close();
    await this._lead();
  }

  async _follow() {
    const link = this._link;
    this._link = null;
    this._leaderStatus = newStatus({ reason: "no tab leads yet" });
    this._ending = link === null ? Promise.resolve() : link.close();
    await this._ending;
    this._replica.core.wake = () => this._noteStatus();
    this._noteStatus();
    // What was asked of the link that ended is asked of the next one.
    for (const [id, asked] of this._asked) this._tabs.say("ask", { id, ...plainOf(asked) });
  }

  _noteStatus() {
    const status = this.status;
    const text = JSON.stringify({ ...status, lagMs: 0 });
    if (text === this._shownStatus) return;
    this._shownStatus = text;
    if (this._link !== null) this._tabs.say("status", { status });
    tellAll(this._statusListeners, status);
  }

  // ---- what tabs say --------------------------------------------------------------------

  /** @param {import("./tabs.js").TabMessage} message */
  _heard(message) {
    switch (message.kind) {
      case "wrote":
        void this._refresh();
        break;
      case "ping":
        void this._widen(message.models ?? []);
        if (this._link !== null) this._tabs.say("status", { status: this.status });
        break;
      case "status":
        if (this._link === null) {
          this._leaderStatus = message.status;
          this._noteStatus();
        }
        break;
      case "led":
        // Whoever leads follows what all follow.
        this._sayModels();
        for (const [id, asked] of this._asked) this._tabs.say("ask", { id, ...plainOf(asked) });
        break;
      case "ask":
        if (this._link !== null) void this._serveOther(message);
        break;
      case "answer":
        this._answered(message);
        break;
      case "goOn":
        this._replica.core.engine.brake.lift(message.untilMs);
        this._link?.goOn();
        break;
      case "hurry":
        this._link?.hurry();
        break;
      default:
        break;
    }
  }

  async _refresh() {
    this._mustRefresh = true;
    if (this._isRefreshing) return;
    this._isRefreshing = true;
    while (this._mustRefresh && !this._isClosed) {
      this._mustRefresh = false;
      try {
        await this._store.refresh();
      } catch (error) {
        log("error", "tab.refresh_failed", { reason: String(error) });
      }
      this._noteStatus();
    }
    this._isRefreshing = false;
  }

  /**
   * @param {Verb} verb
   * @param {number | null} timeoutMs
   * @returns {Promise<void>}
   */
  _ask(verb, timeoutMs) {
    if (this._isClosed) return Promise.reject(new LinkClosed("the link was closed"));
    const id = newNonce();
    const untilMs = timeoutMs === null ? null : performance.now() + timeoutMs;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    /** @type {Promise<void>} */
    const answered = new Promise((resolve, reject) => {
      this._asked.set(id, { verb, untilMs, resolve, reject });
      if (timeoutMs !== null) {
        timer = setTimeout(() => reject(new WaitTimeout(`${verb}: no answer in time`)), timeoutMs);
      }
    });
    if (this._link !== null) void this._serve(verb, untilMs, id);
    else this._tabs.say("ask", { id, verb, leftMs: timeoutMs });
    return answered.finally(() => {
      clearTimeout(timer);
      this._asked.delete(id);
    });
  }

  /**
   * @param {Verb} verb
   * @param {number | null} untilMs
   * @param {string} id
   */
  async _serve(verb, untilMs, id) {
    const asked = this._asked.get(id);
    if (asked === undefined) return;
    try {
      await this._do(verb, untilMs);
      asked.resolve();
    } catch (error) {
      // The link was handed on meanwhile: whoever has it next is asked again.
      if (error instanceof LinkClosed && !this._isClosed) return;
      asked.reject(error);
    }
  }

  /** @param {import("./tabs.js").TabMessage} message */
  async _serveOther({ id, verb, leftMs, from }) {
    try {
      await this._do(verb, leftMs === null ? null : performance.now() + leftMs);
      this._tabs.say("answer", { id, to: from, error: null });
    } catch (error) {
      if (error instanceof LinkClosed) return;
      const { code, message } =
        error instanceof SynclineError ? error : { code: "error", message: String(error) };
      this._tabs.say("answer", { id, to: from, error: { code, message } });
    }
  }

  /**
   * @param {Verb} verb
   * @param {number | null} untilMs
   */
  async _do(verb, untilMs) {
    const link = this._link;
    if (link === null) throw new LinkClosed("another tab holds the link");
    const leftMs = untilMs === null ? null : Math.max(untilMs - performance.now(), 0);
    // What another tab has just written is to be seen first.
    await this._store.refresh();
    if (verb === "pause" || verb === "resume") {
      this._isPaused = verb === "pause";
      await link[verb]();
    } else await link[verb](leftMs);
  }

  /** @param {import("./tabs.js").TabMessage} message */
  _answered({ id, to, error }) {
    if (to !== this._tabs.id) return;
    const asked = this._asked.get(id);
    if (error === null) asked?.resolve();
    else asked?.reject(errorOfCode(error));
  }
}

/** @param {{verb: Verb, untilMs: number | null}} asked */
function plainOf({ verb, untilMs }) {
  return { verb, leftMs: untilMs === null ? null : Math.max(untilMs - performance.now(), 0) };
}
