/**
 * The loop that drives a session.
 *
 * It takes inputs in order, tells each to the session, and carries out the effects before it takes
 * the next.
 *
 * @module
 */

import { checked } from "./connection.js";
import { AuthError, Busy, MassDeletion, ProtocolError, StoreError, SynclineError } from "./errors.js";
import { answerHeard, headHeard, pageHeard, tooLargeSaid } from "./heard.js";
import { Deposed, Holding } from "./holding.js";
import { Line } from "./line.js";
import { log } from "./logs.js";
import { Answer, newCursor } from "./models.js";
import { Outgoing } from "./outgoing.js";
import { decodeWelcome, withList } from "./protocol.js";
import { Reporting } from "./reporting.js";
import { Session } from "./session.js";
import { StallWatch } from "./stall.js";

/** @typedef {import("./effects.js").Effect} Effect */
/** @typedef {import("./heard.js").Input} Input */
/** @typedef {string | null | (() => string | Promise<string>)} Token */

/** Drives the session of one link. */
export class Driver {
  /**
   * @param {import("./replica.js").Replica} replica
   * @param {string} url
   * @param {import("./link.js").LinkOptions} options
   * @param {{onStep: () => void, onDeposed: () => void}} told `onStep`: called after each input,
   *   when its effects are carried out; `onDeposed`: another tab took the link.
   */
  constructor(replica, url, options, { onStep, onDeposed }) {
    const { models, token = null, settings = {}, offersBack = null } = options;
    this._core = replica.core;
    this._engine = replica.core.engine;
    this._url = url;
    this._token = token;
    this._onStep = onStep;
    this._onDeposed = onDeposed;
    this.session = new Session({
      replicaId: replica.replicaId,
      models,
      cursor: newCursor(),
      hasPending: true,
      chance: Math.random,
      settings,
    });
    this.line = new Line(url, (input) => this.put(input));
    this.stall = new StallWatch(this.session.settings.stallTimeoutS);
    /** @type {MassDeletion | null} What stopped the link until `restart`. */
    this.halted = null;
    /** @type {import("./protocol.js").Welcome | null} What the daemon said at the last hello. */
    this.welcome = null;
    /** Whether effects are being carried out: the session is ahead of the store meanwhile. */
    this.isAhead = false;
    this.isClosed = false;
    this._holding = new Holding(replica.core, url, offersBack);
    this.outgoing = new Outgoing(replica.core, this._holding);
    this._reporting = new Reporting();
    /** @type {Input[]} */
    this._inputs = [];
    /** @type {(() => void) | null} */
    this._wake = null;
    this._ticket = "";
    /** What to do about the connection that could not be made last, or empty. */
    this.hint = "";
    this._isCursorLost = false;
    /** @type {Promise<void> | null} */
    this._loop = null;
  }

  // ---- what the link asks ---------------------------------------------------------------

  /** Take the link over from whichever tab has it. */
  async takeOver() {
    this.session.reload(await this._holding.take());
  }

  /** Begin to take inputs. */
  run() {
    this._loop = this._run();
  }

  /**
   * Tell the session something when it is its turn.
   *
   * @param {Input} input
   */
  put(input) {
    this._inputs.push(input);
    this._wake?.();
  }

  /** Connect, whatever it was that stopped the link. */
  restart() {
    this.halted = null;
    this.put((session, at) => session.start(at));
  }

  /** Take note that something was written here. */
  noteWritten() {
    this._reporting.noteWritten();
    if (!this.session.hasUnsent) this.put((session, at) => session.wrote(at));
  }

  /** Disconnect, and take no more inputs. */
  async close() {
    this.isClosed = true;
    await this.line.drop();
    this._wake?.();
  }

  /** Return when the loop has ended. */
  async ended() {
    await this._loop;
  }

  // ---- the loop -------------------------------------------------------------------------

