/**
 * A tab's hold on the link: what it writes for the upstream, until another tab takes over.
 *
 * @module
 */

import { LinkClosed } from "./errors.js";
import { log } from "./logs.js";
import { newNonce } from "./random.js";

/** @typedef {import("./outcome.js").Outcome} Outcome */
/** @typedef {import("./store/transaction.js").Transaction} Transaction */

const HOLDER = "link_holder";
const URL_FOLLOWED = "upstream_url";

/** Says that another tab took the link: this one must write nothing more for it. */
export class Deposed extends LinkClosed {
  static sentence = "another tab holds the link";
}

/** Writes what the link of one tab asks of the store that all tabs share. */
export class Holding {
  /**
   * @param {import("./core.js").Core} core
   * @param {string} url the daemon that is followed.
   * @param {boolean | null} offersBack see `LinkOptions`.
   */
  constructor(core, url, offersBack) {
    this._core = core;
    this._engine = core.engine;
    this._url = url;
    this._offersBack = offersBack;
    this._holder = newNonce();
    this._urlBefore = "";
    this._isTransient = false;
  }

  /** Take the link over from whichever tab has it; return the stored cursor. */
  async take() {
    return this._core.writer.run((tx) => {
      tx.setMeta(HOLDER, this._holder);
      tx.clearStage();
      this._urlBefore = tx.meta(URL_FOLLOWED) ?? "";
      return this._engine.cursor(tx);
    });
  }

  /**
   * Run a job that takes the upstream's word.
   *
   * @param {(tx: Transaction) => Outcome} job
   * @throws {Deposed}
   */
  async write(job) {
    return this._core.carryOut((tx) => {
      // What a tab that was frozen would still write is no longer its to say.
      if (tx.meta(HOLDER) !== this._holder) throw new Deposed();
      return job(tx);
    });
  }

  /**
   * Carry out what the session asked of the store.
   *
   * @param {import("./effects.js").StoreEffect} effect
   * @throws {Deposed}
   */
  async carryOut(effect) {
    return this.write((tx) => {
      if (effect.kind === "SaveCursor" || effect.kind === "BeginReset") this._noteUrl(tx);
      return this._engine.carryOut(tx, effect);
    });
  }

  /** @param {Transaction} tx */
  _noteUrl(tx) {
    if (tx.meta(URL_FOLLOWED) !== this._url) tx.setMeta(URL_FOLLOWED, this._url);
  }

  /**
   * Say why the list is taken anew; keep a copy of what the upstream's word may end.
   *
   * @param {import("./effects.js").BeginReset} effect
   * @param {string} reason what the upstream said.
   * @throws {Deposed}
   */
  async beginReset(effect, reason) {
    const { shared, offersBack } = effect;
    const copy = offersBack || this._isTransient ? null : await this._engine.store.copyAside("replaced");
    log("warning", "reset.began", { url: this._url, reason, shared, offersBack, copy });
    return this.carryOut(effect);
  }

  /**
   * Tell whether what the upstream lost is offered to it again.
   *
   * @param {string} reason why a reset is asked for.
   * @param {{transient?: boolean}} [list] `transient`: it is of what is now, and wants nothing of an
   *   earlier one.
   */
  doesOfferBack(reason, { transient = false } = {}) {
    this._isTransient = transient;
    if (this._offersBack !== null) return this._offersBack;
    return !transient && (reason !== "source" || ["", this._url].includes(this._urlBefore));
  }
}
