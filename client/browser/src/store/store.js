/**
 * A replica's store: its content in memory, and a journal that makes it durable.
 *
 * Transactions run in memory, at once and one at a time; what they changed is appended to the
 * journal before anybody is answered.
 * Tabs that share a journal hold the content each, and read what the others appended at the
 * beginning of every turn.
 *
 * @module
 */

import { StoreError, StoreFull, StoreUnavailable } from "../errors.js";
import { COMPACT_CHARS_MIN } from "./journal.js";
import { Tables } from "./tables.js";
import { Transaction } from "./transaction.js";

/** @typedef {import("../models.js").Update} Update */
/** @typedef {import("./journal.js").Journal} Journal */
/** @typedef {import("./journal.js").Foreign} Foreign */
/** @typedef {(tx: Transaction) => any} Job */
/** @typedef {{value?: any, error?: unknown}} JobOutcome */

/** What comes of a turn of the journal. */
class Turn {
  constructor() {
    /** @type {JobOutcome[]} */
    this.outcomes = [];
    /** @type {Update[]} What other tabs had committed. */
    this.foreign = [];
    this.isForeign = false;
    this.wrote = false;
    this.wasWhole = false;
  }
}

/** Where a replica keeps everything. */
export class Store {
  /** @param {Journal | null} [journal] null: the content is lost with the page or the process. */
  constructor(journal = null) {
    this.journal = journal;
    /** What the user should know: why it is not durable, or that it was cleared. */
    this.notice = "";
    /** @type {(updates: Update[]) => void} Called with what other tabs committed, if only marks. */
    this.onForeign = () => {};
    /** @type {() => void} Called after every commit of our own. */
    this.onCommit = () => {};
    this._tables = new Tables();
    this._version = 0;
    this._baseChars = 0;
    this._journalChars = 0;
    /** @type {Promise<unknown> | null} */
    this._turn = null;
    this._isClosed = false;
  }

  /** What the status calls it. */
  get kind() {
    return this.journal?.kind ?? "memory";
  }

  /** What tells the store from any copy of it; empty where there can be none. */
  get place() {
    return this.journal?.place ?? "";
  }

  /** Whether other tabs can open the same content. */
  get isShared() {
    return this.journal?.isShared ?? false;
  }

  /**
   * Open the store and read what it holds.
   *
   * @throws {StoreError} by name.
   */
  async open() {
    await this.journal?.open();
    await this.refresh();
  }

  /** Close it; closing twice is harmless. */
  async close() {
    this._isClosed = true;
    await this._settled();
    await this.journal?.close();
  }

  /** Let go of what would keep a page from being put away; the next turn opens it again. */
  async suspend() {
    await this._settled();
    await this.journal?.close();
  }

  /** Give back at once what other tabs wait for, as the page is about to be frozen. */
  freeze() {
    this.journal?.freeze?.();
  }

  /** Go on after `freeze`. */
  thaw() {
    this.journal?.thaw?.();
  }

  /**
   * Run a job on what is committed.
   *
   * @template T
   * @param {(tx: Transaction) => T} job
   * @returns {Promise<T>}
   */
  async read(job) {
    while (this._turn !== null) await this._settled();
    return job(new Transaction(this._tables));
  }

  /**
   * Run a job on what is here now, which may not be committed yet: for counting.
   *
   * @template T
   * @param {(tx: Transaction) => T} job
   * @returns {T}
   */
  readNow(job) {
    return job(new Transaction(this._tables));
  }

  /**
   * Copy the whole content beside this store, under a name with a suffix and the date.
   *
   * @param {string} suffix
   * @returns {Promise<string | null>} the copy's name; null for a store that is not kept.
   */
  async copyAside(suffix) {
    if (this.journal === null) return null;
    const stamp = new Date().toISOString().replace(/[^0-9]/g, "");
    const aside = this.journal.beside(`${suffix}-${stamp}`);
    const base = await this.read(() => this._tables.snapshot());
    await aside.open();
    await aside.turn(0, () => ({ base }));
    await aside.close();
    return aside.name;
  }

  /** Read what other tabs committed. */
  async refresh() {
    if (this.journal !== null) await this.write([]);
  }