  async _run() {
    while (!this.isClosed) {
      if (!this._inputs.length) await this._wait(this.session.nextDeadline());
      if (this.isClosed) return;
      // Until the effects are carried out the session is ahead of the store, and no status may be
      // read off it.
      this.isAhead = true;
      try {
        const input = this._inputs.shift() ?? tick;
        await this._take(input(this.session, now()));
        await this._report();
      } catch (error) {
        if (error instanceof Deposed) {
          this._onDeposed();
          return;
        }
        await this._failed(error);
      }
      this.isAhead = false;
      this._onStep();
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

  /** @param {Effect[]} effects */
  async _take(effects) {
    for (const effect of effects) {
      if (this.isClosed) return;
      await this._carryOut(effect);
    }
  }

  /** @param {unknown} error */
  async _failed(error) {
    if (this.isClosed) return;
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
    await this._take(this.session.blocked(now(), isStore ? `storage: ${code}` : code));
  }

  /** @param {MassDeletion} error */
  async _halt(error) {
    const { code, message, hint } = error;
    log("error", "link.halted", { error: code, reason: message, hint });
    this.halted = error;
    this._isCursorLost = true;
    await this._take(this.session.halted(`${code}: ${message}`));
  }

  // ---- effects --------------------------------------------------------------------------

  /** @param {Effect} effect */
  async _carryOut(effect) {
    const { line } = this;
    switch (effect.kind) {
      case "Connect":
        await this._connect();
        break;
      case "Disconnect":
        log("info", "link.closed", { url: this._url, reason: effect.reason });
        await line.drop();
        break;
      case "SendHello":
        line.send("hello", [effect.hello], (_session, _at, got) => this._welcomed(got));
        break;
      case "RequestChanges": {
        const { since, models } = effect;
        const request = models === null ? { since } : { since, models };
        line.send("changes", [request], pageHeard);
        break;
      }
      case "SendUpdates":
        await this._push(effect.pushId);
        break;
      case "Acknowledge":
        await this._acknowledge(effect);
        break;
      case "SendHeartbeat":
        this._beat(effect.cursor, effect.heard);
        break;
      case "BeginReset":
        await this._stored(await this._holding.beginReset(effect, this.welcome?.reason ?? ""));
        break;
      default:
        await this._stored(await this._holding.carryOut(effect));
    }
  }

  /** @param {import("./outcome.js").Outcome} outcome */
  async _stored(outcome) {
    if (outcome.lacksAnchor) {
      // The session is ahead of what was stored: from there the list is read.
      const { session } = this;
      session.reload(await this._core.read((reader) => this._engine.cursor(reader)));
      this.put((_session, at) => session.behindTold(at));
    }
    const { offered, dropped, deleted } = outcome;
    this._engine.noteDeletions(deleted);
    if (offered || dropped) log("warning", "reset.settled", { offered, dropped });
    this._reporting.noteOutcome(outcome);
    if (outcome.mustPush) this.put((session, at) => session.wrote(at));
  }

  // ---- connecting -----------------------------------------------------------------------

  async _connect() {
    const { session, line } = this;
    await line.drop();
    if (this._isCursorLost) {
      // The session ran ahead of a store that failed: what is stored is where we are.
      session.reload(await this._core.read((reader) => this._engine.cursor(reader)));
      this._isCursorLost = false;
    }
    const token = typeof this._token === "function" ? await this._token() : this._token;
    const ticket = this._ticket;
    this._ticket = "";
    try {
      await line.open(token, ticket);
    } catch (error) {
      await this._notOpened(error);
      return;
    }
    this.hint = "";
    log("info", "link.connected", { url: this._url, replicaId: session.replicaId });
    await this._take(session.connected(now()));
  }

  /** @param {unknown} error */
  async _notOpened(error) {
    if (this.isClosed) return;
    if (error instanceof AuthError || error instanceof ProtocolError) {
      await this._take(this._refused(error));
      return;
    }
    this.line.forget();
    const code = error instanceof SynclineError ? error.code : String(error);
    const hint = error instanceof SynclineError ? error.hint : "";
    // Once: it may be tried again for days.
    if (hint !== this.hint) {
      log("warning", "link.unreached", { url: this._url, error: code, reason: String(error), hint });
    }
    this.hint = hint;
    const isBusy = error instanceof Busy;
    if (isBusy) this._ticket = error.ticket;
    this.session.disconnected(now(), code, { delayS: isBusy ? error.delayMs / 1000 : null });
  }

  /** @param {SynclineError} error */
  _refused(error) {
    const { code, message, hint, retryable } = error;
    this.hint = hint;
    log("error", "link.refused", { url: this._url, error: code, reason: message, hint });
    return this.session.refused(now(), code, { isAuth: error instanceof AuthError, retryable });
  }

  /** @param {any[]} got */
  _welcomed(got) {
    try {
      this.welcome = decodeWelcome(checked(got)[0]);
    } catch (error) {
      if (error instanceof SynclineError) return this._refused(error);
      throw error;
    }
    this._reporting.welcomed(this.welcome);
    this.outgoing.noteWelcome(this.welcome);
    this._core.principal = this.welcome.principal;
    const { reason, transient } = this.welcome;
    this._engine.brake.isOff = transient;
    const offersBack = this._holding.doesOfferBack(reason, { transient });
    return this.session.welcomed(now(), this.welcome, { offersBack });
  }

  // ---- heartbeats -----------------------------------------------------------------------

  /**
   * @param {number} cursor
   * @param {number} heard
   */
  _beat(cursor, heard) {
    const { "": pending, conflict: conflicts } = this.outgoing.counts();
    const stalled = this.stall.isStalled;
    this.line.send("heartbeat", [{ cursor, pending, conflicts, stalled, heard }], headHeard);
    if (heard) return;
    this._reporting.beat();
    this._lookForStall(pending);
  }

  /**
   * Say so when there is something to do and nothing moves.
   *
   * @param {number} pending
   */
  _lookForStall(pending) {
    const { session, stall } = this;
    // Not the status: while effects are carried out, as now, that never says live.
    const hasWork =
      session.isWelcome &&
      (!session.isLevel || pending > 0 || session.hasUnsent || session.isPushing);
    const progress = `${session.position} ${this.outgoing.settled}`;
    if (!stall.look(now(), { hasWork, progress })) return;
    log("error", "link.stalled", {
      url: this._url,
      replicaId: session.replicaId,
      durationMs: Math.round(stall.idleS(now()) * 1000),
      pending,
      pushing: session.pushes.length,
      cursor: session.cursor.seq,
      head: session.knownHead,
      hint: "the link starts anew; if it stays so, report it with this line",
    });
    this.put((_session, at) => session.stalled(at));
  }

  /** Tell the daemon which conflicts wait here, when that has changed. */
  async _report() {
    const { _reporting: reporting, session } = this;
    if (!reporting.isDue || !session.isLevel) return;
    if (this.outgoing.inFlight(session.pushes).length) return;
    const { limit } = reporting;
    const report = reporting.nextReport(
      await this._core.read((reader) => reader.conflicts({ openOnly: true, limit })),
    );
    if (report === null) return;
    this.line.send("report_conflicts", report.args, (_session, _at, got) => {
      reporting.answered(report.names, got);
      return [];
    });
  }

  // ---- pushing --------------------------------------------------------------------------

  /** @param {number} pushId */
  async _push(pushId) {
    const { session, outgoing } = this;
    const { updates, hasMore } = await outgoing.collect(session.pushes, this.welcome);
    if (!updates.length) {
      await this._take(session.nothingToPush(now(), pushId));
      return;
    }
    // While pushes follow each other without a pause, this is where none is out.
    await this._report();
    outgoing.noteSent(pushId, updates);
    const header = { epoch: session.cursor.epoch, cursor: session.cursor.seq };
    const args = withList(header, "updates", updates);
    this.line.send("bulk_update", args, (_session, at, got) => {
      const reason = tooLargeSaid(got);
      if (reason) outgoing.noteTooLarge(pushId, reason);
      return answerHeard(session, at, got, pushId);
    });
    await this._take(session.collected(now(), hasMore));
  }

  /** @param {import("./effects.js").Acknowledge} effect */
  async _acknowledge(effect) {
    const outcome = await this.outgoing.acknowledge(effect);
    if (outcome === null) return;
    if (effect.answer.results.some(({ answer }) => answer === Answer.CONFLICT)) {
      this._reporting.noteCollision();
    }
    await this._stored(outcome);
  }
}

/** @type {Input} */
function tick(session, at) {
  return session.tick(at);
}

/** Return the seconds, on a clock that only goes forward. */
export function now() {
  return performance.now() / 1000;
}