  /**
   * Run jobs in one transaction, and return what came of each once they are kept.
   *
   * A job that fails leaves nothing behind and does not disturb the others.
   * A job changes nothing but the store.
   *
   * @param {readonly Job[]} jobs
   * @returns {Promise<JobOutcome[]>}
   * @throws {StoreError} nothing was kept.
   */
  async write(jobs) {
    while (this._turn !== null) await this._settled();
    if (this._isClosed) throw new StoreUnavailable("the replica is closed");
    const turn = this._takeTurn(jobs);
    this._turn = turn;
    try {
      return await turn;
    } finally {
      this._turn = null;
    }
  }

  async _settled() {
    await Promise.resolve(this._turn).catch(() => {});
  }

  /**
   * @param {readonly Job[]} jobs
   * @returns {Promise<JobOutcome[]>}
   */
  async _takeTurn(jobs) {
    if (this.journal === null) {
      const { outcomes } = this._run(jobs);
      this._tables.compactSeqs();
      return outcomes;
    }
    const turn = new Turn();
    try {
      await this._keep(this.journal, jobs, turn);
    } catch (error) {
      // There may be room for what was changed, though not for the whole beside the old one.
      if (!(error instanceof StoreFull) || !turn.wasWhole) throw error;
      await this._keep(this.journal, jobs, turn);
    } finally {
      if (turn.isForeign) this.onForeign(turn.foreign);
    }
    this._tables.compactSeqs();
    if (turn.wrote) this.onCommit();
    return /** @type {JobOutcome[]} */ (turn.outcomes);
  }

  /**
   * @param {Journal} journal
   * @param {readonly Job[]} jobs
   * @param {Turn} turn
   */
  async _keep(journal, jobs, turn) {
    /** @type {Transaction | null} */
    let tx = null;
    try {
      this._version = await journal.turn(this._version, (seen) => {
        // A journal that was closed under us, or frozen, calls again.
        tx?.undo();
        turn.isForeign ||= seen.texts.length > 0;
        for (const update of this._takeIn(seen)) turn.foreign.push(update);
        const run = this._run(jobs);
        ({ tx } = run);
        turn.outcomes = run.outcomes;
        const written = this._written(tx, seen.isCleared);
        turn.wrote = written !== null;
        turn.wasWhole = written?.base !== undefined;
        return written;
      });
    } catch (error) {
      /** @type {Transaction | null} */ (tx)?.undo();
      if (error instanceof StoreError) throw error;
      const why = `the ${this.kind} journal failed: ${String(error)}`;
      throw new StoreUnavailable(why, { cause: error });
    }
  }

  /** @param {readonly Job[]} jobs */
  _run(jobs) {
    const tx = new Transaction(this._tables);
    /** @type {JobOutcome[]} */
    const outcomes = jobs.map((job) => {
      const mark = tx.savepoint();
      try {
        return { value: job(tx) };
      } catch (error) {
        tx.undo(mark);
        return { error };
      }
    });
    return { tx, outcomes };
  }

  /**
   * Take in what other tabs appended.
   *
   * @param {Foreign} seen
   * @returns {Update[]} what is new of it, in order of seq; what is gone without a tombstone first.
   */
  _takeIn({ version, isReset, isCleared, texts }) {
    if (isCleared) {
      this.notice = "the browser cleared the storage; it was written again from this page";
      return [];
    }
    this._version = version;
    const chars = texts.reduce((sum, text) => sum + text.length, 0);
    if (!isReset) {
      this._journalChars += chars;
      return texts.flatMap((text) => this._tables.apply(text));
    }
    const tables = new Tables();
    for (const text of texts) tables.apply(text);
    this._baseChars = chars;
    this._journalChars = 0;
    return this._tables.become(tables);
  }

  /**
   * @param {Transaction} tx
   * @param {boolean} isCleared
   * @returns {import("./journal.js").Written | null}
   */
  _written(tx, isCleared) {
    const delta = tx.delta();
    if (delta === null && !isCleared) return null;
    const grown = this._journalChars + (delta?.length ?? 0);
    if (!isCleared && delta !== null && grown <= Math.max(COMPACT_CHARS_MIN, this._baseChars)) {
      this._journalChars = grown;
      return { delta };
    }
    const base = this._tables.snapshot();
    this._baseChars = base.reduce((sum, text) => sum + text.length, 0);
    this._journalChars = 0;
    return { base };
  }
}
